//! Removes what nothing refers to, beside processes that store more.
//!
//! What was stored, or asked for to be stored, within the last hour stays: it
//! may belong to a run that has not recorded it yet. The time of a blob is that
//! of its last change of status, which no task can set.

use std::collections::HashSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use cofferdam_registry::Digest;
use rustix::fs::{FlockOperation, flock};

use super::directory::WireDigest;
use super::{Store, StoreError, io_error};

/// What is younger is never swept.
pub const YOUNG: Duration = Duration::from_secs(60 * 60);
/// What is older is made young again when it is asked for to be stored.
const AGEING: Duration = Duration::from_secs(20 * 60);

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How long ago a file's status changed. A time that is yet to come is young.
pub(crate) fn age(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    changed.elapsed().unwrap_or_default()
}

impl Store {
    /// Whether a blob is still there; makes it young, so that it stays until
    /// whoever asked has recorded it.
    pub(super) fn rejuvenate(&self, digest: Digest) -> Result<bool, StoreError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(metadata) if age(&metadata) < AGEING => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("read", &path)(error)),
        }
        // Beside a sweep, either this is first and it stays, or it is gone.
        let lock = self.sweep_lock()?;
        flock(&lock, FlockOperation::LockShared).map_err(|error| io_error("lock", &path)(error.into()))?;
        match fs::set_permissions(&path, Permissions::from_mode(0o444)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // Somebody else's store, which is not ours to sweep either.
            Ok(()) | Err(_) => Ok(true),
        }
    }

    fn sweep_lock(&self) -> Result<File, StoreError> {
        let path = self.root.join("sweep.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        file.map_err(io_error("open", &path))
    }

    /// Adds everything in some trees to what is reached. Of a tree that is not
    /// whole, what is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn reach(&self, trees: &[Digest], reached: &mut HashSet<Digest>) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut open = trees.to_vec();
        while let Some(digest) = open.pop() {
            if !seen.insert(digest) {
                continue;
            }
            reached.insert(digest);
            let directory = match self.directory(digest) {
                Ok(directory) => directory,
                Err(error @ StoreError::Io { .. }) => return Err(error),
                Err(_) => continue,
            };
            let of = |wire: Option<&WireDigest>| WireDigest::read(wire).map(|(digest, _)| digest);
            reached.extend(directory.files.iter().filter_map(|node| of(node.digest.as_ref())));
            open.extend(directory.directories.iter().filter_map(|node| of(node.digest.as_ref())));
        }
        Ok(())
    }

    /// Removes every object that is not reached and older than `grace`, and
    /// what was never stored whole; with `dry`, only counts them. Beside other
    /// processes, `grace` is at least [`YOUNG`].
    ///
    /// # Errors
    /// [`StoreError::Io`]; what was removed before that is gone.
    pub fn sweep(&self, reached: &HashSet<Digest>, grace: Duration, dry: bool) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for byte in 0..=u8::MAX {
            let shard = format!("{byte:02x}");
            let directory = self.root.join("sha256").join(&shard);
            let unreached = |name: &str| {
                let digest = Digest::from_hex(&format!("{shard}{name}"));
                digest.is_some_and(|digest| !reached.contains(&digest))
            };
            self.sweep_directory(&directory, &unreached, (grace, dry), &mut swept)?;
        }
        // What is being written now is not old.
        let grace = grace.max(YOUNG);
        self.sweep_directory(&self.root.join("staging"), &|_| true, (grace, dry), &mut swept)?;
        Ok(swept)
    }

    fn sweep_directory(
        &self,
        directory: &Path,
        unwanted: &dyn Fn(&str) -> bool,
        (grace, dry): (Duration, bool),
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let lock = self.sweep_lock()?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| io_error("lock", directory)(error.into()))?;
        for entry in fs::read_dir(directory).map_err(io_error("list", directory))? {
            let entry = entry.map_err(io_error("list", directory))?;
            if !entry.file_name().to_str().is_some_and(unwanted) {
                continue;
            }
            let path = entry.path();
            let metadata = match entry.metadata() {
                Ok(metadata) if metadata.is_file() && age(&metadata) >= grace => metadata,
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("read", &path)(error));
                }
                Ok(_) | Err(_) => continue,
            };
            if !dry {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
            swept.objects += 1;
            swept.bytes += metadata.len();
        }
        Ok(())
    }
}
