//! Directories for a moment. They go when they are dropped, and also when the
//! process is told to stop by somebody who waits for no more.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use tempfile::TempDir;

use super::failure::Failure;
use super::{exit, interrupt};

/// Those that are there.
static THERE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A directory for a moment.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        static WATCHED: Once = Once::new();
        // Without, what is there stays behind, which harms nobody.
        WATCHED.call_once(|| drop(interrupt::listen(|_| stop())));
        let refused = |error| Failure::io("create", &std::env::temp_dir(), &error);
        let directory = tempfile::tempdir().map_err(refused)?;
        THERE.lock().unwrap_or_else(PoisonError::into_inner).push(directory.path().to_owned());
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        THERE.lock().unwrap_or_else(PoisonError::into_inner).retain(|path| path != self.0.path());
    }
}

/// Ends the process, unless something of it is brought to an end that removes what
/// it made.
fn stop() {
    if interrupt::is_awaited() {
        return;
    }
    // Held, so that none is made after this.
    let there = THERE.lock().unwrap_or_else(PoisonError::into_inner);
    for path in there.iter() {
        let _ = std::fs::remove_dir_all(path);
    }
    std::process::exit(i32::from(exit::INTERRUPTED));
}
