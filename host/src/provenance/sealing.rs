//! The Statement of a whole run: made, signed, hashed and stored, as far as that
//! can be at the same time. Between the last task and the end of the run nobody
//! has anything else to do.

use std::io::{self, BufWriter, Seek as _, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use cofferdam_registry::{BundleHasher, KeyError, sign_from};
use tempfile::SpooledTempFile;

use super::{AttestError, Attestor, run_statement, write};
use crate::event::SignedBundle;

/// Bytes that are gathered before they are written and hashed.
const PIECE: usize = 64 << 10;
/// Pieces that may wait to be hashed.
const WAITING: usize = 16;
/// A run of so many tasks is hashed by a thread of its own.
const MANY: usize = 64;
/// Bytes that the Statement of a run has for each task that is given nothing and
/// makes nothing.
const ROOM: u64 = 1536;

impl Attestor<'_> {
    /// Attests the run, once it has ended. Its Statement grows with its tasks: it
    /// is made in `body`, which must be empty, and goes to disk where it is large.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn run(&self, mut body: SpooledTempFile) -> Result<(), AttestError> {
        let hasher = BundleHasher::new(self.key)?;
        let (pieces, made) = sync_channel(WAITING);
        let many = self.recorder.read(|record| record.tasks.len() >= MANY) == Some(true);
        thread::scope(|scope| {
            // Hashed while it is made, and while it is signed; a thread for little
            // would take longer than that.
            let hashing = many.then(|| scope.spawn(move || hash(hasher, &made)));
            let predicate_type = self.write_run(&mut body, many.then_some(pieces))?;
            let size = body.stream_position().map_err(failed("write"))?;
            body.set_len(size).and_then(|()| body.rewind()).map_err(failed("read"))?;
            let frame = sign_from(&mut body, size, self.key)?;
            let bundle = SignedBundle::spooled(frame.clone(), body, size);
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

    /// Writes the Statement, and hands its pieces on; gives its predicate's type.
    fn write_run(
        &self,
        body: &mut SpooledTempFile,
        pieces: Option<SyncSender<Vec<u8>>>,
    ) -> Result<String, AttestError> {
        let incomplete = || AttestError::Incomplete("the run has not ended");
        let made = self.recorder.read(|record| -> Result<_, AttestError> {
            let statement = run_statement(record).ok_or_else(incomplete)?;
            // Room at once: what grows is copied each time it has doubled.
            let room = record.tasks.len() as u64 * ROOM;
            body.set_len(room).map_err(failed("write"))?;
            let mut out = BufWriter::with_capacity(PIECE, Handing { body, pieces });
            write(&statement, &mut out).and_then(|()| out.flush()).map_err(failed("write"))?;
            Ok(statement.predicate_type)
        });
        made.unwrap_or_else(|| Err(incomplete()))
    }
}

fn hash(mut hasher: BundleHasher, pieces: &Receiver<Vec<u8>>) -> io::Result<BundleHasher> {
    pieces.iter().try_for_each(|piece| hasher.write_all(&piece))?;
    Ok(hasher)
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> AttestError {
    move |source| KeyError::Io { action, path: "the statement".into(), source }.into()
}

/// Writes to a file, and hands on what it has written, if somebody is there.
struct Handing<'a> {
    body: &'a mut SpooledTempFile,
    pieces: Option<SyncSender<Vec<u8>>>,
}

impl Write for Handing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.body.write_all(bytes)?;
        if let Some(pieces) = &self.pieces {
            // Only a panic ends who hashes before the last piece: it is told there.
            let _ = pieces.send(bytes.to_vec());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.body.flush()
    }
}
