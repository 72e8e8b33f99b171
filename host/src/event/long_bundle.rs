//! A bundle that grows with the tasks of its run. What is kept is the Statement
//! that was signed; the bundle itself, a third larger, is made a piece at a time
//! by whoever hashes it and by whoever stores it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cofferdam_registry::Frame;
use tempfile::{SpooledData, SpooledTempFile};

/// A signed Statement in memory or, where it is large, in a file. Its clones are
/// the same one, and may be read at the same time.
#[derive(Clone, Debug)]
pub struct LongBundle(Arc<Signed>);

#[derive(Debug)]
struct Signed {
    frame: Frame,
    statement: SpooledData,
    size: u64,
}

impl LongBundle {
    /// That of a Statement of `size` bytes, from the beginning of a file.
    #[must_use]
    pub fn new(frame: Frame, statement: SpooledTempFile, size: u64) -> Self {
        Self(Arc::new(Signed { frame, statement: statement.into_inner(), size }))
    }

    /// How many bytes the bundle has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.frame.size(self.0.size)
    }

    /// Writes the JSON of the bundle.
    ///
    /// # Errors
    /// The Statement cannot be read, or `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Signed { frame, statement, size } = &*self.0;
        match statement {
            SpooledData::InMemory(bytes) => frame.write(&mut bytes.get_ref().as_slice().take(*size), out),
            SpooledData::OnDisk(file) => frame.write(&mut Placed { file, at: 0 }.take(*size), out),
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
