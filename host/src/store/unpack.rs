//! Lays trees out as directories.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;

use super::{Entry, Store, StoreError, io_error};

/// A tree that is laid out for tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaidOut {
    /// Where.
    pub path: PathBuf,
    /// The target of each symbolic link in it, by the link's own path.
    pub links: HashMap<String, String>,
}

impl Store {
    /// Lays a tree out for tasks that cannot write to it: files are hard links
    /// to the store's own, each checked first. The execute bit is not set; a
    /// WebAssembly task cannot see it.
    ///
    /// # Errors
    /// [`StoreError`]; `to` is then incomplete and must not be used.
    pub fn link_out(&self, root: Digest, to: &Path) -> Result<LaidOut, StoreError> {
        let links = self.lay_out(root, to, |digest, path, _| {
            self.check(digest)?;
            match fs::hard_link(self.path(digest), path) {
                // Too many links to one blob, or none possible here.
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    fs::copy(self.path(digest), path).map(|_| ()).map_err(io_error("write", path))
                }
                other => other.map_err(io_error("link", path)),
            }
        })?;
        Ok(LaidOut { path: to.to_owned(), links })
    }

    /// Copies a tree out of the store, into a directory that does not exist
    /// yet, for the user to keep and change.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is left at `to`.
    pub fn copy_out(&self, root: Digest, to: &Path) -> Result<(), StoreError> {
        let parent = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let staged = tempfile::tempdir_in(parent).map_err(io_error("write in", parent))?;
        let inside = staged.path().join("tree");
        self.lay_out(root, &inside, |digest, path, executable| {
            self.check(digest)?;
            fs::copy(self.path(digest), path).map_err(io_error("write", path))?;
            let mode = if executable { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("write", path))
        })?;
        fs::rename(&inside, to).map_err(io_error("write", to))
    }

    fn lay_out(
        &self,
        root: Digest,
        to: &Path,
        place: impl Fn(Digest, &Path, bool) -> Result<(), StoreError>,
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut links = HashMap::new();
        fs::create_dir_all(to).map_err(io_error("create", to))?;
        self.visit(root, &mut |inside, entry| {
            let path = to.join(inside);
            match entry {
                Entry::Directory => fs::create_dir(&path).map_err(io_error("create", &path)),
                Entry::File { digest, executable, .. } => place(*digest, &path, *executable),
                Entry::Symlink { target } => {
                    // A path in a tree is UTF-8.
                    links.insert(inside.to_string_lossy().into_owned(), target.clone());
                    std::os::unix::fs::symlink(target, &path).map_err(io_error("link", &path))
                }
            }
        })?;
        Ok(links)
    }
}
