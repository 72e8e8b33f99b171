//! The fold from events to Statements. Pure: the same events always give the
//! same bytes, which is how a signed Statement is checked against the journal.

use std::collections::BTreeMap;
use std::iter;

use cofferdam_manifest::Value;
use cofferdam_registry::{Digest, Statement, Subject, TrustDecision};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::slsa::{
    BuildDefinition, BuilderDescription, Metadata, PREDICATE_TYPE, Provenance, ResourceDescriptor, RunDetails,
};
use super::{contacts, tekton};
use crate::event::{
    Contacts, Grants, InputArtifact, InputReads, Reuse, ReusedBy, RunRecord, RunReuse, RunStart, Source,
    StoredResult, TaskEnd, TaskFailure, TaskStart,
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
/// The name of the run whose outcomes another one has, all of them.
pub(super) const REUSED_RUN: &str = "reusedPipelineRun";
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
pub type TaskProvenance<'a> = Provenance<Vec<ResourceDescriptor>, Started<'a>, Settings<'a>>;

/// The Statement about one TaskRun.
#[must_use]
pub fn task_statement<'a>(run: RunFacts<'a>, task: TaskFacts<'a>) -> Statement<TaskProvenance<'a>> {
    let TaskFacts { start, end, .. } = task;
    let identity = &start.identity;
    let doubts = start.doubts.as_deref();
    let mut dependencies = vec![task_dependency("task", start)];
    dependencies.extend(start.inputs.iter().map(input_dependency));
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
            resolved_dependencies: dependencies,
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

/// What went into a run. Of ten thousand tasks that is twenty thousand parts,
/// so each is made when it is written, and gone after it.
#[derive(Clone, Copy, Debug)]
pub struct RunDependencies<'a>(&'a RunRecord);

impl Serialize for RunDependencies<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = *self;
        let start = &record.start;
        let pipeline = ResourceDescriptor::named("pipeline")
            .uri(start.file.clone())
            .digest("sha256", start.file_digest.to_hex());
        let bundles = start.pipelines.iter().map(|found| {
            let uri = found.reference.rsplit_once('@').map_or(found.reference.as_str(), |(uri, _)| uri);
            ResourceDescriptor::named("pipeline").uri(scheme(uri)).digest("sha256", found.digest.to_hex())
        });
        let source = record.source.iter();
        let source =
            source.flat_map(|source| iter::once(source_dependency(source)).chain(commit_dependency(source)));
        let tasks = record.task_facts().flat_map(|task| {
            let run = task_dependency("pipelineTask", task.start).json(&tekton::TaskRun::new(record, task));
            let reused = task.end.reused.iter().map(|reuse| reused_dependency(&task.start.task, reuse));
            [task_dependency("task", task.start), run]
                .into_iter()
                .chain(reused)
                .chain(contacts::fetched(task.contacts))
        });
        // Of a run that is known as a whole, the other one's bundle tells the rest.
        let reused = record.reused.iter().map(|(_, reuse)| reused_run_dependency(reuse));
        let tasks = tasks.filter(|_| record.reused.is_none());
        serializer.collect_seq(iter::once(pipeline).chain(bundles).chain(source).chain(reused).chain(tasks))
    }
}

/// The Statement about a whole run; nothing while it has not ended.
#[must_use]
pub fn run_statement(record: &RunRecord) -> Option<Statement<Provenance<RunDependencies<'_>>>> {
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

fn task_dependency(name: &str, start: &TaskStart) -> ResourceDescriptor {
    let identity = &start.identity;
    let uri = identity.reference.rsplit_once('@').map_or(identity.reference.as_str(), |(uri, _)| uri);
    ResourceDescriptor::named(name).uri(scheme(uri)).digest("sha256", identity.digest.to_hex())
}

/// A reference as a URI.
fn scheme(reference: &str) -> String {
    let is_uri = reference.starts_with("oci:") || reference.starts_with("file:");
    if is_uri { reference.to_owned() } else { format!("oci://{reference}") }
}

/// The TaskRun whose outcome was taken, by the bundle that attests it.
fn reused_dependency(task: &str, reuse: &Reuse) -> ResourceDescriptor {
    let why = match reuse.by {
        ReusedBy::Cache => "cache",
        ReusedBy::Resume => "resume",
    };
    ResourceDescriptor::named("reusedTaskRun")
        .digest("sha256", reuse.attestation.to_hex())
        .annotation("pipelineTask", task)
        .annotation("pipelineRun", reuse.run.to_string())
        .annotation("taskRun", reuse.task.clone())
        .annotation("by", why)
        .annotation("key", reuse.key.to_string())
}

/// The run whose outcomes were taken, all of them, by the bundle that attests it.
fn reused_run_dependency(reuse: &RunReuse) -> ResourceDescriptor {
    ResourceDescriptor::named(REUSED_RUN)
        .digest("sha256", reuse.attestation.to_hex())
        .annotation("pipelineRun", reuse.run.to_string())
        .annotation("taskRuns", reuse.task_runs)
        .annotation("by", "cache")
}

fn input_dependency(input: &InputArtifact) -> ResourceDescriptor {
    let from = match (&input.task, &input.output) {
        (Some(task), Some(output)) => format!("{task}/{output}"),
        _ => "source".to_owned(),
    };
    ResourceDescriptor::named(format!("inputs/{}", input.name))
        .digest("sha256", input.tree.digest.to_hex())
        .annotation("from", from)
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

fn source_dependency(source: &Source) -> ResourceDescriptor {
    ResourceDescriptor::named("source")
        .digest("sha256", source.tree.digest.to_hex())
        .annotation("dirty", source.dirty)
}

/// The commit, in the form Conforma looks for. A working copy with changes is
/// not its commit, so it names none.
fn commit_dependency(source: &Source) -> Option<ResourceDescriptor> {
    let commit = source.commit.as_ref().filter(|_| !source.dirty)?;
    let algorithm = if commit.len() == 40 { "sha1" } else { "gitCommit" };
    let described = ResourceDescriptor::named("inputs/result").digest(algorithm, commit);
    Some(match &source.remote {
        // The host has seen the commit, and of the remote only its name.
        Some(remote) => described.uri(format!("git+{}.git", remote.trim_end_matches(".git"))).annotation(
            "uri",
            "the remote that the checkout is configured with; nothing was fetched from it",
        ),
        None => described,
    })
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

fn builder(start: &RunStart) -> BuilderDescription {
    let version = [("cofferdam".to_owned(), start.builder.version.clone())];
    BuilderDescription { id: start.builder.id.clone(), version: version.into() }
}
