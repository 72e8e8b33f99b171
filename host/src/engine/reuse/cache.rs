//! The outcomes of hermetic TaskRuns by what they were given: one SQLite file.
//!
//! Whoever can change a row could decide what counts as built. So each row
//! carries a MAC under a key that only this user has, and one whose MAC does
//! not hold is as good as none. What is lost with the file is only time.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use hmac::Mac;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::basis::Parts;
use crate::event::{InputReads, StoredResult, TaskEnd, begin, hold, let_go};
use crate::model::RunId;
use crate::store::{CacheKey, Tree};

/// Begins what is authenticated: no other use of the key begins so.
const PURPOSE: &[u8] = b"cofferdam taskrun row 1\n";
/// Of more rows the oldest go.
const MAX_ROWS: i64 = 200_000;
/// The format of the file; one of another format is begun anew.
const FORMAT: i64 = 2;
const SCHEMA: &str = "
DROP TABLE IF EXISTS taskrun;
DROP TABLE IF EXISTS latest;
CREATE TABLE taskrun (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL, epoch TEXT NOT NULL, at INTEGER NOT NULL,
    run TEXT NOT NULL, task TEXT NOT NULL, attestation BLOB NOT NULL,
    made TEXT NOT NULL, mac BLOB NOT NULL,
    UNIQUE (key, epoch)
);
CREATE TABLE latest (
    pipeline TEXT NOT NULL, task TEXT NOT NULL, key BLOB NOT NULL, epoch TEXT NOT NULL,
    parts TEXT NOT NULL, lack TEXT NOT NULL,
    PRIMARY KEY (pipeline, task)
) WITHOUT ROWID;
PRAGMA user_version = 2;
";

/// More tasks than these are looked for all at once.
const FEW: usize = 16;

/// The key of a TaskRun, and its time where it looked at that.
type LatestKey = (Digest, Option<i64>);

/// What a TaskRun made: payload and trees, as its end tells them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) results: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) stored_results: BTreeMap<String, StoredResult>,
    pub(super) outputs: BTreeMap<String, Tree>,
    pub(super) reads: BTreeMap<String, InputReads>,
}

impl Made {
    /// What a TaskRun made that ended.
    pub(super) fn of(end: &TaskEnd) -> Self {
        let TaskEnd { results, stored_results, outputs, reads, .. } = end.clone();
        Self { results, stored_results, outputs, reads }
    }
}

/// The outcome of one TaskRun.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) key: Digest,
    /// The run's time, for one that looked at it.
    pub(super) epoch: Option<i64>,
    pub(super) at: Timestamp,
    pub(super) run: RunId,
    pub(super) task: String,
    pub(super) attestation: Digest,
    pub(super) made: Made,
}

/// The last TaskRun of a name, to tell what changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latest {
    pub(super) pipeline: String,
    pub(super) task: String,
    pub(super) key: Digest,
    pub(super) epoch: Option<i64>,
    pub(super) parts: Parts,
    /// Why its outcome was not kept, where it was not.
    pub(super) lack: String,
}

/// What is found under a key.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Nothing,
    Row(Box<Row>),
    /// A row that this user's key did not make.
    Changed,
}

/// The outcomes of hermetic TaskRuns.
#[derive(Debug)]
pub struct TaskRunCache {
    connection: Mutex<Connection>,
    key: CacheKey,
    path: PathBuf,
}

/// How long whoever else writes is waited for.
const BUSY: Duration = Duration::from_secs(5);

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // What is in the log stays there until it is long: closing costs nothing.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Losing the newest rows in a power cut costs time, and never the truth.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let format = |connection: &Connection| -> rusqlite::Result<i64> {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0))
    };
    if format(&connection)? != FORMAT {
        begin(&connection, BUSY, || {
            let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            // Another process may have been first.
            if format(&transaction)? != FORMAT {
                transaction.execute_batch(SCHEMA)?;
            }
            transaction.commit()
        })?;
    }
    Ok(connection)
}

impl TaskRunCache {
    /// Opens the cache in a file, making it where there is none; nothing, and a
    /// warning, where that cannot be: runs go on without it. One that is no
    /// database any more is begun anew.
    #[must_use]
    pub fn open(path: &Path, key_file: &Path) -> Option<Self> {
        let warn = |error: &dyn std::fmt::Display| {
            tracing::warn!(path = %path.display(), %error, "the outcomes of tasks are not kept");
        };
        let key = CacheKey::load(key_file).inspect_err(|error| warn(error)).ok()?;
        // SQLite gives the files beside it the same permissions.
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(path).inspect_err(|error| warn(error)).ok()?;
        let connection = match connect(path) {
            Err(error) if is_damage(&error) => {
                tracing::warn!(path = %path.display(), %error, "the kept outcomes of tasks are damaged, and are dropped");
                drop_files(path);
                options.open(path).inspect_err(|error| warn(error)).ok()?;
                connect(path)
            }
            other => other,
        };
        let connection = connection.inspect_err(|error| warn(error)).ok()?;
        Some(Self { connection: Mutex::new(connection), key, path: path.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome under a key, for a run at some time.
    pub(super) fn find(&self, key: Digest, epoch: i64) -> Found {
        let query = || -> rusqlite::Result<Option<Stored>> {
            let connection = self.lock();
            hold(&connection);
            // At most two; sorted by the database, they would cost more than to find.
            let sql = "SELECT epoch, at, run, task, attestation, made, mac, number FROM taskrun
                       WHERE key = ?1 AND epoch IN ('', ?2)";
            let mut statement = connection.prepare_cached(sql)?;
            let key = key.as_bytes().as_slice();
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(7)?, Stored::read(row)?));
            let rows = statement.query_map(params![key, epoch.to_string()], row)?;
            let rows: Vec<(i64, Stored)> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().max_by_key(|(number, _)| *number).map(|(_, newest)| newest))
        };
        match query() {
            Ok(None) => Found::Nothing,
            Ok(Some(stored)) => stored.open(key, &self.key).map_or_else(
                || {
                    tracing::warn!(path = %self.path.display(), %key, "a kept outcome was changed; the task runs");
                    Found::Changed
                },
                |row| Found::Row(Box::new(row)),
            ),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "kept outcomes of tasks cannot be read");
                Found::Nothing
            }
        }
    }

    /// The last TaskRun of a name.
    pub(super) fn latest(&self, pipeline: &str, task: &str) -> Option<Latest> {
        let connection = self.lock();
        let sql = "SELECT key, epoch, parts, lack FROM latest WHERE pipeline = ?1 AND task = ?2";
        let mut statement = connection.prepare_cached(sql).ok()?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let (key, epoch, parts, lack): ([u8; 32], String, String, String) =
            statement.query_row(params![pipeline, task], row).ok()?;
        Some(Latest {
            pipeline: pipeline.to_owned(),
            task: task.to_owned(),
            key: Digest::from_bytes(key),
            epoch: epoch.parse().ok(),
            parts: serde_json::from_str(&parts).ok()?,
            lack,
        })
    }

    /// The keys of the last TaskRuns of a pipeline whose outcomes were kept, by
    /// task, and their times where they looked at that. Those of `tasks` are among
    /// them, as far as there are any.
    pub(super) fn latest_keys(&self, pipeline: &str, tasks: &[&str]) -> HashMap<String, LatestKey> {
        let connection = self.lock();
        hold(&connection);
        let found = || -> rusqlite::Result<HashMap<String, LatestKey>> {
            let row = |row: &rusqlite::Row<'_>| {
                let epoch: String = row.get(2)?;
                Ok((row.get(0)?, (Digest::from_bytes(row.get(1)?), epoch.parse().ok())))
            };
            let sql = "SELECT task, key, epoch FROM latest WHERE pipeline = ?1 AND lack = ''";
            // To look for each of many takes longer than to look at all there are.
            if tasks.len() > FEW {
                return connection.prepare(sql)?.query_map([pipeline], row)?.collect();
            }
            let mut one = connection.prepare(&format!("{sql} AND task = ?2"))?;
            let each = tasks.iter().map(|task| one.query_row([pipeline, task], row).optional());
            each.filter_map(Result::transpose).collect()
        };
        found().unwrap_or_default()
    }

    /// Ends what the first [`TaskRunCache::find`] began: to read from one state.
    pub(super) fn let_go(&self) {
        let_go(&self.lock());
    }

    /// Keeps outcomes, once `durable` says that what they name is on disk. A
    /// cache that cannot be written only costs time.
    pub(super) fn keep<'r>(
        &self,
        rows: impl Iterator<Item = &'r Row>,
        latest: impl Iterator<Item = Latest>,
        durable: impl FnOnce() -> bool,
    ) {
        if let Err(error) = self.write(rows, latest, durable) {
            tracing::warn!(path = %self.path.display(), %error, "the outcomes of tasks could not be kept");
            if is_damage(&error) {
                drop_files(&self.path);
            }
        }
    }

    fn write<'r>(
        &self,
        rows: impl Iterator<Item = &'r Row>,
        latest: impl Iterator<Item = Latest>,
        durable: impl FnOnce() -> bool,
    ) -> rusqlite::Result<()> {
        let mut connection = self.lock();
        let_go(&connection);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let sql = "INSERT OR REPLACE INTO taskrun (key, epoch, at, run, task, attestation, made, mac)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let mut statement = transaction.prepare_cached(sql)?;
            for row in rows {
                let Some(stored) = Stored::seal(row, &self.key) else { continue };
                let key = row.key.as_bytes().as_slice();
                let Stored { epoch, at, run, task, attestation, made, mac } = stored;
                statement.execute(params![key, epoch, at, run, task, attestation, made, mac])?;
            }
            let sql = "INSERT OR REPLACE INTO latest (pipeline, task, key, epoch, parts, lack)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut statement = transaction.prepare_cached(sql)?;
            for last in latest {
                // Strings and digests always serialise.
                let parts = serde_json::to_string(&last.parts).unwrap_or_default();
                let epoch = written(last.epoch);
                let key = last.key.as_bytes().as_slice();
                statement.execute(params![last.pipeline, last.task, key, epoch, parts, last.lack])?;
            }
            let sql = "DELETE FROM taskrun WHERE number <= (SELECT max(number) FROM taskrun) - ?1";
            transaction.execute(sql, params![MAX_ROWS])?;
        }
        if durable() { transaction.commit() } else { transaction.rollback() }
    }
}

/// Removes a database: what was in it is only worth time.
fn drop_files(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn written(epoch: Option<i64>) -> String {
    epoch.map(|epoch| epoch.to_string()).unwrap_or_default()
}

/// A row as the database has it.
struct Stored {
    epoch: String,
    at: i64,
    run: String,
    task: String,
    attestation: Vec<u8>,
    made: String,
    mac: Vec<u8>,
}

impl Stored {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            epoch: row.get(0)?,
            at: row.get(1)?,
            run: row.get(2)?,
            task: row.get(3)?,
            attestation: row.get(4)?,
            made: row.get(5)?,
            mac: row.get(6)?,
        })
    }

    fn seal(row: &Row, key: &CacheKey) -> Option<Self> {
        let mut stored = Self {
            epoch: written(row.epoch),
            at: row.at.as_microsecond(),
            run: row.run.to_string(),
            task: row.task.clone(),
            attestation: row.attestation.as_bytes().to_vec(),
            made: serde_json::to_string(&row.made).ok()?,
            mac: Vec::new(),
        };
        stored.mac = key.mac([PURPOSE, &stored.covered(row.key)])?.finalize().into_bytes().to_vec();
        Some(stored)
    }

    /// Everything in it, each part with its length: two rows that differ
    /// anywhere differ here.
    fn covered(&self, key: Digest) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.made.len());
        let (epoch, run, task) = (self.epoch.as_bytes(), self.run.as_bytes(), self.task.as_bytes());
        let at = self.at.to_be_bytes();
        for part in
            [key.as_bytes().as_slice(), epoch, &at, run, task, &self.attestation, self.made.as_bytes()]
        {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    /// The row, if this user's key made exactly it.
    fn open(self, key: Digest, guard: &CacheKey) -> Option<Row> {
        guard.mac([PURPOSE, &self.covered(key)])?.verify_slice(&self.mac).ok()?;
        Some(Row {
            key,
            epoch: if self.epoch.is_empty() { None } else { Some(self.epoch.parse().ok()?) },
            at: Timestamp::from_microsecond(self.at).ok()?,
            run: self.run.parse().ok()?,
            task: self.task,
            attestation: Digest::from_bytes(self.attestation.try_into().ok()?),
            made: serde_json::from_str(&self.made).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn row(byte: u8, epoch: Option<i64>) -> Row {
        Row {
            key: Digest::from_bytes([byte; 32]),
            epoch,
            at: Timestamp::from_microsecond(1_700_000_000_000_000).unwrap(),
            run: "build-k7dm2vqx4h".parse().unwrap(),
            task: "compile".to_owned(),
            attestation: Digest::from_bytes([7; 32]),
            made: Made {
                results: [("a".to_owned(), Value::Text("b".to_owned()))].into(),
                stored_results: BTreeMap::new(),
                outputs: BTreeMap::new(),
                reads: BTreeMap::new(),
            },
        }
    }

    fn open(directory: &Path) -> TaskRunCache {
        TaskRunCache::open(&directory.join("taskruns.db"), &directory.join("cache.key")).unwrap()
    }

    #[test]
    fn a_row_is_found_under_its_key_and_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path());
        let (timeless, timed) = (row(1, None), row(2, Some(5)));
        cache.keep([&timeless, &timed].into_iter(), std::iter::empty(), || true);
        for epoch in [5, 6] {
            assert_eq!(cache.find(timeless.key, epoch), Found::Row(Box::new(timeless.clone())));
        }
        assert_eq!(cache.find(timed.key, 5), Found::Row(Box::new(timed.clone())));
        assert_eq!(cache.find(timed.key, 6), Found::Nothing);
        assert_eq!(cache.find(Digest::from_bytes([3; 32]), 5), Found::Nothing);
    }

    #[test]
    fn the_last_of_a_name_is_told_with_its_time_if_it_was_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = open(directory.path());
        let parts = serde_json::json!({
            "component": row(1, None).key, "params": {}, "inputs": {}, "grants": {}, "limits": {},
            "platform": "", "version": "",
        });
        let latest = |task: &str, epoch, lack: &str| Latest {
            pipeline: "build".to_owned(),
            task: task.to_owned(),
            key: row(1, None).key,
            epoch,
            parts: serde_json::from_value(parts.clone()).unwrap(),
            lack: lack.to_owned(),
        };
        let noted =
            [latest("a", None, ""), latest("b", Some(5), ""), latest("c", None, "it did not succeed")];
        cache.keep(std::iter::empty(), noted.into_iter(), || true);
        let key = row(1, None).key;
        let wanted = HashMap::from([("a".to_owned(), (key, None)), ("b".to_owned(), (key, Some(5)))]);
        // Asked for one by one, and all at once.
        for tasks in [vec!["a", "b", "c", "d"], vec!["a"; FEW + 1]] {
            assert_eq!(cache.latest_keys("build", &tasks), wanted);
            assert_eq!(cache.latest_keys("other", &tasks), HashMap::new());
        }
        assert_eq!(cache.latest_keys("build", &["c"]), HashMap::new());
    }

    #[test]
    fn a_row_of_which_any_column_was_changed_is_none() {
        for change in [
            "key = x'0303030303030303030303030303030303030303030303030303030303030303'",
            "epoch = '9'",
            "at = at + 1",
            "run = 'build-bbbbbbbbbb'",
            "task = 'other'",
            "attestation = x'0909090909090909090909090909090909090909090909090909090909090909'",
            "attestation = x''",
            "made = replace(made, 'b', 'c')",
            "made = '{}'",
            "mac = x''",
            "mac = zeroblob(32)",
        ] {
            let directory = tempfile::tempdir().unwrap();
            let cache = open(directory.path());
            cache.keep([&row(1, None)].into_iter(), std::iter::empty(), || true);
            let other = Connection::open(directory.path().join("taskruns.db")).unwrap();
            assert_eq!(other.execute(&format!("UPDATE taskrun SET {change}"), []).unwrap(), 1);
            let key = Digest::from_bytes([if change.starts_with("key") { 3 } else { 1 }; 32]);
            assert_eq!(cache.find(key, 9), Found::Changed, "{change}");
            // The task runs, and its row takes the place of that one.
            let again = row(1, None);
            cache.keep([&again].into_iter(), std::iter::empty(), || true);
            assert_eq!(cache.find(again.key, 0), Found::Row(Box::new(again)), "{change}");
        }
    }

    #[test]
    fn a_row_from_another_home_is_none() {
        let (own, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(foreign.path()).keep([&row(1, None)].into_iter(), std::iter::empty(), || true);
        // The row is in the log that lies beside it.
        for file in ["taskruns.db", "taskruns.db-wal"] {
            std::fs::copy(foreign.path().join(file), own.path().join(file)).unwrap();
        }
        assert_eq!(open(own.path()).find(row(1, None).key, 0), Found::Changed);
    }

    #[test]
    fn a_file_that_is_no_database_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("taskruns.db"), vec![b'x'; 5000]).unwrap();
        let cache = open(directory.path());
        cache.keep([&row(1, None)].into_iter(), std::iter::empty(), || true);
        assert!(matches!(open(directory.path()).find(row(1, None).key, 0), Found::Row(_)));
    }
}
