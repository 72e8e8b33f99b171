//! Writes the log of runs, on a thread of its own.
//!
//! It commits what has gathered in a few milliseconds, so a busy run pays for
//! few commits, each of which writes the last page of every table again; whoever
//! must know that all of it is on disk asks for that, and waits. Moving what was committed into the database itself is left to moments
//! in which nothing else is to be written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::base::OwnBases;
use super::journal::{BUSY, JournalError, failed};
use super::packed::{in_one_piece, is_packed, pack_alone, pack_beside, pack_fact};
use super::signed_bundle::SignedBundle;
use super::{Event, Fact};
use crate::model::RunId;

/// Events and bundles that wait to be written; who makes more waits with them,
/// so that a slow disk costs time and not memory. A busy run makes so many in
/// twice the time in which they are gathered, and need not wait.
const MAX_WAITING: usize = 2048;
/// How long the writer gathers what it commits at once.
const GATHER: Duration = Duration::from_millis(8);
/// How long nothing must have come for the writer to call itself idle: longer
/// than a run takes between its last task and its end.
const IDLE: Duration = Duration::from_millis(100);
/// A longer log, in bytes, is moved by whoever begins to write, beside what else
/// begins a run, and by an idle writer. A shorter one is left: to move it would
/// cost a run of one task more than all else that it writes, and whoever opens
/// the journal reads a log of this length in less time than that takes.
const LONG_LOG: u64 = 1 << 20;
/// A longer one, in bytes, is not left to others, who would read all of it when
/// they open the journal.
const MAX_LEFT: u64 = 8 << 20;
/// Of a longer log, in bytes, a busy writer moves what it can, too.
const MAX_LOG: u64 = 64 << 20;

/// A signed bundle and what it is about.
#[derive(Debug)]
pub struct StoredAttestation {
    /// The run.
    pub run: RunId,
    /// The task, or nothing for the run itself.
    pub task: Option<String>,
    /// The predicate's type.
    pub predicate_type: String,
    /// The bundle.
    pub bundle: SignedBundle,
}

enum Message {
    Event(Arc<Event>, String),
    Attestation(Box<StoredAttestation>),
    Flush(SyncSender<Result<(), JournalError>>),
}

impl Message {
    fn is_awaited(&self) -> bool {
        match self {
            Self::Flush(_) => true,
            // Its run has ended.
            Self::Attestation(attestation) => attestation.task.is_none(),
            Self::Event(..) => false,
        }
    }
}

/// Hands events to the thread that keeps them.
#[derive(Debug)]
pub struct JournalWriter {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<JournalError>>>,
    path: PathBuf,
}

impl JournalWriter {
    /// Starts the thread, which writes over a connection of its own; `path` is
    /// without links.
    pub(super) fn start(path: PathBuf, connection: Connection) -> Result<Self, JournalError> {
        let page: rusqlite::Result<u64> = connection.query_row("PRAGMA page_size", [], |row| row.get(0));
        let pages = MAX_LOG / page.map_err(failed("open", &path))?.max(1);
        let settings = [("synchronous", "NORMAL".to_owned()), ("wal_autocheckpoint", pages.to_string())];
        for (name, value) in settings {
            connection.pragma_update(None, name, value).map_err(failed("open", &path))?;
        }
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let failure = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&failure);
        let place = path.clone();
        let work = move || write_all(&place, connection, &receiver, &shared);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(work);
        let thread = thread.map_err(|error| JournalError::Io {
            action: "start writing",
            path: path.clone(),
            why: error.to_string(),
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), failure, path })
    }

    fn send(&self, message: Message) -> Result<(), JournalError> {
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Err(error);
        }
        let sent = self.sender.as_ref().map(|sender| sender.send(message));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(self.stopped()) }
    }

    fn stopped(&self) -> JournalError {
        let why = "its thread has stopped".to_owned();
        JournalError::Io { action: "write", path: self.path.clone(), why }
    }

    pub(crate) fn append(&self, event: Arc<Event>, text: String) -> Result<(), JournalError> {
        self.send(Message::Event(event, text))
    }

    pub(crate) fn attest(&self, attestation: StoredAttestation) -> Result<(), JournalError> {
        let is_last = attestation.task.is_none();
        self.send(Message::Attestation(Box::new(attestation)))?;
        if is_last {
            self.hurry();
        }
        Ok(())
    }

    /// Puts what there is on disk; what is given says when that is done.
    pub(crate) fn begin_flush(&self) -> Result<Receiver<Result<(), JournalError>>, JournalError> {
        let (done, waits) = sync_channel(1);
        self.send(Message::Flush(done))?;
        self.hurry();
        Ok(waits)
    }

    /// Has the thread write what it gathers.
    fn hurry(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    pub(crate) fn flush(&self) -> Result<(), JournalError> {
        self.begin_flush()?.recv().unwrap_or_else(|_| Err(self.stopped()))
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        // Closing the channel lets the thread write what is left and end.
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(
    path: &Path,
    mut connection: Connection,
    receiver: &Receiver<Message>,
    failure: &Mutex<Option<JournalError>>,
) {
    let length = || std::fs::metadata(log_of(path)).map_or(0, |log| log.len());
    if left(&connection) > LONG_LOG {
        // The file stays, to be written over: a new one would have to be given
        // its room by the system, page by page.
        let _ = move_log(&connection, if length() > MAX_LEFT { "TRUNCATE" } else { "PASSIVE" });
    }
    let (mut moved, mut bases) = (0, OwnBases::default());
    loop {
        let first = match receiver.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                // Once for what there is: readers may hold some of it back.
                let log = left(&connection);
                if log > LONG_LOG && log != moved {
                    let _ = move_log(&connection, "PASSIVE");
                    moved = left(&connection);
                }
                let Ok(first) = receiver.recv() else { break };
                first
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut flushes = Vec::new();
        // Before the transaction, which keeps other processes waiting.
        let batch = gather(first, receiver);
        let written = write_batch(&mut connection, batch, &mut bases, &mut flushes);
        let written = written.and_then(|()| if flushes.is_empty() { Ok(()) } else { sync(path) });
        let result = written.map_err(failed("write", path));
        if let Err(error) = &result {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        }
        for flush in flushes {
            let _ = flush.send(result.clone());
        }
        if result.is_err() {
            // Nothing after a lost event may be kept: answer and refuse.
            for message in receiver.iter() {
                if let Message::Flush(flush) = message {
                    let _ = flush.send(result.clone());
                }
            }
        }
    }
    if length() > MAX_LEFT {
        let _ = move_log(&connection, "TRUNCATE");
    }
}

/// Moves what was committed from the log into the database, as far as others
/// let it: what stays is read from where it is.
fn move_log(connection: &Connection, how: &str) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    let moved = connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()));
    connection.busy_timeout(BUSY)?;
    moved
}

/// How many bytes of the log are not in the database.
fn left(connection: &Connection) -> u64 {
    let frames = |row: &rusqlite::Row<'_>| {
        let (all, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(u64::try_from(all - moved).unwrap_or(0))
    };
    let page = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u64>(0));
    let frames = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], frames);
    // A log that cannot be looked at is not moved either.
    frames.unwrap_or(0).saturating_mul(page.unwrap_or(0))
}

/// What comes within [`GATHER`], or until someone waits for it: whoever has a
/// long bundle written has no more to do than that takes.
fn gather(first: Message, receiver: &Receiver<Message>) -> Vec<Message> {
    let until = Instant::now() + GATHER;
    let mut batch = vec![first];
    loop {
        batch.extend(receiver.try_iter().take(MAX_WAITING.saturating_sub(batch.len())));
        let awaited = batch.iter().any(Message::is_awaited);
        let left = until.saturating_duration_since(Instant::now());
        if awaited || left.is_zero() || batch.len() >= MAX_WAITING {
            return batch;
        }
        // Woken by whoever wants all of it to be on disk.
        std::thread::park_timeout(left);
    }
}

/// Puts everything that was committed on disk. In WAL mode with `synchronous`
/// at `NORMAL` a commit is given to the system, where it survives this process;
/// that it survives the machine, too, is asked for once. Source: SQLite,
/// "Write-Ahead Logging", "Performance Considerations".
fn sync(path: &Path) -> rusqlite::Result<()> {
    let synced = File::open(log_of(path)).and_then(|file| file.sync_data());
    synced.map_err(io_failed)
}

/// Where SQLite keeps what was committed and is not yet in the database.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn write_batch(
    connection: &mut Connection,
    batch: Vec<Message>,
    bases: &mut OwnBases,
    flushes: &mut Vec<SyncSender<Result<(), JournalError>>>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let sql = "INSERT INTO event (run, seq, at, fact, hash) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut event_row = transaction.prepare_cached(sql)?;
        let sql = "INSERT INTO attestation (run, task, predicate_type, bundle) VALUES (?1, ?2, ?3, ?4)";
        let mut attestation_row = transaction.prepare_cached(sql)?;
        for message in batch {
            match message {
                Message::Event(event, text) => {
                    let at = event.at.as_microsecond();
                    let (run, hash) = (event.run.as_str(), event.hash.as_bytes().as_slice());
                    let may_be_packed = matches!(event.fact, Fact::TaskStarted(_)) && is_packed(&text);
                    let base = if may_be_packed { bases.start(&event.run, event.seq, &text) } else { None };
                    match base.map(|base| pack_fact(text.as_bytes(), base)) {
                        Some(packed) => event_row.execute(params![run, event.seq, at, packed, hash])?,
                        None => event_row.execute(params![run, event.seq, at, text, hash])?,
                    };
                }
                Message::Attestation(a) => {
                    let kept = pack(bases, &a).map_err(io_failed)?;
                    let task = a.task.as_deref().unwrap_or_default();
                    attestation_row.execute(params![a.run.as_str(), task, a.predicate_type, kept])?;
                }
                Message::Flush(done) => flushes.push(done),
            }
        }
    }
    transaction.commit()
}

/// What is kept of a bundle: those of TaskRuns stand beside their run's first, if
/// they are not large.
fn pack(bases: &mut OwnBases, a: &StoredAttestation) -> io::Result<Vec<u8>> {
    let Some(task) = &a.task else { return pack_alone(&a.bundle) };
    let Some(piece) = in_one_piece(&a.bundle)? else { return pack_alone(&a.bundle) };
    let base = bases.bundle(&a.run, (task, &a.predicate_type), &piece);
    base.map_or_else(|| pack_alone(&a.bundle), |base| Ok(pack_beside(&a.bundle, &piece, base)))
}

fn io_failed(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use cofferdam_registry::{Digest, Frame};

    use super::*;
    use crate::event::{Journal, KeptBundle};

    /// Bytes that cannot be packed.
    fn noise(size: usize) -> Vec<u8> {
        let pieces = (0_u64..).flat_map(|n| *Digest::of(&n.to_be_bytes()).as_bytes());
        pieces.take(size).collect()
    }

    fn bundle(run: &RunId, size: usize) -> StoredAttestation {
        let (task, predicate_type) = (None, format!("{size}"));
        // Nothing that can be packed.
        let statement = noise(size);
        let bundle = SignedBundle::of(Frame::new(String::new(), String::new()), statement);
        StoredAttestation { run: run.clone(), task, predicate_type, bundle }
    }

    #[test]
    fn a_log_that_was_moved_is_written_over_unless_it_is_large() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let journal = Journal::open(&path).unwrap();
        let run = RunId::new("p", 1);
        let write = |size: usize| {
            let writer = journal.writer().unwrap();
            writer.attest(bundle(&run, size)).unwrap();
            writer.flush().unwrap();
            drop(writer);
            (std::fs::metadata(log_of(&path)).unwrap().len(), left(&journal.connection))
        };
        let some = usize::try_from(LONG_LOG * 2).unwrap();
        let (before, unmoved) = write(some);
        assert!(unmoved > LONG_LOG && before >= unmoved, "{before} {unmoved}");
        // It was moved first, and what is new stands where the other was.
        let (after, unmoved) = write(1);
        assert_eq!(after, before);
        assert!(unmoved < LONG_LOG, "{unmoved}");
        // What is short is left for others to move.
        let (after, more) = write(2);
        assert_eq!(after, before);
        assert!(more > unmoved, "{more} {unmoved}");
        // What is large is not left.
        let large = usize::try_from(MAX_LEFT).unwrap();
        assert_eq!(write(large), (0, 0));
        for size in [some, 1, 2, large] {
            let kind = size.to_string();
            let digest = journal.bundle_digest(&run, "", &kind).unwrap().unwrap();
            let found = journal.bundle(&run, None, &kind, digest).unwrap();
            let length = size.div_ceil(3) * 4;
            assert!(matches!(found, KeptBundle::Same(found) if found.len() == length));
        }
    }
}
