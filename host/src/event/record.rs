//! What a run is, folded from its events. Everything that shows, signs or
//! verifies a run starts here.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::{Digest, TrustDecision};
use jiff::Timestamp;

use super::contact::{Connection, Contacts, Denial, Exchange};
use super::run_reuse::RunReuse;
use super::{Event, Fact, NestedEnd, NestedStart, RunStart, Source, TaskEnd, TaskStart};
use crate::model::{RunId, RunReason, Shared, SkipReason, Status};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Events may still follow.
    Running,
    /// It ended, and its attestations are not all there: it was interrupted,
    /// or still is being sealed.
    Unsealed(Status),
    /// It ended and is complete.
    Sealed(Status),
}

/// One attempt of a task that was tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it began, and with what.
    pub start: (Timestamp, Shared<TaskStart>),
    /// When it ended, and how.
    pub end: (Timestamp, Shared<TaskEnd>),
}

/// A pipeline that is nested in another.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedRecord {
    /// When it began, and with what.
    pub start: (Timestamp, NestedStart),
    /// When it ended, and how.
    pub end: Option<(Timestamp, NestedEnd)>,
}

/// One task of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRecord {
    /// Its attempts before the last.
    pub earlier: Vec<Attempt>,
    /// When it began, and with what.
    pub start: Option<(Timestamp, Shared<TaskStart>)>,
    /// When it ended, and how.
    pub end: Option<(Timestamp, Shared<TaskEnd>)>,
    /// What all its attempts had to do with the world outside: what the last one
    /// made may come from what an earlier one did there.
    pub contacts: Contacts,
    /// Why it was not run.
    pub skipped: Option<SkipReason>,
}

/// A run as its events tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// The run.
    pub id: RunId,
    /// When it began.
    pub started: Timestamp,
    /// What was run.
    pub start: RunStart,
    /// Its source, once acquired.
    pub source: Option<Source>,
    /// Its tasks by name.
    pub tasks: BTreeMap<String, TaskRecord>,
    /// The names of its tasks in order: those of nested pipelines and of a
    /// matrix's combinations in the place of the task they belong to.
    pub order: Vec<String>,
    /// The pipelines nested in it, by the name of the task they run as.
    pub nested: BTreeMap<String, NestedRecord>,
    /// The run whose outcomes it has, and when that was found. Its own events tell
    /// of no task then.
    pub reused: Option<(Timestamp, RunReuse)>,
    /// Its results.
    pub results: BTreeMap<String, Value>,
    /// When `finally` began, by the pipeline it belongs to; empty for the run's.
    pub finally: BTreeMap<String, Timestamp>,
    /// When the last event so far happened.
    pub latest: Timestamp,
    /// When every task had ended, why, and Tekton's sentence.
    pub finished: Option<(Timestamp, RunReason, String)>,
    /// The number of events up to and with `RunFinished`, and their hash: what
    /// the run's own attestation covers.
    pub finished_head: Option<(u64, Digest)>,
    /// The signed bundles by task (none for the run's own) and predicate type.
    pub attested: BTreeMap<(Option<String>, String), Digest>,
    /// Whether the last event was the seal.
    pub sealed: bool,
}

impl RunRecord {
    /// Folds the events of one run; nothing, where they do not begin with
    /// [`Fact::RunStarted`].
    #[must_use]
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Self> {
        let mut record = None;
        events.into_iter().for_each(|event| Self::extend(&mut record, event));
        record
    }

    /// Adds the next event of a run to its record, which the first one begins.
    pub fn extend(record: &mut Option<Self>, event: &Event) {
        match record {
            Some(record) => record.apply(event),
            None if event.seq == 0 => *record = Self::begin(event),
            None => {}
        }
    }

    /// The record of a run that has just begun.
    #[must_use]
    pub fn begin(first: &Event) -> Option<Self> {
        let tasks =
            |start: &RunStart| start.tasks.iter().map(|name| (name.clone(), TaskRecord::default())).collect();
        let mut record = Self::begin_without_tasks(first)?;
        record.order = Vec::clone(&record.start.tasks);
        record.tasks = tasks(&record.start);
        Some(record)
    }

    /// The same of a run whose tasks another one tells of.
    #[must_use]
    pub fn begin_without_tasks(first: &Event) -> Option<Self> {
        let Fact::RunStarted(start) = &first.fact else { return None };
        Some(Self {
            id: first.run.clone(),
            started: first.at,
            start: RunStart::clone(start),
            source: None,
            order: Vec::new(),
            nested: BTreeMap::new(),
            reused: None,
            results: BTreeMap::new(),
            finally: BTreeMap::new(),
            latest: first.at,
            tasks: BTreeMap::new(),
            finished: None,
            finished_head: None,
            attested: BTreeMap::new(),
            sealed: false,
        })
    }

    /// Adds the next event.
    pub fn apply(&mut self, event: &Event) {
        self.sealed = false;
        self.latest = event.at;
        match &event.fact {
            // Only the first event begins a run, and that one is folded in `begin`.
            Fact::RunStarted(_) | Fact::TaskLogged { .. } => {}
            Fact::FinallyStarted { pipeline, .. } => {
                self.finally.insert(pipeline.clone().unwrap_or_default(), event.at);
            }
            Fact::SourceAcquired(source) => self.source = Some(source.clone()),
            Fact::TaskStarted(start) => {
                let task = self.tasks.entry(start.task.clone()).or_default();
                if let (Some(start), Some(end)) = (task.start.take(), task.end.take()) {
                    task.earlier.push(Attempt { start, end });
                }
                task.start = Some((event.at, Shared::clone(start)));
            }
            Fact::TaskExpanded { task, runs } => self.replace(task, runs),
            Fact::PipelineStarted(start) => {
                self.replace(&start.task, &start.tasks);
                let record = NestedRecord { start: (event.at, NestedStart::clone(start)), end: None };
                self.nested.insert(start.task.clone(), record);
            }
            Fact::PipelineFinished(end) => {
                if let Some(nested) = self.nested.get_mut(&end.task) {
                    nested.end = Some((event.at, NestedEnd::clone(end)));
                }
            }
            Fact::RequestFinished(exchange) => {
                self.contacts(&exchange.task).exchanges.push(Exchange::clone(exchange));
            }
            Fact::ConnectionFinished(connection) => {
                self.contacts(&connection.task).connections.push(Connection::clone(connection));
            }
            Fact::CapabilityDenied(denial) => {
                self.contacts(&denial.task).denials.push(Denial::clone(denial));
            }
            Fact::TaskFinished(end) => {
                let task = self.tasks.entry(end.task.clone()).or_default();
                task.end = Some((event.at, Shared::clone(end)));
            }
            Fact::TaskSkipped { task, reason } => {
                self.tasks.entry(task.clone()).or_default().skipped = Some(*reason);
            }
            Fact::RunReused(reuse) => {
                self.reused = Some((event.at, RunReuse::clone(reuse)));
                // The other run tells of them, and this one has none.
                if self.tasks.values().all(|task| *task == TaskRecord::default()) {
                    (self.tasks, self.order) = (BTreeMap::new(), Vec::new());
                }
            }
            Fact::RunFinished { reason, message, hermetic: _, results } => {
                self.results.clone_from(results);
                self.finished = Some((event.at, *reason, message.clone()));
                self.finished_head = Some((event.seq + 1, event.hash));
            }
            Fact::Attested { task, predicate_type, bundle } => {
                self.attested.insert((task.clone(), predicate_type.clone()), *bundle);
            }
            Fact::RunSealed => self.sealed = true,
        }
    }

    /// Puts tasks in the place of the one they belong to; a pipeline that is
    /// tried again has none, and goes to the end.
    fn replace(&mut self, task: &str, by: &[String]) {
        let unused = self.tasks.get(task).is_some_and(|record| *record == TaskRecord::default());
        if unused {
            self.tasks.remove(task);
        }
        let at = self.order.iter().position(|name| name == task);
        let range = at.map_or(self.order.len()..self.order.len(), |at| at..at + 1);
        self.order.splice(range, by.iter().cloned());
        for name in by {
            self.tasks.entry(name.clone()).or_default();
        }
    }

    fn contacts(&mut self, task: &str) -> &mut Contacts {
        &mut self.tasks.entry(task.to_owned()).or_default().contacts
    }

    /// How the run stands, as far as its events say.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (&self.finished, self.sealed) {
            (None, _) => RunState::Running,
            (Some((_, reason, _)), false) => RunState::Unsealed(reason.status()),
            (Some((_, reason, _)), true) => RunState::Sealed(reason.status()),
        }
    }

    /// The tasks in the order the pipeline lists them.
    pub fn tasks_in_order(&self) -> impl Iterator<Item = (&str, &TaskRecord)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), self.tasks.get(name)?)))
    }
}

impl TaskRecord {
    /// Whether nothing but inputs, params and the component decided the outcome.
    #[must_use]
    pub fn hermetic(&self) -> bool {
        self.start.as_ref().is_some_and(|(_, start)| start.grants.hermetic())
    }
}

impl TaskStart {
    /// Whether the task is trusted, and so is the pipeline that decided what it
    /// was given.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        let trusted = matches!(self.identity.trust, TrustDecision::Trusted { .. });
        trusted && self.doubts.as_ref().is_none_or(|doubts| doubts.untrusted_pipeline.is_none())
    }
}

impl super::Grants {
    /// Whether a task with these grants depends on its inputs alone.
    #[must_use]
    pub fn hermetic(&self) -> bool {
        !self.real_clock && !self.real_random && !self.reaches_out()
    }

    /// Whether it can reach anything over the network.
    #[must_use]
    pub fn reaches_out(&self) -> bool {
        !self.network.is_empty() || !self.tcp.is_empty()
    }
}
