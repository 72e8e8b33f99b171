//! Private keys as files: PKCS#8 in PEM, one file that only its owner reads.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

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
fn new_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, KeyError> {
    let random = SystemRandom::new();
    let document = match algorithm {
        Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
        Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
    };
    let document = document.map_err(|error| invalid("the new key", "usable", error))?;
    Ok(document.as_ref().to_vec())
}

impl SigningKey {
    /// Makes a new key: the private half at `path`, the public half beside it
    /// with the ending `.pub`. Overwrites nothing, and leaves no half of a file
    /// whenever it is interrupted.
    ///
    /// # Errors
    /// [`KeyError::Exists`], or what the file system refused.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        Self::generate_as(path, Algorithm::default())
    }

    /// Makes a new key for an algorithm, as [`Self::generate`] does.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn generate_as(path: &Path, algorithm: Algorithm) -> Result<Self, KeyError> {
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
        let text = pem::encode(&pem::Pem::new("PRIVATE KEY", new_pkcs8(algorithm)?));
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
        match write_new(&public, &self.public().to_pem(), 0o644) {
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
        Self::from_pkcs8(block.contents(), &path.display().to_string()).map_err(broken)
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
        let key = SigningKey::generate_as(&path, Algorithm::Ed25519).unwrap();
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
}
