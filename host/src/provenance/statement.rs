//! The fold from events to Statements. Pure: the same events always give the
//! same bytes, which is how a signed Statement is checked against the journal.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::{Digest, Statement, Subject, TrustDecision};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::contacts;
use super::dependency::{RunDependencies, TaskDependencies, TaskUsed, commit_dependency, input_dependency};
use super::slsa::{BuildDefinition, Metadata, PREDICATE_TYPE, Provenance, ResourceDescriptor, RunDetails};
use crate::event::{
    Contacts, Grants, InputReads, RunRecord, RunStart, Source, StoredResult, TaskEnd, TaskFailure, TaskStart,
};
use crate::model::{EffectiveLimits, Overrides, RunId, Shared, Status, TaskRunReason};
use crate::store::Tree;

/// The `buildType` of a TaskRun's Statement; `docs/provenance.md` describes it.
pub const TASK_RUN_TYPE: &str = "https://cofferdam.dev/buildtypes/task-run/v1";
/// The `buildType` of a PipelineRun's Statement.
pub const PIPELINE_RUN_TYPE: &str = "https://cofferdam.dev/buildtypes/pipeline-run/v1";
/// The `builder.id` of a run on somebody's own machine, which SLSA does not
/// count as hosted.
pub const LOCAL_BUILDER: &str = "https://cofferdam.dev/builder/local@v1";
/// What keeps tasks apart.
const ISOLATION: &str = "wasm-component";
/// What the name of a byproduct about the files that were opened begins with.
pub(super) const INPUT_READS: &str = "inputReads/";

/// What the name of a byproduct about a result begins with.
pub(super) const RESULTS: &str = "taskRunResults/";

/// What every Statement of a run says of the run.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// The run.
    pub id: &'a RunId,
    /// How it began.
    pub start: &'a RunStart,
    /// Its source, where it has one.
    pub source: Option<&'a Source>,
}

/// One TaskRun: when it began and with what, when it ended and how.
#[derive(Clone, Copy, Debug)]
pub struct TaskFacts<'a> {
    /// When it began.
    pub started: Timestamp,
    /// With what.
    pub start: &'a TaskStart,
    /// When it ended.
    pub finished: Timestamp,
    /// How.
    pub end: &'a TaskEnd,
    /// What it had to do with the world outside.
    pub contacts: &'a Contacts,
}

/// What a TaskRun was started with. Like [`Settings`] written field by field, in
/// this order: there is one for each task of a run, and a tree of JSON values
/// costs more than its signature.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started<'a> {
    pipeline_run: &'a RunId,
    pipeline_task: &'a str,
    params: &'a BTreeMap<String, Value>,
    overrides: &'a Overrides,
}

/// What the host decided about a TaskRun.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings<'a> {
    task: Component<'a>,
    trust: &'a TrustDecision,
    /// The pipeline that is not trusted, and decided what it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    untrusted_pipeline: Option<&'a str>,
    /// The tasks that are not trusted and that it has anything from.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    descends_from: &'a [String],
    attempt: u32,
    #[serde(serialize_with = "Shared::as_json")]
    grants: &'a Shared<Grants>,
    #[serde(serialize_with = "Shared::as_json")]
    limits: &'a Shared<EffectiveLimits>,
    hermetic: bool,
    source_date_epoch: i64,
    isolation: &'static str,
}

#[derive(Debug, Serialize)]
struct Component<'a> {
    name: &'a str,
    version: &'a str,
    component: Digest,
}

/// The provenance of one TaskRun.
pub type TaskProvenance<'a> = Provenance<TaskDependencies<'a>, Started<'a>, Settings<'a>, RanBy<'a>>;

/// The provenance of a whole run.
pub type RunProvenance<'a> = Provenance<RunDependencies<'a>, serde_json::Value, serde_json::Value, RanBy<'a>>;

/// The Statement about one TaskRun.
#[must_use]
pub fn task_statement<'a>(run: RunFacts<'a>, task: TaskFacts<'a>) -> Statement<TaskProvenance<'a>> {
    let TaskFacts { start, end, .. } = task;
    let identity = &start.identity;
    let doubts = start.doubts.as_deref();
    let mut dependencies: Vec<ResourceDescriptor> = start.inputs.iter().map(input_dependency).collect();
    if start.inputs.iter().any(|input| input.task.is_none()) {
        dependencies.extend(run.source.and_then(commit_dependency));
    }
    dependencies.extend(contacts::fetched(task.contacts));
    let mut byproducts = vec![ResourceDescriptor::named("taskRun/outcome").json(&outcome(end))];
    byproducts.extend(contacts::byproduct(task.contacts));
    byproducts.extend(
        end.results
            .iter()
            .map(|(name, value)| ResourceDescriptor::named(format!("{RESULTS}{name}")).json(value)),
    );
    byproducts.extend(end.stored_results.iter().map(|(name, stored)| stored_result(name, stored)));
    byproducts.extend(end.reads.iter().map(|(input, reads)| input_reads(input, reads)));
    let provenance = Provenance {
        build_definition: BuildDefinition {
            build_type: TASK_RUN_TYPE.to_owned(),
            external_parameters: Started {
                pipeline_run: run.id,
                pipeline_task: &start.task,
                params: &start.params,
                overrides: &run.start.overrides,
            },
            internal_parameters: Settings {
                task: Component {
                    name: &identity.name,
                    version: &identity.version,
                    component: identity.component,
                },
                trust: &identity.trust,
                untrusted_pipeline: doubts.and_then(|doubts| doubts.untrusted_pipeline.as_deref()),
                descends_from: doubts.map_or(&[], |doubts| &doubts.descends_from),
                attempt: start.attempt,
                grants: &start.grants,
                limits: &start.limits,
                hermetic: start.grants.hermetic(),
                source_date_epoch: run.start.source_date_epoch,
                isolation: ISOLATION,
            },
            resolved_dependencies: TaskDependencies {
                task: TaskUsed::of("task", start),
                others: dependencies,
            },
        },
        run_details: RunDetails {
            builder: builder(run.start),
            metadata: Metadata {
                invocation_id: format!("{}/{}/{}", run.start.uid, start.task, start.attempt),
                started_on: task.started.to_string(),
                finished_on: task.finished.to_string(),
            },
            byproducts,
        },
    };
    Statement::new(PREDICATE_TYPE, task_subjects(run.id, end), provenance)
}

/// The Statement about a whole run; nothing while it has not ended.
#[must_use]
pub fn run_statement(record: &RunRecord) -> Option<Statement<RunProvenance<'_>>> {
    let (finished, reason, _) = record.finished.as_ref()?;
    let (events, head) = record.finished_head?;
    let start = &record.start;
    let reused = record.reused.as_ref().map(|(_, reuse)| reuse);
    let tasks: Vec<TaskFacts<'_>> = record.task_facts().filter(|_| reused.is_none()).collect();
    let succeeded = reason.status() == Status::Succeeded;
    let made = tasks.iter().map(|task| (&task.end.task, &task.end.outputs));
    let made = made.chain(reused.iter().flat_map(|reuse| &reuse.outputs)).filter(|_| succeeded);
    let mut subjects: Vec<Subject> =
        made.flat_map(|(task, outputs)| output_subjects(task, outputs)).collect();
    if subjects.is_empty() {
        // A run without artifacts is about itself, and so is one that did not
        // succeed: whoever looks for the provenance of an artifact must not
        // find a run whose checks failed.
        subjects.push(Subject::new(record.id.to_string(), head));
    }
    let all_hermetic = !tasks.is_empty() && tasks.iter().all(|task| task.start.grants.hermetic());
    let hermetic = reused.is_some() || all_hermetic;
    let untrusted = tasks.iter().filter(|task| !task.start.is_trusted()).map(|task| task.start.task.as_str());
    let untrusted = untrusted.chain(reused.iter().flat_map(|reuse| &reuse.untrusted).map(String::as_str));
    let untrusted: Vec<&str> = untrusted.collect();
    let doubted =
        start.pipelines.iter().filter(|found| !matches!(found.trust, TrustDecision::Trusted { .. }));
    let doubted: Vec<&str> = doubted.map(|found| found.reference.as_str()).collect();
    let provenance = Provenance {
        build_definition: BuildDefinition {
            build_type: PIPELINE_RUN_TYPE.to_owned(),
            external_parameters: json!({
                "workflow": workflow(record),
                "params": start.params,
                "overrides": start.overrides,
            }),
            internal_parameters: json!({
                "pipeline": start.pipeline,
                "hermetic": hermetic,
                "untrustedTasks": untrusted,
                "untrustedPipelines": doubted,
                "sourceDateEpoch": start.source_date_epoch,
                "isolation": ISOLATION,
            }),
            resolved_dependencies: RunDependencies(record),
        },
        run_details: RunDetails {
            builder: builder(start),
            metadata: Metadata {
                invocation_id: start.uid.clone(),
                started_on: record.started.to_string(),
                finished_on: finished.to_string(),
            },
            byproducts: vec![
                ResourceDescriptor::named("pipelineRun/outcome").json(&json!({ "reason": reason })),
                ResourceDescriptor::named("pipelineRun/journal")
                    .digest("sha256", head.to_hex())
                    .annotation("events", events),
            ],
        },
    };
    Some(Statement::new(PREDICATE_TYPE, subjects, provenance))
}

impl RunRecord {
    /// What every Statement of this run says of it.
    #[must_use]
    pub fn facts(&self) -> RunFacts<'_> {
        RunFacts { id: &self.id, start: &self.start, source: self.source.as_ref() }
    }

    /// The TaskRuns that ended, in the pipeline's order.
    pub fn task_facts(&self) -> impl Iterator<Item = TaskFacts<'_>> {
        self.tasks_in_order().filter_map(|(_, task)| {
            let (started, start) = task.start.as_ref()?;
            let (finished, end) = task.end.as_ref()?;
            Some(TaskFacts { started: *started, start, finished: *finished, end, contacts: &task.contacts })
        })
    }
}

/// How a TaskRun ended.
#[derive(Serialize)]
struct TaskOutcome<'a> {
    reason: TaskRunReason,
    message: &'a Option<String>,
    failure: &'a Option<Box<TaskFailure>>,
}

fn outcome(end: &TaskEnd) -> TaskOutcome<'_> {
    TaskOutcome { reason: end.reason, message: &end.message, failure: &end.failure }
}

/// A task's outputs; for one without, the record of its outcome.
pub(super) fn task_subjects(run: &RunId, end: &TaskEnd) -> Vec<Subject> {
    let subjects: Vec<Subject> = output_subjects(&end.task, &end.outputs).collect();
    if !subjects.is_empty() {
        return subjects;
    }
    vec![Subject::new(
        format!("{run}/{}", end.task),
        outcome_digest(&outcome(end), &end.results, &end.stored_results),
    )]
}

/// The digest of a TaskRun that made no artifacts: of its outcome and results.
pub(super) fn outcome_digest<V: Serialize>(
    outcome: &impl Serialize,
    results: &BTreeMap<String, V>,
    stored: &BTreeMap<String, StoredResult>,
) -> Digest {
    #[derive(Serialize)]
    struct Ended<'a, O, V> {
        outcome: &'a O,
        results: &'a BTreeMap<String, V>,
        #[serde(rename = "storedResults", skip_serializing_if = "BTreeMap::is_empty")]
        stored: &'a BTreeMap<String, StoredResult>,
    }
    // Strings, numbers and maps with string keys always serialise.
    Digest::of(&serde_json::to_vec(&Ended { outcome, results, stored }).unwrap_or_default())
}

fn output_subjects(task: &str, outputs: &BTreeMap<String, Tree>) -> impl Iterator<Item = Subject> {
    outputs.iter().map(move |(name, tree)| Subject::new(format!("{task}/{name}"), tree.digest))
}

/// A result that is kept in the store: the digest of its JSON.
fn stored_result(name: &str, stored: &StoredResult) -> ResourceDescriptor {
    let described = ResourceDescriptor::named(format!("{RESULTS}{name}"));
    let described = described.digest("sha256", stored.digest.to_hex());
    described.annotation("type", stored.value_type.as_str()).annotation("bytes", stored.bytes)
}

/// The results that are signed of a TaskRun: those the Statement carries, and
/// those that are kept in the store. Nothing where one is neither.
pub(super) fn signed_results(byproducts: &[ResourceDescriptor]) -> Option<SignedResults> {
    let (mut carried, mut stored) = (BTreeMap::new(), BTreeMap::new());
    for byproduct in byproducts {
        let Some(name) = byproduct.name.strip_prefix(RESULTS) else { continue };
        if let Some(value) = byproduct.decode_json() {
            carried.insert(name.to_owned(), value);
            continue;
        }
        let digest = Digest::from_hex(byproduct.digest.get("sha256")?)?;
        let value_type = serde_json::from_value(byproduct.annotations.get("type")?.clone()).ok()?;
        let bytes = byproduct.annotations.get("bytes")?.as_u64()?;
        stored.insert(name.to_owned(), StoredResult { value_type, digest, bytes });
    }
    Some((carried, stored))
}

/// Values that are carried along, and what is known of those in the store.
pub(super) type SignedResults = (BTreeMap<String, serde_json::Value>, BTreeMap<String, StoredResult>);

/// The files of an input that were opened: how many, and the digest of the list.
pub(super) fn input_reads(input: &str, reads: &InputReads) -> ResourceDescriptor {
    let described =
        ResourceDescriptor::named(format!("{INPUT_READS}{input}")).annotation("filesOpened", reads.files);
    match reads.list {
        Some(list) => described.digest("sha256", list.to_hex()),
        None => described,
    }
}

/// Where the pipeline is. A repository is named only for a file that is in the
/// commit that was checked out: any other could be anything.
fn workflow(record: &RunRecord) -> serde_json::Value {
    let source = record.source.as_ref().filter(|source| record.start.file_in_source && !source.dirty);
    json!({
        "path": record.start.file,
        "repository": source.and_then(|s| s.remote.as_ref()),
        "ref": source.and_then(|s| s.branch.as_ref()),
    })
}

/// Who ran it, as a [`BuilderDescription`](super::slsa::BuilderDescription).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RanBy<'a> {
    id: &'a str,
    version: RanVersion<'a>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct RanVersion<'a> {
    cofferdam: &'a str,
}

fn builder(start: &RunStart) -> RanBy<'_> {
    RanBy { id: &start.builder.id, version: RanVersion { cofferdam: &start.builder.version } }
}
