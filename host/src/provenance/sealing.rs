//! The Statement of a whole run: made, signed, hashed and stored, as far as that
//! can be at the same time. Between the last task and the end of the run nobody
//! has anything else to do.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use cofferdam_registry::{BundleHasher, KeyError, sign_from};

use super::{AttestError, Attestor, run_statement, write};
use crate::event::{SignedBundle, StatementBody};

/// Bytes that are gathered before they are hashed, and written where they are
/// many.
const PIECE: usize = 64 << 10;
/// Pieces that may wait to be hashed.
const WAITING: usize = 16;
/// A run of so many tasks is hashed by a thread of its own.
const MANY: usize = 64;
/// A larger Statement, in bytes, is kept in a file until its bundle is stored.
const MAX_IN_MEMORY: u64 = 4 << 20;

impl Attestor<'_> {
    /// Attests the run, once it has ended. Its Statement grows with its tasks, and
    /// goes to a file in `directory` where it is large.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn run(&self, directory: &Path) -> Result<(), AttestError> {
        let hasher = BundleHasher::new(self.key)?;
        let (pieces, made) = sync_channel(WAITING);
        let many = self.recorder.read(|record| record.tasks.len() >= MANY) == Some(true);
        thread::scope(|scope| {
            // Hashed while it is made, and while it is signed; a thread for little
            // would take longer than that.
            let hashing = many.then(|| scope.spawn(move || hash(hasher, &made)));
            let (predicate_type, body) = self.write_run(directory, many.then_some(pieces))?;
            let frame = sign_from(&mut *body.reader(), body.size(), self.key)?;
            let bundle = SignedBundle::new(frame.clone(), body);
            self.store(None, &predicate_type, bundle.clone())?;
            let digest = match hashing {
                Some(hashing) => {
                    let hashed = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    hashed.and_then(|hasher| hasher.finish(&frame))
                }
                None => bundle.digest(),
            };
            self.note(None, predicate_type, digest.map_err(failed("hash"))?)
        })
    }

    /// Makes the Statement, and hands its pieces on; gives its predicate's type.
    fn write_run(
        &self,
        directory: &Path,
        pieces: Option<SyncSender<Arc<Vec<u8>>>>,
    ) -> Result<(String, StatementBody), AttestError> {
        let incomplete = || AttestError::Incomplete("the run has not ended");
        let made = self.recorder.read(|record| -> Result<_, AttestError> {
            let statement = run_statement(record).ok_or_else(incomplete)?;
            let body = Body { directory, written: StatementBody::InMemory(Vec::new()), pieces };
            let mut out = BufWriter::with_capacity(PIECE, body);
            write(&statement, &mut out).map_err(failed("write"))?;
            let body = out.into_inner().map_err(|error| failed("write")(error.into_error()))?;
            Ok((statement.predicate_type, body.written))
        });
        made.unwrap_or_else(|| Err(incomplete()))
    }
}

fn hash(mut hasher: BundleHasher, pieces: &Receiver<Arc<Vec<u8>>>) -> io::Result<BundleHasher> {
    pieces.iter().try_for_each(|piece| hasher.write_all(&piece))?;
    Ok(hasher)
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> AttestError {
    move |source| KeyError::Io { action, path: "the statement".into(), source }.into()
}

/// Keeps what is written, a piece at a time, and hands it on if somebody is there.
struct Body<'a> {
    directory: &'a Path,
    written: StatementBody,
    pieces: Option<SyncSender<Arc<Vec<u8>>>>,
}

impl Write for Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Arc::new(bytes.to_vec());
        if self.written.size() + bytes.len() as u64 > MAX_IN_MEMORY {
            self.written = on_disk(
                std::mem::replace(&mut self.written, StatementBody::InMemory(Vec::new())),
                self.directory,
            )?;
        }
        match &mut self.written {
            StatementBody::InMemory(pieces) => pieces.push(Arc::clone(&piece)),
            StatementBody::OnDisk(file, size) => {
                file.write_all(&piece)?;
                *size += piece.len() as u64;
            }
        }
        if let Some(pieces) = &self.pieces {
            // Only a panic ends who hashes before the last piece: it is told there.
            let _ = pieces.send(piece);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts what is in memory into a file, which has no name.
fn on_disk(body: StatementBody, directory: &Path) -> io::Result<StatementBody> {
    match body {
        StatementBody::InMemory(pieces) => {
            let mut file: File = tempfile::tempfile_in(directory)?;
            pieces.iter().try_for_each(|piece| file.write_all(piece))?;
            let size = pieces.iter().map(|piece| piece.len() as u64).sum();
            Ok(StatementBody::OnDisk(file, size))
        }
        on_disk @ StatementBody::OnDisk(..) => Ok(on_disk),
    }
}
