//! Files as bytes, when somebody else may have chosen what the path leads to:
//! only plain files are read, none waits for a writer, none is larger than said.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::sight;

const NOT_PLAIN: &str = "it is not a plain file";

/// Reads a plain file of at most `max` bytes. A symbolic link is none.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] for anything but a plain
/// file and [`ErrorKind::FileTooLarge`] for a larger one.
pub fn read_plain(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let content = read_unnoted(path, max);
    sight::read(path, false, &content);
    content
}

/// The same for whoever notes for himself what came of it.
///
/// # Errors
/// As [`read_plain`].
pub(crate) fn read_unnoted(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    read(&open_file(path, OFlags::NOFOLLOW)?, max)
}

/// Reads a file that the user named, which may be a link to a plain file.
///
/// # Errors
/// As [`read_plain`].
pub fn read_named(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let content = open_named(path).and_then(|file| read(&file, max));
    sight::read(path, true, &content);
    content
}

/// Whether there is anything, if only a link to nothing. What cannot be looked at
/// is there: whoever reads it says why.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    let there = !path
        .symlink_metadata()
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory));
    sight::looked(path, there);
    there
}

/// The path without links that leads to the same.
///
/// # Errors
/// What the system says.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    let found = path.canonicalize();
    sight::led(path, &found);
    found
}

/// Whether a file could be had, but is not of the kind or size that is read.
pub(crate) fn is_unsuitable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge)
}

/// Opens a file that the user named, to be read piece by piece.
///
/// # Errors
/// What the system says; [`ErrorKind::InvalidInput`] for anything but a plain
/// file.
pub fn open_named(path: &Path) -> io::Result<File> {
    open_file(path, OFlags::empty())
}

fn open_file(path: &Path, links: OFlags) -> io::Result<File> {
    // Opening a pipe would wait for its other end, and a terminal become ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | links;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link that is not followed, a socket, a device without a driver.
        Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return Err(not_plain()),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_plain()) }
}

/// Reads an open file to its end, which must not be further than `max` bytes.
pub(crate) fn read(file: &File, max: u64) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {}", size(max)));
    // A lie about the size costs nothing, and a file that grows is noticed.
    let length = file.metadata()?.len();
    if length > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_large()) } else { Ok(bytes) }
}

fn not_plain() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, NOT_PLAIN)
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn only_plain_files_within_their_bound_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let link = directory.path().join("link");
        let socket = directory.path().join("socket");
        std::fs::write(&file, b"12345678").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let kind = |result: io::Result<Vec<u8>>| result.map_err(|error| error.kind());
        assert_eq!(kind(read_plain(&file, 8)), Ok(b"12345678".to_vec()));
        assert_eq!(kind(read_plain(&file, 7)), Err(ErrorKind::FileTooLarge));
        assert_eq!(kind(read_plain(&link, 8)), Err(ErrorKind::InvalidInput));
        assert_eq!(kind(read_named(&link, 8)), Ok(b"12345678".to_vec()));
        for path in [directory.path(), &socket, Path::new("/dev/zero")] {
            assert_eq!(kind(read_named(path, 8)), Err(ErrorKind::InvalidInput), "{}", path.display());
        }
        // The kernel says zero of these, and gives more.
        assert_eq!(kind(read_named(Path::new("/proc/self/status"), 8)), Err(ErrorKind::FileTooLarge));
        assert_eq!(kind(read_plain(&directory.path().join("gone"), 8)), Err(ErrorKind::NotFound));
    }
}
