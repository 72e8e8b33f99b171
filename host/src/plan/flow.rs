//! A pipeline as a graph: what is left of the file once every name in it stands
//! for something. Tasks refer to each other by their index in the flow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_manifest::ParamSpec;

use super::cel::CelGuard;
use super::{Reference, Template};
use crate::capability::{GrantLine, Withheld};
use crate::component::Component;
use crate::event::{Doubts, Grants, TaskIdentity};
use crate::model::{EffectiveLimits, ErrorMode, RetryCause, Shared, WhenOperator};

/// A pipeline that can be run: the whole one, or one that is nested in it.
#[derive(Debug)]
pub struct Flow {
    /// The pipeline's name.
    pub name: String,
    /// The params it takes; for one that is written in its place, those of the
    /// pipelines around it, too.
    pub params: Vec<ParamSpec>,
    /// The tasks, in the order they are written, and then those of `finally`.
    pub tasks: Vec<PlannedTask>,
    /// Where those of `finally` begin.
    pub finally_from: usize,
    /// The values it hands back.
    pub results: Vec<(String, Argument)>,
    /// The artifacts it hands back.
    pub outputs: BTreeMap<String, Wire>,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// How long a flow may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// All of it.
    pub pipeline: Option<Duration>,
    /// Its tasks.
    pub tasks: Option<Duration>,
    /// Its `finally`.
    pub finally: Option<Duration>,
}

/// One task of a flow.
#[derive(Debug)]
pub struct PlannedTask {
    /// The name in the pipeline.
    pub name: Arc<str>,
    /// A name for people.
    pub display_name: Option<String>,
    /// What must have ended first, by its index; of no use in `finally`. Tasks that
    /// wait for the same have the same list.
    pub after: Arc<[Dependency]>,
    /// The conditions it runs under.
    pub when: Vec<Guard>,
    /// The combinations it runs for.
    pub matrix: Option<Box<Matrix>>,
    /// How often it is tried again.
    pub retry: RetryPolicy,
    /// Whether the pipeline goes on when it fails.
    pub on_error: ErrorMode,
    /// Its params, with references still open that only a run can fill in.
    pub params: BTreeMap<String, Argument>,
    /// Its inputs by name.
    pub inputs: BTreeMap<String, Wire>,
    /// Whether anything of what it makes is used in the flow.
    pub awaited: bool,
    /// What runs.
    pub work: Work,
}

/// What a task of a flow is.
#[derive(Debug)]
pub enum Work {
    /// A component.
    Task(Box<TaskWork>),
    /// A pipeline.
    Pipeline(Box<Flow>),
}

/// A component and what it may do.
#[derive(Debug)]
pub struct TaskWork {
    /// Which task it is, and whether it is trusted.
    pub identity: Shared<TaskIdentity>,
    /// The component.
    pub component: Arc<Component>,
    /// Whether it is trusted, and so is the pipeline that names it.
    pub trusted: bool,
    /// Why what it is given is not trusted; nothing for most, of which there may be
    /// ten thousand.
    pub doubts: Option<Box<Doubts>>,
    /// What it may do beyond reading inputs and writing outputs.
    pub grants: Shared<Grants>,
    /// The same for people: each capability it asks for, and why it has it or not.
    pub grant_lines: Vec<GrantLine>,
    /// What it asks for of the network and is refused.
    pub withheld: Arc<Withheld>,
    /// How much it may use.
    pub limits: Shared<EffectiveLimits>,
    /// Its number among all components of the plan.
    pub leaf: usize,
}

/// One task that another waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The task, as an index into the flow.
    pub task: usize,
    /// Whether something of what it makes is used, or only its end is awaited.
    pub needs: bool,
}

/// A condition.
#[derive(Debug)]
pub enum Guard {
    /// A string is, or is not, among some.
    Values {
        /// The string.
        input: Template,
        /// Whether it must be.
        operator: WhenOperator,
        /// The others; an item can stand for a whole list.
        values: Vec<Template>,
    },
    /// An expression holds.
    Cel(CelGuard),
}

/// The combinations of values a task runs for.
#[derive(Debug)]
pub struct Matrix {
    /// Params and their values: every combination.
    pub params: Vec<(String, Argument)>,
    /// Params that combinations have besides, or combinations of their own.
    pub include: Vec<Include>,
}

/// What a matrix includes.
#[derive(Debug)]
pub struct Include {
    /// The key of a combination of its own.
    pub name: Option<String>,
    /// The params.
    pub params: BTreeMap<String, Template>,
}

/// How often a task is tried again, after how long, after which failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many times.
    pub max: u32,
    /// The first wait; each after it is twice as long.
    pub backoff: Duration,
    /// The failures; none means all.
    pub on: Vec<RetryCause>,
}

/// A param's value, its references to known params already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A string, or what a reference stands for as a whole.
    Text(Template),
    /// A list; an item can stand for a whole list.
    Texts(Vec<Template>),
    /// Strings by key.
    Fields(BTreeMap<String, Template>),
}

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The source tree.
    Source,
    /// Another task's output.
    Output {
        /// The task, as an index into the flow.
        task: usize,
        /// The combination of its matrix.
        key: Option<String>,
        /// The output.
        output: String,
    },
    /// What the flow was handed.
    Input(String),
}

/// The longest wait before a task is tried again.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

impl RetryPolicy {
    /// The wait before a retry, counted from one.
    #[must_use]
    pub fn wait(&self, retry: u32) -> Duration {
        let factor = 1_u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(MAX_BACKOFF)
    }
}

impl Flow {
    /// Its own tasks, without those of `finally`.
    #[must_use]
    pub fn main_tasks(&self) -> &[PlannedTask] {
        self.tasks.get(..self.finally_from).unwrap_or_default()
    }

    /// The tasks of its `finally`.
    #[must_use]
    pub fn finally_tasks(&self) -> &[PlannedTask] {
        self.tasks.get(self.finally_from..).unwrap_or_default()
    }

    /// Every component in it, those of nested pipelines among them, in the
    /// order of [`TaskWork::leaf`], each with the name of its task.
    #[must_use]
    pub fn leaves(&self) -> Vec<(String, &PlannedTask, &TaskWork)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found.sort_by_key(|(.., work)| work.leaf);
        found
    }

    /// Whether anything in it reads the source tree.
    #[must_use]
    pub fn uses_source(&self) -> bool {
        self.outputs.values().any(|wire| *wire == Wire::Source)
            || self.tasks.iter().any(PlannedTask::uses_source)
    }

    fn collect<'a>(&'a self, before: &str, found: &mut Vec<(String, &'a PlannedTask, &'a TaskWork)>) {
        for task in &self.tasks {
            let name = format!("{before}{}", task.name);
            match &task.work {
                Work::Task(work) => found.push((name, task, work)),
                Work::Pipeline(flow) => flow.collect(&format!("{name}/"), found),
            }
        }
    }
}

impl PlannedTask {
    /// The component, where it is one.
    #[must_use]
    pub fn component(&self) -> Option<&TaskWork> {
        match &self.work {
            Work::Task(work) => Some(work),
            Work::Pipeline(_) => None,
        }
    }

    /// Whether it reads the source tree, or something nested in it does.
    #[must_use]
    pub fn uses_source(&self) -> bool {
        let own = self.inputs.values().any(|wire| *wire == Wire::Source);
        own || match &self.work {
            Work::Task(_) => false,
            Work::Pipeline(flow) => flow.uses_source(),
        }
    }
}

impl Argument {
    /// Every template in it.
    pub(crate) fn templates(&self) -> Box<dyn Iterator<Item = &Template> + '_> {
        match self {
            Self::Text(template) => Box::new(std::iter::once(template)),
            Self::Texts(templates) => Box::new(templates.iter()),
            Self::Fields(fields) => Box::new(fields.values()),
        }
    }

    /// Every reference in it.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.templates().flat_map(Template::references)
    }
}
