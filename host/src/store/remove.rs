//! Removes directories that a task made: however deep, with however long paths.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removes a directory with everything in it. One that is not there is no error.
///
/// Nothing here follows the depth of the tree: each directory is moved up into
/// the root before it is emptied, so no path gets longer than two names below
/// the root, no more than two directories are open, and nothing recurses.
/// `std::fs::remove_dir_all` needs a file descriptor and stack for each level.
///
/// # Errors
/// What the system says; the rest of the tree is still there.
pub(crate) fn remove_tree(root: &Path) -> io::Result<()> {
    let mut fresh = 0_u64;
    loop {
        let directories = match empty(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            directories => directories?,
        };
        if directories.is_empty() {
            return fs::remove_dir(root);
        }
        for directory in directories {
            for below in empty(&directory)? {
                fs::rename(&below, unused(root, &mut fresh))?;
            }
            fs::remove_dir(&directory)?;
        }
    }
}

/// Removes what is no directory, and gives what is.
fn empty(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(directories)
}

/// A path that nothing has; names below the root may be a task's own.
fn unused(root: &Path, fresh: &mut u64) -> PathBuf {
    loop {
        *fresh += 1;
        let path = root.join(fresh.to_string());
        if path.symlink_metadata().is_err() {
            return path;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

    use super::*;

    fn deep(root: &Path, levels: usize) {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut at: OwnedFd = open(root, flags, Mode::empty()).unwrap();
        for _ in 0..levels {
            mkdirat(&at, "1", Mode::RWXU).unwrap();
            at = openat(&at, "1", flags, Mode::empty()).unwrap();
        }
    }

    #[test]
    fn a_tree_of_5000_levels_goes() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("tree");
        fs::create_dir(&root).unwrap();
        deep(&root, 5000);
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        remove_tree(&root).unwrap();
    }

    #[test]
    fn links_go_and_what_they_point_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (root, outside) = (directory.path().join("tree"), directory.path().join("outside"));
        fs::create_dir_all(root.join("a/2/b")).unwrap();
        fs::create_dir_all(root.join("2/1")).unwrap();
        fs::write(root.join("1"), "named like what is moved up").unwrap();
        fs::write(root.join("a/2/b/file"), "").unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, root.join("link")).unwrap();
        symlink(&outside, root.join("a/link")).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists() && outside.join("kept").exists());
    }
}
