//! The durable log of all runs: one SQLite file in WAL mode.
//!
//! Reading checks the chain again, event by event.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_registry::{Digest, Hasher};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::Event;
use super::base::{Bases, Place};
use super::begin::begin;
use super::packed::{base_name, write_bundle};
use super::query::Cursor;
use super::record::RunRecord;
use super::writer::JournalWriter;
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
PRAGMA user_version = 2;
";

/// The format that this version writes. It reads those before: what they keep as
/// text is text in this one, too.
pub(super) const FORMAT: i64 = 2;

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
    /// What is there is no database, or a damaged one.
    #[error("the journal {} is damaged: {why}", path.display())]
    #[diagnostic(
        code("journal/damaged"),
        help("move it away with its `-wal` and `-shm`, and put a copy in its place if you have one")
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// A newer version wrote the database.
    #[error("the journal {} has format {found}; this version reads formats up to {FORMAT}", path.display())]
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

/// Reads runs.
#[derive(Debug)]
pub struct Journal {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) bases: Bases,
}

pub(super) fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(rusqlite::Error) -> JournalError + 'a {
    move |error| {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => JournalError::Damaged { path, why },
            _ => JournalError::Io { action, path, why },
        }
    }
}

/// How long whoever else writes is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(30);

/// Bytes of a page.
const PAGE: u32 = 16 << 10;

pub(super) fn connect(path: &Path) -> Result<Connection, JournalError> {
    let open = || -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        // The writer says when: see there.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let lay_out = || connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"));
        if version == 0 {
            // Most that is written is longer than a page of SQLite's own choice.
            connection.pragma_update(None, "page_size", PAGE)?;
            begin(&connection, BUSY, lay_out)?;
        } else if version < FORMAT {
            lay_out()?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok((connection, version))
    };
    let (connection, found) = open().map_err(failed("open", path))?;
    if found > FORMAT {
        return Err(JournalError::NewerFormat { path: path.to_owned(), found });
    }
    Ok(connection)
}

/// Begins to read from one state of a database, unless that was begun.
pub(crate) fn hold(connection: &Connection) {
    if connection.is_autocommit()
        && let Ok(mut begin) = connection.prepare_cached("BEGIN")
    {
        // Without it, each query has its own.
        let _ = begin.execute([]);
    }
}

/// Ends what [`hold`] began.
pub(crate) fn let_go(connection: &Connection) {
    if !connection.is_autocommit()
        && let Ok(mut end) = connection.prepare_cached("COMMIT")
    {
        let _ = end.execute([]);
    }
}

impl Journal {
    /// Opens the journal, making it where there is none.
    ///
    /// # Errors
    /// [`JournalError::Io`], or a format this version does not know.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { path: path.to_owned(), connection: connect(path)?, bases: Bases::default() })
    }

    /// Starts a thread that writes the events of one run.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn writer(&self) -> Result<JournalWriter, JournalError> {
        // SQLite's own files stand beside what a link leads to.
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let connection = connect(&path)?;
        JournalWriter::start(path, connection)
    }

    /// The same for whoever has read all that is to be read.
    ///
    /// # Errors
    /// As [`Journal::writer`].
    pub fn into_writer(self) -> Result<JournalWriter, JournalError> {
        let path = self.path.canonicalize().unwrap_or(self.path);
        JournalWriter::start(path, self.connection)
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

    /// Whether there is such a run.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn has(&self, run: &RunId) -> Result<bool, JournalError> {
        let sql = "SELECT 1 FROM event WHERE run = ?1 AND seq = 0";
        let found = self.connection.prepare_cached(sql).and_then(|mut find| find.exists([run.as_str()]));
        found.map_err(failed("read", &self.path))
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

    /// A run as its events tell it, with the tasks of the run whose outcomes it
    /// has; nothing, where they do not begin with its start.
    ///
    /// # Errors
    /// As [`Journal::replay`] and [`Journal::expand`].
    pub fn record(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        let mut record = None;
        self.replay(run, |event| RunRecord::extend(&mut record, &event))?;
        record.as_mut().map_or(Ok(()), |record| self.expand(record))?;
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

    /// The digest of one bundle of a run, if there is such a one.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn bundle_digest(
        &self,
        run: &RunId,
        task: &str,
        predicate_type: &str,
    ) -> Result<Option<Digest>, JournalError> {
        self.kept(run, task, predicate_type, digest_of)
    }

    /// The digest of what is kept of the bundle about a run as a whole, if there is
    /// one: as long as it is the same, the bundle is.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn kept_digest(&self, run: &RunId, predicate_type: &str) -> Result<Option<Digest>, JournalError> {
        let digest = |kept: &[u8], _: &[u8]| base_name(kept).is_none().then(|| Digest::of(kept));
        Ok(self.kept(run, "", predicate_type, digest)?.flatten())
    }

    /// Looks where the database has it at what is kept of a bundle, if there is
    /// such a one, and at the base that it needs.
    fn kept<T>(
        &self,
        run: &RunId,
        task: &str,
        predicate_type: &str,
        look: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Result<Option<T>, JournalError> {
        let query = || -> rusqlite::Result<Option<T>> {
            let sql = "SELECT bundle FROM attestation WHERE run = ?1 AND task = ?2 AND predicate_type = ?3";
            let mut statement = self.connection.prepare_cached(sql)?;
            let look = |row: &rusqlite::Row<'_>| {
                let kept = row.get_ref(0)?.as_bytes()?;
                let Some(first) = base_name(kept) else { return Ok(look(kept, &[])) };
                let first = String::from_utf8_lossy(first).into_owned();
                let place = Place::Bundle(first, predicate_type.to_owned());
                Ok(look(kept, &self.bases.find(&self.connection, run, place)?))
            };
            statement.query_row(params![run.as_str(), task, predicate_type], look).optional()
        };
        query().map_err(failed("read", &self.path))
    }

    /// Stays at what is there now: what is read until [`Journal::let_go`] costs
    /// no lock of its own. Meanwhile what others write cannot be moved out of
    /// the log, so this is for moments.
    pub fn hold(&self) {
        hold(&self.connection);
    }

    /// Ends [`Journal::hold`], if it was called.
    pub fn let_go(&self) {
        let_go(&self.connection);
    }

    /// The JSON of one bundle of a run, if it is the one of this digest. Any other
    /// is only hashed, a piece at a time: whoever changed it could have made it take
    /// much memory.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn bundle(
        &self,
        run: &RunId,
        task: Option<&str>,
        predicate_type: &str,
        named: Digest,
    ) -> Result<KeptBundle, JournalError> {
        let json = |kept: &[u8], base: &[u8]| {
            let mut json = Vec::new();
            let is_same = digest_of(kept, base) == named && write_bundle(kept, base, &mut json).is_ok();
            if is_same { KeptBundle::Same(json) } else { KeptBundle::Other }
        };
        let found = self.kept(run, task.unwrap_or_default(), predicate_type, json)?;
        Ok(found.unwrap_or(KeptBundle::Missing))
    }
}

/// What is kept where a bundle is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptBundle {
    /// Nothing.
    Missing,
    /// Another one, or what was damaged.
    Other,
    /// The JSON of the one that was named.
    Same(Vec<u8>),
}

/// The digest of a bundle; of what was damaged, that of what is kept of it, which
/// is that of no bundle.
fn digest_of(kept: &[u8], base: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    write_bundle(kept, base, &mut hasher).map_or_else(|_| Digest::of(kept), |()| hasher.finish())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::event::{chain, genesis};

    /// As version 1 of the format kept a run: facts as text, the bundle of a task
    /// as text, that of the run as bytes.
    const BEFORE: &str = "
        CREATE TABLE event (
            run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
            fact TEXT NOT NULL, hash BLOB NOT NULL,
            PRIMARY KEY (run, seq)
        );
        CREATE INDEX run_started ON event (at) WHERE seq = 0;
        CREATE TABLE attestation (
            run TEXT NOT NULL, task TEXT NOT NULL, predicate_type TEXT NOT NULL, bundle TEXT NOT NULL,
            PRIMARY KEY (run, task, predicate_type)
        );
        PRAGMA journal_mode = WAL;
        PRAGMA user_version = 1;";

    #[test]
    fn what_an_older_version_kept_is_read_and_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let run: RunId = "p-aaaaaaaaaa".parse().unwrap();
        let fact = r#"{"fact":"taskLogged","task":"a","level":"info","message":"m"}"#;
        let at = jiff::Timestamp::from_second(1).unwrap();
        let hash = chain(genesis(&run), 0, at, fact);
        {
            let old = Connection::open(&path).unwrap();
            old.execute_batch(BEFORE).unwrap();
            let row = params![run.as_str(), at.as_microsecond(), fact, hash.as_bytes().as_slice()];
            old.execute("INSERT INTO event VALUES (?1, 0, ?2, ?3, ?4)", row).unwrap();
            let bundles =
                "INSERT INTO attestation VALUES (?1, 'a', 't', '{\"a\":1}'), (?1, '', 't', x'7b7d')";
            old.execute(bundles, [run.as_str()]).unwrap();
        }
        assert!(Journal::peek(&path).is_some());
        for _ in 0..2 {
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.replay(&run, |event| assert_eq!(event.hash, hash)).unwrap(), 1);
            let bundle = |task, json: &[u8]| journal.bundle(&run, task, "t", Digest::of(json)).unwrap();
            for (task, json) in [(Some("a"), &b"{\"a\":1}"[..]), (None, b"{}")] {
                assert_eq!(bundle(task, json), KeptBundle::Same(json.to_vec()));
                assert_eq!(bundle(task, b"{ }"), KeptBundle::Other);
            }
            assert_eq!(bundle(Some("b"), b"{}"), KeptBundle::Missing);
            assert_eq!(journal.bundle_digest(&run, "", "t").unwrap(), Some(Digest::of(b"{}")));
        }
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        assert!(Journal::peek(&path).is_none());
        assert!(
            matches!(Journal::open(&path), Err(JournalError::NewerFormat { found, .. }) if found > FORMAT)
        );
    }
}
