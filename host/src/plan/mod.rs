//! From a pipeline file to a graph that can be run, or to every reason why not.
//!
//! Everything that can be known before a run is known here: types, wiring,
//! cycles, which component each task is, whether it is trusted, what it may do.
//! A plan that exists is valid; nothing is checked a second time later.

mod error;
mod graph;
mod params;
mod registry;
mod resolve;
mod template;
mod unsupported;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cofferdam_manifest::{Document, Value, decode};
use cofferdam_registry::Digest;

use crate::capability::GrantLine;
use crate::component::Component;
use crate::event::{Grants, TaskIdentity};
use crate::model::{EffectiveLimits, Overrides, Pipeline, Shared};

pub use error::{Place, PlanError, PlanErrors};
pub use registry::RegistryResolver;
pub use resolve::{ResolveError, ResolvedTask, Resolver};
pub use template::{BadReference, Piece, Reference, Selector, Template, pick};

/// A pipeline that can be run.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub pipeline: String,
    /// The file, as it was named.
    pub file: String,
    /// The digest of the file.
    pub file_digest: Digest,
    /// Every param, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// What the command line said about grants.
    pub overrides: Overrides,
    /// The tasks, in the order they are written.
    pub tasks: Vec<PlannedTask>,
    /// Whether any task reads the source tree.
    pub uses_source: bool,
}

/// One task of a plan.
#[derive(Debug)]
pub struct PlannedTask {
    /// The name in the pipeline.
    pub name: Arc<str>,
    /// Which task it is, and whether it is trusted.
    pub identity: Shared<TaskIdentity>,
    /// The component.
    pub component: Arc<Component>,
    /// Its params, with references to results still open.
    pub params: BTreeMap<String, Argument>,
    /// Its inputs by name.
    pub inputs: BTreeMap<String, Wire>,
    /// The tasks that must have succeeded first, as indexes into the plan.
    pub after: Vec<usize>,
    /// What it may do beyond reading inputs and writing outputs.
    pub grants: Grants,
    /// The same for people: each capability it asks for, and why it has it or not.
    pub grant_lines: Vec<GrantLine>,
    /// How much it may use.
    pub limits: EffectiveLimits,
}

/// A param's value, its references to params already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A string.
    Text(Template),
    /// A list; an item can stand for a whole list.
    Texts(Vec<Template>),
    /// Strings by key.
    Fields(BTreeMap<String, Template>),
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The source tree.
    Source,
    /// Another task's output.
    Output {
        /// The task, as an index into the plan.
        task: usize,
        /// The output.
        output: String,
    },
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The file, as it was named.
    pub file: &'a str,
    /// The directory that references in it are relative to.
    pub base: &'a Path,
    /// The text of the file.
    pub text: &'a str,
    /// Params from whoever runs it.
    pub given: &'a BTreeMap<String, Value>,
    /// The most that any task may use.
    pub ceiling: &'a EffectiveLimits,
    /// What the command line says about grants.
    pub overrides: &'a Overrides,
}

impl Plan {
    /// Plans a pipeline.
    ///
    /// # Errors
    /// Everything found wrong, each with its place in the file.
    pub fn build(request: &PlanRequest<'_>, resolver: &dyn Resolver) -> Result<Self, PlanErrors> {
        let collect = |errors: Vec<PlanError>| PlanErrors::new(request.file, request.text, errors);
        let document = Document::parse(request.text).map_err(|fault| collect(vec![fault.into()]))?;
        let unsupported = unsupported::find(&document);
        if !unsupported.is_empty() {
            return Err(collect(unsupported));
        }
        let pipeline: Pipeline =
            decode(&document).map_err(|faults| collect(faults.into_iter().map(PlanError::from).collect()))?;
        let mut errors = Vec::new();
        let params = params::bind(&pipeline, request.given, &document, &mut errors);
        let mut tasks = Vec::with_capacity(pipeline.spec.tasks.len());
        let mut uses_source = false;
        let mut no_tasks = false;
        if pipeline.spec.tasks.is_empty() {
            let message = "`tasks` is empty: a run of nothing would prove nothing".to_owned();
            errors.push(PlanError::InvalidValue { message, place: document.place("/spec/tasks") });
        }
        for (index, task) in pipeline.spec.tasks.iter().enumerate() {
            let at = At { document: &document, index };
            match resolver.resolve(&task.task_ref, request.base) {
                Ok(resolved) => tasks.push(Some(resolved)),
                Err(source) => {
                    // Said once: no other task is there either.
                    if no_tasks {
                        tasks.push(None);
                        continue;
                    }
                    no_tasks = matches!(source, ResolveError::NoTasks);
                    errors.push(PlanError::Unresolved {
                        task: task.name.to_string(),
                        source,
                        place: at.place("taskRef"),
                    });
                    tasks.push(None);
                }
            }
        }
        let planned = graph::connect(&pipeline, &tasks, &params, request, &document, &mut errors);
        for task in &planned {
            uses_source |= task.inputs.values().any(|wire| *wire == Wire::Source);
        }
        if !errors.is_empty() {
            return Err(collect(errors));
        }
        Ok(Self {
            pipeline: pipeline.metadata.name.to_string(),
            file: request.file.to_owned(),
            file_digest: Digest::of(request.text.as_bytes()),
            params,
            overrides: request.overrides.clone(),
            tasks: planned,
            uses_source,
        })
    }
}

/// A task's position in the document, for places in messages.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) document: &'a Document,
    pub(crate) index: usize,
}

impl At<'_> {
    pub(crate) fn place(&self, below: &str) -> Place {
        self.document.place(&format!("/spec/tasks/{}/{below}", self.index))
    }
}
