//! Signing keys: ECDSA P-256, PKCS#8 in PEM, one file that only its owner reads.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_crypto::{KeyPair, VerificationKey};
use sigstore_types::{DerPublicKey, Sha256Hash, SignatureBytes};

use crate::digest::Digest;
use crate::plain_file::{is_unsuitable, open_named, read, read_named};

/// Larger files hold no key.
const MAX_KEY: u64 = 64 << 10;

/// What can be wrong with a key.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no key this version reads.
    #[error("{place} is not {expected}: {why}")]
    #[diagnostic(code("key/invalid"))]
    Invalid {
        /// The file, or where else the text stands.
        place: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
        /// What to type next.
        #[help]
        help: String,
    },
    /// Others may read the private key.
    #[error("others may read the private key {} (mode {mode:o})", path.display())]
    #[diagnostic(code("key/exposed"), help("chmod 600 {}", path.display()))]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key is there already.
    #[error("there is a key already: {}", path.display())]
    #[diagnostic(
        code("key/exists"),
        help("everything signed with it would stop verifying; move it away first, or give another --output")
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    #[diagnostic(code("key/io"), help("check the path and its permissions"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A private key that signs.
#[derive(Debug)]
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

/// A public key that verifies.
#[derive(Clone)]
pub struct PublicKey {
    der: DerPublicKey,
    key: Arc<VerificationKey>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

pub(crate) fn invalid(place: &str, expected: &'static str, why: impl ToString) -> KeyError {
    let help = "make a key with `cofferdam key generate`".to_owned();
    KeyError::Invalid { place: place.to_owned(), expected, why: why.to_string(), help }
}

/// A private key that cannot be used, and is in the way of a new one.
fn broken(path: &Path, why: impl ToString) -> KeyError {
    let place = path.display();
    let help = format!("move {place} away, and take a copy of the key or make a new one: cofferdam setup");
    let expected = "a PKCS#8 private key for ECDSA P-256 in PEM";
    KeyError::Invalid { place: place.to_string(), expected, why: why.to_string(), help }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyError + 'a {
    move |source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyError::Exists { path }
        } else {
            KeyError::Io { action, path, source }
        }
    }
}

/// Writes a file that is not there yet, whole or not at all.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Nobody else may read it, from its first byte on.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}

impl SigningKey {
    /// Makes a new key: the private half at `path`, the public half beside it
    /// with the ending `.pub`. Overwrites nothing, and leaves no half of a file
    /// whenever it is interrupted.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or what the file system refused.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let public = path.with_extension("pub");
        if public == path {
            let (place, expected) = (path.display().to_string(), "a name for a private key");
            return Err(invalid(&place, expected, "the public half would have the same name"));
        }
        for taken in [path, &public] {
            if taken.symlink_metadata().is_ok() {
                return Err(KeyError::Exists { path: taken.to_owned() });
            }
        }
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|error| invalid("the new key", "usable", error))?;
        let text = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
        if let Some(directory) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(io_error("create", directory))?;
        }
        write_new(path, &text, 0o600).map_err(io_error("write", path))?;
        let key = Self::load(path)?;
        key.write_public(path)?;
        Ok(key)
    }

    /// Writes the public half beside the private one at `path`, unless there is
    /// one. Says whether it did.
    ///
    /// # Errors
    /// What the file system refused.
    pub fn write_public(&self, path: &Path) -> Result<bool, KeyError> {
        let public = path.with_extension("pub");
        match write_new(&public, &self.public.to_pem(), 0o644) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(io_error("write", &public)(error)),
        }
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] when the file's mode lets others read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let broken = |why: String| broken(path, why);
        let io = |source: io::Error| {
            if is_unsuitable(&source) { broken(source.to_string()) } else { io_error("read", path)(source) }
        };
        let file = open_named(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let text = read(&file, MAX_KEY).map_err(io)?;
        if text.is_empty() {
            return Err(broken("it is empty".to_owned()));
        }
        let block = pem::parse(text).map_err(|error| broken(error.to_string()))?;
        if block.tag() != "PRIVATE KEY" {
            return Err(broken("it holds something else".to_owned()));
        }
        let pair = KeyPair::from_pkcs8_der(block.contents()).map_err(|error| broken(error.to_string()))?;
        let der = pair.public_key_der().map_err(|error| broken(error.to_string()))?;
        let public = PublicKey::from_der(der, &path.display().to_string())?;
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the bytes that have a digest: ECDSA with SHA-256 signs nothing else.
    pub(crate) fn sign_digest(&self, digest: Digest) -> Result<SignatureBytes, KeyError> {
        let digest = Sha256Hash::new(*digest.as_bytes());
        self.pair.sign_digest(&digest).map_err(|error| invalid("the key", "able to sign", error))
    }
}

impl PublicKey {
    fn from_der(der: DerPublicKey, place: &str) -> Result<Self, KeyError> {
        let key = VerificationKey::from_spki(&der)
            .map_err(|error| invalid(place, "a public key for a known algorithm", error))?;
        Ok(Self { der, key: Arc::new(key) })
    }

    /// Reads a public key in PEM; `place` is for messages.
    ///
    /// # Errors
    /// [`KeyError::Invalid`].
    pub fn from_pem(text: &str, place: &str) -> Result<Self, KeyError> {
        let der =
            DerPublicKey::from_pem(text).map_err(|error| invalid(place, "a public key in PEM", error))?;
        Self::from_der(der, place)
    }

    /// Reads a public key file.
    ///
    /// # Errors
    /// [`KeyError`], naming the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = read_named(path, MAX_KEY).map_err(|source| {
            if is_unsuitable(&source) {
                invalid(&path.display().to_string(), "a public key in PEM", source)
            } else {
                io_error("read", path)(source)
            }
        })?;
        let text = String::from_utf8_lossy(&text);
        Self::from_pem(&text, &path.display().to_string())
    }

    /// The key in PEM (`SubjectPublicKeyInfo`).
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.der.to_pem()
    }

    /// The name of the key: base64 of the SHA-256 of its DER, as cosign writes
    /// it into a bundle's `hint`.
    #[must_use]
    pub fn id(&self) -> String {
        STANDARD.encode(Digest::of(self.der.as_bytes()).as_bytes())
    }

    pub(crate) fn der(&self) -> &DerPublicKey {
        &self.der
    }

    pub(crate) fn verifies(&self, bytes: &[u8], signature: &SignatureBytes) -> bool {
        self.key.verify(bytes, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/test.key");
        let key = SigningKey::generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(SigningKey::generate(&path), Err(KeyError::Exists { .. })));
        let public = PublicKey::load(&path.with_extension("pub")).unwrap();
        assert_eq!(public.id(), key.public().id());
        let signature = key.sign_digest(Digest::of(b"text")).unwrap();
        assert!(public.verifies(b"text", &signature));
        assert!(!public.verifies(b"texT", &signature));
    }

    #[test]
    fn half_a_key_is_completed_and_a_broken_one_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/test.key");
        let key = SigningKey::generate(&path).unwrap();
        let public = path.with_extension("pub");
        let names = fs::read_dir(directory.path().join("keys")).unwrap().count();
        assert_eq!(names, 2, "a temporary file was left");
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!key.write_public(&path).unwrap());
        fs::remove_file(&public).unwrap();
        assert!(key.write_public(&path).unwrap());
        assert_eq!(PublicKey::load(&public).unwrap().id(), key.public().id());

        fs::write(&path, "").unwrap();
        let Err(KeyError::Invalid { why, help, .. }) = SigningKey::load(&path) else { unreachable!() };
        assert!(why == "it is empty" && help.contains(&format!("move {} away", path.display())), "{help}");
        fs::remove_file(&path).unwrap();
        // A public half that is there already may be the one that rules name.
        assert!(matches!(SigningKey::generate(&path), Err(KeyError::Exists { path }) if path == public));
        assert!(!path.exists());
        assert!(matches!(SigningKey::generate(&public), Err(KeyError::Invalid { .. })));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.key");
        SigningKey::generate(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
    }
}
