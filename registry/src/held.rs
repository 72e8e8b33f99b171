//! A directory in which one process at a time changes something. It is held
//! itself: a file for that would be one more in every copy of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// Whoever may read a directory may hold it, so nobody is waited for longer: a
/// change takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(5);

/// Holds a directory until what is given is dropped.
///
/// # Errors
/// What the system says; [`io::ErrorKind::TimedOut`] where others hold it for
/// half a minute.
pub fn hold_directory(path: &Path) -> io::Result<File> {
    hold_within(path, PATIENCE)
}

fn hold_within(path: &Path, patience: Duration) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NONBLOCK).bits().cast_signed();
    let directory = File::options().read(true).custom_flags(flags).open(path)?;
    let until = Instant::now() + patience;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(AGAIN),
            Err(Errno::WOULDBLOCK) => {
                let why = "another process holds it, and does not let it go";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_and_nobody_waits_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let first = hold_directory(directory.path()).unwrap();
        let refused = hold_within(directory.path(), Duration::from_millis(20)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        drop(first);
        hold_within(directory.path(), Duration::ZERO).unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        assert!(hold_directory(&directory.path().join("file")).is_err());
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }
}
