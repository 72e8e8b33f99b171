//! What each process holds: a file of its own in a directory that all share,
//! locked for as long as the process lives. The kernel frees the lock of one
//! that was killed, and with it what it held.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tempfile::NamedTempFile;

/// Held while anybody reads what others hold, or changes what it holds itself.
const GATE: &str = "gate.lock";
/// What the names of the files begin with.
const PREFIX: &str = "process-";

/// A part of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) processors: u64,
    /// Bytes.
    pub(super) memory: u64,
}

impl Share {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            processors: self.processors.saturating_add(other.processors),
            memory: self.memory.saturating_add(other.memory),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            processors: self.processors.saturating_sub(other.processors),
            memory: self.memory.saturating_sub(other.memory),
        }
    }

    pub(super) fn at_least(self, other: Self) -> Self {
        Self { processors: self.processors.max(other.processors), memory: self.memory.max(other.memory) }
    }

    pub(super) fn at_most(self, other: Self) -> Self {
        Self { processors: self.processors.min(other.processors), memory: self.memory.min(other.memory) }
    }

    pub(super) fn is_within(self, other: Self) -> bool {
        self.processors <= other.processors && self.memory <= other.memory
    }
}

/// What one process says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) held: Share,
    /// Its place in line, while it waits: the smallest number goes first.
    pub(super) ticket: Option<u64>,
}

/// Three numbers of eight bytes, the lowest byte first.
const ENTRY: usize = 24;

impl Entry {
    fn encode(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        let words = [self.held.processors, self.held.memory, self.ticket.unwrap_or(0)];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: [u8; ENTRY]) -> Self {
        let mut words = bytes.chunks_exact(8).map(|word| {
            let mut number = [0; 8];
            number.copy_from_slice(word);
            u64::from_le_bytes(number)
        });
        let mut next = || words.next().unwrap_or(0);
        let held = Share { processors: next(), memory: next() };
        let ticket = next();
        Self { held, ticket: (ticket > 0).then_some(ticket) }
    }
}

/// The file of this process among those of others.
#[derive(Debug)]
pub(super) struct Ledger {
    directory: PathBuf,
    gate: File,
    own: NamedTempFile,
}

impl Ledger {
    /// Makes the directory, where there is none, and this process's file in it.
    pub(super) fn join(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // Whoever may open it may hold it.
        let mut options = File::options();
        let gate = options.create(true).truncate(false).write(true).mode(0o600).open(directory.join(GATE))?;
        // Nobody must see the file before it is locked.
        flock(&gate, FlockOperation::LockExclusive)?;
        let own = tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory)?;
        flock(own.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        own.as_file().write_all_at(&Entry::default().encode(), 0)?;
        flock(&gate, FlockOperation::Unlock)?;
        Ok(Self { directory: directory.to_owned(), gate, own })
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        self.own.path()
    }

    /// Waits until no other process looks at what is held.
    pub(super) fn close(&self) -> io::Result<Gate<'_>> {
        flock(&self.gate, FlockOperation::LockExclusive)?;
        Ok(Gate(self))
    }
}

/// While this is held, nothing changes.
#[derive(Debug)]
pub(super) struct Gate<'a>(&'a Ledger);

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        // Closing the file unlocks it, too.
        let _ = flock(&self.0.gate, FlockOperation::Unlock);
    }
}

impl Gate<'_> {
    /// What the other processes hold. The files of those that are gone go.
    pub(super) fn others(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let own = self.0.own.path().file_name();
        for entry in fs::read_dir(&self.0.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_entry = name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
            if !is_entry || Some(name.as_os_str()) == own {
                continue;
            }
            let file = match File::open(entry.path()) {
                Ok(file) => file,
                // A process that ends removes its file without closing the gate.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let _ = fs::remove_file(entry.path());
                }
                Err(Errno::WOULDBLOCK) => {
                    let mut bytes = [0; ENTRY];
                    file.read_exact_at(&mut bytes, 0)?;
                    found.push(Entry::decode(bytes));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Says what this process holds.
    pub(super) fn write(&self, entry: Entry) -> io::Result<()> {
        self.0.own.as_file().write_all_at(&entry.encode(), 0)
    }
}
