//! A bundle as it is made: the Statement that was signed and what stands around
//! it. The bundle's own JSON, a third larger, is made a piece at a time by whoever
//! hashes or reads it; nobody keeps it.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cofferdam_registry::{Digest, Frame, Hasher};
use tempfile::{SpooledData, SpooledTempFile};

/// A signed Statement in memory or, where it is large, in a file. Its clones are
/// the same one, and may be read at the same time.
#[derive(Clone, Debug)]
pub struct SignedBundle(Arc<Signed>);

#[derive(Debug)]
struct Signed {
    frame: Frame,
    statement: SpooledData,
    size: u64,
}

impl SignedBundle {
    /// That of a Statement in memory.
    #[must_use]
    pub fn of(frame: Frame, statement: Vec<u8>) -> Self {
        let size = statement.len() as u64;
        Self(Arc::new(Signed { frame, statement: SpooledData::InMemory(Cursor::new(statement)), size }))
    }

    /// That of a Statement of `size` bytes, from the beginning of a file.
    #[must_use]
    pub fn spooled(frame: Frame, statement: SpooledTempFile, size: u64) -> Self {
        Self(Arc::new(Signed { frame, statement: statement.into_inner(), size }))
    }

    /// Writes the JSON of the bundle.
    ///
    /// # Errors
    /// The Statement cannot be read, or `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.frame().write(&mut *self.statement(), out)
    }

    /// The digest of that.
    ///
    /// # Errors
    /// The Statement cannot be read.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::default();
        self.write(&mut hasher)?;
        Ok(hasher.finish())
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.0.frame
    }

    /// How many bytes the Statement has.
    pub(super) fn statement_size(&self) -> u64 {
        self.0.size
    }

    /// Reads the Statement.
    pub(super) fn statement(&self) -> Box<dyn Read + '_> {
        let Signed { statement, size, .. } = &*self.0;
        match statement {
            SpooledData::InMemory(bytes) => Box::new(bytes.get_ref().as_slice().take(*size)),
            SpooledData::OnDisk(file) => Box::new(Placed { file, at: 0 }.take(*size)),
        }
    }
}

/// Reads a file from a place of its own: others read it, too.
struct Placed<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Placed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
