//! Private keys as files: PKCS#8 in PEM, under a password where there is one. One
//! file, which only its owner reads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use pem::{EncodeConfig, LineEnding};
use zeroize::Zeroizing;

use crate::encrypted_key::{Closed, OLD_TAG, TAG, open, seal};
use crate::key::{Algorithm, MAX_KEY, SigningKey};
use crate::key_error::{KeyError, broken, invalid, io_error};
use crate::plain_file::{is_unsuitable, open_named, read};

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

/// A new private key. Of Ed25519 in version 1, which everything reads.
fn new_pkcs8(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let random = SystemRandom::new();
    let document = match algorithm {
        Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
        Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
    };
    let document = document.map_err(|error| invalid("the new key", "usable", error))?;
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

impl SigningKey {
    /// Makes a new key: the private half at `path`, the public half beside it
    /// with the ending `.pub`. Overwrites nothing, and leaves no half of a file
    /// whenever it is interrupted.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or what the file system refused.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        Self::generate_as(path, Algorithm::default(), None)
    }

    /// Makes a new key for an algorithm, as [`Self::generate`] does; under a
    /// password where there is one, in cosign's form.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn generate_as(path: &Path, algorithm: Algorithm, password: Option<&[u8]>) -> Result<Self, KeyError> {
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
        let pkcs8 = new_pkcs8(algorithm)?;
        let block = match password {
            None => pem::Pem::new("PRIVATE KEY", pkcs8.as_slice()),
            Some(password) => {
                let sealed = seal(&pkcs8, password)
                    .map_err(|why| invalid("the new key", "closed", format!("{why:?}")))?;
                pem::Pem::new(TAG, sealed)
            }
        };
        let text =
            Zeroizing::new(pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF)));
        if let Some(directory) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(io_error("create", directory))?;
        }
        write_new(path, &text, 0o600).map_err(io_error("write", path))?;
        let key = Self::load_with(path, password)?;
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
        match write_new(&public, &self.public().to_pem(), 0o644) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(io_error("write", &public)(error)),
        }
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] when the file's mode lets others read it,
    /// [`KeyError::Encrypted`] when it is under a password.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::load_with(path, None)
    }

    /// Reads a private key that may be under a password: as cosign writes it.
    ///
    /// # Errors
    /// As [`Self::load`]; [`KeyError::Password`] when it is under another.
    pub fn load_with(path: &Path, password: Option<&[u8]>) -> Result<Self, KeyError> {
        let broken = |why: String| broken(path, why);
        let io = |source: io::Error| {
            if is_unsuitable(&source) { broken(source.to_string()) } else { io_error("read", path)(source) }
        };
        let file = open_named(path).map_err(io)?;
        let text = Zeroizing::new(read(&file, MAX_KEY).map_err(io)?);
        if text.is_empty() {
            return Err(broken("it is empty".to_owned()));
        }
        // What is no key may be read by anyone.
        let block = pem::parse(text.as_slice()).map_err(|_| broken("it is no PEM".to_owned()))?;
        if block.tag() == "PUBLIC KEY" {
            return Err(broken("it is the public half of a key".to_owned()));
        }
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let place = path.display().to_string();
        match (block.tag(), password) {
            ("PRIVATE KEY", _) => Self::from_pkcs8(block.contents(), &place).map_err(broken),
            (TAG | OLD_TAG, None) => Err(KeyError::Encrypted { path: path.to_owned() }),
            (TAG | OLD_TAG, Some(password)) => {
                let pkcs8 = open(block.contents(), password).map_err(|closed| match closed {
                    Closed::Malformed(why) => broken(why.to_owned()),
                    Closed::Password => KeyError::Password { path: path.to_owned() },
                })?;
                Self::from_pkcs8(&pkcs8, &place).map_err(broken)
            }
            _ => Err(broken("it holds something else".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::key::PublicKey;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/test.key");
        let key = SigningKey::generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(SigningKey::generate(&path), Err(KeyError::Exists { .. })));
        let public = PublicKey::load(&path.with_extension("pub")).unwrap();
        assert_eq!(public.id(), key.public().id());
        let signature = key.sign(&mut &b"text"[..], 4).unwrap();
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

    #[test]
    fn ed25519_signs_what_its_public_half_verifies() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.key");
        let key = SigningKey::generate_as(&path, Algorithm::Ed25519, None).unwrap();
        let public = PublicKey::load(&path.with_extension("pub")).unwrap();
        let signature = key.sign(&mut &b"text"[..], 4).unwrap();
        assert!(public.verifies(b"text", &signature) && !public.verifies(b"texT", &signature));
        let other = SigningKey::generate(&directory.path().join("other.key")).unwrap();
        assert!(!other.public().verifies(b"text", &signature));

        // What follows a key in its file is not passed over.
        let block = pem::parse(fs::read(&path).unwrap()).unwrap();
        let longer = [block.contents(), &[0]].concat();
        fs::write(&path, pem::encode(&pem::Pem::new("PRIVATE KEY", longer))).unwrap();
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Invalid { .. })));
    }

    /// The key pair of RFC 8410, sections 10.1 and 10.3.
    #[test]
    fn the_ed25519_keys_of_the_standard_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rfc.key");
        let seed = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        fs::write(&path, format!("-----BEGIN PRIVATE KEY-----\n{seed}\n-----END PRIVATE KEY-----\n"))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let public = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        let key = SigningKey::load(&path).unwrap();
        assert!(key.public().to_pem().contains(public), "{}", key.public().to_pem());
    }

    #[test]
    fn the_keys_that_cosign_wrote_are_read() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/cosign-key");
        let directory = tempfile::tempdir().unwrap();
        for name in ["cosign", "ed25519"] {
            let path = directory.path().join("a.key");
            let text = fs::read_to_string(fixtures.join(format!("{name}.key"))).unwrap();
            let public = PublicKey::load(&fixtures.join(format!("{name}.pub"))).unwrap();
            // What cosign 1 wrote differs in its name alone.
            for text in [text.clone(), text.replace("SIGSTORE", "COSIGN")] {
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                assert!(matches!(SigningKey::load(&path), Err(KeyError::Encrypted { .. })));
                let wrong = SigningKey::load_with(&path, Some(b"correct"));
                assert!(matches!(wrong, Err(KeyError::Password { .. })));
                let key = SigningKey::load_with(&path, Some(b"correct-horse")).unwrap();
                assert_eq!(key.public().id(), public.id());
            }
        }
    }

    #[test]
    fn a_new_key_under_a_password_is_in_no_file_without_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.key");
        let key = SigningKey::generate_as(&path, Algorithm::Ed25519, Some(b"secret")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{text}");
        assert_eq!(SigningKey::load_with(&path, Some(b"secret")).unwrap().public().id(), key.public().id());
        assert!(matches!(SigningKey::load(&path), Err(KeyError::Encrypted { .. })));
    }
}
