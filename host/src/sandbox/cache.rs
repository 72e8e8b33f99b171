//! Compiled code on disk, by component digest.
//!
//! A cached file is machine code: whoever can change it unnoticed owns the
//! host. So each file begins with a MAC under a key that only this user has,
//! and a file whose MAC does not hold is compiled anew, never run.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component as Compiled;

const MAC_BYTES: usize = 32;

/// Compiled code on disk.
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    key: [u8; 32],
    compatibility: String,
}

impl CodeCache {
    /// Opens the cache; the key is made when it is first needed.
    pub(crate) fn open(directory: &Path, key_file: &Path, engine: &Engine) -> std::io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = format!("{:016x}", hasher.finish());
        Ok(Self { directory: directory.to_owned(), key: load_key(key_file)?, compatibility })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{}-{}.cwasm", digest.to_hex(), self.compatibility))
    }

    fn mac(&self, digest: Digest, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(self.compatibility.as_bytes());
        mac.update(digest.as_bytes());
        mac.update(code);
        Some(mac)
    }

    /// The compiled form of a component, if a sound one is there.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Compiled> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        if self.mac(digest, code)?.verify_slice(mac).is_err() {
            tracing::warn!(path = %path.display(), "cached code was changed; it is compiled anew");
            return None;
        }
        #[expect(unsafe_code, reason = "the MAC shows that this host compiled exactly these bytes")]
        let compiled = unsafe { Compiled::deserialize(engine, code) };
        compiled.ok()
    }

    /// Keeps compiled code. A cache that cannot be written only costs time.
    pub(crate) fn save(&self, digest: Digest, compiled: &Compiled) {
        let write = || -> Option<()> {
            let code = compiled.serialize().ok()?;
            let mac = self.mac(digest, &code)?.finalize().into_bytes();
            let mut file = tempfile::NamedTempFile::new_in(&self.directory).ok()?;
            file.write_all(&mac).ok()?;
            file.write_all(&code).ok()?;
            file.persist(self.path(digest)).ok()?;
            Some(())
        };
        if write().is_none() {
            tracing::warn!(directory = %self.directory.display(), "compiled code could not be kept");
        }
    }
}

fn load_key(path: &Path) -> std::io::Result<[u8; 32]> {
    if let Ok(bytes) = fs::read(path) {
        if let Ok(key) = bytes.try_into() {
            return Ok(key);
        }
        fs::remove_file(path)?;
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::File::options().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => file.write_all(&key).map(|()| key),
        // Another process was first: its key counts.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let bytes = fs::read(path)?;
            bytes.try_into().map_err(|_| std::io::Error::other("the cache key is being written; try again"))
        }
        Err(error) => Err(error),
    }
}
