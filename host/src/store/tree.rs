//! Trees: what an artifact is.

use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, WireDigest};
use super::{Entry, Store, StoreError};

/// A tree in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The digest of the root's `Directory` message.
    pub digest: Digest,
    /// The number of files.
    pub files: u64,
    /// The bytes of all files together.
    pub bytes: u64,
}

/// What became of checking every byte of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeReport {
    /// The files that are sound.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    pub(crate) fn directory(&self, digest: Digest) -> Result<Directory, StoreError> {
        let bytes = self.read(digest)?;
        Directory::read(&bytes).map_err(|why| StoreError::NotADirectory { digest, why })
    }

    /// Visits everything in a tree, a directory before what is in it.
    ///
    /// # Errors
    /// What `visit` reports, or a directory that cannot be read.
    pub fn visit(
        &self,
        root: Digest,
        visit: &mut dyn FnMut(&Path, &Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.visit_below(root, Path::new(""), 0, visit)
    }

    fn visit_below(
        &self,
        digest: Digest,
        path: &Path,
        depth: usize,
        visit: &mut dyn FnMut(&Path, &Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let refuse = |why: &str| StoreError::NotADirectory { digest, why: why.to_owned() };
        if depth > 256 {
            return Err(refuse("it is nested deeper than 256 levels"));
        }
        let directory = self.directory(digest)?;
        for link in directory.symlinks {
            if !super::directory::link_stays_inside(depth, &link.target) {
                return Err(refuse("a link in it could lead out"));
            }
            visit(&path.join(link.name), &Entry::Symlink { target: link.target })?;
        }
        for file in directory.files {
            let wire = WireDigest::read(file.digest.as_ref());
            let (digest, size) = wire.ok_or_else(|| refuse("a file in it has no digest"))?;
            let entry = Entry::File { digest, size, executable: file.is_executable };
            visit(&path.join(file.name), &entry)?;
        }
        for below in directory.directories {
            let wire = WireDigest::read(below.digest.as_ref());
            let (digest, _) = wire.ok_or_else(|| refuse("a directory in it has no digest"))?;
            let path: PathBuf = path.join(below.name);
            visit(&path, &Entry::Directory)?;
            self.visit_below(digest, &path, depth + 1, visit)?;
        }
        Ok(())
    }

    /// The digest of the file at a path of a tree; nothing, where there is none.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn find(&self, root: Digest, path: &Path) -> Result<Option<Digest>, StoreError> {
        let mut digest = root;
        let mut parts = path.iter().map(|part| part.to_str().unwrap_or_default()).peekable();
        while let Some(part) = parts.next() {
            let directory = self.directory(digest)?;
            let found = if parts.peek().is_some() {
                let below = directory.directories.iter().find(|node| node.name == part);
                below.and_then(|node| WireDigest::read(node.digest.as_ref()))
            } else {
                let file = directory.files.iter().find(|node| node.name == part);
                return Ok(file
                    .and_then(|node| WireDigest::read(node.digest.as_ref()))
                    .map(|(digest, _)| digest));
            };
            match found {
                Some((below, _)) => digest = below,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Reads a tree and checks every byte of it.
    ///
    /// # Errors
    /// The first object that is missing or was changed.
    pub fn check_tree(&self, root: Digest) -> Result<TreeReport, StoreError> {
        let mut report = TreeReport::default();
        self.visit(root, &mut |_, entry| {
            if let Entry::File { digest, size, .. } = entry {
                let length = self.check(*digest)?;
                if length != *size {
                    let why = format!("it says {digest} has {size} bytes, and it has {length}");
                    return Err(StoreError::NotADirectory { digest: root, why });
                }
                report.files += 1;
                report.bytes += length;
            }
            Ok(())
        })?;
        Ok(report)
    }
}
