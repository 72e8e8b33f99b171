//! A run of which every outcome is known from one other run: it has one event for
//! all of its tasks, and whoever looks at it is shown what that run tells.

use std::collections::BTreeMap;

use cofferdam_registry::Digest;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::fact::ReusedBy;
use super::journal::{Journal, JournalError, failed};
use super::record::{RunRecord, RunState, TaskRecord};
use crate::model::{RunId, Status};
use crate::store::Tree;

/// The run whose outcomes another one has, all of them. That run took each of
/// them from the TaskRun that had made it, so there is never more than one run
/// in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReuse {
    /// The run.
    pub run: RunId,
    /// How many events it has up to and with the one that says how it ended.
    pub events: u64,
    /// The hash of that event.
    pub head: Digest,
    /// The bundle that attests the run, and names those of its TaskRuns.
    pub attestation: Digest,
    /// How many TaskRuns there are.
    pub task_runs: usize,
    /// How many tasks were skipped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// Every output, by TaskRun and name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, BTreeMap<String, Tree>>,
    /// The TaskRuns that are not trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untrusted: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl RunReuse {
    /// What a run offers to those that would be given the same. Nothing, unless it
    /// is complete, succeeded, and had each outcome from the cache: then nothing
    /// but what it was given has decided it.
    #[must_use]
    pub fn of(record: &RunRecord, predicate_type: &str) -> Option<Self> {
        let (events, head) = record.finished_head?;
        if record.state() != RunState::Sealed(Status::Succeeded)
            || record.start.origin.is_some()
            || record.reused.is_some()
        {
            return None;
        }
        let attestation = *record.attested.get(&(None, predicate_type.to_owned()))?;
        let mut offered = Self {
            run: record.id.clone(),
            events,
            head,
            attestation,
            task_runs: 0,
            skipped: 0,
            outputs: BTreeMap::new(),
            untrusted: Vec::new(),
        };
        record.tasks_in_order().try_for_each(|(name, task)| offered.add(name, task))?;
        (offered.task_runs > 0).then_some(offered)
    }

    /// Adds a task; nothing, where its outcome is not the cache's.
    fn add(&mut self, name: &str, task: &TaskRecord) -> Option<()> {
        let (start, end) = match (&task.start, &task.end, task.skipped) {
            (Some((_, start)), Some((_, end)), None) => (start, end),
            (None, None, Some(_)) => {
                self.skipped += 1;
                return Some(());
            }
            (Some(_) | None, Some(_) | None, Some(_) | None) => return None,
        };
        let known = end.reused.as_ref().is_some_and(|reuse| reuse.by == ReusedBy::Cache);
        if !known || !task.earlier.is_empty() || !task.contacts.is_empty() || !start.grants.hermetic() {
            return None;
        }
        self.task_runs += 1;
        if !end.outputs.is_empty() {
            self.outputs.insert(name.to_owned(), end.outputs.clone());
        }
        if !start.is_trusted() {
            self.untrusted.push(name.to_owned());
        }
        Some(())
    }
}

impl RunRecord {
    /// Puts the tasks of another run in the place of this one's own, all of them
    /// at the moment at which they were found to be known.
    pub fn show_tasks_of(&mut self, other: Self) {
        let Some((at, _)) = self.reused else { return };
        let moved = |mut task: TaskRecord| {
            if let Some((when, _)) = &mut task.start {
                *when = at;
            }
            if let Some((when, _)) = &mut task.end {
                *when = at;
            }
            task
        };
        self.tasks = other.tasks.into_iter().map(|(name, task)| (name, moved(task))).collect();
        self.order = other.order;
        self.nested = other.nested;
        for nested in self.nested.values_mut() {
            nested.start.0 = at;
            if let Some((when, _)) = &mut nested.end {
                *when = at;
            }
        }
        self.finally = other.finally.into_keys().map(|pipeline| (pipeline, at)).collect();
    }
}

impl Journal {
    /// Shows in a run the tasks of the one whose outcomes it has, if there is such
    /// a one.
    ///
    /// # Errors
    /// As [`Journal::offering`].
    pub fn expand(&self, record: &mut RunRecord) -> Result<(), JournalError> {
        let Some((_, reuse)) = &record.reused else { return Ok(()) };
        let other = self.offering(reuse)?;
        record.show_tasks_of(other);
        Ok(())
    }

    /// The run whose outcomes another one has.
    ///
    /// # Errors
    /// [`JournalError::Changed`] where it is gone, or is not what it was.
    pub fn offering(&self, reuse: &RunReuse) -> Result<RunRecord, JournalError> {
        let changed = |why| JournalError::Changed { run: reuse.run.to_string(), seq: reuse.events, why };
        let mut other = None;
        match self.replay(&reuse.run, |event| RunRecord::extend(&mut other, &event)) {
            Err(JournalError::NoSuchRun { .. }) => {
                return Err(changed("it is gone, and another run has its outcomes"));
            }
            told => told?,
        };
        let same = |other: &RunRecord| {
            other.reused.is_none() && other.finished_head == Some((reuse.events, reuse.head))
        };
        other.filter(same).ok_or_else(|| changed("it is not what another run took from it"))
    }

    /// Whether a run is still there as it was when it ended, as far as its end and
    /// what is kept of its attestation tell: that is packed, and much shorter.
    /// `verify` looks at all of it.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn is_there(
        &self,
        reuse: &RunReuse,
        kept: Digest,
        predicate_type: &str,
    ) -> Result<bool, JournalError> {
        let query = || -> rusqlite::Result<bool> {
            let sql = "SELECT hash FROM event WHERE run = ?1 AND seq = ?2";
            let last = reuse.events.saturating_sub(1);
            let head: Option<Vec<u8>> = self
                .connection
                .query_row(sql, params![reuse.run.as_str(), last], |row| row.get(0))
                .optional()?;
            Ok(head.as_deref() == Some(reuse.head.as_bytes().as_slice()))
        };
        let ended = query().map_err(failed("read", &self.path))?;
        Ok(ended && self.kept_digest(&reuse.run, predicate_type)? == Some(kept))
    }
}
