//! From a pipeline as it is written to a [`Flow`], or to every reason why not.
//!
//! Each pipeline of a plan is built the same way: its names are collected, what
//! its tasks are is found, then each task is connected to what it refers to.

mod arguments;
mod check;
mod cycle;
mod document;
mod guards;
mod inputs;
mod lineage;
mod matrix;
mod task;
mod timeouts;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use cofferdam_manifest::{Document, Lost, ParamSpec, Place, Value, ValueType};

use super::error::PlanErrors;
use super::flow::{Argument, Dependency, Flow, Wire};
use super::params::known_names;
use super::{PlanError, PlanRequest, ResolvedTask, Resolver};
use crate::capability::Withheld;
use crate::event::{Grants, PipelineIdentity};
use crate::model::{
    EffectiveLimits, MAX_PLAN_BYTES, MatrixSpec, PipelineSpec, PipelineTask, Shared, TaskRef,
};

pub(super) use document::{NAMED, Opened, RunWords, kind_of};
pub(super) use lineage::mark_descent;

/// Pipelines in pipelines in pipelines: deeper, nobody can follow it.
const MAX_DEPTH: usize = 8;
/// More tasks than this, all pipelines together, are a mistake.
const MAX_TASKS: usize = 100_000;
/// So many wrong names are told with what may be meant.
const HELPED: usize = 100;

/// Where a task says which one it is.
const WHICH: [&str; 4] = ["taskRef", "pipelineRef", "pipelineSpec", "taskSpec"];

/// All files of a plan together; what is read of them takes many times that.
const MAX_TEXT: usize = 16 << 20;

/// What is being read, and what was found wrong so far.
pub(in crate::plan) struct Builder<'a> {
    request: &'a PlanRequest<'a>,
    resolver: &'a dyn Resolver,
    faults: PlanErrors,
    /// The pipelines that came out of registries, each once.
    bundles: Vec<PipelineIdentity>,
    /// The files that are open, each inside the one before.
    open: Vec<PathBuf>,
    /// Bytes that files may still have, one that is opened again counted again.
    text_left: usize,
    /// Bytes that the values of params may still have.
    left: usize,
    leaves: usize,
    no_tasks: bool,
    /// What most tasks have in common.
    alike: Alike,
}

/// What the task before had: most have the same, and hold it together.
#[derive(Default)]
struct Alike {
    after: Arc<[Dependency]>,
    withheld: Arc<Withheld>,
    grants: Option<Shared<Grants>>,
    limits: Option<Shared<EffectiveLimits>>,
}

/// The value before, if it is the same.
fn alike<T: PartialEq>(last: &mut Option<Shared<T>>, value: T) -> Shared<T> {
    match last {
        Some(last) if **last == value => Shared::clone(last),
        _ => Shared::clone(last.insert(value.into())),
    }
}

/// A place in a file: below it stand the parts of what is read.
#[derive(Clone)]
pub(in crate::plan) struct Site {
    text: Rc<Text>,
    pointer: String,
}

struct Text {
    file: usize,
    document: Document,
    /// What of it is told of already, and not to be read.
    unwanted: Vec<String>,
    /// What of it could not be read: whatever follows from that alone is no
    /// fault of its own.
    lost: Lost,
    base: PathBuf,
    /// Whether it came out of a registry: then it names nothing of this machine.
    bundled: bool,
    /// The pipeline of a registry that is not trusted, and is this text or names
    /// it: nothing that it says grants anything.
    doubt: Option<String>,
}

/// A param as far as a plan knows it.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Known {
    value_type: ValueType,
    choices: Vec<String>,
    /// Its value, unless only a run can tell.
    value: Option<Value>,
    /// Whether what it takes could not be read: then nothing is said of its use.
    unread: bool,
}

/// What a task of the flow stands for.
enum Resolved {
    /// Nothing: the reason was reported.
    Missing,
    Task(ResolvedTask),
    Pipeline(Box<Nested>),
}

/// A pipeline that runs as a task of another.
struct Nested {
    name: String,
    spec: PipelineSpec,
    site: Site,
    /// The file it was read from; none for one that is written in its place.
    file: Option<PathBuf>,
    /// Whether what it takes and hands back could not all be read.
    partial: bool,
}

/// What the names in a pipeline stand for.
struct Scope<'s> {
    pipeline: &'s str,
    spec: &'s PipelineSpec,
    params: &'s BTreeMap<String, Known>,
    names: HashMap<&'s str, usize>,
    finally_from: usize,
    resolved: &'s [Resolved],
    /// Where the pipeline itself stands.
    site: &'s Site,
    /// The last task of which every name in its `runAfter` stands for a task, and
    /// those tasks: many wait for the same.
    ordered: RefCell<Option<(usize, Vec<Dependency>)>>,
}

/// Where in a pipeline something stands.
#[derive(Clone, Copy, PartialEq)]
enum Position {
    Task(usize),
    Finally,
    /// Among what the pipeline hands back.
    Results,
}

/// Connects one part of a pipeline to what it refers to.
struct Wiring<'w, 'a> {
    builder: &'w mut Builder<'a>,
    scope: &'w Scope<'w>,
    site: &'w Site,
    position: Position,
    after: Vec<Dependency>,
}

impl Site {
    fn below(&self, below: &str) -> Self {
        Self { text: Rc::clone(&self.text), pointer: format!("{}/{below}", self.pointer) }
    }

    pub(super) fn place(&self, below: &str) -> Place {
        self.text.document.place(&format!("{}/{below}", self.pointer))
    }

    fn base(&self) -> &Path {
        &self.text.base
    }

    /// Whether something there, or below it, could not be read.
    pub(super) fn lacks(&self, below: &str) -> bool {
        self.text.lost.within(&format!("{}/{below}", self.pointer))
    }

    /// Whether anything of it could not be read.
    fn is_partial(&self) -> bool {
        self.text.lost.within(&self.pointer)
    }

    /// Whether something stands there of which nobody knows what it means: it
    /// may be anything that is missed.
    fn has_stray(&self) -> bool {
        self.text.lost.is(&format!("{}/", self.pointer))
    }

    /// Whether a name that a list of it lacks may be one that could not be read.
    pub(super) fn lacks_names(&self, list: &str) -> bool {
        self.has_stray() || self.text.lost.names_in(&format!("{}/{list}", self.pointer))
    }

    /// The pipeline for which no task that is named here is trusted, if so.
    fn doubt(&self) -> Option<&str> {
        self.text.doubt.as_deref()
    }
}

impl Known {
    /// A param whose value is not known.
    pub(super) fn open(spec: &ParamSpec) -> Self {
        Self { value_type: spec.effective_type(), choices: spec.choices.clone(), value: None, unread: false }
    }

    /// One of which it is not known what it takes.
    pub(super) fn unread(spec: &ParamSpec) -> Self {
        Self { unread: true, ..Self::open(spec) }
    }

    /// One whose value is.
    pub(super) fn value(spec: &ParamSpec, value: Value) -> Self {
        Self { value: Some(value), ..Self::open(spec) }
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(request: &'a PlanRequest<'a>, resolver: &'a dyn Resolver) -> Self {
        let faults = PlanErrors { files: Vec::new(), errors: Vec::new() };
        Self {
            request,
            resolver,
            faults,
            bundles: Vec::new(),
            open: Vec::new(),
            text_left: MAX_TEXT,
            left: MAX_PLAN_BYTES,
            leaves: 0,
            no_tasks: false,
            alike: Alike::default(),
        }
    }

    /// The files that were read, and everything that is wrong with them in the
    /// order it stands there.
    pub(super) fn into_faults(mut self) -> PlanErrors {
        self.faults.errors.sort_by_key(|(file, error)| (*file, error.place()));
        self.faults
    }

    /// Builds the pipeline that is run.
    pub(super) fn root_flow(&mut self, opened: &Opened, params: &BTreeMap<String, Known>) -> Flow {
        self.open.push(opened.file.clone());
        let flow = self.flow(&opened.name, &opened.spec, &opened.site, params);
        self.open.pop();
        flow
    }

    /// The pipelines that came out of registries.
    pub(super) fn bundles(&self) -> &[PipelineIdentity] {
        &self.bundles
    }

    pub(super) fn given(&self) -> &'a BTreeMap<String, Value> {
        self.request.given
    }

    pub(super) fn params_required(&self) -> bool {
        self.request.params_required
    }

    pub(super) fn report(&mut self, site: &Site, error: PlanError) {
        self.faults.errors.push((site.text.file, error));
    }

    pub(super) fn failed(&self) -> bool {
        !self.faults.errors.is_empty()
    }

    /// Builds one pipeline, whose params are known as far as they are.
    pub(super) fn flow(
        &mut self,
        name: &str,
        spec: &PipelineSpec,
        site: &Site,
        params: &BTreeMap<String, Known>,
    ) -> Flow {
        let written: Vec<(&PipelineTask, Site)> = sites(spec, site).collect();
        if spec.tasks.is_empty() && !site.lacks_names("tasks") {
            let message = "`tasks` is empty: a run of nothing would prove nothing".to_owned();
            self.report(site, PlanError::InvalidValue { message, place: site.place("tasks") });
        }
        let mut names: HashMap<&str, usize> = HashMap::new();
        for (index, (task, at)) in written.iter().enumerate() {
            if names.insert(task.name.as_str(), index).is_some() {
                let error = PlanError::DuplicateName { name: task.name.to_string(), place: at.place("name") };
                self.report(at, error);
            }
        }
        let tasks: Vec<&TaskRef> = written.iter().filter_map(|(task, _)| task.task_ref.as_ref()).collect();
        let nested: Vec<_> = written.iter().filter_map(|(task, _)| task.pipeline_ref.as_deref()).collect();
        self.resolver.expect(&tasks, &nested, site.base());
        let resolved: Vec<Resolved> = written.iter().map(|(task, at)| self.resolve(task, at)).collect();
        let finally_from = spec.tasks.len();
        let ordered = RefCell::default();
        let scope =
            Scope { pipeline: name, spec, params, names, finally_from, resolved: &resolved, site, ordered };
        let mut tasks = Vec::with_capacity(written.len());
        let mut edges = Vec::with_capacity(written.len());
        for (index, (task, at)) in written.iter().enumerate() {
            let position = if index < finally_from { Position::Task(index) } else { Position::Finally };
            let (after, planned) = self.task(task, at, &scope, position, index);
            edges.push(after);
            tasks.extend(planned);
        }
        for path in cycle::find_all(edges.get(..finally_from).unwrap_or_default()) {
            let name = |i: &usize| written.get(*i).map(|(t, _)| t.name.to_string()).unwrap_or_default();
            if let Some((_, at)) = path.first().and_then(|first| written.get(*first)) {
                let path = path.iter().map(name).collect();
                self.report(at, PlanError::Cycle { path, place: at.place("name") });
            }
        }
        let (results, outputs) = self.handed_back(spec, site, &scope);
        let timeouts = self.timeouts(spec.timeouts.as_ref(), &site.below("timeouts"));
        let mut flow = Flow {
            name: name.to_owned(),
            params: specs_of(params, spec),
            tasks,
            finally_from,
            results,
            outputs,
            timeouts,
        };
        lineage::mark_awaited(&mut flow);
        flow
    }

    /// Finds what a task of the pipeline is.
    fn resolve(&mut self, task: &PipelineTask, at: &Site) -> Resolved {
        let unread = |key: &&str| at.lacks(key);
        match (&task.task_ref, &task.pipeline_ref, &task.pipeline_spec) {
            (Some(_), None, None) if at.lacks("taskRef") => Resolved::Missing,
            (None, Some(_), None) if at.lacks("pipelineRef") => Resolved::Missing,
            (Some(reference), None, None) => self.component(task, reference, at),
            (None, Some(reference), None) => match self.open(reference, at, "pipelineRef") {
                Some(Opened { name, spec, site, file }) => {
                    Resolved::Pipeline(Box::new(Nested::new(name, spec, site, Some(file))))
                }
                None => Resolved::Missing,
            },
            (None, None, Some(spec)) => {
                let (name, site) = (task.name.to_string(), at.below("pipelineSpec"));
                Resolved::Pipeline(Box::new(Nested::new(name, PipelineSpec::clone(spec), site, None)))
            }
            (None, None, None) if at.has_stray() || WHICH.iter().any(unread) => Resolved::Missing,
            (None, None, None) => {
                let message = format!("`{}` says not which task it is", task.name);
                let help = "add for example taskRef: { name: sbom }".to_owned();
                self.report(at, PlanError::Missing { message, help, place: at.place("name") });
                Resolved::Missing
            }
            _ => {
                let message = format!("`{}` takes one of taskRef, pipelineRef and pipelineSpec", task.name);
                self.report(at, PlanError::InvalidValue { message, place: at.place("name") });
                Resolved::Missing
            }
        }
    }

    fn component(&mut self, task: &PipelineTask, reference: &TaskRef, at: &Site) -> Resolved {
        let found = document::within(at, reference.local())
            .and_then(|()| self.resolver.resolve(reference, at.base()));
        match found {
            Ok(found) => Resolved::Task(found),
            Err(source) => {
                // Said once: no other task is there either.
                let no_tasks = matches!(source, super::ResolveError::NoTasks);
                if !(no_tasks && self.no_tasks) {
                    let (task, place) = (task.name.to_string(), at.place("taskRef"));
                    self.report(at, PlanError::Unresolved { task, source, place });
                }
                self.no_tasks |= no_tasks;
                Resolved::Missing
            }
        }
    }

    /// The results and artifacts that a pipeline hands back.
    fn handed_back(
        &mut self,
        spec: &PipelineSpec,
        site: &Site,
        scope: &Scope<'_>,
    ) -> (Vec<(String, Argument)>, BTreeMap<String, Wire>) {
        let mut wiring =
            Wiring { builder: self, scope, site, position: Position::Results, after: Vec::new() };
        let mut results: Vec<(String, Argument)> = Vec::new();
        for (index, result) in spec.results.iter().enumerate() {
            let argument = wiring.value(&result.value, &format!("results/{index}/value"));
            if results.iter().any(|(name, _)| name == result.name.as_str()) {
                wiring.duplicate(result.name.as_str(), &format!("results/{index}/name"));
            } else if let Some(argument) = argument {
                results.push((result.name.to_string(), argument));
            }
        }
        let mut outputs = BTreeMap::new();
        for (index, output) in spec.outputs.iter().enumerate() {
            if let Some(wire) = wiring.wire(&output.from, &format!("outputs/{index}/from"))
                && outputs.insert(output.name.to_string(), wire).is_some()
            {
                wiring.duplicate(output.name.as_str(), &format!("outputs/{index}/name"));
            }
        }
        (results, outputs)
    }
}

/// The tasks as they are written, those of `finally` after the others.
fn sites<'s>(spec: &'s PipelineSpec, site: &'s Site) -> impl Iterator<Item = (&'s PipelineTask, Site)> {
    let at = |list: &'static str| {
        move |(index, task): (usize, &'s PipelineTask)| (task, site.below(&format!("{list}/{index}")))
    };
    let finally = spec.finally.iter().enumerate().map(at("finally"));
    spec.tasks.iter().enumerate().map(at("tasks")).chain(finally)
}

/// What a flow takes: its own params, and those it sees of the pipelines around.
fn specs_of(params: &BTreeMap<String, Known>, spec: &PipelineSpec) -> Vec<ParamSpec> {
    let own = |name: &str| spec.params.iter().find(|spec| spec.name.as_str() == name).cloned();
    params.keys().filter_map(|name| own(name)).collect()
}

impl Nested {
    fn new(name: String, spec: PipelineSpec, site: Site, file: Option<PathBuf>) -> Self {
        let lists = ["params", "inputs", "results", "outputs"];
        let partial = site.has_stray() || lists.iter().any(|list| site.lacks(list));
        Self { name, spec, site, file, partial }
    }
}

impl Resolved {
    /// Whether it is not known what it takes and hands back.
    fn is_unknown(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Task(_) => false,
            Self::Pipeline(nested) => nested.partial,
        }
    }

    /// The type of a result; nothing where it has no such result.
    fn result_type(&self, name: &str) -> Option<ValueType> {
        match self {
            Self::Missing => None,
            Self::Pipeline(nested) if nested.partial => None,
            Self::Task(found) => {
                let mut specs = found.component.manifest.spec.results.iter();
                specs.find(|spec| spec.name.as_str() == name).map(|spec| spec.value_type)
            }
            Self::Pipeline(nested) => {
                let spec = nested.spec.results.iter().find(|spec| spec.name.as_str() == name)?;
                Some(spec.value_type.unwrap_or_else(|| spec.value.value_type()))
            }
        }
    }

    fn result_names(&self) -> Vec<&str> {
        match self {
            Self::Missing => Vec::new(),
            Self::Task(found) => {
                found.component.manifest.spec.results.iter().map(|spec| spec.name.as_str()).collect()
            }
            Self::Pipeline(nested) => nested.spec.results.iter().map(|spec| spec.name.as_str()).collect(),
        }
    }

    fn output_names(&self) -> Vec<&str> {
        match self {
            Self::Missing => Vec::new(),
            Self::Task(found) => {
                found.component.manifest.spec.outputs.iter().map(|spec| spec.name.as_str()).collect()
            }
            Self::Pipeline(nested) => nested.spec.outputs.iter().map(|spec| spec.name.as_str()).collect(),
        }
    }

    fn param_specs(&self) -> &[ParamSpec] {
        match self {
            Self::Missing => &[],
            Self::Task(found) => &found.component.manifest.spec.params,
            Self::Pipeline(nested) => &nested.spec.params,
        }
    }

    fn input_names(&self) -> Vec<&str> {
        match self {
            Self::Missing => Vec::new(),
            Self::Task(found) => {
                found.component.manifest.spec.inputs.iter().map(|spec| spec.name.as_str()).collect()
            }
            Self::Pipeline(nested) => nested.spec.inputs.iter().map(|spec| spec.name.as_str()).collect(),
        }
    }
}

impl Scope<'_> {
    /// How a task is written.
    fn written(&self, index: usize) -> Option<&PipelineTask> {
        let finally = index.checked_sub(self.finally_from);
        finally.map_or_else(|| self.spec.tasks.get(index), |index| self.spec.finally.get(index))
    }

    fn matrix_of(&self, index: usize) -> Option<&MatrixSpec> {
        self.written(index)?.matrix.as_deref()
    }

    /// Whether the combinations of a task could not be read.
    fn matrix_unread(&self, index: usize) -> bool {
        let (list, index) = match index.checked_sub(self.finally_from) {
            Some(index) => ("finally", index),
            None => ("tasks", index),
        };
        let task = self.site.below(&format!("{list}/{index}"));
        task.has_stray() || task.lacks("matrix")
    }
}

impl Wiring<'_, '_> {
    fn report(&mut self, error: PlanError) {
        self.builder.report(self.site, error);
    }

    fn invalid_value(&mut self, message: String, below: &str) {
        let place = self.site.place(below);
        self.report(PlanError::InvalidValue { message, place });
    }

    fn invalid_reference(&mut self, reference: &str, why: impl Into<String>, below: &str) {
        let (text, place) = (reference.to_owned(), self.site.place(below));
        self.report(PlanError::InvalidReference { text, why: why.into(), place });
    }

    fn unknown(&mut self, what: &'static str, name: &str, known: &[&str], none: &str, below: &str) {
        // With so many wrong names nobody reads what each was meant to be, and to
        // look for it among as many takes long.
        let told = self.builder.faults.errors.len() < HELPED;
        let help = if told {
            known_names(name, known, none)
        } else {
            "what there is, is told of the first of them".to_owned()
        };
        let place = self.site.place(below);
        self.report(PlanError::UnknownName { what, name: name.to_owned(), help, place });
    }

    fn duplicate(&mut self, name: &str, below: &str) {
        let place = self.site.place(below);
        self.report(PlanError::DuplicateName { name: name.to_owned(), place });
    }

    /// Counts bytes of a value before they are put together.
    fn spend(&mut self, bytes: usize, below: &str) -> Option<()> {
        if let Some(left) = self.builder.left.checked_sub(bytes) {
            self.builder.left = left;
            return Some(());
        }
        // Said once: what follows is not put together either.
        if self.builder.left > 0 {
            self.builder.left = 0;
            let message = format!("the values of all params together have more than {MAX_PLAN_BYTES} bytes");
            self.invalid_value(message, below);
        }
        None
    }
}
