//! One TaskRun, from what it is given to what is sealed of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use super::flow::Product;
use super::results::{check_results, settle_failed, spill};
use super::turn::{Given, TaskTurn, causes};
use super::walk::Outcome;
use super::work::TaskDirectory;
use super::{EngineError, Run};
use crate::capability::cut;
use crate::event::{AfterFailure, Event, Fact, InputReads, StoredResult, TaskEnd, TaskFailure, TaskStart};
use crate::model::{Shared, Status, TaskRunReason};
use crate::network::Credential;
use crate::plan::TaskWork;
use crate::sandbox::{Exit, Job};
use crate::store::{SealLimits, StoreError, Tree};

/// Bytes that are kept of each text in which a task accounts for itself.
const MAX_MESSAGE: usize = 64 << 10;

/// What the host keeps of what a TaskRun made.
#[derive(Default)]
struct Kept {
    outputs: BTreeMap<String, Tree>,
    reads: BTreeMap<String, InputReads>,
    stored_results: BTreeMap<String, StoredResult>,
}

impl<'a> Run<'a> {
    /// Runs a task; gives how it ended, unless it is tried again.
    pub(super) async fn run_task(
        &self,
        turn: &TaskTurn<'_, 'a>,
        work: &TaskWork,
        given: Given,
    ) -> Result<Option<Outcome>, EngineError> {
        let refusal = refusal(work, &given.params);
        // Until all is done for it: to seal and to sign takes a processor, too.
        let _permit = self.engine.admission.enter(work.limits.memory.bytes(), || self.is_stopped(turn))?;
        let start = self.start(turn, work, given);
        if !start.hermetic {
            self.hermetic.store(false, Ordering::Relaxed);
        }
        let recorder = self.engine.recorder;
        let started = recorder.record(Fact::TaskStarted(start.into()))?;
        let Fact::TaskStarted(start) = &started.fact else { return Ok(None) };
        let engine = self.engine;
        if refusal.is_none()
            && !self.is_stopped(turn)
            && let Some(taken) = engine.reuses.find(&started, start, engine.store)
            && !taken.would_be_masked(&self.redactor)
        {
            return self.end_reused(turn, taken);
        }
        let mut kept = Kept::default();
        let exit = match refusal {
            Some(why) => refuse(TaskRunReason::InvalidParamValue, why),
            None => {
                let prepared = engine.sandbox.prepare(&work.component)?;
                let specs = &work.component.manifest.spec.outputs;
                let number = self.directories.fetch_add(1, Ordering::Relaxed);
                let directory = self.work.task(
                    number,
                    specs.iter().map(|output| output.name.as_str()),
                    work.component.uses_files(),
                )?;
                let job = self.job(turn, work, start, &directory, seed(start))?;
                let exit = engine.sandbox.run(&prepared, &job, recorder).await;
                let exit = explain(exit, job.deadline);
                kept.reads = self.keep_reads(&exit)?;
                self.settle(work, exit, &directory, &mut kept)?
            }
        };
        self.end(turn, &started, exit, kept).map(Some).map(Option::flatten)
    }

    /// Whether nothing more may be had in a pipeline, not even what is known.
    fn is_stopped(&self, turn: &TaskTurn<'_, 'a>) -> bool {
        let (until, cleans_up) = self.schedule.bounds(turn.leaf.node.flow);
        let asked = self.engine.cancel.asked();
        asked > u8::from(cleans_up) || until.is_some_and(|until| until <= Instant::now())
    }

    /// Records that a task could not be given what it needs.
    pub(super) fn refuse_task(&self, turn: &TaskTurn<'_, 'a>, why: String) -> Result<Outcome, EngineError> {
        let Some(work) = turn.task.component() else { return Ok(Outcome::Failed) };
        let given = Given { params: BTreeMap::new(), inputs: Vec::new() };
        let start = self.start(turn, work, given);
        let started = self.engine.recorder.record(Fact::TaskStarted(start.into()))?;
        let exit = refuse(TaskRunReason::InvalidParamValue, why);
        let outcome = self.end(turn, &started, exit, Kept::default())?;
        Ok(outcome.unwrap_or(Outcome::Failed))
    }

    fn start(&self, turn: &TaskTurn<'_, 'a>, work: &TaskWork, given: Given) -> TaskStart {
        TaskStart {
            task: turn.name.clone(),
            attempt: turn.leaf.attempt,
            identity: Shared::clone(&work.identity),
            params: given.params,
            inputs: given.inputs,
            after: turn.flow.names(&turn.task.after),
            doubts: work.doubts.clone(),
            grants: Shared::clone(&work.grants),
            hermetic: work.grants.hermetic(),
            limits: Shared::clone(&work.limits),
        }
    }

    /// Records how a TaskRun ended, and passes it on.
    fn end(
        &self,
        turn: &TaskTurn<'_, 'a>,
        started: &Arc<Event>,
        exit: Exit,
        kept: Kept,
    ) -> Result<Option<Outcome>, EngineError> {
        let Kept { outputs, reads, stored_results } = kept;
        let (saw_time, masked) = (exit.saw_time, exit.masked);
        let mut end = TaskEnd {
            task: turn.name.clone(),
            attempt: turn.leaf.attempt,
            reason: exit.reason,
            message: exit.message.map(bounded),
            failure: exit.failure.map(bounded_failure).map(Box::new),
            results: exit.results,
            stored_results,
            outputs,
            reads,
            usage: exit.usage,
            after: AfterFailure::Final,
            reused: None,
        };
        let status = end.reason.status();
        if status == Status::Failed {
            let lost = self.engine.recorder.contacts(&turn.name).any_failed();
            end.after = self.after_failure(turn.task, turn.leaf, &causes(&end, lost));
        }
        let (reason, after) = (end.reason.as_str(), end.after);
        let finished = self.engine.recorder.record(Fact::TaskFinished(end.into()))?;
        if after != AfterFailure::ToBeRetried {
            let attestation = (self.on_finished)(started, &finished)?;
            // What depends on a secret is for this run alone.
            if let Fact::TaskStarted(start) = &started.fact
                && !masked
            {
                self.engine.reuses.note(start, &finished, attestation, saw_time);
            }
        }
        let about = (&**turn.flow, turn.task, turn.leaf, turn.key.clone());
        Ok(self.pass_on(about, (status, reason, after), Some(Product::Task(finished))))
    }

    /// Keeps the lists of what a TaskRun opened.
    fn keep_reads(&self, exit: &Exit) -> Result<BTreeMap<String, InputReads>, EngineError> {
        let mut reads = BTreeMap::new();
        for (input, paths) in &exit.opened {
            // Strings always serialise.
            let list = || self.engine.store.put(&serde_json::to_vec(paths).unwrap_or_default());
            let list = (!paths.is_empty()).then(list).transpose()?;
            reads.insert(input.clone(), InputReads { files: paths.len() as u64, list });
        }
        Ok(reads)
    }

    fn job(
        &self,
        turn: &TaskTurn<'_, 'a>,
        work: &TaskWork,
        start: &TaskStart,
        directory: &TaskDirectory,
        seed: [u8; 32],
    ) -> Result<Job, EngineError> {
        let mut inputs = BTreeMap::new();
        for input in &start.inputs {
            let files = work.component.uses_files();
            let path = files.then(|| self.work.tree(input.tree.digest)).transpose()?;
            inputs.insert(input.name.clone(), path);
        }
        let (deadline, cleans_up) = self.schedule.bounds(turn.leaf.node.flow);
        let cancel = self.engine.cancel;
        Ok(Job {
            task: turn.name.as_str().into(),
            params: start.params.clone(),
            inputs,
            outputs: directory.outputs.clone(),
            scratch: directory.scratch.clone(),
            grants: Shared::clone(&work.grants),
            withheld: Arc::clone(&work.withheld),
            credentials: self.credentials(work),
            redactor: self.redactor.clone(),
            limits: *work.limits,
            epoch: self.engine.epoch,
            seed,
            cancel: if cleans_up { cancel.for_cleaning_up() } else { cancel.clone() },
            deadline,
        })
    }

    /// The secrets that a task's rules name.
    fn credentials(&self, work: &TaskWork) -> Vec<Credential> {
        let named = work.grants.network.iter().filter_map(|rule| rule.secret.as_ref());
        named.filter_map(|ask| self.engine.credentials.get(ask.name.as_str())).cloned().collect()
    }

    /// Holds what a task made against its manifest and limits, and seals it.
    fn settle(
        &self,
        work: &TaskWork,
        exit: Exit,
        directory: &TaskDirectory,
        kept: &mut Kept,
    ) -> Result<Exit, EngineError> {
        if exit.reason == TaskRunReason::Failed {
            let mut exit = settle_failed(work, exit);
            kept.stored_results = spill(self.engine.store, &mut exit.results)?;
            return Ok(exit);
        }
        if exit.reason != TaskRunReason::Succeeded {
            return Ok(exit);
        }
        if let Err((reason, message)) = check_results(work, &exit.results) {
            return Ok(Exit { usage: exit.usage, ..refuse(reason, message) });
        }
        let outputs = &mut kept.outputs;
        for (name, path) in &directory.outputs {
            match self.engine.store.seal(path, seal_limits(work, name)) {
                Ok(tree) => {
                    outputs.insert(name.clone(), tree);
                }
                // These two are the task's doing, every other one is the host's.
                Err(error @ (StoreError::Unsuitable { .. } | StoreError::TooLarge { .. })) => {
                    outputs.clear();
                    let what = if let StoreError::TooLarge { what, .. } = error { what } else { "" };
                    let reason = match what {
                        "bytes" => TaskRunReason::OutputLimit,
                        "files" => TaskRunReason::FileLimit,
                        _ => TaskRunReason::InvalidOutput,
                    };
                    let message =
                        format!("its output `{name}` cannot be sealed: {}", without_root(&error, path));
                    return Ok(Exit { usage: exit.usage, ..refuse(reason, message) });
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut exit = exit;
        kept.stored_results = spill(self.engine.store, &mut exit.results)?;
        Ok(exit)
    }
}

/// How large an output may be: as its manifest says, and no larger than
/// everything may be.
fn seal_limits(work: &TaskWork, output: &str) -> SealLimits {
    let mut specs = work.component.manifest.spec.outputs.iter();
    let own = specs.find(|spec| spec.name.as_str() == output).map(|spec| spec.limits).unwrap_or_default();
    let (bytes, files) = (work.limits.output.bytes(), work.limits.files);
    SealLimits {
        bytes: own.size.map_or(bytes, |size| size.bytes().min(bytes)),
        files: own.files.map_or(files, |own| own.min(files)),
    }
}

/// The text of a task, or one that quotes it, short enough to be kept.
fn bounded(text: String) -> String {
    cut(&text, MAX_MESSAGE).into_owned()
}

fn bounded_failure(failure: TaskFailure) -> TaskFailure {
    let TaskFailure { reason, message, remedy } = failure;
    TaskFailure { reason: bounded(reason), message: bounded(message), remedy: remedy.map(bounded) }
}

/// The message of an error, paths as the task knows them.
fn without_root(error: &StoreError, root: &std::path::Path) -> String {
    error.to_string().replace(&format!("{}/", root.display()), "")
}

/// Why a task cannot be given its params.
fn refusal(work: &TaskWork, params: &BTreeMap<String, Value>) -> Option<String> {
    let specs = &work.component.manifest.spec.params;
    specs.iter().find_map(|spec| spec.refusal(params.get(spec.name.as_str())?))
}

/// Says of a TaskRun that was stopped that there was no more time for it.
fn explain(exit: Exit, deadline: Option<Instant>) -> Exit {
    let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
    if exit.reason == TaskRunReason::TaskRunCancelled && late {
        // Tekton's sentence.
        let message = "TaskRun cancelled as the PipelineRun it belongs to has timed out.".to_owned();
        return Exit { message: Some(message), ..exit };
    }
    exit
}

fn refuse(reason: TaskRunReason, message: String) -> Exit {
    let (results, opened) = (BTreeMap::new(), BTreeMap::new());
    Exit {
        reason,
        message: Some(message),
        failure: None,
        results,
        opened,
        saw_time: false,
        masked: false,
        usage: crate::event::Usage::default(),
    }
}

/// What a TaskRun's random numbers follow from: everything it was given.
fn seed(start: &TaskStart) -> [u8; 32] {
    let inputs: Vec<(&str, Digest)> = start.inputs.iter().map(|i| (i.name.as_str(), i.tree.digest)).collect();
    let given = (&start.identity.component, &start.params, inputs);
    // Strings, numbers and maps with string keys always serialise.
    *Digest::of(&serde_json::to_vec(&given).unwrap_or_default()).as_bytes()
}
