//! The key that guards what caches keep. What is found in a cache decides what
//! counts as built, or even runs on the host, and whoever can write a file
//! there must not decide that: everything kept carries a MAC under this key.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of a MAC.
pub(crate) const MAC_BYTES: usize = 32;

/// A key that only this user has.
#[derive(Clone)]
pub(crate) struct CacheKey([u8; 32]);

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheKey")
    }
}

impl CacheKey {
    /// Reads the key; it is made when it is first needed.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        if let Ok(bytes) = fs::read(path) {
            if let Ok(key) = bytes.try_into() {
                return Ok(Self(key));
            }
            fs::remove_file(path)?;
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        // Whole before it has its name: another process may look for it meanwhile.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&key)?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(Self(key)),
            // Another process was first: its key counts.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                let key = fs::read(path)?.try_into();
                key.map(Self).map_err(|_| io::Error::other("the cache key is no key; remove it"))
            }
            Err(error) => Err(error.error),
        }
    }

    /// A MAC over parts that follow each other. Each use must begin with
    /// something that no other begins with.
    pub(crate) fn mac<'p>(&self, parts: impl IntoIterator<Item = &'p [u8]>) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        parts.into_iter().for_each(|part| mac.update(part));
        Some(mac)
    }
}
