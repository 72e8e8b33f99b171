//! The content-addressed store: blobs and trees by SHA-256.
//!
//! A blob is written beside its place, made read-only and renamed into it, so
//! none is ever seen half-written. Every read checks the digest, once per
//! process and blob: the files belong to the user, who may change them.

mod build;
mod cache_key;
mod compare;
mod directory;
mod ingest;
mod locate;
mod remove;
mod side_by_side;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cofferdam_registry::Digest;

pub use build::{Entry, TreeBuilder};
pub(crate) use cache_key::{CacheKey, MAC_BYTES};
pub use compare::{Change, ChangedPath, TreeDifference};
pub use ingest::SealLimits;
pub use locate::FileDifference;
pub(crate) use remove::remove_tree;
pub(crate) use sweep::age;
pub use sweep::{Swept, YOUNG};
pub use tree::{Tree, TreeReport};
pub use unpack::LaidOut;

/// Why content could not be stored or read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum StoreError {
    /// The blob is not there.
    #[error("{digest} is not in the store")]
    #[diagnostic(code("store/missing"), help("run the pipeline again to make it"))]
    Missing {
        /// What was asked for.
        digest: Digest,
    },
    /// The bytes under a digest are other bytes.
    #[error("the store object {} was changed: it now has the digest {found}", path.display())]
    #[diagnostic(code("store/corrupt"), help("remove the file and run the pipeline again to make it anew"))]
    Corrupt {
        /// The object.
        path: PathBuf,
        /// The digest of its bytes.
        found: Digest,
    },
    /// A directory object is not one.
    #[error("{digest} is not a directory: {why}")]
    #[diagnostic(code("store/not-a-directory"))]
    NotADirectory {
        /// The object.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// A tree holds something that no tree may hold.
    #[error("{} cannot be part of an artifact: {why}", path.display())]
    #[diagnostic(
        code("store/unsuitable-entry"),
        help(
            "remove it, or leave it out: of a git repository with a commit, what .gitignore names is not taken"
        )
    )]
    Unsuitable {
        /// The entry.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A tree is larger than its limit.
    #[error("the tree has more than {limit} {what}")]
    #[diagnostic(code("store/too-large"))]
    TooLarge {
        /// The number allowed.
        limit: u64,
        /// `bytes`, `files`, `levels`, ...
        what: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    #[diagnostic(code("store/io"), help("check that the disk has room and the directory is writable"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// A content-addressed store in a directory.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Blobs this process wrote, or read and found sound.
    sound: Mutex<HashSet<Digest>>,
}

impl Store {
    /// Opens the store in a directory, making it where there is none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let staging = root.join("staging");
        if !staging.is_dir() {
            // For the user alone: it holds sources and whatever tasks made.
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
            made.map_err(io_error("create", root))?;
            for byte in 0..=u8::MAX {
                let shard = root.join("sha256").join(format!("{byte:02x}"));
                fs::create_dir_all(&shard).map_err(io_error("create", &shard))?;
            }
            // Last: whoever finds it, another process beside this one too, finds
            // everything else.
            fs::create_dir_all(&staging).map_err(io_error("create", &staging))?;
        }
        Ok(Self { root: root.to_owned(), sound: Mutex::default() })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_hex();
        let (shard, rest) = hex.split_at(2);
        self.root.join("sha256").join(shard).join(rest)
    }

    fn mark_sound(&self, digest: Digest) {
        self.sound.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(digest);
    }

    fn is_sound(&self, digest: Digest) -> bool {
        self.sound.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(&digest)
    }

    /// Whether a blob is there. Says nothing of its bytes.
    #[must_use]
    pub fn contains(&self, digest: Digest) -> bool {
        self.is_sound(digest) || self.path(digest).exists()
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.present(digest)? {
            let mut staged = self.stage()?;
            staged.write_all(bytes).map_err(io_error("write", staged.path()))?;
            self.admit(staged, digest)?;
        }
        Ok(digest)
    }

    /// Whether a sound blob is there already. A damaged one is removed, so that
    /// what is stored next heals it.
    fn present(&self, digest: Digest) -> Result<bool, StoreError> {
        if self.is_sound(digest) {
            return self.rejuvenate(digest);
        }
        match self.check(digest) {
            Ok(_) => self.rejuvenate(digest),
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(StoreError::Corrupt { path, .. }) => {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn stage(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        let staging = self.root.join("staging");
        tempfile::NamedTempFile::new_in(&staging).map_err(io_error("write in", &staging))
    }

    fn admit(&self, staged: tempfile::NamedTempFile, digest: Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        let read_only = fs::Permissions::from_mode(0o444);
        staged.as_file().set_permissions(read_only).map_err(io_error("protect", &path))?;
        staged.persist(&path).map_err(|error| error.error).map_err(io_error("write", &path))?;
        self.mark_sound(digest);
        Ok(())
    }

    fn open_blob(&self, digest: Digest) -> Result<(PathBuf, File), StoreError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { digest }),
            Err(source) => Err(StoreError::Io { action: "read", path, source }),
        }
    }

    /// Reads a blob, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Corrupt`].
    pub fn read(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let (path, mut file) = self.open_blob(digest)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(StoreError::Corrupt { path, found });
        }
        self.mark_sound(digest);
        Ok(bytes)
    }

    /// Checks a blob's bytes without keeping them; gives their number. A blob
    /// this process has found sound is not read again.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn check(&self, digest: Digest) -> Result<u64, StoreError> {
        let (path, file) = self.open_blob(digest)?;
        if self.is_sound(digest) {
            return file.metadata().map(|m| m.len()).map_err(io_error("read", &path));
        }
        let (found, length) = Digest::of_reader(file).map_err(io_error("read", &path))?;
        if found != digest {
            return Err(StoreError::Corrupt { path, found });
        }
        self.mark_sound(digest);
        Ok(length)
    }

    /// Forgets which blobs this process has found sound, so that each is read
    /// and checked again: a verifier believes nothing it has not just seen.
    pub fn distrust(&self) {
        self.sound.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}
