//! A blob that is on its way into a layout. What has come stays when the way
//! breaks off, and the next attempt goes on behind it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{Layout, LayoutError, io_error};
use crate::digest::{Digest, Hasher};
use crate::document::Descriptor;

/// A blob that is being written, and what its bytes have come to so far.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    written: u64,
    size: u64,
    digest: Digest,
    target: PathBuf,
}

impl Layout {
    /// Begins to take in a blob, or goes on where an earlier attempt broke off;
    /// `None` when the layout has it. Where somebody else is taking in the same
    /// one, it begins anew beside that: whoever that is may wait for long.
    pub(crate) fn take_in(&self, descriptor: &Descriptor) -> Result<Option<Incoming>, LayoutError> {
        let directory = self.root().join("incoming");
        fs::create_dir_all(&directory).map_err(io_error("create", &directory))?;
        let path = directory.join(descriptor.digest.to_hex());
        forget_old(&directory);
        let (path, mut file) = match open_locked(&path)? {
            Some(file) => (path, file),
            None => {
                let beside =
                    tempfile::NamedTempFile::new_in(&directory).map_err(io_error("create", &directory))?;
                let (file, path) =
                    beside.keep().map_err(|error| io_error("create", &directory)(error.error))?;
                (path, file)
            }
        };
        if self.holds(descriptor) {
            let _ = fs::remove_file(&path);
            return Ok(None);
        }
        let (mut hasher, mut written) = (Hasher::default(), 0);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer).map_err(io_error("read", &path))?;
            if count == 0 {
                break;
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            written += count as u64;
        }
        let target = self.blob_path(descriptor.digest);
        let (size, digest) = (descriptor.size, descriptor.digest);
        let mut incoming = Incoming { path, file, hasher, written, size, digest, target };
        // Longer than it should be, or whole and wrong: it cannot be gone on with.
        if written >= size && size > 0 {
            incoming.restart()?;
        }
        Ok(Some(incoming))
    }

    /// Whether the layout has a blob whose bytes are what its name says: a damaged
    /// one is healed by taking it in again.
    fn holds(&self, descriptor: &Descriptor) -> bool {
        let path = self.blob_path(descriptor.digest);
        let sound = |file: File| {
            Digest::of_reader(file).is_ok_and(|found| found == (descriptor.digest, descriptor.size))
        };
        path.symlink_metadata().is_ok_and(|found| found.is_file()) && File::open(&path).is_ok_and(sound)
    }
}

/// Opens a file that one process at a time may write. Whoever had it before may
/// have moved or removed it while this one waited: then it is another file.
/// `None` where another process has it.
fn open_locked(path: &Path) -> Result<Option<File>, LayoutError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = File::options();
    options.create(true).truncate(false).read(true).write(true).mode(0o600).custom_flags(flags);
    loop {
        let file = options.open(path).map_err(io_error("open", path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(io_error("lock", path)(error.into())),
        }
        let own = file.metadata().map_err(io_error("read", path))?;
        let same = |found: fs::Metadata| (found.dev(), found.ino()) == (own.dev(), own.ino());
        if path.symlink_metadata().is_ok_and(same) {
            return Ok(Some(file));
        }
    }
}

/// Removes what nobody has gone on with for a day.
fn forget_old(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let old = entry.metadata().and_then(|found| found.modified());
        let old = old.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > Duration::from_secs(24 * 3600)));
        if old && let Ok(Some(_held)) = open_locked(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Incoming {
    /// How many bytes are there.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Throws away what has come.
    pub(crate) fn restart(&mut self) -> Result<(), LayoutError> {
        let empty = |file: &mut File| -> io::Result<()> {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0)).map(drop)
        };
        empty(&mut self.file).map_err(io_error("write", &self.path))?;
        (self.hasher, self.written) = (Hasher::default(), 0);
        Ok(())
    }

    /// Adds bytes; `false`, and nothing is added, where they are more than there
    /// should be.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<bool, LayoutError> {
        if self.written + bytes.len() as u64 > self.size {
            return Ok(false);
        }
        self.file.write_all(bytes).map_err(io_error("write", &self.path))?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(true)
    }

    /// Puts the whole blob under its name. `Err` with the digest found where it
    /// is another: then nothing of it stays.
    pub(crate) fn finish(self) -> Result<Result<(), Digest>, LayoutError> {
        let found = self.hasher.finish();
        if found != self.digest {
            let _ = fs::remove_file(&self.path);
            return Ok(Err(found));
        }
        let keep = || -> io::Result<()> {
            self.file.set_permissions(fs::Permissions::from_mode(0o644))?;
            self.file.sync_all()?;
            fs::rename(&self.path, &self.target)
        };
        keep().map_err(io_error("write", &self.target))?;
        Ok(Ok(()))
    }
}
