//! Writes the log of runs, on a thread of its own.
//!
//! It commits what has gathered in a few milliseconds, so a busy run pays for
//! few commits; whoever must know that all of it is on disk asks for that, and
//! waits. Moving what was committed into the database itself is left to moments
//! in which nothing else is to be written.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, params};
use tempfile::SpooledTempFile;

use super::Event;
use super::journal::{BUSY, JournalError, failed};
use crate::model::RunId;

/// Events and bundles that wait to be written; who makes more waits with them,
/// so that a slow disk costs time and not memory.
const MAX_WAITING: usize = 512;
/// Bytes of a long bundle that are written at once.
const PIECE: usize = 64 << 10;
/// How long the writer gathers what it commits at once.
const GATHER: Duration = Duration::from_millis(4);
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
    /// The bundle's JSON.
    pub bundle: Bundle,
}

/// The JSON of a bundle on its way into the journal.
#[derive(Debug)]
pub enum Bundle {
    /// As text.
    Text(String),
    /// In a file, or in memory as long as it is short, from the beginning, with
    /// its size in bytes: that of a run grows with its tasks.
    Long(SpooledTempFile, u64),
}

enum Message {
    Event(Arc<Event>, String),
    Attestation(Box<StoredAttestation>),
    Flush(SyncSender<Result<(), JournalError>>),
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
        self.send(Message::Attestation(Box::new(attestation)))
    }

    /// Puts what there is on disk; what is given says when that is done.
    pub(crate) fn begin_flush(&self) -> Result<Receiver<Result<(), JournalError>>, JournalError> {
        let (done, waits) = sync_channel(1);
        self.send(Message::Flush(done))?;
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Ok(waits)
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
    if length() > LONG_LOG {
        let _ = move_log(&connection, "TRUNCATE");
    }
    let mut moved = 0;
    loop {
        let log = length();
        let long = log > LONG_LOG;
        let first = match receiver.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                // Once for what there is: readers may hold some of it back.
                if long && log > moved {
                    let _ = move_log(&connection, "PASSIVE");
                    moved = log;
                }
                let Ok(first) = receiver.recv() else { break };
                first
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let mut flushes = Vec::new();
        // Before the transaction, which keeps other processes waiting.
        let batch = gather(first, receiver);
        let written = write_batch(&mut connection, batch, &mut flushes);
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

/// What comes within [`GATHER`], or until someone waits for it.
fn gather(first: Message, receiver: &Receiver<Message>) -> Vec<Message> {
    let until = Instant::now() + GATHER;
    let mut batch = vec![first];
    loop {
        batch.extend(receiver.try_iter().take(MAX_WAITING.saturating_sub(batch.len())));
        let awaited = batch.iter().any(|message| matches!(message, Message::Flush(_)));
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
    synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
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
                    let hash = event.hash.as_bytes();
                    event_row.execute(params![event.run.as_str(), event.seq, at, text, hash.as_slice()])?;
                }
                Message::Attestation(a) => {
                    let task = a.task.as_deref().unwrap_or_default();
                    match a.bundle {
                        Bundle::Text(text) => {
                            attestation_row.execute(params![a.run.as_str(), task, a.predicate_type, text])?;
                        }
                        Bundle::Long(file, size) => {
                            let room = ZeroBlob(size);
                            let row = attestation_row.insert(params![
                                a.run.as_str(),
                                task,
                                a.predicate_type,
                                room
                            ])?;
                            fill(&transaction, row, file)?;
                        }
                    }
                }
                Message::Flush(done) => flushes.push(done),
            }
        }
    }
    transaction.commit()
}

/// Copies a bundle to where room for it was made: as a value the database would
/// have it in memory twice. What is filled in later is a blob, never text.
fn fill(connection: &Connection, row: i64, mut file: SpooledTempFile) -> rusqlite::Result<()> {
    let mut blob = connection.blob_open("main", "attestation", "bundle", row, false)?;
    let mut piece = BufWriter::with_capacity(PIECE, &mut blob);
    let copied = file.rewind().and_then(|()| std::io::copy(&mut file, &mut piece));
    let copied = copied.and_then(|_| piece.flush());
    copied.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    drop(piece);
    blob.close()
}
