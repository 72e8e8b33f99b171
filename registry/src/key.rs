//! Signing keys: ECDSA P-256, PKCS#8 in PEM, one file that only its owner reads.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigstore_crypto::{KeyPair, VerificationKey};
use sigstore_types::{DerPublicKey, SignatureBytes};

use crate::digest::Digest;

/// What can be wrong with a key.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no key this version reads.
    #[error("{place} is not {expected}: {why}")]
    #[diagnostic(code("key/invalid"), help("make a key with `cofferdam key generate`"))]
    Invalid {
        /// The file, or where else the text stands.
        place: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
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
    #[diagnostic(code("key/io"))]
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

fn invalid(place: &str, expected: &'static str, why: impl ToString) -> KeyError {
    KeyError::Invalid { place: place.to_owned(), expected, why: why.to_string() }
}

impl SigningKey {
    /// Makes a new key: the private half at `path`, the public half beside it
    /// with the ending `.pub`. Overwrites nothing.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or what the file system refused.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| {
                if source.kind() == io::ErrorKind::AlreadyExists {
                    KeyError::Exists { path }
                } else {
                    KeyError::Io { action, path, source }
                }
            }
        };
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|error| invalid("the new key", "usable", error))?;
        let text = pem::encode(&pem::Pem::new("PRIVATE KEY", document.as_ref()));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(io("create", directory))?;
        }
        let open = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
        let mut file = open.map_err(io("create", path))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io("write", path))?;
        let key = Self::load(path)?;
        let public = path.with_extension("pub");
        fs::write(&public, key.public.to_pem()).map_err(io("write", &public))?;
        Ok(key)
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] when the file's mode lets others read it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { action: "read", path: path.to_owned(), source };
        let place = path.display().to_string();
        let expected = "a PKCS#8 private key for ECDSA P-256 in PEM";
        let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let block = pem::parse(text).map_err(|error| invalid(&place, expected, error))?;
        if block.tag() != "PRIVATE KEY" {
            return Err(invalid(&place, expected, format!("it is a {}", block.tag())));
        }
        let pair =
            KeyPair::from_pkcs8_der(block.contents()).map_err(|error| invalid(&place, expected, error))?;
        let der = pair.public_key_der().map_err(|error| invalid(&place, expected, error))?;
        let public = PublicKey::from_der(der, &place)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<SignatureBytes, KeyError> {
        self.pair.sign(bytes).map_err(|error| invalid("the key", "able to sign", error))
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
        let text = fs::read_to_string(path).map_err(|source| KeyError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
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
        let signature = key.sign(b"text").unwrap();
        assert!(public.verifies(b"text", &signature));
        assert!(!public.verifies(b"texT", &signature));
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
