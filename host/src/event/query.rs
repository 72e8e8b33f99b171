//! Looks into the journal without reading all of it: the list of runs from their
//! first and last events, and the events of a run from where a reader stopped.
//!
//! The list checks no chain, and says nothing that `verify` would have to vouch
//! for.

use std::path::Path;
use std::time::Duration;

use cofferdam_registry::Digest;
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params};
use serde::Deserialize;

use super::base::{Bases, Place};
use super::journal::{FORMAT, Journal, JournalError, failed};
use super::packed::{base_name, event_number, unpack_fact};
use super::{Event, Fact, RunState, chain, genesis};
use crate::model::{RunId, RunReason};

/// The end of a run is looked for among this many of its last events: after
/// the one that says how it ended come its attestation and the seal.
const LAST: usize = 8;

/// A run as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// The run.
    pub id: RunId,
    /// When it began.
    pub started: Timestamp,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it stands.
    pub state: RunState,
}

/// Where a reader of a run's events stands.
#[derive(Clone, Debug)]
pub struct Cursor {
    next: u64,
    before: Digest,
}

impl Cursor {
    /// Before the first event.
    #[must_use]
    pub fn start(run: &RunId) -> Self {
        Self { next: 0, before: genesis(run) }
    }

    /// How many events were read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.next
    }
}

/// What the list needs of a run's first event.
#[derive(Deserialize)]
struct First {
    pipeline: String,
    file: String,
}

/// What the list needs of a run's last events.
#[derive(Deserialize)]
struct Last {
    fact: String,
    #[serde(default)]
    reason: serde_json::Value,
}

/// A fact that is not packed; empty, where it is.
fn text(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(row.get_ref(column)?.as_str().unwrap_or_default().to_owned())
}

impl Journal {
    /// Opens a journal that is there, and changes nothing; nothing, where it
    /// cannot be read at once.
    #[must_use]
    pub fn peek(path: &Path) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).ok()?;
        connection.busy_timeout(Duration::from_millis(200)).ok()?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).ok()?;
        (1..=FORMAT).contains(&version).then(|| Self {
            path: path.to_owned(),
            connection,
            bases: Bases::default(),
        })
    }

    /// The newest runs for which `wanted` holds, newest first; and why those
    /// cannot be listed whose first event cannot be read.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn list(
        &self,
        since: Option<Timestamp>,
        limit: usize,
        mut wanted: impl FnMut(&RunSummary) -> bool,
    ) -> Result<(Vec<RunSummary>, Vec<JournalError>), JournalError> {
        let failed = failed("read", &self.path);
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        let sql = "SELECT run, at, fact FROM event WHERE seq = 0 AND at >= ?1 ORDER BY at DESC";
        let mut firsts = self.connection.prepare(sql).map_err(&failed)?;
        let from = since.map_or(i64::MIN, Timestamp::as_microsecond);
        // A time that is none is no moment, and its run cannot be listed.
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1).unwrap_or(i64::MIN), text(row, 2)?));
        for row in firsts.query_map(params![from], row).map_err(&failed)? {
            if found.len() == limit {
                break;
            }
            let (run, at, fact): (String, i64, String) = row.map_err(&failed)?;
            match self.summary(&run, at, &fact)? {
                Ok(summary) => found.extend(wanted(&summary).then_some(summary)),
                Err(why) => unreadable.push(JournalError::Changed { run, seq: 0, why }),
            }
        }
        Ok((found, unreadable))
    }

    fn summary(
        &self,
        run: &str,
        at: i64,
        fact: &str,
    ) -> Result<Result<RunSummary, &'static str>, JournalError> {
        let (Ok(id), Ok(started)) = (run.parse::<RunId>(), Timestamp::from_microsecond(at)) else {
            return Ok(Err("its name or time is not one"));
        };
        let Ok(first) = serde_json::from_str::<First>(fact) else { return Ok(Err("it cannot be read")) };
        let (finished, state) = self.end(&id)?;
        Ok(Ok(RunSummary { id, started, pipeline: first.pipeline, file: first.file, finished, state }))
    }

    /// The tasks that a run listed when it began.
    ///
    /// # Errors
    /// [`JournalError::Io`], or [`JournalError::Changed`].
    pub fn listed_tasks(&self, run: &RunId) -> Result<Vec<String>, JournalError> {
        #[derive(Deserialize)]
        struct Listed {
            tasks: Vec<String>,
        }
        let sql = "SELECT fact FROM event WHERE run = ?1 AND seq = 0";
        let fact = self
            .connection
            .query_row(sql, params![run.as_str()], |row| text(row, 0))
            .map_err(failed("read", &self.path))?;
        let listed: Listed = serde_json::from_str(&fact).map_err(|_| JournalError::Changed {
            run: run.to_string(),
            seq: 0,
            why: "it cannot be read",
        })?;
        Ok(listed.tasks)
    }

    /// How a run ended, as far as its last events say.
    fn end(&self, run: &RunId) -> Result<(Option<Timestamp>, RunState), JournalError> {
        let failed = failed("read", &self.path);
        let sql = "SELECT at, fact FROM event WHERE run = ?1 ORDER BY seq DESC LIMIT ?2";
        let mut lasts = self.connection.prepare_cached(sql).map_err(&failed)?;
        // Nothing that is packed says how a run ended.
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, text(row, 1)?));
        let rows = lasts.query_map(params![run.as_str(), LAST], row).map_err(&failed)?;
        let mut sealed = false;
        for (index, row) in rows.enumerate() {
            let (at, fact): (i64, String) = row.map_err(&failed)?;
            let Ok(last) = serde_json::from_str::<Last>(&fact) else { continue };
            sealed |= index == 0 && last.fact == "runSealed";
            if last.fact != "runFinished" {
                continue;
            }
            if let Ok(reason) = serde_json::from_value::<RunReason>(last.reason) {
                let status = reason.status();
                let state = if sealed { RunState::Sealed(status) } else { RunState::Unsealed(status) };
                return Ok((Timestamp::from_microsecond(at).ok(), state));
            }
        }
        Ok((None, RunState::Running))
    }

    /// The events of a run from where the cursor stands, in order, one at a
    /// time, the chain checked.
    ///
    /// # Errors
    /// [`JournalError::Changed`] at the first event that does not fit.
    pub fn read_on(
        &self,
        run: &RunId,
        cursor: &mut Cursor,
        mut each: impl FnMut(Event),
    ) -> Result<(), JournalError> {
        let failed = failed("read", &self.path);
        let sql = "SELECT seq, at, fact, hash FROM event WHERE run = ?1 AND seq >= ?2 ORDER BY seq";
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(u64, i64, Option<String>, Vec<u8>)> {
            let kept = row.get_ref(2)?;
            let packed = match kept {
                ValueRef::Blob(kept) => base_name(kept).map(|base| (kept, event_number(base))),
                ValueRef::Text(_) | ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
            };
            let fact = match packed {
                Some((kept, Some(first))) => {
                    let base = self.bases.find(&self.connection, run, Place::Event(first))?;
                    unpack_fact(kept, &base).ok()
                }
                Some((_, None)) => None,
                None => kept.as_str().ok().map(str::to_owned),
            };
            Ok((row.get(0)?, row.get(1)?, fact, row.get(3)?))
        };
        let rows = statement.query_map(params![run.as_str(), cursor.next], row).map_err(&failed)?;
        for row in rows {
            let changed = |why| JournalError::Changed { run: run.to_string(), seq: cursor.next, why };
            let (seq, at, fact, hash) = row.map_err(|error| {
                let is_of_another_type = matches!(
                    error,
                    rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..)
                );
                if is_of_another_type { changed("it cannot be read") } else { failed(error) }
            })?;
            if seq != cursor.next {
                return Err(changed("it is missing"));
            }
            let at = Timestamp::from_microsecond(at).map_err(|_| changed("its time is not one"))?;
            let fact = fact.ok_or_else(|| changed("it cannot be read"))?;
            let found = chain(cursor.before, seq, at, &fact);
            if hash != found.as_bytes() {
                return Err(changed("its hash does not fit"));
            }
            let fact: Fact = serde_json::from_str(&fact).map_err(|_| changed("it cannot be read"))?;
            each(Event { run: run.clone(), seq, at, fact, hash: found });
            *cursor = Cursor { next: seq + 1, before: found };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::sync::Arc;

    use super::*;
    use crate::event::Recorder;
    use crate::model::Status;

    fn fact(value: serde_json::Value) -> Fact {
        serde_json::from_value(value).unwrap()
    }

    /// Records a run of as many tasks, each of which logs a line.
    fn record(journal: &Journal, run: &RunId, tasks: usize, sealed: bool) {
        let recorder =
            Arc::new(Recorder::new(run.clone(), journal.writer().unwrap(), Vec::new(), Timestamp::now));
        let names: Vec<String> = (0..tasks).map(|n| format!("t{n}")).collect();
        let digest = Digest::from_bytes([9; 32]);
        let builder = serde_json::json!({ "id": "b", "version": "0.1.0", "key": "k" });
        recorder
            .record(fact(serde_json::json!({
                "fact": "runStarted", "uid": "00", "pipeline": "many", "file": "many.yaml", "fileDigest": digest,
                "params": {}, "tasks": names, "sourceDateEpoch": 0, "builder": builder,
            })))
            .unwrap();
        for name in &names {
            recorder
                .record(fact(serde_json::json!({
                    "fact": "taskLogged", "task": name, "level": "info", "message": "m",
                })))
                .unwrap();
        }
        if sealed {
            recorder
                .record(fact(
                    serde_json::json!({ "fact": "runFinished", "reason": "Succeeded", "message": "m" }),
                ))
                .unwrap();
            recorder
                .record(fact(
                    serde_json::json!({ "fact": "attested", "predicateType": "p", "bundle": digest }),
                ))
                .unwrap();
            recorder.record(Fact::RunSealed).unwrap();
        }
        recorder.flush().unwrap();
    }

    #[test]
    fn the_list_reads_nothing_of_the_middle_of_a_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let journal = Journal::open(&path).unwrap();
        let (large, open): (RunId, RunId) =
            ("many-aaaaaaaaaa".parse().unwrap(), "many-bbbbbbbbbb".parse().unwrap());
        record(&journal, &large, 10_000, true);
        record(&journal, &open, 2, false);
        let list = || journal.list(None, 20, |_| true).unwrap();
        let (before, unreadable) = list();
        assert!(unreadable.is_empty());
        let states: Vec<_> = before.iter().map(|run| (run.id.clone(), run.state)).collect();
        assert_eq!(states, [(open, RunState::Running), (large.clone(), RunState::Sealed(Status::Succeeded))]);
        // Nothing that was changed in between is noticed: it was not read.
        let other = Connection::open(&path).unwrap();
        let last: i64 = 10_003 - LAST as i64;
        let sql = "UPDATE event SET fact = 'no fact', hash = x'00' WHERE run = ?1 AND seq BETWEEN 1 AND ?2";
        assert!(other.execute(sql, params![large.as_str(), last]).unwrap() > 9_900);
        let (again, unreadable) = list();
        assert_eq!((&again, unreadable.len()), (&before, 0));
        assert!(journal.replay(&large, |_| {}).is_err(), "who reads all of it notices");
        // One run that cannot be listed hides no other.
        for fact in ["'{}'", "x'0100'", "x'ff'", "5", "'{}', at = 'x'"] {
            let sql = format!("UPDATE event SET fact = {fact} WHERE run = ?1 AND seq = 0");
            other.execute(&sql, [large.as_str()]).unwrap();
            let (after, unreadable) = list();
            assert_eq!((after.first(), after.len(), unreadable.len()), (before.first(), 1, 1), "{fact}");
            assert!(matches!(journal.listed_tasks(&large), Err(JournalError::Changed { .. })), "{fact}");
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        assert!(Journal::peek(&path).is_none() && !path.exists(), "a look makes no journal");
        let journal = Journal::open(&path).unwrap();
        let run: RunId = "many-aaaaaaaaaa".parse().unwrap();
        let recorder = Recorder::new(run.clone(), journal.writer().unwrap(), Vec::new(), Timestamp::now);
        let mut cursor = Cursor::start(&run);
        let mut seen = Vec::new();
        for round in 1..4 {
            recorder.record(Fact::RunSealed).unwrap();
            recorder.record(Fact::RunSealed).unwrap();
            recorder.flush().unwrap();
            let peeked = Journal::peek(&path).unwrap();
            peeked.read_on(&run, &mut cursor, |event| seen.push(event.seq)).unwrap();
            assert_eq!(cursor.count(), 2 * round);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }
}
