//! What a thread of a run does in one turn: decides about a task, runs it,
//! begins a nested pipeline, says what is skipped.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use cofferdam_manifest::Value;

use super::flow::{Absence, Asker, FlowRun, Product};
use super::walk::{FlowId, Leaf, Node, Outcome, Turn};
use super::{EngineError, Run, deadlines};
use crate::event::{AfterFailure, Fact, InputArtifact, NestedStart, TaskEnd};
use crate::model::{ErrorMode, RetryCause, SkipReason, Status, TaskRunReason};
use crate::plan::{Combination, Flow, PlannedTask, Work};

/// A matrix in a matrix, tried again and again, has no end that anyone waits for.
const MAX_BEGUN: usize = 100_000;

/// Everything one run of a task is given.
pub(super) struct Given {
    pub(super) params: BTreeMap<String, Value>,
    pub(super) inputs: Vec<InputArtifact>,
}

/// One run of a task on its way.
pub(super) struct TaskTurn<'t, 'a> {
    pub(super) flow: &'t Arc<FlowRun<'a>>,
    pub(super) task: &'a PlannedTask,
    pub(super) leaf: Leaf,
    /// The whole name of the TaskRun.
    pub(super) name: String,
    /// The key of its combination.
    pub(super) key: Option<String>,
}

impl<'a> Run<'a> {
    pub(super) async fn take(&self, turn: Turn) -> Result<(), EngineError> {
        match turn {
            Turn::Consider(node) => self.consider(node).await,
            Turn::Run(leaf) => self.attempt(leaf).await,
            Turn::Skip(node, reason) => self.skip(node, reason),
            Turn::SkipRun(leaf, reason) => {
                if let Some((flow, task)) = self.planned(leaf.node) {
                    let name = self.name(&flow, task, leaf).0;
                    self.engine.recorder.record(Fact::TaskSkipped { task: name, reason })?;
                }
                self.schedule.finish(leaf, Outcome::Skipped(reason), self.wish());
                Ok(())
            }
            Turn::Finally(flow) => self.begin_finally(flow),
            Turn::Close(flow) => self.close(flow),
        }
    }

    /// A task as it is planned, and the pipeline it runs in.
    pub(super) fn planned(&self, node: Node) -> Option<(Arc<FlowRun<'a>>, &'a PlannedTask)> {
        let flow = self.flow(node.flow)?;
        let plan: &'a Flow = flow.plan;
        let task = plan.tasks.get(node.task)?;
        Some((flow, task))
    }

    /// The whole name of a run of a task, and the key of its combination.
    fn name(&self, flow: &FlowRun<'_>, task: &PlannedTask, leaf: Leaf) -> (String, Option<String>) {
        let base = format!("{}{}", flow.prefix, task.name);
        if task.matrix.is_none() {
            return (base, None);
        }
        let key = self.combination(leaf).map(|combination| combination.key);
        let shown = key.clone().unwrap_or_else(|| leaf.run.to_string());
        (format!("{base}[{shown}]"), key)
    }

    fn combination(&self, leaf: Leaf) -> Option<Combination> {
        let expanded = self.expanded.lock().unwrap_or_else(PoisonError::into_inner);
        expanded.get(&leaf.node)?.get(leaf.run).cloned()
    }

    fn skip(&self, node: Node, reason: SkipReason) -> Result<(), EngineError> {
        if let Some((flow, task)) = self.planned(node) {
            let name = format!("{}{}", flow.prefix, task.name);
            self.engine.recorder.record(Fact::TaskSkipped { task: name, reason })?;
            flow.note_end(node.task, "None", reason.as_str());
        }
        self.schedule.skip(node, reason);
        Ok(())
    }

    /// What a task needs is not there: it is skipped, or its pipeline is wrong.
    fn absent(&self, node: Node, absence: Absence) -> Result<(), EngineError> {
        let Some((flow, task)) = self.planned(node) else { return Ok(()) };
        let finally = node.task >= flow.plan.finally_from;
        let (reason, why) = match absence {
            Absence::Missing(_) if finally => return self.skip(node, SkipReason::ResultsWereMissing),
            Absence::Missing(why) => (crate::model::RunReason::InvalidTaskResultReference, why),
            Absence::Wrong(reason, why) => (reason, why),
        };
        let name = format!("{}{}", flow.prefix, task.name);
        {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.entry(node.flow).or_insert_with(|| format!("task `{name}`: {why}"));
        }
        let skipped = SkipReason::PipelineRunWasStopping;
        self.engine.recorder.record(Fact::TaskSkipped { task: name, reason: skipped })?;
        flow.note_end(node.task, "None", skipped.as_str());
        self.schedule.refuse(node, reason);
        Ok(())
    }

    async fn consider(&self, node: Node) -> Result<(), EngineError> {
        let Some((flow, task)) = self.planned(node) else { return Ok(()) };
        let name = format!("{}{}", flow.prefix, task.name);
        let asker = Asker { task: &task.name, name: &name, retries: task.retry.max, attempt: 1 };
        match flow.holds(&task.when, asker) {
            Ok(true) => {}
            Ok(false) => return self.skip(node, SkipReason::WhenExpressionsEvaluatedToFalse),
            Err(absence) => return self.absent(node, absence),
        }
        let leaf = Leaf { node, run: 0, attempt: 1 };
        let runs = match &task.matrix {
            None => 1,
            Some(matrix) => match flow.combinations(matrix, asker) {
                Ok(found) if found.is_empty() => return self.skip(node, SkipReason::EmptyMatrix),
                Ok(found) => {
                    let runs = found.len();
                    let mut expanded = self.expanded.lock().unwrap_or_else(PoisonError::into_inner);
                    expanded.insert(node, Arc::new(found));
                    runs
                }
                Err(absence) => return self.absent(node, absence),
            },
        };
        let (name, key) = self.name(&flow, task, leaf);
        let turn = TaskTurn { flow: &flow, task, leaf, name, key };
        let given = match self.given(&turn) {
            Ok(given) => given,
            Err(absence) => return self.absent(node, absence),
        };
        if task.matrix.is_some() {
            flow.expect(node.task, true, runs);
            let name = |run| self.name(&flow, task, Leaf { run, ..leaf }).0;
            let base = format!("{}{}", flow.prefix, task.name);
            let fact = Fact::TaskExpanded { task: base, runs: (0..runs).map(name).collect() };
            self.engine.recorder.record(fact)?;
            self.schedule.expand(node, runs);
        }
        self.run(turn, given).await
    }

    async fn attempt(&self, leaf: Leaf) -> Result<(), EngineError> {
        let Some((flow, task)) = self.planned(leaf.node) else { return Ok(()) };
        let (name, key) = self.name(&flow, task, leaf);
        let turn = TaskTurn { flow: &flow, task, leaf, name, key };
        match self.given(&turn) {
            Ok(given) => self.run(turn, given).await,
            Err(absence) => {
                let finished = self.refuse_task(&turn, absence.why())?;
                self.schedule.finish(leaf, finished, self.wish());
                Ok(())
            }
        }
    }

    /// The params and artifacts of one run of a task.
    fn given(&self, turn: &TaskTurn<'_, 'a>) -> Result<Given, Absence> {
        let TaskTurn { flow, task, leaf, name, .. } = turn;
        let asker = Asker { task: &task.name, name, retries: task.retry.max, attempt: leaf.attempt };
        let combination = task.matrix.as_ref().and_then(|_| self.combination(*leaf));
        let varied = |name: &String| combination.as_ref().is_some_and(|c| c.params.contains_key(name));
        let inputs = flow.artifacts(task)?;
        let mut params = flow.fill(task.params.iter().filter(|(name, _)| !varied(name)), asker)?;
        for (name, value) in combination.iter().flat_map(|combination| &combination.params) {
            params.insert(name.clone(), Value::Text(value.clone()));
        }
        Ok(Given { params, inputs })
    }

    async fn run(&self, turn: TaskTurn<'_, 'a>, given: Given) -> Result<(), EngineError> {
        if self.begun.fetch_add(1, Ordering::Relaxed) >= MAX_BEGUN {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            let why = format!("a run begins at most {MAX_BEGUN} TaskRuns and pipelines");
            wrong.entry(turn.leaf.node.flow).or_insert(why);
            drop(wrong);
            let skipped = SkipReason::PipelineRunWasStopping;
            self.engine.recorder.record(Fact::TaskSkipped { task: turn.name, reason: skipped })?;
            self.schedule.finish(turn.leaf, Outcome::Failed, self.wish());
            return Ok(());
        }
        match &turn.task.work {
            Work::Task(work) => {
                let outcome = self.run_task(&turn, work, given).await?;
                if let Some(outcome) = outcome {
                    self.schedule.finish(turn.leaf, outcome, self.wish());
                }
                Ok(())
            }
            Work::Pipeline(plan) => self.enter(&turn, plan, given),
        }
    }

    /// Begins a nested pipeline.
    fn enter(&self, turn: &TaskTurn<'_, 'a>, plan: &'a Flow, given: Given) -> Result<(), EngineError> {
        let refusals =
            plan.params.iter().filter_map(|spec| spec.refusal(given.params.get(spec.name.as_str())?));
        let refusal = refusals.into_iter().next();
        let round = if turn.leaf.attempt > 1 { format!("#{}", turn.leaf.attempt) } else { String::new() };
        let task = format!("{}{round}", turn.name);
        let prefix = format!("{task}/");
        let names = plan.tasks.iter().map(|task| format!("{prefix}{}", task.name)).collect();
        let (pipeline, params) = (plan.name.clone(), given.params.clone());
        let start = NestedStart { task: task.clone(), pipeline, params, tasks: names };
        self.engine.recorder.record(Fact::PipelineStarted(Box::new(start)))?;
        let inputs = given.inputs.into_iter().map(|input| (input.name.clone(), input)).collect();
        let around = turn.flow.around();
        let flow = FlowRun::new(plan, prefix, Some(turn.leaf), given.params, inputs, around);
        let graph = Arc::clone(&flow.graph);
        let deadlines = deadlines(plan, Instant::now());
        let mut flows = self.flows.write().unwrap_or_else(PoisonError::into_inner);
        flows.push(Arc::new(flow));
        // Under the lock: the schedule counts pipelines in the same order.
        let id = self.schedule.enter(graph, turn.leaf, deadlines);
        if let Some(why) = refusal {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.insert(id, why);
            self.schedule.give_up(id, crate::model::RunReason::InvalidParamValue);
        }
        Ok(())
    }

    /// What follows when a run of a task has failed.
    pub(super) fn after_failure(
        &self,
        task: &PlannedTask,
        leaf: Leaf,
        causes: &[RetryCause],
    ) -> AfterFailure {
        let policy = &task.retry;
        let matching = policy.on.is_empty() || policy.on.iter().any(|cause| causes.contains(cause));
        let late = || self.schedule.bounds(leaf.node.flow).0.is_some_and(|until| until <= Instant::now());
        if leaf.attempt <= policy.max && matching && self.engine.cancel.asked() == 0 && !late() {
            return AfterFailure::ToBeRetried;
        }
        match task.on_error {
            ErrorMode::Continue => AfterFailure::FailureIgnored,
            ErrorMode::StopAndFail => AfterFailure::Final,
        }
    }

    /// Passes on how a run of a task ended: to what waits for it, to `finally`,
    /// and to the schedule, unless it is tried again.
    pub(super) fn pass_on(
        &self,
        turn: (&FlowRun<'_>, &PlannedTask, Leaf, Option<String>),
        ended: (Status, &str, AfterFailure),
        product: Option<Product>,
    ) -> Option<Outcome> {
        let (flow, task, leaf, key) = turn;
        let (status, reason, after) = ended;
        if after == AfterFailure::ToBeRetried {
            let wait = task.retry.wait(leaf.attempt);
            let now = Instant::now();
            self.schedule.retry(leaf, now.checked_add(wait).unwrap_or(now));
            return None;
        }
        let outcome = match (status, after) {
            (Status::Succeeded, _) => Outcome::Succeeded,
            (Status::Failed, AfterFailure::FailureIgnored) => Outcome::Ignored,
            (Status::Failed, _) => Outcome::Failed,
            (Status::Cancelled, _) => Outcome::Cancelled,
        };
        let (word, reason) = match outcome {
            Outcome::Succeeded => ("Succeeded", reason),
            Outcome::Ignored => ("Failed", "FailureIgnored"),
            Outcome::Failed => ("Failed", reason),
            Outcome::Cancelled => ("Failed", reason),
            Outcome::Skipped(_) => ("None", reason),
        };
        flow.note_end(leaf.node.task, word, reason);
        // A task that failed has no outputs, but may have come to results.
        let ended = matches!(outcome, Outcome::Succeeded | Outcome::Ignored | Outcome::Failed);
        if let Some(product) = product.filter(|_| task.awaited && ended) {
            flow.keep(leaf.node.task, leaf.run, key, product);
        }
        Some(outcome)
    }

    /// The pipeline a flow runs in.
    pub(super) fn parent(&self, flow: FlowId) -> Option<(Arc<FlowRun<'a>>, &'a PlannedTask, Leaf)> {
        let leaf = self.flow(flow)?.parent?;
        let (around, task) = self.planned(leaf.node)?;
        Some((around, task, leaf))
    }

    /// The name of a run of a task, and the key of its combination.
    pub(super) fn name_of(&self, leaf: Leaf) -> Option<(String, Option<String>)> {
        let (flow, task) = self.planned(leaf.node)?;
        Some(self.name(&flow, task, leaf))
    }
}

/// The kinds of failure that a TaskRun's end is.
pub(super) fn causes(end: &TaskEnd, lost_contact: bool) -> Vec<RetryCause> {
    let kind = match end.reason {
        TaskRunReason::TaskRunTimeout | TaskRunReason::CpuLimit => Some(RetryCause::Timeout),
        TaskRunReason::MemoryLimit => Some(RetryCause::Memory),
        TaskRunReason::Failed | TaskRunReason::TaskTrapped => Some(RetryCause::Failed),
        TaskRunReason::Succeeded
        | TaskRunReason::TaskRunCancelled
        | TaskRunReason::OutputLimit
        | TaskRunReason::FileLimit
        | TaskRunReason::HandleLimit
        | TaskRunReason::InstanceLimit
        | TaskRunReason::TableLimit
        | TaskRunReason::LogLimit
        | TaskRunReason::RequestLimit
        | TaskRunReason::BodyLimit
        | TaskRunReason::EgressLimit
        | TaskRunReason::IngressLimit
        | TaskRunReason::TaskRunResultLargerThanAllowedLimit
        | TaskRunReason::InvalidTaskResults
        | TaskRunReason::InvalidOutput
        | TaskRunReason::HostFault
        | TaskRunReason::InvalidParamValue => None,
    };
    kind.into_iter().chain(lost_contact.then_some(RetryCause::Network)).collect()
}
