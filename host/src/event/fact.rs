//! Everything that can happen in a run. This page is the whole vocabulary: the
//! terminal, the history, provenance and policy know a run through it alone.
//!
//! What a task says (log lines, results, failures) is payload. Who it was, when
//! it ran, what it was given and what it made are the host's own observations.

use std::collections::BTreeMap;

use cofferdam_manifest::{NetworkRule, TcpRule, Value, ValueType};
use cofferdam_registry::{Digest, TrustDecision};
use serde::{Deserialize, Serialize};

use super::contact::{Connection, Denial, Exchange};
use super::run_reuse::RunReuse;
use crate::model::{EffectiveLimits, Overrides, RunId, RunReason, Shared, SkipReason, TaskRunReason};
use crate::store::Tree;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fact {
    /// A run began. Always the first.
    RunStarted(Box<RunStart>),
    /// The source tree is in the store.
    SourceAcquired(Source),
    /// A task began.
    TaskStarted(Shared<TaskStart>),
    /// A task wrote a line. Payload.
    TaskLogged {
        /// The task.
        task: String,
        /// How much it matters.
        level: LogLevel,
        /// The text.
        message: String,
        /// Names and values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<(String, String)>,
    },
    /// A task's request was answered, or came to nothing.
    RequestFinished(Box<Exchange>),
    /// A task's raw connection ended.
    ConnectionFinished(Box<Connection>),
    /// A task tried something it is not granted.
    CapabilityDenied(Box<Denial>),
    /// A task ended.
    TaskFinished(Shared<TaskEnd>),
    /// A task with a matrix runs, once for each combination.
    TaskExpanded {
        /// The task.
        task: String,
        /// The names of its TaskRuns, or of the pipelines that run for it.
        runs: Vec<String>,
    },
    /// A pipeline that is nested in another began.
    PipelineStarted(Box<NestedStart>),
    /// A pipeline that is nested in another ended.
    PipelineFinished(Box<NestedEnd>),
    /// Tasks have ended, and `finally` begins.
    FinallyStarted {
        /// The nested pipeline it belongs to, or nothing for the run's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pipeline: Option<String>,
        /// Why tasks ended.
        state: RunningFinally,
    },
    /// A task was not run.
    TaskSkipped {
        /// The task.
        task: String,
        /// Why not.
        reason: SkipReason,
    },
    /// Every task has the outcome that it had in another run; none is told of by
    /// itself.
    RunReused(Box<RunReuse>),
    /// Every task has ended or was skipped.
    RunFinished {
        /// Why it ended.
        reason: RunReason,
        /// Tekton's sentence: how many completed, failed, were skipped.
        message: String,
        /// Whether every task that began was hermetic.
        #[serde(default)]
        hermetic: bool,
        /// The pipeline's results.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        results: BTreeMap<String, Value>,
    },
    /// A Statement about the run or one of its tasks was signed and stored.
    Attested {
        /// The task, or nothing for the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// The predicate's type.
        predicate_type: String,
        /// The digest of the bundle's bytes.
        bundle: Digest,
    },
    /// The run is complete: every event and attestation is durable. Always the
    /// last; a run without it was interrupted.
    RunSealed,
}

/// What was run, by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunStart {
    /// 128 random bits, hexadecimal.
    pub uid: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The file it was read from, relative to the source where it is in there.
    pub file: String,
    /// The digest of that file.
    pub file_digest: Digest,
    /// Whether the source tree has exactly this file in this place.
    #[serde(default)]
    pub file_in_source: bool,
    /// Every param, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// What the command line said about grants.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// The tasks, in the order they are written, and then those of `finally`.
    pub tasks: Shared<Vec<String>>,
    /// Every file the pipeline was read from, by name: its text is in the store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
    /// Those of them that came out of a registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<PipelineIdentity>,
    /// What it was planned from, in the store: for whoever goes on from it, or
    /// repeats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The run that this one goes on from, or repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The fixed time that tasks see, in seconds since 1970.
    pub source_date_epoch: i64,
    /// Who ran it.
    pub builder: Builder,
}

/// The run that another one follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", content = "run", rename_all = "camelCase")]
pub enum Origin {
    /// It goes on from what that run had done.
    Resume(RunId),
    /// It repeats that run, to compare.
    Rebuild(RunId),
}

/// How things stand when `finally` begins, in Tekton's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunningFinally {
    /// Every task succeeded, or was skipped.
    Running,
    /// A task failed.
    PipelineRunStopping,
    /// The user stopped the run.
    CancelledRunningFinally,
    /// The time for tasks is over.
    PipelineRunTimeoutRunningFinally,
}

/// A pipeline that is nested in another, as it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedStart {
    /// The task it runs as; with `#N` for each time it was tried again.
    pub task: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// Every param, defaults applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Its tasks, in the order they are written, and then those of `finally`.
    pub tasks: Vec<String>,
}

/// A pipeline that is nested in another, as it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedEnd {
    /// The task it ran as.
    pub task: String,
    /// Why it ended.
    pub reason: RunReason,
    /// Tekton's sentence.
    pub message: String,
    /// Its results.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
    /// What follows from a failure.
    #[serde(default, skip_serializing_if = "AfterFailure::is_final")]
    pub after: AfterFailure,
}

/// What follows when something has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterFailure {
    /// Nothing: the pipeline fails with it.
    #[default]
    Final,
    /// It is tried again.
    ToBeRetried,
    /// The pipeline goes on, by `onError: continue`.
    FailureIgnored,
}

impl AfterFailure {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_final(&self) -> bool {
        *self == Self::Final
    }
}

/// Who ran a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Builder {
    /// SLSA's `builder.id`.
    pub id: String,
    /// The version of this program.
    pub version: String,
    /// The key its attestations are signed with.
    pub key: String,
}

/// The source tree and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The tree.
    pub tree: Tree,
    /// The commit, where the directory is in a git repository that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The URL of the remote `origin`, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The branch that was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether the tree is other than the commit: taken from the working copy.
    pub dirty: bool,
}

/// One TaskRun as it began: which task, why it was trusted, what it was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStart {
    /// The name in the pipeline.
    pub task: String,
    /// Counted from one.
    pub attempt: u32,
    /// Which task it is.
    #[serde(serialize_with = "Shared::as_json")]
    pub identity: Shared<TaskIdentity>,
    /// Every param, defaults applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Every input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputArtifact>,
    /// The tasks of the same pipeline that it waited for.
    #[serde(default, skip_serializing_if = "is_empty", serialize_with = "Shared::as_json")]
    pub after: Shared<Vec<String>>,
    /// Why what it was given is not trusted; nothing for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubts: Option<Box<Doubts>>,
    /// What it could do beyond reading inputs and writing outputs.
    #[serde(serialize_with = "Shared::as_json")]
    pub grants: Shared<Grants>,
    /// Whether that leaves it nothing but its inputs.
    #[serde(default)]
    pub hermetic: bool,
    /// How much it could use.
    #[serde(serialize_with = "Shared::as_json")]
    pub limits: Shared<EffectiveLimits>,
}

/// Why what a TaskRun was given is not trusted, whatever the task itself is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Doubts {
    /// The pipeline of a registry that is not trusted, and decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted_pipeline: Option<String>,
    /// The tasks that are not trusted and that it has anything from, however many
    /// tasks lie between; at most 64 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descends_from: Vec<String>,
}

/// Which task a TaskRun runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskIdentity {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: String,
    /// The reference, pinned to its digest.
    pub reference: String,
    /// The digest that is signed and pinned.
    pub digest: Digest,
    /// The digest of the component itself.
    pub component: Digest,
    /// Whether it is trusted, and why.
    pub trust: TrustDecision,
}

/// A pipeline that was read out of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineIdentity {
    /// Its name there.
    pub name: String,
    /// The reference, pinned to its digest.
    pub reference: String,
    /// The digest that is signed and pinned.
    pub digest: Digest,
    /// Whether it is trusted, and why.
    pub trust: TrustDecision,
}

/// An artifact a TaskRun read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputArtifact {
    /// The input.
    pub name: String,
    /// The tree.
    pub tree: Tree,
    /// The task that made it, or nothing for the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The output it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// What a task could do beyond reading its inputs and writing its outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grants {
    /// The HTTP requests it could make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<NetworkRule>,
    /// The services it could connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRule>,
    /// The real time instead of the run's fixed one.
    pub real_clock: bool,
    /// Real randomness instead of seeded numbers.
    pub real_random: bool,
}

/// One TaskRun as it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEnd {
    /// The name in the pipeline.
    pub task: String,
    /// Counted from one.
    pub attempt: u32,
    /// Why it ended.
    pub reason: TaskRunReason,
    /// The same in a sentence, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The task's own account of its failure. Payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<TaskFailure>>,
    /// Its results. Payload, checked against the manifest's types.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
    /// Its results that are too large to be carried along.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stored_results: BTreeMap<String, StoredResult>,
    /// Its outputs, as the host found and sealed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Tree>,
    /// What it opened of each input; nothing for a component that cannot open
    /// files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, InputReads>,
    /// What it used.
    pub usage: Usage,
    /// What follows from a failure.
    #[serde(default, skip_serializing_if = "AfterFailure::is_final")]
    pub after: AfterFailure,
    /// The TaskRun that all of this was taken from, where it did not run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Box<Reuse>>,
}

/// A result that is kept as a blob in the store: its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredResult {
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// The digest of the blob.
    pub digest: Digest,
    /// How many bytes that has.
    pub bytes: u64,
}

impl StoredResult {
    /// What is known of it, as a value to be compared and shown.
    #[must_use]
    pub fn described(&self) -> Value {
        let fields = [
            ("type", self.value_type.as_str().to_owned()),
            ("digest", self.digest.to_string()),
            ("bytes", self.bytes.to_string()),
        ];
        Value::Fields(fields.into_iter().map(|(key, text)| (key.to_owned(), text)).collect())
    }
}

impl TaskEnd {
    /// Every result, to be compared and shown: of one that is kept in the store
    /// what is known of it.
    #[must_use]
    pub fn described_results(&self) -> BTreeMap<String, Value> {
        let stored = self.stored_results.iter().map(|(name, stored)| (name.clone(), stored.described()));
        self.results.clone().into_iter().chain(stored).collect()
    }
}

/// A TaskRun whose outcome was taken for that of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reuse {
    /// Why it could be.
    pub by: ReusedBy,
    /// The run it ran in.
    pub run: RunId,
    /// Its name there.
    pub task: String,
    /// The bundle that attests it.
    pub attestation: Digest,
    /// The digest of everything it was given.
    pub key: Digest,
}

/// Why the outcome of one TaskRun could be taken for that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReusedBy {
    /// Both were given the same, and nothing else can have decided.
    Cache,
    /// The run goes on from the one that had done it.
    Resume,
}

/// Which files of an input a TaskRun opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InputReads {
    /// How many.
    pub files: u64,
    /// The digest of their list: a JSON array of paths in order, in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Digest>,
}

/// A task's own account of its failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    /// The task's word.
    pub reason: String,
    /// Its sentence.
    pub message: String,
    /// What it advises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What a TaskRun used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// From start to the end of the component, in microseconds.
    pub wall_micros: u64,
    /// Processor time of its thread in that time, in microseconds.
    #[serde(default)]
    pub cpu_micros: u64,
    /// The most linear memory it had at once, in bytes.
    pub peak_memory: u64,
    /// Bytes it wrote to outputs and scratch.
    pub written: u64,
    /// Bytes it logged.
    pub logged: u64,
    /// HTTP requests it made, refused ones among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// Bytes it sent over the network: headers are not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Bytes it received over the network.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub received: u64,
    /// What it tried and was not granted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denials: u64,
}

fn is_empty(list: &[String]) -> bool {
    list.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    /// For the task's author.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is off.
    Warn,
    /// Something is wrong.
    Error,
}
