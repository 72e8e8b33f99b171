//! A run as it is shown: what its events tell, in the form that is printed as
//! JSON. The text for people is made from the same values.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde::Serialize;

use super::story::Story;
use crate::engine::CacheFinding;
use crate::event::{
    AfterFailure, Attempt, Builder, Connection, Denial, Doubts, Exchange, Grants, InputArtifact, InputReads,
    NestedRecord, Origin, PipelineIdentity, Reuse, RunRecord, RunReuse, RunState, Source, StoredResult,
    TaskFailure, TaskIdentity, TaskRecord, Usage,
};
use crate::model::{EffectiveLimits, Shared};
use crate::store::Tree;

/// How a task of a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TaskState {
    /// It has not begun.
    Pending,
    /// It has begun and not ended.
    Running,
    /// It had begun when the run was interrupted.
    Interrupted,
    /// It ended well.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// It was stopped from outside.
    Cancelled,
    /// It was not run.
    Skipped,
}

/// A run as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its name.
    pub run: String,
    /// `Succeeded`, `Failed`, `Cancelled`, `Running` or `Interrupted`.
    pub status: &'static str,
    /// Whether every event and attestation is stored.
    pub sealed: bool,
    /// Tekton's word for why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Tekton's sentence about the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The run that it goes on from, or repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// The pipelines that it read out of a registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<PipelineIdentity>,
    /// When it began.
    pub started: Timestamp,
    /// When the last task had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// From one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<u64>,
    /// Whether all its tasks were hermetic.
    pub hermetic: bool,
    /// The pipeline's params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// Where the source came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Who ran it.
    pub builder: Builder,
    /// Its results.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
    /// The run whose outcomes it has, all of them. A summary of many tasks has none
    /// of `tasks` then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused_run: Option<RunReuse>,
    /// How many tasks the pipeline itself has, combinations and nested
    /// pipelines counted as one each.
    #[serde(skip)]
    pub pipeline_tasks: usize,
    /// Its tasks, in the pipeline's order.
    pub tasks: Vec<TaskView>,
    /// The pipelines that ran in it, by the task they ran as.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<NestedView>,
    /// Where the time went, what decided it, which grants were used. A summary in
    /// words is made without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<Story>,
    /// Its signed attestations.
    pub attestations: Vec<AttestationView>,
    /// What became of looking for each task in the cache, where that was asked
    /// for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cache: BTreeMap<String, CacheFinding>,
}

/// A task of a run as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// The name in the pipeline.
    pub task: String,
    /// How it stands.
    pub status: TaskState,
    /// Tekton's word for how it ended, or its sentence for why it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The task's own account of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<TaskFailure>>,
    /// What followed from its failure.
    #[serde(skip_serializing_if = "AfterFailure::is_final")]
    pub after_failure: AfterFailure,
    /// Its attempts before the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<AttemptView>,
    /// The TaskRun whose outcome this is, where it did not run itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reuse>,
    /// The tasks it waited for.
    #[serde(skip_serializing_if = "none")]
    pub after: Shared<Vec<String>>,
    /// Which task it is, and whether it is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Shared<TaskIdentity>>,
    /// Why what it was given is not trusted.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub doubts: Option<Box<Doubts>>,
    /// Whether nothing but inputs, params and the component decided the outcome.
    pub hermetic: bool,
    /// What it could do beyond reading inputs and writing outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Shared<Grants>>,
    /// How much it could use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Shared<EffectiveLimits>>,
    /// What it used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Its params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// What it read.
    pub inputs: Vec<InputArtifact>,
    /// Which files of each input it opened.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, ReadsView>,
    /// What it made.
    pub outputs: BTreeMap<String, Tree>,
    /// What it returned.
    pub results: BTreeMap<String, Value>,
    /// Its results that are kept in the store.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stored_results: BTreeMap<String, StoredResult>,
    /// Its HTTP requests, each attempt for itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// Its raw connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<Connection>,
    /// What it tried and was not granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// From its beginning to its end, sealing included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<u64>,
}

/// A pipeline that ran as a task, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedView {
    /// The task.
    pub task: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// How it stands.
    pub status: TaskState,
    /// Tekton's word for why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Tekton's sentence about its tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// Its results.
    pub results: BTreeMap<String, Value>,
    /// What followed from its failure.
    #[serde(skip_serializing_if = "AfterFailure::is_final")]
    pub after_failure: AfterFailure,
}

/// An attempt before the last, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// Counted from one.
    pub attempt: u32,
    /// Why it ended.
    pub reason: &'static str,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The task's own account of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<TaskFailure>>,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub duration_micros: u64,
}

/// The files of an input that a task opened, as they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadsView {
    /// How many, and where they are listed.
    #[serde(flatten)]
    pub reads: InputReads,
    /// The list, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

/// A signed attestation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationView {
    /// The task, or nothing for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The predicate's type.
    pub predicate_type: String,
    /// The digest of the bundle.
    pub bundle: Digest,
}

impl RunView {
    /// The view of a run; `alive` says whether its process still runs.
    #[must_use]
    pub fn new(record: &RunRecord, alive: bool) -> Self {
        Self { story: Some(Story::of(record)), ..Self::summary(record, alive) }
    }

    /// The same for a summary in words.
    #[must_use]
    pub fn summary(record: &RunRecord, alive: bool) -> Self {
        let finished = record.finished.as_ref();
        // Of the right size at once: these are the most memory that a run takes.
        let mut tasks = Vec::with_capacity(record.start.tasks.len());
        tasks.extend(record.tasks_in_order().map(|(name, task)| TaskView::new(name, task, alive)));
        Self {
            run: record.id.to_string(),
            status: run_status(record.state(), alive),
            sealed: record.sealed,
            reason: finished.map(|(_, reason, _)| reason.as_str()),
            message: finished.map(|(_, _, message)| message.clone()),
            origin: record.start.origin.clone(),
            pipeline: record.start.pipeline.clone(),
            file: record.start.file.clone(),
            bundles: record.start.pipelines.clone(),
            started: record.started,
            finished: finished.map(|(at, ..)| *at),
            duration_micros: finished.map(|(at, ..)| between(record.started, *at)),
            hermetic: record.reused.is_some()
                || record.tasks.values().any(|task| task.start.is_some())
                    && record.tasks.values().all(|task| task.start.is_none() || task.hermetic()),
            params: record.start.params.clone(),
            source: record.source.clone(),
            builder: record.start.builder.clone(),
            results: record.results.clone(),
            reused_run: record.reused.as_ref().map(|(_, reuse)| reuse.clone()),
            pipeline_tasks: record.start.tasks.len(),
            tasks,
            pipelines: record
                .nested
                .iter()
                .map(|(task, nested)| NestedView::new(task, nested, alive))
                .collect(),
            story: None,
            attestations: record
                .attested
                .iter()
                .map(|((task, predicate_type), bundle)| AttestationView {
                    task: task.clone(),
                    predicate_type: predicate_type.clone(),
                    bundle: *bundle,
                })
                .collect(),
            cache: BTreeMap::new(),
        }
    }

    /// Adds what became of looking in the cache.
    #[must_use]
    pub fn with_cache(self, cache: BTreeMap<String, CacheFinding>) -> Self {
        Self { cache, ..self }
    }

    /// How many tasks it has, those of nested pipelines and of a matrix counted
    /// one by one.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.reused_run.as_ref().map_or(self.tasks.len(), |reuse| reuse.task_runs + reuse.skipped)
    }

    /// How many of its tasks did not run, because their outcome was known.
    #[must_use]
    pub fn reused(&self) -> usize {
        if let Some(reuse) = &self.reused_run {
            return reuse.task_runs;
        }
        self.tasks.iter().filter(|task| task.reused.is_some()).count()
    }
}

impl NestedView {
    fn new(task: &str, nested: &NestedRecord, alive: bool) -> Self {
        use crate::model::Status;
        let end = nested.end.as_ref().map(|(_, end)| end);
        let status = match end.map(|end| end.reason.status()) {
            Some(Status::Succeeded) => TaskState::Succeeded,
            Some(Status::Failed) => TaskState::Failed,
            Some(Status::Cancelled) => TaskState::Cancelled,
            None if alive => TaskState::Running,
            None => TaskState::Interrupted,
        };
        let (_, start) = &nested.start;
        Self {
            task: task.to_owned(),
            pipeline: start.pipeline.clone(),
            status,
            reason: end.map(|end| end.reason.as_str()),
            message: end.map(|end| end.message.clone()),
            params: start.params.clone(),
            results: end.map(|end| end.results.clone()).unwrap_or_default(),
            after_failure: end.map(|end| end.after).unwrap_or_default(),
        }
    }
}

impl AttemptView {
    fn new(attempt: &Attempt) -> Self {
        let ((began, _), (ended, end)) = (&attempt.start, &attempt.end);
        Self {
            attempt: end.attempt,
            reason: end.reason.as_str(),
            message: end.message.clone(),
            failure: end.failure.clone(),
            started: *began,
            duration_micros: between(*began, *ended),
        }
    }
}

impl TaskView {
    fn new(name: &str, task: &TaskRecord, alive: bool) -> Self {
        use crate::model::Status;
        let start = task.start.as_ref();
        let end = task.end.as_ref().map(|(_, end)| end);
        let status = match (start, end, task.skipped) {
            (_, Some(end), _) => match end.reason.status() {
                Status::Succeeded => TaskState::Succeeded,
                Status::Failed => TaskState::Failed,
                Status::Cancelled => TaskState::Cancelled,
            },
            (_, None, Some(_)) => TaskState::Skipped,
            (Some(_), None, None) if alive => TaskState::Running,
            (Some(_), None, None) => TaskState::Interrupted,
            (None, None, None) => TaskState::Pending,
        };
        let skipped = task.skipped.map(crate::model::SkipReason::as_str);
        let duration = start.zip(task.end.as_ref()).map(|((began, _), (ended, _))| between(*began, *ended));
        Self {
            task: name.to_owned(),
            status,
            reason: end.map(|end| end.reason.as_str()).or(skipped),
            message: end.and_then(|end| end.message.clone()),
            failure: end.and_then(|end| end.failure.clone()),
            after_failure: end.map(|end| end.after).unwrap_or_default(),
            earlier: task.earlier.iter().map(AttemptView::new).collect(),
            reused: end.and_then(|end| end.reused.as_deref().cloned()),
            after: start.map(|(_, start)| Shared::clone(&start.after)).unwrap_or_default(),
            identity: start.map(|(_, start)| Shared::clone(&start.identity)),
            doubts: start.and_then(|(_, start)| start.doubts.clone()),
            hermetic: task.hermetic(),
            grants: start.map(|(_, start)| Shared::clone(&start.grants)),
            limits: start.map(|(_, start)| Shared::clone(&start.limits)),
            usage: end.map(|end| end.usage),
            params: start.map(|(_, start)| start.params.clone()).unwrap_or_default(),
            inputs: start.map(|(_, start)| start.inputs.clone()).unwrap_or_default(),
            reads: end.map(|end| reads(&end.reads)).unwrap_or_default(),
            outputs: end.map(|end| end.outputs.clone()).unwrap_or_default(),
            results: end.map(|end| end.results.clone()).unwrap_or_default(),
            stored_results: end.map(|end| end.stored_results.clone()).unwrap_or_default(),
            exchanges: task.contacts.exchanges.clone(),
            connections: task.contacts.connections.clone(),
            denials: task.contacts.denials.clone(),
            started: start.map(|(at, _)| *at),
            duration_micros: duration,
        }
    }

    /// How it is trusted, in words.
    #[must_use]
    pub fn trust(&self) -> Option<String> {
        self.identity.as_ref().map(|identity| super::trust::trust_words(&identity.trust))
    }
}

impl TaskState {
    /// The word as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Interrupted => "Interrupted",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
        }
    }
}

fn none(names: &[String]) -> bool {
    names.is_empty()
}

fn reads(reads: &BTreeMap<String, InputReads>) -> BTreeMap<String, ReadsView> {
    reads.iter().map(|(input, reads)| (input.clone(), ReadsView { reads: *reads, paths: None })).collect()
}

/// The word for how a run stands; `alive` says whether its process still runs.
pub(super) fn run_status(state: RunState, alive: bool) -> &'static str {
    match state {
        RunState::Sealed(status) => status.as_str(),
        RunState::Unsealed(_) | RunState::Running if alive => "Running",
        RunState::Unsealed(_) | RunState::Running => "Interrupted",
    }
}

pub(super) fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_microsecond().saturating_sub(from.as_microsecond())).unwrap_or(0)
}
