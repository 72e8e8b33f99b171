//! The durable log of all runs: one SQLite file in WAL mode.
//!
//! A writer thread commits what has gathered in a few milliseconds, so a busy
//! run pays for few commits; whoever must know that all of it is on disk asks
//! for that, and waits. Reading checks the chain again, event by event.

use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, OptionalExtension, params};

use super::Event;
use super::query::Cursor;
use super::record::RunRecord;
use crate::model::RunId;

// With rowids: facts and bundles are larger than what an index page holds, and
// would be read again for each comparison of keys.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event (
    run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    fact TEXT NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (run, seq)
);
CREATE INDEX IF NOT EXISTS run_started ON event (at) WHERE seq = 0;
CREATE TABLE IF NOT EXISTS attestation (
    run TEXT NOT NULL, task TEXT NOT NULL, predicate_type TEXT NOT NULL, bundle TEXT NOT NULL,
    PRIMARY KEY (run, task, predicate_type)
);
PRAGMA user_version = 1;
";

/// Why the log of runs cannot be written or read.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum JournalError {
    /// The database refused.
    #[error("cannot {action} the journal {}: {why}", path.display())]
    #[diagnostic(code("journal/io"), help("check that the disk has room and the file is writable"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// A newer version wrote the database.
    #[error("the journal {} has format {found}; this version reads format 1", path.display())]
    #[diagnostic(code("journal/newer-format"), help("use the newer version of cofferdam that wrote it"))]
    NewerFormat {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// An event is missing, or is not what was recorded.
    #[error("the journal of run {run} was changed at event {seq}: {why}")]
    #[diagnostic(code("journal/changed"), help("do not rely on this run; run the pipeline again"))]
    Changed {
        /// The run.
        run: String,
        /// The first event that does not fit.
        seq: u64,
        /// What does not fit.
        why: &'static str,
    },
    /// Several runs would fit.
    #[error("`{name}` fits {count} runs: {some}")]
    #[diagnostic(code("journal/ambiguous-run"), help("give more of the name"))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// How many runs fit.
        count: usize,
        /// The newest of them.
        some: String,
    },
    /// No such run.
    #[error("there is no run `{run}`")]
    #[diagnostic(code("journal/no-such-run"), help("list them with `cofferdam runs`"))]
    NoSuchRun {
        /// What was asked for.
        run: String,
    },
}

/// Events and bundles that wait to be written; who makes more waits with them,
/// so that a slow disk costs time and not memory.
const MAX_WAITING: usize = 512;
/// How long the writer gathers what it commits at once.
const GATHER: Duration = Duration::from_millis(4);

/// `seq`, `at`, `fact` and `hash` as stored.
pub(super) type Row = (u64, i64, String, Vec<u8>);

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
    /// In a file, from its beginning: that of a run grows with its tasks.
    File(File, u64),
}

/// Reads runs.
#[derive(Debug)]
pub struct Journal {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
}

pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(rusqlite::Error) -> JournalError + 'a {
    move |error| JournalError::Io { action, path: path.to_owned(), why: error.to_string() }
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    let open = || -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(30))?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok((connection, version))
    };
    let (connection, found) = open().map_err(failed("open", path))?;
    if found > 1 {
        return Err(JournalError::NewerFormat { path: path.to_owned(), found });
    }
    Ok(connection)
}

impl Journal {
    /// Opens the journal, making it where there is none.
    ///
    /// # Errors
    /// [`JournalError::Io`], or a format this version does not know.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { path: path.to_owned(), connection: connect(path)? })
    }

    /// Starts a thread that writes the events of one run.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn writer(&self) -> Result<JournalWriter, JournalError> {
        JournalWriter::start(&self.path)
    }

    /// The newest runs, newest first: name and number of the last event.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn runs(&self, limit: usize) -> Result<Vec<RunId>, JournalError> {
        let query = || -> rusqlite::Result<Vec<String>> {
            let sql = "SELECT run FROM event WHERE seq = 0 ORDER BY at DESC LIMIT ?1";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map(params![limit], |row| row.get(0))?;
            rows.collect()
        };
        let names = query().map_err(failed("read", &self.path))?;
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The run of a name, or of the only run whose name begins or ends so.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`], or [`JournalError::Ambiguous`].
    pub fn find(&self, name: &str) -> Result<RunId, JournalError> {
        let no_such_run = || JournalError::NoSuchRun { run: name.to_owned() };
        let query = || -> rusqlite::Result<Option<String>> {
            let sql = "SELECT run FROM event WHERE seq = 0 AND run = ?1";
            self.connection.query_row(sql, params![name], |row| row.get(0)).optional()
        };
        if let Some(run) = query().map_err(failed("read", &self.path))? {
            return run.parse().map_err(|_| no_such_run());
        }
        let fits = |run: &RunId| run.as_str().starts_with(name) || run.as_str().ends_with(name);
        let mut fitting = self.runs(usize::from(u16::MAX))?;
        fitting.retain(|run| !name.is_empty() && fits(run));
        match fitting.as_slice() {
            [] => Err(no_such_run()),
            [run] => Ok(run.clone()),
            // The name of a pipeline means its newest run.
            [newest, ..] if fitting.iter().all(|run| run.pipeline() == name) => Ok(newest.clone()),
            several => {
                let some: Vec<&str> = several.iter().take(3).map(RunId::as_str).collect();
                let (name, count, some) = (name.to_owned(), several.len(), some.join(", "));
                Err(JournalError::Ambiguous { name, count, some })
            }
        }
    }

    /// Every event of a run in order, one at a time, the chain checked; gives
    /// their number.
    ///
    /// # Errors
    /// [`JournalError::Changed`] at the first event that does not fit.
    pub fn replay(&self, run: &RunId, mut each: impl FnMut(Event)) -> Result<u64, JournalError> {
        let mut cursor = Cursor::start(run);
        self.read_on(run, &mut cursor, &mut each)?;
        if cursor.count() == 0 {
            return Err(JournalError::NoSuchRun { run: run.to_string() });
        }
        Ok(cursor.count())
    }

    /// A run as its events tell it; nothing, where they do not begin with its
    /// start.
    ///
    /// # Errors
    /// As [`Journal::replay`].
    pub fn record(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        let mut record = None;
        self.replay(run, |event| RunRecord::extend(&mut record, &event))?;
        Ok(record)
    }

    /// What the bundles of a run are about, task and predicate type: that of
    /// the run itself last.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn attested(&self, run: &RunId) -> Result<Vec<(Option<String>, String)>, JournalError> {
        let query = || -> rusqlite::Result<_> {
            let sql = "SELECT task, predicate_type FROM attestation WHERE run = ?1 ORDER BY task = '', task";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map(params![run.as_str()], |row| {
                let task: String = row.get(0)?;
                Ok((Some(task).filter(|task| !task.is_empty()), row.get(1)?))
            })?;
            rows.collect()
        };
        query().map_err(failed("read", &self.path))
    }

    /// The JSON of one bundle of a run, if there is such a one.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn bundle(
        &self,
        run: &RunId,
        task: Option<&str>,
        predicate_type: &str,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let query = || -> rusqlite::Result<Option<Vec<u8>>> {
            let sql = "SELECT rowid FROM attestation WHERE run = ?1 AND task = ?2 AND predicate_type = ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let key = params![run.as_str(), task.unwrap_or_default(), predicate_type];
            let Some(row) = statement.query_row(key, |row| row.get(0)).optional()? else { return Ok(None) };
            // Read in place: as a value it would be in memory twice.
            let blob = self.connection.blob_open("main", "attestation", "bundle", row, true)?;
            let mut bundle = vec![0; blob.len()];
            blob.read_at_exact(&mut bundle, 0)?;
            Ok(Some(bundle))
        };
        query().map_err(failed("read", &self.path))
    }
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
    fn start(path: &Path) -> Result<Self, JournalError> {
        // SQLite's own files stand beside what a link leads to.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let connection = connect(path)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed("open", path))?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let failure = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&failure);
        let place = path.to_owned();
        let work = move || write_all(&place, connection, &receiver, &shared);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(work);
        let thread = thread.map_err(|error| JournalError::Io {
            action: "start writing",
            path: path.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), failure, path: path.to_owned() })
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

    pub(crate) fn flush(&self) -> Result<(), JournalError> {
        let (done, waits) = sync_channel(1);
        self.send(Message::Flush(done))?;
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        waits.recv().unwrap_or_else(|_| Err(self.stopped()))
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
    while let Ok(first) = receiver.recv() {
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
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let synced = File::open(log).and_then(|file| file.sync_data());
    synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
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
                        Bundle::File(file, size) => {
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
fn fill(connection: &Connection, row: i64, mut file: File) -> rusqlite::Result<()> {
    let mut blob = connection.blob_open("main", "attestation", "bundle", row, false)?;
    let copied = file.rewind().and_then(|()| std::io::copy(&mut file, &mut blob));
    copied.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    blob.close()
}
