//! Files for their user alone, replaced whole or not at all.

use std::fs::DirBuilder;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use cofferdam_registry::read_plain;
use tempfile::NamedTempFile;

use super::error::{SecretError, damaged, io_error};

/// Larger files are not read: a thousand secrets of the greatest length fit.
const MAX_FILE: u64 = 256 << 20;

/// Reads a file, if there is one. A link is none: what stands here was put here.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, SecretError> {
    match read_plain(path, MAX_FILE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge) => {
            Err(damaged(path, error))
        }
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// Puts a file in the place of the one that may be there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let file = write(path, bytes)?;
    file.persist(path).map(drop).map_err(|error| io_error("write", path)(error.error))
}

/// Puts a file where there must be none.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let file = write(path, bytes)?;
    file.persist_noclobber(path).map(drop).map_err(|error| io_error("create", path)(error.error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, SecretError> {
    let directory = path.parent().unwrap_or(path);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(io_error("create", directory))?;
    // Made with mode 0600, whatever the umask.
    let mut file = NamedTempFile::new_in(directory).map_err(io_error("write in", directory))?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(io_error("write", path))?;
    Ok(file)
}
