//! Trees: what an artifact is.

use std::path::Path;

use cofferdam_registry::Digest;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, DirectoryNode, FileNode, SymlinkNode, WireDigest, link_stays_inside};
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

/// Trees are no deeper than this.
const MAX_DEPTH: usize = 256;

/// One entry of a directory.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) entry: Entry,
    /// What is in it, where it is a directory.
    pub(super) below: Option<Digest>,
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
        for Node { name, entry, below } in self.nodes(digest, depth)? {
            let path = path.join(name);
            visit(&path, &entry)?;
            if let Some(below) = below {
                self.visit_below(below, &path, depth + 1, visit)?;
            }
        }
        Ok(())
    }

    /// What is in a directory at a depth of a tree (0 for its root): links, then
    /// files, then directories, each in order of name.
    pub(super) fn nodes(&self, digest: Digest, depth: usize) -> Result<Vec<Node>, StoreError> {
        let refuse = |why: &str| StoreError::NotADirectory { digest, why: why.to_owned() };
        if depth > MAX_DEPTH {
            return Err(refuse("it is nested deeper than 256 levels"));
        }
        let Directory { symlinks, files, directories } = self.directory(digest)?;
        let mut nodes = Vec::with_capacity(symlinks.len() + files.len() + directories.len());
        for SymlinkNode { name, target } in symlinks {
            if !link_stays_inside(depth, &target) {
                return Err(refuse("a link in it could lead out"));
            }
            nodes.push(Node { name, entry: Entry::Symlink { target }, below: None });
        }
        for FileNode { name, digest, is_executable: executable } in files {
            let wire = WireDigest::read(digest.as_ref());
            let (digest, size) = wire.ok_or_else(|| refuse("a file in it has no digest"))?;
            nodes.push(Node { name, entry: Entry::File { digest, size, executable }, below: None });
        }
        for DirectoryNode { name, digest } in directories {
            let wire = WireDigest::read(digest.as_ref());
            let (digest, _) = wire.ok_or_else(|| refuse("a directory in it has no digest"))?;
            nodes.push(Node { name, entry: Entry::Directory, below: Some(digest) });
        }
        Ok(nodes)
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
