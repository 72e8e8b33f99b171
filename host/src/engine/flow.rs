//! One pipeline while it runs: what it was given, what its tasks have made, and
//! what the references in it stand for.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cofferdam_manifest::{Value, ValueType};

use super::graph::Graph;
use super::results::{has_result, value_of};
use super::walk::Leaf;
use crate::event::{Event, Fact, InputArtifact, TaskEnd};
use crate::model::{MAX_PARAM_BYTES, RunReason, Shared};
use crate::plan::{
    Argument, CelFailure, Context, Dependency, Flow, Guard, PlannedTask, Reference, Selector, TaskKey,
    Template, Wire, pick,
};
use crate::store::{Store, Tree};

/// One pipeline while it runs.
pub(super) struct FlowRun<'a> {
    pub(super) plan: &'a Flow,
    pub(super) graph: Arc<Graph>,
    /// What the names of its tasks begin with.
    pub(super) prefix: String,
    pub(super) parent: Option<Leaf>,
    pub(super) params: BTreeMap<String, Value>,
    pub(super) inputs: BTreeMap<String, InputArtifact>,
    pub(super) identity: &'a RunIdentity,
    source: Option<Tree>,
    store: &'a Store,
    made: Mutex<HashMap<usize, Made>>,
    /// How tasks ended, where `finally` may ask: the status and the reason.
    ended: Mutex<HashMap<usize, (&'static str, String)>>,
    /// What the last task waited for, by name: the next one often waits for the
    /// same, and then all that is kept of it is the same list.
    named: Mutex<(&'a [Dependency], Shared<Vec<String>>)>,
}

/// What no other run has. What it was asked for may be other in the next run of
/// the same, so it is noted.
#[derive(Debug)]
pub(super) struct RunIdentity {
    name: String,
    uid: String,
    asked: AtomicBool,
}

impl RunIdentity {
    pub(super) fn new(name: &str, uid: &str) -> Self {
        Self { name: name.to_owned(), uid: uid.to_owned(), asked: AtomicBool::new(false) }
    }

    /// Whether anything has asked for it.
    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    fn name(&self) -> &str {
        self.asked.store(true, Ordering::Relaxed);
        &self.name
    }

    fn uid(&self) -> &str {
        self.asked.store(true, Ordering::Relaxed);
        &self.uid
    }
}

/// What a task has made: of each combination, by its key.
#[derive(Default)]
pub(super) struct Made {
    /// Whether it has a matrix.
    matrix: bool,
    /// How many combinations there are.
    runs: usize,
    by_run: BTreeMap<usize, (Option<String>, Product)>,
}

/// What one run of a task has made.
#[derive(Clone)]
pub(super) enum Product {
    Task(Arc<Event>),
    Pipeline { results: BTreeMap<String, Value>, outputs: BTreeMap<String, InputArtifact> },
}

/// Who asks for the value of a reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'t> {
    pub(super) task: &'t str,
    /// The whole name of the TaskRun.
    pub(super) name: &'t str,
    pub(super) retries: u32,
    pub(super) attempt: u32,
}

/// Why a reference stands for nothing.
#[derive(Debug)]
pub(super) enum Absence {
    /// What it needs was not made.
    Missing(String),
    /// It is not what is needed: what a pipeline fails with.
    Wrong(RunReason, String),
}

impl Absence {
    pub(super) fn why(self) -> String {
        match self {
            Self::Missing(why) | Self::Wrong(_, why) => why,
        }
    }
}

impl From<CelFailure> for Absence {
    fn from(CelFailure(why): CelFailure) -> Self {
        Self::Wrong(RunReason::CELEvaluationFailed, format!("a `cel` condition: {why}"))
    }
}

impl Product {
    fn result(&self, name: &str, store: &Store) -> Result<Option<Value>, Absence> {
        match self {
            Self::Task(event) => end_of(event).map_or(Ok(None), |end| value_of(end, name, store)),
            Self::Pipeline { results, .. } => Ok(results.get(name).cloned()),
        }
    }

    fn has_result(&self, name: &str) -> bool {
        match self {
            Self::Task(event) => end_of(event).is_some_and(|end| has_result(end, name)),
            Self::Pipeline { results, .. } => results.contains_key(name),
        }
    }

    fn output(&self, name: &str) -> Option<InputArtifact> {
        match self {
            Self::Task(event) => {
                let end = end_of(event)?;
                let tree = *end.outputs.get(name)?;
                let (task, output) = (Some(end.task.clone()), Some(name.to_owned()));
                Some(InputArtifact { name: String::new(), tree, task, output })
            }
            Self::Pipeline { outputs, .. } => outputs.get(name).cloned(),
        }
    }
}

fn end_of(event: &Event) -> Option<&TaskEnd> {
    if let Fact::TaskFinished(end) = &event.fact { Some(end) } else { None }
}

impl<'a> FlowRun<'a> {
    /// A pipeline that begins.
    pub(super) fn new(
        plan: &'a Flow,
        prefix: String,
        parent: Option<Leaf>,
        params: BTreeMap<String, Value>,
        inputs: BTreeMap<String, InputArtifact>,
        around: (&'a RunIdentity, Option<Tree>, &'a Store),
    ) -> Self {
        let (identity, source, store) = around;
        let graph = Arc::new(Graph::new(plan));
        let (made, ended, named) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { plan, graph, prefix, parent, params, inputs, identity, source, store, made, ended, named }
    }

    /// The whole names of tasks that are waited for.
    pub(super) fn names(&self, after: &'a [Dependency]) -> Shared<Vec<String>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.0 != after {
            let name = |before: &Dependency| {
                self.plan.tasks.get(before.task).map(|task| format!("{}{}", self.prefix, task.name))
            };
            *named = (after, after.iter().filter_map(name).collect::<Vec<_>>().into());
        }
        Shared::clone(&named.1)
    }

    fn made(&self) -> MutexGuard<'_, HashMap<usize, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What pipelines in it share with it.
    pub(super) fn around(&self) -> (&'a RunIdentity, Option<Tree>, &'a Store) {
        (self.identity, self.source, self.store)
    }

    /// Notes for how many combinations a task runs.
    pub(super) fn expect(&self, task: usize, matrix: bool, runs: usize) {
        let mut made = self.made();
        let entry = made.entry(task).or_default();
        (entry.matrix, entry.runs) = (matrix, runs);
    }

    /// Keeps what one run of a task has made.
    pub(super) fn keep(&self, task: usize, run: usize, key: Option<String>, product: Product) {
        self.made().entry(task).or_default().by_run.insert(run, (key, product));
    }

    /// Notes how a task ended, if anything in `finally` may ask.
    pub(super) fn note_end(&self, task: usize, status: &'static str, reason: &str) {
        if self.plan.finally_tasks().is_empty() {
            return;
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ended.entry(task).or_insert_with(|| (status, reason.to_owned()));
        // Of several combinations, the one that did not succeed is what counts.
        if known.0 == "Succeeded" {
            *known = (status, reason.to_owned());
        }
    }

    fn index(&self, task: &str) -> Option<usize> {
        self.plan.tasks.iter().position(|planned| &*planned.name == task)
    }

    /// The value a reference stands for as a whole.
    pub(super) fn value(&self, reference: &Reference, asker: Asker<'_>) -> Result<Value, Absence> {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        let missing = |what: String| Absence::Missing(what);
        match reference {
            Reference::Param(name, _) => {
                let value = self.params.get(name).cloned();
                value.ok_or_else(|| missing(format!("the pipeline was given no `{name}`")))
            }
            Reference::Result(key, result, _) => self.result(key, result),
            Reference::TaskStatus(task) => text(self.end_of(task).map_or("None", |(status, _)| status)),
            Reference::TaskReason(task) => text(&self.end_of(task).map_or("None".to_owned(), |(_, why)| why)),
            Reference::AllStatus => text(self.all_status()),
            Reference::MatrixLength(task) => {
                let made = self.made();
                let runs = self.index(task).and_then(|index| made.get(&index)).map(|made| made.runs);
                runs.map(|runs| Value::Text(runs.to_string()))
                    .ok_or_else(|| missing(format!("the task `{task}` did not run")))
            }
            Reference::MatrixResultLength(task, result) => {
                let made = self.made();
                let found = self.index(task).and_then(|index| made.get(&index));
                let count =
                    found.map(|made| made.by_run.values().filter(|(_, p)| p.has_result(result)).count());
                count
                    .map(|count| Value::Text(count.to_string()))
                    .ok_or_else(|| missing(format!("the task `{task}` did not run")))
            }
            Reference::Context(context) => match context {
                Context::RunName => text(self.identity.name()),
                Context::RunUid => text(self.identity.uid()),
                Context::PipelineName => text(&self.plan.name),
                Context::TaskRunName => text(asker.name),
                Context::TaskName => text(asker.task),
                Context::RetryCount => text(&asker.attempt.saturating_sub(1).to_string()),
                Context::Retries => text(&asker.retries.to_string()),
            },
            // The plan lets no artifact be a value.
            Reference::Output(..) | Reference::Input(_) | Reference::Source => {
                Err(missing("it is an artifact".to_owned()))
            }
        }
    }

    fn end_of(&self, task: &str) -> Option<(&'static str, String)> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.get(&self.index(task)?).cloned()
    }

    /// How all tasks together ended. Source: Tekton, "Using aggregate execution
    /// status of all Tasks".
    fn all_status(&self) -> &'static str {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let main = 0..self.plan.finally_from;
        let status = |(status, reason): &(&'static str, String)| {
            if reason == "FailureIgnored" { "Succeeded" } else { *status }
        };
        let statuses: Vec<&str> = main.map(|index| ended.get(&index).map_or("None", status)).collect();
        if statuses.contains(&"Failed") {
            "Failed"
        } else if statuses.iter().all(|status| *status == "Succeeded") {
            "Succeeded"
        } else {
            "Completed"
        }
    }

    fn result(&self, key: &TaskKey, result: &str) -> Result<Value, Absence> {
        let made = self.made();
        let absent = || Absence::Missing(format!("the task `{key}` gave no result `{result}`"));
        let found = self.index(&key.task).and_then(|index| made.get(&index)).ok_or_else(absent)?;
        match (&key.key, found.matrix) {
            (None, true) => {
                // In the order of the combinations, whichever ended first.
                let mut texts = Vec::new();
                for (_, product) in found.by_run.values() {
                    if let Some(Value::Text(text)) = product.result(result, self.store)? {
                        texts.push(text);
                    }
                }
                if texts.is_empty() { Err(absent()) } else { Ok(Value::Texts(texts)) }
            }
            (key, _) => {
                let value = found.product(key.as_deref()).map(|product| product.result(result, self.store));
                value.transpose()?.flatten().ok_or_else(absent)
            }
        }
    }

    /// The artifact that is to be an input.
    pub(super) fn artifact(&self, name: &str, wire: &Wire) -> Option<InputArtifact> {
        let found = match wire {
            Wire::Source => {
                InputArtifact { name: String::new(), tree: self.source?, task: None, output: None }
            }
            Wire::Input(input) => self.inputs.get(input)?.clone(),
            Wire::Output { task, key, output } => {
                self.made().get(task)?.product(key.as_deref())?.output(output)?
            }
        };
        Some(InputArtifact { name: name.to_owned(), ..found })
    }

    /// Every input of a task, or which one is missing.
    pub(super) fn artifacts(&self, task: &PlannedTask) -> Result<Vec<InputArtifact>, Absence> {
        let mut inputs = Vec::with_capacity(task.inputs.len());
        for (name, wire) in &task.inputs {
            let absent = || Absence::Missing(format!("the input `{name}` was not made"));
            inputs.push(self.artifact(name, wire).ok_or_else(absent)?);
        }
        Ok(inputs)
    }

    /// Whether every condition of a task holds.
    pub(super) fn holds(&self, guards: &[Guard], asker: Asker<'_>) -> Result<bool, Absence> {
        for guard in guards {
            let holds = match guard {
                Guard::Values { input, operator, values } => {
                    let left = &mut MAX_PARAM_BYTES.clone();
                    let input = self.text(input, asker, left)?;
                    let values = self.items(values, asker, left)?;
                    values.contains(&input) == (*operator == crate::model::WhenOperator::In)
                }
                Guard::Cel(guard) => guard.holds(|reference| self.value(reference, asker))?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value of every argument.
    pub(super) fn fill<'n>(
        &self,
        arguments: impl Iterator<Item = (&'n String, &'n Argument)>,
        asker: Asker<'_>,
    ) -> Result<BTreeMap<String, Value>, Absence> {
        let left = &mut MAX_PARAM_BYTES.clone();
        let mut values = BTreeMap::new();
        for (name, argument) in arguments {
            values.insert(name.clone(), self.argument(argument, asker, left)?);
        }
        Ok(values)
    }

    /// The value of one argument; `left` counts the bytes that all may have.
    pub(super) fn argument(
        &self,
        argument: &Argument,
        asker: Asker<'_>,
        left: &mut usize,
    ) -> Result<Value, Absence> {
        match argument {
            Argument::Text(template) => match self.whole(template, asker)? {
                Some(value) => {
                    spend(value.bytes(), left)?;
                    Ok(value)
                }
                None => self.text(template, asker, left).map(Value::Text),
            },
            Argument::Texts(items) => self.items(items, asker, left).map(Value::Texts),
            Argument::Fields(fields) => {
                let filled =
                    fields.iter().map(|(key, template)| Ok((key.clone(), self.text(template, asker, left)?)));
                filled.collect::<Result<_, Absence>>().map(Value::Fields)
            }
        }
    }

    fn items(&self, items: &[Template], asker: Asker<'_>, left: &mut usize) -> Result<Vec<String>, Absence> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match self.whole(item, asker)? {
                Some(Value::Texts(more)) => {
                    for one in more {
                        spend(one.len() + 3, left)?;
                        texts.push(one);
                    }
                }
                Some(Value::Text(_) | Value::Fields(_)) | None => texts.push(self.text(item, asker, left)?),
            }
        }
        Ok(texts)
    }

    /// The value a template stands for as a whole: `$(tasks.x.results.y[*])`.
    fn whole(&self, template: &Template, asker: Asker<'_>) -> Result<Option<Value>, Absence> {
        match template.sole_reference() {
            Some(
                reference @ (Reference::Result(_, _, Selector::Star) | Reference::Param(_, Selector::Star)),
            ) => self.value(reference, asker).map(Some),
            _ => Ok(None),
        }
    }

    fn text(&self, template: &Template, asker: Asker<'_>, left: &mut usize) -> Result<String, Absence> {
        template.fill(|reference| {
            let value = self.value(reference, asker)?;
            let selector = reference.selector();
            let reason = reason_of(&value, selector);
            let text = pick(&value, selector)
                .map_err(|why| Absence::Wrong(reason, format!("`$({reference})`: {why}")))?;
            // Counted each time it is used: references multiply it.
            spend(text.len() + 3, left)?;
            Ok(text)
        })
    }
}

impl Made {
    fn product(&self, key: Option<&str>) -> Option<&Product> {
        let mut runs = self.by_run.iter();
        match key {
            None => runs.next().map(|(_, (_, product))| product),
            Some(key) => runs
                .find(|(number, (own, _))| own.as_deref() == Some(key) || number.to_string() == key)
                .map(|(_, (_, product))| product),
        }
    }
}

fn reason_of(value: &Value, selector: &Selector) -> RunReason {
    match (value.value_type(), selector) {
        (ValueType::Array, Selector::Index(_)) => RunReason::ParamArrayIndexingInvalid,
        _ => RunReason::InvalidTaskResultReference,
    }
}

fn spend(bytes: usize, left: &mut usize) -> Result<(), Absence> {
    let rest = left.checked_sub(bytes);
    let too_much = || {
        let why = format!(
            "all params together have more than {MAX_PARAM_BYTES} bytes; \
             what is as large is an output of a task, and an input of the next one"
        );
        Absence::Wrong(RunReason::InvalidParamValue, why)
    };
    *left = rest.ok_or_else(too_much)?;
    Ok(())
}
