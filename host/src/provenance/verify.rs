//! Checks a run, or a bundle somebody hands over, and says in words what holds.

use cofferdam_registry::{Digest, PublicKey, Statement, verify, verify_statement};
use serde::Serialize;

use super::dependency::REUSED_RUN;
use super::rebuild::{TEST_RESULT_TYPE, TestResult, rebuild_statement};
use super::reused::reused;
use super::statement::{INPUT_READS, outcome_digest, signed_results};
use super::{
    LOCAL_BUILDER, PIPELINE_RUN_TYPE, PREDICATE_TYPE, Provenance, ResourceDescriptor, TASK_RUN_TYPE,
    is_written_as, run_statement, task_statement,
};
use crate::event::{
    Event, Fact, Journal, JournalError, KeptBundle, Origin, ReusedBy, RunRecord, RunReuse, RunStart,
    RunState, StoredResult, TaskRecord,
};
use crate::model::{RunId, RunReason, Status, TaskRunReason};
use crate::store::{Store, StoreError};

/// One thing that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub subject: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, in words.
    pub finding: String,
}

/// Everything that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether everything holds. Nothing checked is nothing verified.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.holds)
    }

    fn add(&mut self, subject: impl Into<String>, finding: Result<String, String>) {
        let holds = finding.is_ok();
        let finding = finding.unwrap_or_else(|why| why);
        self.checks.push(Check { subject: subject.into(), holds, finding });
    }
}

/// Checks a run: the journal's chain, that it is complete, every signature,
/// that what was signed is what the journal tells, and every artifact's bytes.
///
/// # Errors
/// [`JournalError`] where there is no such run or the journal cannot be read.
/// A journal that was changed is a finding.
pub fn verify_run(
    journal: &Journal,
    store: &Store,
    run: &RunId,
    key: &PublicKey,
) -> Result<Report, JournalError> {
    let mut report = Report::default();
    let (mut record, mut ending) = (None, Ending::default());
    let told = journal.replay(run, |event| {
        ending.extend(&event);
        RunRecord::extend(&mut record, &event);
    });
    let events = match told {
        Ok(events) => events,
        Err(error @ JournalError::Changed { .. }) => {
            report.add("journal", Err(error.to_string()));
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.add("journal", Ok(format!("{events} events, each chained to the one before")));
    let Some(record) = record else {
        report.add("run", Err("its first event is not its start".to_owned()));
        return Ok(report);
    };
    report.add("run", completeness(&record));
    if !ending.is_sound() {
        report.add("journal's end", Err("events were added after the run had ended".to_owned()));
    }
    for about in journal.attested(run)? {
        if !record.attested.contains_key(&about) {
            let about = about.0.as_deref().unwrap_or("the run").escape_debug().to_string();
            report
                .add("attestations", Err(format!("the journal names none about {about}, and there is one")));
        }
    }
    let signed = Signed { journal, record: &record, key };
    for facts in record.task_facts() {
        let name = &facts.start.task;
        if let Some(reuse) = &facts.end.reused {
            let found = match (reuse.by, &record.start.origin) {
                (ReusedBy::Cache, _) | (ReusedBy::Resume, Some(Origin::Resume(_))) => {
                    reused(journal, key, (facts.start, facts.end), reuse)?
                }
                (ReusedBy::Resume, Some(Origin::Rebuild(_)) | None) => {
                    Err("only a run that goes on from another can have taken it so".to_owned())
                }
            };
            report.add(format!("provenance of task {name}"), found);
            continue;
        }
        let statement = task_statement(record.facts(), facts);
        report.add(format!("provenance of task {name}"), signed.check(Some(name), &statement)?);
    }
    if let Some(statement) = run_statement(&record) {
        report.add("provenance of the run", signed.check(None, &statement)?);
    }
    if let Some((_, reuse)) = &record.reused {
        outcomes_of(journal, store, (&record, reuse), key, &mut report)?;
    }
    if let Some(finding) = rebuilt(journal, &record, key)? {
        report.add("comparison with the run it repeats", finding);
    }
    if let Some(source) = &record.source {
        report.add("source", artifact(store, source.tree.digest));
    }
    for facts in record.task_facts() {
        for (name, tree) in &facts.end.outputs {
            report.add(format!("artifact {}/{name}", facts.start.task), artifact(store, tree.digest));
        }
        for (name, stored) in &facts.end.stored_results {
            report.add(format!("result {}.{name}", facts.start.task), result(store, stored));
        }
        for (name, reads) in facts.end.reads.iter().filter(|(_, reads)| reads.list.is_some()) {
            let subject = format!("files read by {} of {name}", facts.start.task);
            report.add(subject, reading(store, reads.list, Some(reads.files)));
        }
    }
    Ok(report)
}

/// Checks a run that is known as a whole: that the one whose outcomes it has
/// offers what was taken, was given the same, and holds itself.
fn outcomes_of(
    journal: &Journal,
    store: &Store,
    (record, reuse): (&RunRecord, &RunReuse),
    key: &PublicKey,
    report: &mut Report,
) -> Result<(), JournalError> {
    let run = &reuse.run;
    let other = match journal.record(run) {
        Ok(other) => other,
        Err(error @ (JournalError::Changed { .. } | JournalError::NoSuchRun { .. })) => {
            report.add(format!("outcomes of {run}"), Err(error.to_string()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let offered = other.as_ref().and_then(|other| RunReuse::of(other, PREDICATE_TYPE));
    let (Some(other), Some(offered)) = (other, offered) else {
        let why = "it does not have each of its outcomes from the cache, so none can be taken from it";
        report.add(format!("outcomes of {run}"), Err(why.to_owned()));
        return Ok(());
    };
    let given = |record: &RunRecord| {
        let start = RunStart { uid: String::new(), ..record.start.clone() };
        let ended = record.finished.as_ref().map(|(_, reason, message)| (*reason, message.clone()));
        (start, record.source.clone(), ended, record.results.clone())
    };
    let tasks = record.tasks.values().any(|task| *task != TaskRecord::default());
    report.add(
        format!("outcomes of {run}"),
        if offered != *reuse {
            Err("it has others than were taken from it".to_owned())
        } else if tasks || given(&other) != given(record) {
            Err("it was given something else, or ended otherwise".to_owned())
        } else {
            Ok(format!("{} TaskRuns of a run that was given the same", reuse.task_runs))
        },
    );
    for check in verify_run(journal, store, run, key)?.checks {
        report.checks.push(Check { subject: format!("{} of {run}", check.subject), ..check });
    }
    Ok(())
}

/// What follows the end of a run. It is signed by nothing, so it can only be
/// what must follow: the run's own attestation, and the seal.
#[derive(Default)]
enum Ending {
    #[default]
    Running,
    Ended,
    Attested,
    Sealed,
    Unsound,
}

impl Ending {
    fn extend(&mut self, event: &Event) {
        *self = match (&*self, &event.fact) {
            (Self::Running, Fact::RunFinished { .. }) => Self::Ended,
            (Self::Running, _) => Self::Running,
            // Of a run that repeats another, the comparison goes before.
            (Self::Ended, Fact::Attested { task: None, predicate_type, .. }) => {
                if predicate_type == TEST_RESULT_TYPE { Self::Ended } else { Self::Attested }
            }
            (Self::Attested, Fact::RunSealed) => Self::Sealed,
            (Self::Ended | Self::Attested | Self::Sealed | Self::Unsound, _) => Self::Unsound,
        }
    }

    fn is_sound(&self) -> bool {
        !matches!(self, Self::Unsound)
    }
}

/// Checks what is signed about a run that repeats another: that the other is
/// what was signed of it, and that both compare as it says. Nothing for a run
/// that repeats none.
fn rebuilt(
    journal: &Journal,
    record: &RunRecord,
    key: &PublicKey,
) -> Result<Option<Result<String, String>>, JournalError> {
    let Some(Origin::Rebuild(before)) = &record.start.origin else {
        let one = record.attested.contains_key(&(None, TEST_RESULT_TYPE.to_owned()));
        return Ok(one.then(|| Err("there is one, and it repeats none".to_owned())));
    };
    if record.finished.is_none() {
        return Ok(None);
    }
    let before = match journal.record(before) {
        Ok(Some(before)) => before,
        Ok(None) => return Ok(Some(Err(format!("{before} does not begin with its start")))),
        Err(error @ (JournalError::Changed { .. } | JournalError::NoSuchRun { .. })) => {
            return Ok(Some(Err(error.to_string())));
        }
        Err(error) => return Err(error),
    };
    let Some(statement) = rebuild_statement(&before, record) else {
        return Ok(Some(Err(format!("{} was not attested", before.id))));
    };
    if let Some(provenance) = run_statement(&before) {
        let signed = Signed { journal, record: &before, key };
        if let Err(why) = signed.check(None, &provenance)? {
            return Ok(Some(Err(format!("provenance of {}: {why}", before.id))));
        }
    }
    let found = Signed { journal, record, key }.check(None, &statement)?;
    let TestResult { result, passed_tests, failed_tests, .. } = &statement.predicate;
    let (same, all) = (passed_tests.len(), passed_tests.len() + failed_tests.len());
    Ok(Some(
        found.map(|words| format!("{result}: {same} of {all} are the same as in {}; {words}", before.id)),
    ))
}

fn completeness(record: &RunRecord) -> Result<String, String> {
    match record.state() {
        RunState::Sealed(status) => Ok(format!("{}, complete", status.as_str())),
        RunState::Unsealed(status) => {
            Err(format!("{}, but it was interrupted before all attestations were stored", status.as_str()))
        }
        RunState::Running => Err("it has not ended: it is still running, or was interrupted".to_owned()),
    }
}

/// What was signed about a run, to be held against what its journal tells.
struct Signed<'a> {
    journal: &'a Journal,
    record: &'a RunRecord,
    key: &'a PublicKey,
}

impl Signed<'_> {
    fn check(
        &self,
        task: Option<&String>,
        derived: &Statement<impl Serialize>,
    ) -> Result<Result<String, String>, JournalError> {
        let name = task.map(String::as_str);
        let kind = &derived.predicate_type;
        let other = || Ok(Err("it is not the one the journal names".to_owned()));
        let named = self.record.attested.get(&(task.cloned(), kind.clone())).copied();
        // Where the journal names none, no bundle is that one.
        let named = named.unwrap_or(Digest::from_bytes([0; 32]));
        let bundle = match self.journal.bundle(&self.record.id, name, kind, named)? {
            KeptBundle::Same(bundle) => bundle,
            KeptBundle::Other => return other(),
            KeptBundle::Missing => return Ok(Err("it is missing".to_owned())),
        };
        let signed = match verify(&bundle, self.key) {
            Ok(signed) => signed,
            Err(error) => return Ok(Err(error.to_string())),
        };
        drop(bundle);
        // Byte for byte: the same events always give the same bytes.
        if !is_written_as(derived, &signed) {
            return Ok(Err("what was signed is not what the journal tells".to_owned()));
        }
        Ok(Ok(format!("signed by key {}, and the same as the journal tells", self.key.id())))
    }
}

/// Checks the list of the files that were opened, and that it has as many.
fn reading(store: &Store, list: Option<Digest>, files: Option<u64>) -> Result<String, String> {
    let list = list.ok_or("the list has no SHA-256")?;
    let bytes = store.read(list).map_err(|error| error.to_string())?;
    let paths: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| format!("{list} is no list"))?;
    if files == Some(paths.len() as u64) {
        let count = if paths.len() == 1 { "1 path".to_owned() } else { format!("{} paths", paths.len()) };
        Ok(format!("{list}: {count}, every byte as attested"))
    } else {
        Err(format!("{list} has {} paths, and other than that were opened", paths.len()))
    }
}

/// Checks a result that is kept in the store.
fn result(store: &Store, stored: &StoredResult) -> Result<String, String> {
    let StoredResult { digest, bytes, .. } = *stored;
    match store.check(digest) {
        Ok(found) if found == bytes => Ok(format!("{digest}: {bytes} bytes, every byte as attested")),
        Ok(found) => Err(format!("{digest} has {found} bytes, and was attested with {bytes}")),
        Err(error @ StoreError::Missing { .. }) => Err(format!("{error}; it cannot be checked")),
        Err(error) => Err(error.to_string()),
    }
}

fn artifact(store: &Store, digest: Digest) -> Result<String, String> {
    match store.check_tree(digest) {
        Ok(report) => {
            let files = if report.files == 1 { "file" } else { "files" };
            Ok(format!("{digest}: {} {files}, {} bytes, every byte as attested", report.files, report.bytes))
        }
        Err(error @ StoreError::Missing { .. }) => Err(format!("{error}; it cannot be checked")),
        Err(error) => Err(error.to_string()),
    }
}

/// Says where the outcomes are told that a Statement names and does not tell.
fn taken_from(reused: &ResourceDescriptor) -> Result<String, String> {
    let run = reused.annotations.get("pipelineRun").and_then(serde_json::Value::as_str);
    match (run, reused.digest.get("sha256")) {
        (Some(run), Some(digest)) => {
            Ok(format!("those of {run}: the attestation sha256:{digest} tells of each of them"))
        }
        _ => Err("the run that they were taken from is not named".to_owned()),
    }
}

/// The digest of what a Statement without artifacts is about: the outcome of a
/// task, or the journal of a run, as its byproducts give them.
fn own_record(statement: &Statement<Provenance>) -> Option<Digest> {
    let Provenance { build_definition, run_details } = &statement.predicate;
    let byproduct = |name: &str| run_details.byproducts.iter().find(|b| b.name == name);
    match build_definition.build_type.as_str() {
        TASK_RUN_TYPE => {
            let outcome = byproduct("taskRun/outcome")?.decode_json()?;
            let (results, stored) = signed_results(&run_details.byproducts)?;
            Some(outcome_digest(&outcome, &results, &stored))
        }
        PIPELINE_RUN_TYPE => Digest::from_hex(byproduct("pipelineRun/journal")?.digest.get("sha256")?),
        _ => None,
    }
}

/// How what the Statement is about ended, and whether every task was trusted.
/// A failed run is no evidence for what it made.
pub(super) fn outcome(statement: &Statement<Provenance>) -> Result<String, String> {
    let Provenance { build_definition, run_details } = &statement.predicate;
    let mut byproducts = run_details.byproducts.iter();
    let found = byproducts.find(|b| matches!(b.name.as_str(), "taskRun/outcome" | "pipelineRun/outcome"));
    let outcome = found.and_then(|byproduct| byproduct.decode_json());
    let reason = outcome.as_ref().and_then(|outcome| outcome.get("reason")).cloned().unwrap_or_default();
    let status = match build_definition.build_type.as_str() {
        // With tasks that were skipped it is `Completed`.
        PIPELINE_RUN_TYPE => serde_json::from_value::<RunReason>(reason.clone()).map(RunReason::status),
        _ => serde_json::from_value::<TaskRunReason>(reason.clone()).map(TaskRunReason::status),
    };
    if !matches!(status, Ok(Status::Succeeded)) {
        return Err(format!("it ended with {}", reason.as_str().unwrap_or("no outcome")));
    }
    let internal = &build_definition.internal_parameters;
    let verdict = internal.pointer("/trust/verdict").and_then(|verdict| verdict.as_str());
    let count = |list: &str| internal.get(list).and_then(|list| list.as_array()).map_or(0, Vec::len);
    let (tasks, pipelines, before) =
        (count("untrustedTasks"), count("untrustedPipelines"), count("descendsFrom"));
    let mut words = match (verdict, tasks) {
        (Some("trusted"), _) => "Succeeded; the task was trusted".to_owned(),
        (Some(_), _) => "Succeeded; the task was NOT trusted".to_owned(),
        (None, 0) => "Succeeded; every task was trusted".to_owned(),
        (None, tasks) => format!("Succeeded; {tasks} of its tasks NOT trusted"),
    };
    if internal.get("untrustedPipeline").is_some() {
        words.push_str("; the pipeline that decided what it was given was NOT trusted");
    }
    if before > 0 {
        words.push_str(&format!("; what it was given comes from {before} NOT trusted"));
    }
    if pipelines > 0 {
        words.push_str(&format!("; {pipelines} of its pipelines NOT trusted"));
    }
    Ok(words)
}

/// Checks a bundle on its own: its signature, its Statement, and that every
/// subject's bytes are in the store.
#[must_use]
pub fn verify_bundle(bundle: &[u8], store: &Store, key: &PublicKey) -> Report {
    let mut report = Report::default();
    let statement: Statement<Provenance> = match verify_statement(bundle, key, PREDICATE_TYPE) {
        Ok(statement) => statement,
        Err(error) => {
            report.add("signature", Err(error.to_string()));
            return report;
        }
    };
    report.add("signature", Ok(format!("by key {}; no log or timestamp says when", key.id())));
    let details = &statement.predicate.run_details;
    let build_type = statement.predicate.build_definition.build_type.as_str();
    let known =
        matches!(build_type, TASK_RUN_TYPE | PIPELINE_RUN_TYPE) && details.builder.id == LOCAL_BUILDER;
    report.add(
        "statement",
        if known {
            Ok(format!("SLSA provenance by {}, {}", details.builder.id, details.metadata.finished_on))
        } else {
            Err(format!("made by {} as {build_type}, which this version cannot judge", details.builder.id))
        },
    );
    report.add("outcome", outcome(&statement));
    for reused in statement.predicate.build_definition.resolved_dependencies.iter() {
        if reused.name == REUSED_RUN {
            report.add("outcomes of its tasks", taken_from(reused));
        }
    }
    for subject in &statement.subject {
        let finding = match subject.sha256() {
            Some(digest) if Some(digest) == own_record(&statement) => {
                Ok("the record of its own outcome, which the statement carries".to_owned())
            }
            Some(digest) => artifact(store, digest),
            None => Err("it has no SHA-256, or more digests than that".to_owned()),
        };
        report.add(format!("subject {}", subject.name), finding);
    }
    for byproduct in &details.byproducts {
        let Some(input) = byproduct.name.strip_prefix(INPUT_READS) else { continue };
        let files = byproduct.annotations.get("filesOpened").and_then(serde_json::Value::as_u64);
        if files != Some(0) {
            let list = byproduct.digest.get("sha256").and_then(|hex| Digest::from_hex(hex));
            report.add(format!("files read of {input}"), reading(store, list, files));
        }
    }
    match signed_results(&details.byproducts) {
        Some((_, stored)) => {
            for (name, stored) in &stored {
                report.add(format!("result {name}"), result(store, stored));
            }
        }
        None => report.add("results", Err("one of them has neither a value nor a digest".to_owned())),
    }
    if statement.subject.is_empty() {
        report.add("subject", Err("it names none".to_owned()));
    }
    report
}
