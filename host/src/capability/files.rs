//! How much a task may write: bytes and entries, over all its outputs and its
//! scratch together, counted while it writes. The disk is never asked whether
//! it is full.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which limit a write would go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOverrun {
    /// Bytes written.
    Bytes,
    /// Files, links and directories made.
    Entries,
}

/// Counts what a task writes against its limits.
#[derive(Debug)]
pub(crate) struct FileMeter {
    bytes: AtomicU64,
    byte_limit: u64,
    entries: AtomicU64,
    entry_limit: u64,
}

impl FileMeter {
    pub(crate) fn new(byte_limit: u64, entry_limit: u64) -> Self {
        Self { bytes: AtomicU64::new(0), byte_limit, entries: AtomicU64::new(0), entry_limit }
    }

    /// Counts bytes about to be written.
    pub(crate) fn write(&self, bytes: u64) -> Result<(), FileOverrun> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.byte_limit { Err(FileOverrun::Bytes) } else { Ok(()) }
    }

    /// Checks the end of a file that is about to be extended without writing,
    /// as a sparse file is: no file may be larger than everything may be.
    pub(crate) fn extend(&self, end: u64) -> Result<(), FileOverrun> {
        if end > self.byte_limit { Err(FileOverrun::Bytes) } else { Ok(()) }
    }

    /// Counts an entry about to be made.
    pub(crate) fn create(&self) -> Result<(), FileOverrun> {
        let before = self.entries.fetch_add(1, Ordering::Relaxed);
        if before >= self.entry_limit { Err(FileOverrun::Entries) } else { Ok(()) }
    }

    pub(crate) fn written(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_within_a_limit_is_written_and_the_next_is_not() {
        let meter = FileMeter::new(10, 2);
        assert_eq!(meter.write(4), Ok(()));
        assert_eq!(meter.write(6), Ok(()));
        assert_eq!(meter.write(1), Err(FileOverrun::Bytes));
        assert_eq!(meter.extend(10), Ok(()));
        assert_eq!(meter.extend(11), Err(FileOverrun::Bytes));
        assert_eq!([meter.create(), meter.create()], [Ok(()), Ok(())]);
        assert_eq!(meter.create(), Err(FileOverrun::Entries));
        assert_eq!(FileMeter::new(u64::MAX, 0).write(u64::MAX), Ok(()));
    }
}
