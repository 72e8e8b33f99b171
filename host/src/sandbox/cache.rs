//! Compiled code on disk, by component digest.
//!
//! A cached file is machine code: whoever can change it unnoticed owns the
//! host. So each file begins with a MAC under a key that only this user has,
//! and a file whose MAC does not hold is compiled anew, never run.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_registry::Digest;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component as Compiled;

use crate::store::{CacheKey, MAC_BYTES, age};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Compiled code on disk.
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    key: CacheKey,
    compatibility: String,
}

impl CodeCache {
    /// Opens the cache; the key is made when it is first needed.
    pub(crate) fn open(directory: &Path, key_file: &Path, engine: &Engine) -> std::io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = format!("{:016x}", hasher.finish());
        Ok(Self { directory: directory.to_owned(), key: CacheKey::load(key_file)?, compatibility })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{}-{}.cwasm", digest.to_hex(), self.compatibility))
    }

    fn mac(&self, digest: Digest, code: &[u8]) -> Option<Hmac<Sha256>> {
        self.key.mac([self.compatibility.as_bytes(), digest.as_bytes(), code])
    }

    /// Whether there is a compiled form of a component. It may turn out not to
    /// be sound.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
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
        if compiled.is_ok() && path.metadata().is_ok_and(|metadata| age(&metadata) > A_DAY) {
            // Says that it was used: `gc` removes what was not for long.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
        }
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
