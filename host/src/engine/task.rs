//! One TaskRun, from what it is given to what is sealed of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use super::arguments::{check_results, fill};
use super::work::TaskDirectory;
use super::{EngineError, Run};
use crate::capability::cut;
use crate::event::{Event, Fact, InputArtifact, InputReads, TaskEnd, TaskFailure, TaskStart};
use crate::model::{Shared, TaskRunReason};
use crate::network::Credential;
use crate::plan::{PlannedTask, Wire};
use crate::sandbox::{Exit, Job, Prepared};
use crate::store::{SealLimits, StoreError, Tree};

/// Bytes that are kept of each text in which a task accounts for itself.
const MAX_MESSAGE: usize = 64 << 10;

impl Run<'_> {
    /// Runs a task and gives the event of its end.
    pub(super) async fn run_task(
        &self,
        index: usize,
        task: &PlannedTask,
        prepared: &Prepared,
    ) -> Result<Arc<Event>, EngineError> {
        let recorder = self.engine.recorder;
        let before: Vec<(usize, Arc<Event>)> = {
            let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            task.after.iter().filter_map(|i| Some((*i, Arc::clone(ends.get(i)?)))).collect()
        };
        let inputs = self.inputs(task, &before);
        let filled = self.arguments(task, &before);
        let params = filled.clone().unwrap_or_default();
        let start = TaskStart {
            task: task.name.to_string(),
            attempt: 1,
            identity: Shared::clone(&task.identity),
            params,
            inputs,
            grants: task.grants.clone(),
            hermetic: task.grants.hermetic(),
            limits: task.limits,
        };
        let seed = seed(&start, self.engine.epoch);
        let started = recorder.record(Fact::TaskStarted(start.into()))?;
        let Fact::TaskStarted(start) = &started.fact else {
            return Ok(started);
        };
        let mut outputs = BTreeMap::new();
        let mut reads = BTreeMap::new();
        let exit = match filled {
            Err(why) => refuse(TaskRunReason::InvalidTaskResults, why),
            Ok(_) => {
                let directory = self.work.task(
                    index,
                    task.component.manifest.spec.outputs.iter().map(|output| output.name.as_str()),
                    task.component.uses_files(),
                )?;
                let job = self.job(task, start, &directory, seed)?;
                let exit = self.engine.sandbox.run(prepared, &job, recorder).await;
                reads = self.keep_reads(&exit)?;
                self.settle(task, exit, &directory, &mut outputs)?
            }
        };
        let succeeded = exit.reason == TaskRunReason::Succeeded;
        let end = TaskEnd {
            task: task.name.to_string(),
            attempt: 1,
            reason: exit.reason,
            message: exit.message.map(bounded),
            failure: exit.failure.map(bounded_failure),
            // What a task that failed says of its results is worth nothing.
            results: if succeeded { exit.results } else { BTreeMap::new() },
            outputs,
            reads,
            usage: exit.usage,
        };
        let finished = recorder.record(Fact::TaskFinished(end.into()))?;
        (self.on_finished)(&started, &finished)?;
        Ok(finished)
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

    fn inputs(&self, task: &PlannedTask, before: &[(usize, Arc<Event>)]) -> Vec<InputArtifact> {
        let mut inputs = Vec::new();
        for (name, wire) in &task.inputs {
            let found = match wire {
                Wire::Source => self.source.map(|source| (source.tree, None, None)),
                Wire::Output { task: from, output } => end_at(before, *from).and_then(|end| {
                    Some((*end.outputs.get(output)?, Some(end.task.clone()), Some(output.clone())))
                }),
            };
            if let Some((tree, task, output)) = found {
                inputs.push(InputArtifact { name: name.clone(), tree, task, output });
            }
        }
        inputs
    }

    fn arguments(
        &self,
        task: &PlannedTask,
        before: &[(usize, Arc<Event>)],
    ) -> Result<BTreeMap<String, Value>, String> {
        let end_of =
            |name: &str| before.iter().filter_map(|(_, event)| end_of(event)).find(|end| end.task == name);
        let values = fill(&task.params, &end_of)?;
        let specs = &task.component.manifest.spec.params;
        let refusals = specs.iter().filter_map(|spec| spec.refusal(values.get(spec.name.as_str())?));
        refusals.into_iter().next().map_or(Ok(values), Err)
    }

    fn job(
        &self,
        task: &PlannedTask,
        start: &TaskStart,
        directory: &TaskDirectory,
        seed: [u8; 32],
    ) -> Result<Job, EngineError> {
        let mut inputs = BTreeMap::new();
        for input in &start.inputs {
            let files = task.component.uses_files();
            let path = files.then(|| self.work.tree(input.tree.digest)).transpose()?;
            inputs.insert(input.name.clone(), path);
        }
        Ok(Job {
            task: Arc::clone(&task.name),
            params: start.params.clone(),
            inputs,
            outputs: directory.outputs.clone(),
            scratch: directory.scratch.clone(),
            grants: task.grants.clone(),
            credentials: self.credentials(task),
            redactor: self.redactor.clone(),
            limits: task.limits,
            epoch: self.engine.epoch,
            seed,
            cancel: self.engine.cancel.clone(),
        })
    }

    /// The secrets that a task's rules name.
    fn credentials(&self, task: &PlannedTask) -> Vec<Credential> {
        let named = task.grants.network.iter().filter_map(|rule| rule.secret.as_ref());
        named.filter_map(|ask| self.engine.credentials.get(ask.name.as_str())).cloned().collect()
    }

    /// Holds what a task made against its manifest and limits, and seals it.
    fn settle(
        &self,
        task: &PlannedTask,
        exit: Exit,
        directory: &TaskDirectory,
        outputs: &mut BTreeMap<String, Tree>,
    ) -> Result<Exit, EngineError> {
        if exit.reason != TaskRunReason::Succeeded {
            return Ok(exit);
        }
        if let Err((reason, message)) = check_results(&task.component.manifest, &exit.results) {
            return Ok(Exit { usage: exit.usage, ..refuse(reason, message) });
        }
        for (name, path) in &directory.outputs {
            match self.engine.store.seal(path, seal_limits(task, name)) {
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
        Ok(exit)
    }
}

/// How large an output may be: as its manifest says, and no larger than
/// everything may be.
fn seal_limits(task: &PlannedTask, output: &str) -> SealLimits {
    let mut specs = task.component.manifest.spec.outputs.iter();
    let own = specs.find(|spec| spec.name.as_str() == output).map(|spec| spec.limits).unwrap_or_default();
    let (bytes, files) = (task.limits.output.bytes(), task.limits.files);
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

fn end_at(before: &[(usize, Arc<Event>)], index: usize) -> Option<&TaskEnd> {
    before.iter().find(|(i, _)| *i == index).and_then(|(_, event)| end_of(event))
}

fn end_of(event: &Event) -> Option<&TaskEnd> {
    if let Fact::TaskFinished(end) = &event.fact { Some(end) } else { None }
}

fn refuse(reason: TaskRunReason, message: String) -> Exit {
    let (results, opened) = (BTreeMap::new(), BTreeMap::new());
    Exit {
        reason,
        message: Some(message),
        failure: None,
        results,
        opened,
        usage: crate::event::Usage::default(),
    }
}

/// What a TaskRun's random numbers follow from: everything it was given.
fn seed(start: &TaskStart, epoch: i64) -> [u8; 32] {
    let inputs: Vec<(&str, Digest)> = start.inputs.iter().map(|i| (i.name.as_str(), i.tree.digest)).collect();
    let given = (&start.identity.component, &start.params, inputs, epoch);
    // Strings, numbers and maps with string keys always serialise.
    *Digest::of(&serde_json::to_vec(&given).unwrap_or_default()).as_bytes()
}
