//! A bundle as it is made: the Statement that was signed and what stands around
//! it. The bundle's own JSON, a third larger, is made a piece at a time by whoever
//! hashes or reads it; nobody keeps it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cofferdam_registry::{Digest, Frame, Hasher};

/// A signed Statement. Its clones are the same one, and may be read at the same
/// time.
#[derive(Clone, Debug)]
pub struct SignedBundle(Arc<Signed>);

#[derive(Debug)]
struct Signed {
    frame: Frame,
    statement: StatementBody,
}

/// The bytes of a Statement: in memory or, where they are many, in a file.
#[derive(Debug)]
pub enum StatementBody {
    /// All of them, a piece after the other.
    InMemory(Vec<Arc<Vec<u8>>>),
    /// So many, from the beginning of a file.
    OnDisk(File, u64),
}

impl StatementBody {
    /// How many there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::InMemory(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::OnDisk(_, size) => *size,
        }
    }

    /// Reads them; what reads has a place of its own.
    #[must_use]
    pub fn reader(&self) -> Box<dyn Read + '_> {
        match self {
            Self::InMemory(pieces) => match pieces.as_slice() {
                [only] => Box::new(only.as_slice()),
                pieces => Box::new(Pieces { pieces, at: 0 }),
            },
            Self::OnDisk(file, size) => Box::new(Placed { file, at: 0 }.take(*size)),
        }
    }
}

impl SignedBundle {
    /// That of a Statement.
    #[must_use]
    pub fn new(frame: Frame, statement: StatementBody) -> Self {
        Self(Arc::new(Signed { frame, statement }))
    }

    /// That of a Statement in one piece.
    #[must_use]
    pub fn of(frame: Frame, statement: Vec<u8>) -> Self {
        Self::new(frame, StatementBody::InMemory(vec![Arc::new(statement)]))
    }

    /// Writes the JSON of the bundle.
    ///
    /// # Errors
    /// The Statement cannot be read, or `out` cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.frame().write(&mut *self.statement().reader(), out)
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

    pub(super) fn statement(&self) -> &StatementBody {
        &self.0.statement
    }
}

/// Reads pieces one after the other.
struct Pieces<'a> {
    pieces: &'a [Arc<Vec<u8>>],
    /// How many bytes of the first were read.
    at: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((first, rest)) = self.pieces.split_first() {
            let count = first.get(self.at..).unwrap_or_default().read(buffer)?;
            self.at += count;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            (self.pieces, self.at) = (rest, 0);
        }
        Ok(0)
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
