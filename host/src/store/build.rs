//! Puts a tree together from paths and stores its directories, deepest first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;
use prost::Message;

use super::directory::{Directory, DirectoryNode, FileNode, SymlinkNode, WireDigest};
use super::directory::{is_entry_name, link_stays_inside};
use super::{Store, StoreError, Tree};

/// Deeper trees are refused: no build needs them, and recursion follows them.
const MAX_DEPTH: usize = 256;
/// Bytes of a path. The system allows 4096 for a whole one, and a tree must fit
/// below any directory it is laid out in.
const MAX_PATH: usize = 3072;

/// What stands at a path of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file whose bytes are in the store.
    File {
        /// The bytes.
        digest: Digest,
        /// Their number.
        size: u64,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link, kept as text.
    Symlink {
        /// What it points to.
        target: String,
    },
    /// A directory; needed only where it is empty.
    Directory,
}

/// A tree being put together.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    root: Branch,
}

#[derive(Debug, Default)]
struct Branch {
    branches: BTreeMap<String, Branch>,
    leaves: BTreeMap<String, Entry>,
}

impl TreeBuilder {
    /// Adds what stands at a path, which is relative and has no `..`.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] for a name or link that no tree may hold, and
    /// for a path that is already something else.
    pub fn insert(&mut self, path: &Path, entry: Entry) -> Result<(), StoreError> {
        let refuse = |why| StoreError::Unsuitable { path: path.to_owned(), why };
        let text = path.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?;
        let parts: Vec<&str> = text.split('/').collect();
        check_extent(path)?;
        if let Some(bad) = parts.iter().find(|part| !is_entry_name(part)) {
            let why = if bad.len() > 255 { "its name is too long" } else { "its path is not plain" };
            return Err(refuse(why));
        }
        let Some((name, above)) = parts.split_last() else { return Err(refuse("its path is empty")) };
        if let Entry::Symlink { target } = &entry
            && !link_stays_inside(above.len(), target)
        {
            return Err(refuse("it is a link that could lead out of the artifact"));
        }
        let mut branch = &mut self.root;
        for part in above {
            if branch.leaves.contains_key(*part) {
                return Err(refuse("what should be its directory is something else"));
            }
            branch = branch.branches.entry((*part).to_owned()).or_default();
        }
        match entry {
            Entry::Directory if branch.leaves.contains_key(*name) => Err(refuse("it is there twice")),
            Entry::Directory => {
                branch.branches.entry((*name).to_owned()).or_default();
                Ok(())
            }
            Entry::File { .. } | Entry::Symlink { .. } => {
                let taken = branch.branches.contains_key(*name);
                let before = branch.leaves.insert((*name).to_owned(), entry);
                if taken || before.is_some() { Err(refuse("it is there twice")) } else { Ok(()) }
            }
        }
    }

    /// Stores every directory and gives the tree.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn finish(self, store: &Store) -> Result<Tree, StoreError> {
        let mut tree = Tree { digest: Digest::of(b""), files: 0, bytes: 0 };
        let (digest, _) = self.root.store(store, &mut tree)?;
        tree.digest = digest;
        Ok(tree)
    }
}

impl Branch {
    fn store(self, store: &Store, tree: &mut Tree) -> Result<(Digest, u64), StoreError> {
        let mut directory = Directory::default();
        for (name, branch) in self.branches {
            let (digest, size) = branch.store(store, tree)?;
            let digest = Some(WireDigest::new(digest, size));
            directory.directories.push(DirectoryNode { name, digest });
        }
        for (name, entry) in self.leaves {
            match entry {
                Entry::File { digest, size, executable } => {
                    tree.files += 1;
                    tree.bytes += size;
                    let digest = Some(WireDigest::new(digest, size));
                    directory.files.push(FileNode { name, digest, is_executable: executable });
                }
                Entry::Symlink { target } => directory.symlinks.push(SymlinkNode { name, target }),
                Entry::Directory => {}
            }
        }
        let bytes = directory.encode_to_vec();
        Ok((store.put(&bytes)?, bytes.len() as u64))
    }
}

/// Refuses a path, relative to the root, that is too deep or too long.
pub(crate) fn check_extent(path: &Path) -> Result<(), StoreError> {
    if path.components().count() > MAX_DEPTH {
        return Err(StoreError::TooLarge { limit: MAX_DEPTH as u64, what: "levels" });
    }
    if path.as_os_str().len() > MAX_PATH {
        return Err(StoreError::TooLarge { limit: MAX_PATH as u64, what: "bytes in the path of a file" });
    }
    Ok(())
}

/// The path of an entry below a root, for messages and for [`TreeBuilder::insert`].
pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}
