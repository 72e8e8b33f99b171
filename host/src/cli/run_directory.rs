//! The directory of a run while it is under way, and the lock that tells a run
//! that is under way from one whose process is gone.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::store::remove_tree;

/// Held while directories are made or cleaned away, so that a new one is never
/// taken for an abandoned one.
const GATE: &str = "gate.lock";
const LOCK: &str = "lock";

/// While this is held, no run begins.
#[derive(Debug)]
pub(crate) struct Gate {
    root: PathBuf,
    _lock: File,
}

impl Gate {
    /// Waits until no other process holds it.
    pub(crate) fn close(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let gate = open(&root.join(GATE))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        Ok(Self { root: root.to_owned(), _lock: gate })
    }

    fn directories(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// The directories that runs left whose processes are gone.
    pub(crate) fn abandoned(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = self.directories()?;
        found.retain(|path| !locked(&path.join(LOCK)));
        Ok(found)
    }

    /// Whether any run is under way.
    pub(crate) fn is_any_alive(&self) -> io::Result<bool> {
        Ok(self.directories()?.iter().any(|path| locked(&path.join(LOCK))))
    }
}

/// Locks a file for this process alone; nothing, where another one has it.
pub(crate) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A run's own directory. It goes when this does, or with the next run if the
/// process is killed.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

impl RunDirectory {
    /// Makes the directory of a run below `root`, and removes those that runs
    /// left whose processes are gone.
    pub(crate) fn create(root: &Path, run: &str) -> io::Result<Self> {
        let gate = Gate::close(root)?;
        for path in gate.abandoned()? {
            // What cannot be removed now is tried again by the next run.
            let _ = remove_tree(&path);
        }
        let path = root.join(run);
        fs::create_dir(&path)?;
        let lock = open(&path.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = remove_tree(&self.path);
    }
}

/// Whether the process of a run below `root` still runs.
pub(crate) fn is_alive(root: &Path, run: &str) -> bool {
    locked(&root.join(run).join(LOCK))
}

/// Whether somebody holds a lock. What cannot be told counts as held: the
/// directory of a run that is under way must not go.
fn locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn abandoned_directories_go_and_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let first = RunDirectory::create(root.path(), "first").unwrap();
        fs::create_dir_all(root.path().join("killed/tasks")).unwrap();
        let second = RunDirectory::create(root.path(), "second").unwrap();
        assert!(first.path().is_dir() && !root.path().join("killed").exists());
        assert!(is_alive(root.path(), "first") && is_alive(root.path(), "second"));
        drop(second);
        assert!(!is_alive(root.path(), "second") && !root.path().join("second").exists());
    }
}
