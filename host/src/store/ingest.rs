//! Takes directories into the store: copies what stays the user's, moves what
//! a task left behind.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use cofferdam_registry::{Digest, Hasher};
use rayon::prelude::*;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::build::{below, check_extent};
use super::{Entry, Store, StoreError, Tree, TreeBuilder, io_error};

/// Files up to this size are read once into memory: hashed there, and written
/// from there only if the store lacks them.
const IN_MEMORY: u64 = 8 << 20;
/// Fewer files than this are not worth waking other threads for.
const PARALLEL_FROM: usize = 8;

/// How large an output may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, links and directories together.
    pub files: u64,
}

/// What a walk found, before any file is read.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(PathBuf, u64, bool)>,
    rest: Vec<(PathBuf, Entry)>,
    bytes: u64,
}

impl Store {
    /// Copies a whole directory into the store.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] for devices, sockets, names that are not
    /// UTF-8 and links that lead out.
    pub fn ingest(&self, root: &Path) -> Result<Tree, StoreError> {
        self.ingest_but(root, "")
    }

    /// Copies a directory into the store, but nothing of one name, wherever in
    /// it that is.
    ///
    /// # Errors
    /// As [`Store::ingest`].
    pub fn ingest_but(&self, root: &Path, name: &str) -> Result<Tree, StoreError> {
        let found = walk(root, SealLimits { bytes: u64::MAX, files: u64::MAX }, name)?;
        self.assemble(root, found, Self::copy_in)
    }

    /// Copies some paths below a directory into the store. A path that leads
    /// through a link is left out: what it names is not below the directory.
    ///
    /// # Errors
    /// As [`Store::ingest`].
    pub fn ingest_paths(&self, root: &Path, paths: &[PathBuf]) -> Result<Tree, StoreError> {
        let mut found = Found::default();
        let mut known = HashMap::new();
        for path in paths {
            if !path.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(StoreError::Unsuitable { path: path.clone(), why: "its path is not plain" });
            }
            if !is_below(root, path, &mut known) {
                continue;
            }
            let full = root.join(path);
            let metadata = fs::symlink_metadata(&full).map_err(io_error("read", &full))?;
            found.add(&full, &metadata)?;
        }
        self.assemble(root, found, Self::copy_in)
    }

    /// Moves a directory that nobody writes to any more into the store.
    ///
    /// # Errors
    /// As [`Store::ingest`], and [`StoreError::TooLarge`] before any file is read.
    pub fn seal(&self, root: &Path, limits: SealLimits) -> Result<Tree, StoreError> {
        let found = walk(root, limits, "")?;
        self.assemble(root, found, Self::move_in)
    }

    fn assemble(
        &self,
        root: &Path,
        found: Found,
        take: impl Fn(&Self, File, &Path) -> Result<(Digest, u64), StoreError> + Sync,
    ) -> Result<Tree, StoreError> {
        let top = open_directory(root)?;
        let one = |(path, _, executable): &(PathBuf, u64, bool)| {
            let (digest, size) = take(self, open_plain(&top, root, path)?, path)?;
            Ok((path.clone(), Entry::File { digest, size, executable: *executable }))
        };
        // What cannot be part of a tree is found before any file is taken.
        let mut builder = TreeBuilder::default();
        for (path, entry) in found.rest {
            builder.insert(&below(root, &path), entry)?;
        }
        let files: Vec<(PathBuf, Entry)> = if found.files.len() < PARALLEL_FROM {
            found.files.iter().map(one).collect::<Result<_, StoreError>>()?
        } else {
            found.files.par_iter().map(one).collect::<Result<_, StoreError>>()?
        };
        for (path, entry) in files {
            builder.insert(&below(root, &path), entry)?;
        }
        builder.finish(self)
    }

    fn copy_in(&self, mut file: File, path: &Path) -> Result<(Digest, u64), StoreError> {
        let length = file.metadata().map_err(io_error("read", path))?.len();
        if length > IN_MEMORY {
            return self.stream_in(path, file);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes).map_err(io_error("read", path))?;
        Ok((self.put(&bytes)?, bytes.len() as u64))
    }

    /// Hashes a large file while copying it: what is stored is then what was
    /// hashed, even if the file is changed meanwhile.
    fn stream_in(&self, path: &Path, mut file: File) -> Result<(Digest, u64), StoreError> {
        let mut staged = self.stage()?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 1 << 20];
        let mut length = 0;
        loop {
            let count = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_error("read", path)(error)),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            staged.write_all(bytes).map_err(io_error("write", path))?;
            length += count as u64;
        }
        let digest = hasher.finish();
        if !self.present(digest)? {
            self.admit(staged, digest)?;
        }
        Ok((digest, length))
    }

    fn move_in(&self, file: File, path: &Path) -> Result<(Digest, u64), StoreError> {
        let (digest, length) = Digest::of_reader(&file).map_err(io_error("read", path))?;
        if self.present(digest)? {
            fs::remove_file(path).map_err(io_error("remove", path))?;
        } else {
            let read_only = fs::Permissions::from_mode(0o444);
            file.set_permissions(read_only).map_err(io_error("protect", path))?;
            fs::rename(path, self.path(digest)).map_err(io_error("move", path))?;
            self.mark_sound(digest);
        }
        Ok((digest, length))
    }
}

/// Whether only directories, and no link, lead to a path below a root.
fn is_below(root: &Path, path: &Path, known: &mut HashMap<PathBuf, bool>) -> bool {
    let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) else { return true };
    if let Some(known) = known.get(above) {
        return *known;
    }
    let is_directory = || root.join(above).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let below = is_below(root, above, known) && is_directory();
    known.insert(above.to_owned(), below);
    below
}

fn open_directory(root: &Path) -> Result<OwnedFd, StoreError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(root, flags, Mode::empty()).map_err(|error| io_error("open", root)(error.into()))
}

/// Opens a file that a walk found to be one. Whatever was replaced by a link
/// since, also on the way to it, is not followed.
fn open_plain(top: &OwnedFd, root: &Path, path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(top, below(root, path), flags, Mode::empty(), inside);
    let file: File = file.map_err(|error| io_error("read", path)(error.into()))?.into();
    if file.metadata().map_err(io_error("read", path))?.is_file() {
        Ok(file)
    } else {
        Err(StoreError::Unsuitable { path: path.to_owned(), why: "it is no longer a plain file" })
    }
}

fn walk(root: &Path, limits: SealLimits, but: &str) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).map_err(io_error("list", &directory))?;
        for entry in entries {
            let entry = entry.map_err(io_error("list", &directory))?;
            if !but.is_empty() && entry.file_name() == but {
                continue;
            }
            let path = entry.path();
            let metadata = entry.metadata().map_err(io_error("read", &path))?;
            // Before going down: the system opens no path of any length.
            check_extent(&below(root, &path))?;
            if metadata.is_dir() {
                pending.push(path.clone());
            }
            found.add(&path, &metadata)?;
            if (found.files.len() + found.rest.len()) as u64 > limits.files {
                return Err(StoreError::TooLarge { limit: limits.files, what: "files" });
            }
            if found.bytes > limits.bytes {
                return Err(StoreError::TooLarge { limit: limits.bytes, what: "bytes" });
            }
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
        let kind = metadata.file_type();
        if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            self.bytes = self.bytes.saturating_add(metadata.len());
            self.files.push((path.to_owned(), metadata.len(), executable));
        } else if kind.is_dir() {
            self.rest.push((path.to_owned(), Entry::Directory));
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(io_error("read", path))?;
            let target = target.into_os_string().into_string();
            let why = "it is a link whose target is not UTF-8";
            let target = target.map_err(|_| StoreError::Unsuitable { path: path.to_owned(), why })?;
            self.rest.push((path.to_owned(), Entry::Symlink { target }));
        } else {
            let why = "it is neither a file, nor a directory, nor a link";
            return Err(StoreError::Unsuitable { path: path.to_owned(), why });
        }
        Ok(())
    }
}
