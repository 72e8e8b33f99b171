//! A plan as it is shown: the graph, each task's identity, and every grant.

use std::collections::BTreeMap;

use cofferdam_manifest::{NetworkRule, Value};
use serde::Serialize;

use super::words::shell_word;
use crate::capability::GrantLine;
use crate::event::{PipelineIdentity, TaskIdentity};
use crate::model::{EffectiveLimits, ErrorMode, Shared, WhenOperator};
use crate::plan::{
    Argument, Flow, Guard, Piece, Plan, PlanFile, PlannedTask, TaskWork, Template, Wire, Work,
};

/// A plan as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// The files of pipelines that run in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Those of them that come out of a registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<PipelineIdentity>,
    /// Its params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// Its tasks, in the order they are written, those of nested pipelines in
    /// the place of the task they run as.
    pub tasks: Vec<TaskPlanView>,
    /// The pipelines that are nested in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<NestedPlanView>,
    /// Its results, as `$(..)`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
}

/// A task of a plan as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPlanView {
    /// The name in the pipeline.
    pub task: String,
    /// Which task it is, and whether it is trusted.
    pub identity: Shared<TaskIdentity>,
    /// What decides whether and how often it runs.
    #[serde(flatten)]
    pub control: ControlView,
    /// Its params; what is known only at run time as `$(..)`.
    pub params: BTreeMap<String, Value>,
    /// Its inputs, as `$(..)`.
    pub inputs: BTreeMap<String, String>,
    /// The artifacts it makes.
    pub outputs: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// Each capability it asks for.
    pub grants: Vec<GrantLine>,
    /// Each secret it asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretPlanView>,
    /// Whether nothing but inputs, params and the component decide its outcome.
    pub hermetic: bool,
    /// How much it may use.
    pub limits: EffectiveLimits,
}

/// A secret that a task asks for, as it is shown: never its value.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretPlanView {
    /// Its name.
    pub name: String,
    /// Whether there is one of that name.
    pub set: bool,
    /// The hosts it is bound to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whether the task is granted to have it sent.
    pub granted: bool,
    /// What to type to set it, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl SecretPlanView {
    /// The secrets that a task asks for; `set` says of those that there are to
    /// which hosts they are bound.
    fn of(work: &TaskWork, set: &BTreeMap<String, Vec<String>>) -> Vec<Self> {
        let asked = &work.component.manifest.spec.capabilities.network;
        let named = |rules: &[NetworkRule], name: &str| {
            rules.iter().any(|rule| rule.secret.as_ref().is_some_and(|ask| ask.name.as_str() == name))
        };
        let mut found: Vec<Self> = Vec::new();
        for ask in asked.iter().filter_map(|rule| rule.secret.as_ref()) {
            let name = ask.name.as_str();
            if found.iter().any(|known| known.name == name) {
                continue;
            }
            let mut hosts: Vec<String> = Vec::new();
            for rule in asked.iter().filter(|rule| named(std::slice::from_ref(*rule), name)) {
                let host = bound_host(rule);
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            let bound = set.get(name);
            let hosts: Vec<String> =
                hosts.iter().map(|host| format!(" --host {}", shell_word(host))).collect();
            let command = bound.is_none().then(|| format!("cofferdam secret set {name}{}", hosts.concat()));
            found.push(Self {
                name: name.to_owned(),
                set: bound.is_some(),
                hosts: bound.cloned().unwrap_or_default(),
                granted: named(&work.grants.network, name),
                command,
            });
        }
        found
    }
}

/// The host of a rule as `secret set --host` takes it: without a port, that of
/// `https`, over which alone a secret is sent.
fn bound_host(rule: &NetworkRule) -> String {
    rule.port.map_or_else(|| rule.host.to_string(), |port| format!("{}:{port}", rule.host))
}

/// A nested pipeline as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedPlanView {
    /// The task it runs as.
    pub task: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// What decides whether and how often it runs.
    #[serde(flatten)]
    pub control: ControlView,
    /// Its params; what is known only at run time as `$(..)`.
    pub params: BTreeMap<String, Value>,
}

/// What decides whether and how often a task runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlView {
    /// The tasks it waits for.
    pub after: Vec<String>,
    /// Whether it runs when all others have ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
    /// Its conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<String>,
    /// The lists whose combinations it runs for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub matrix: BTreeMap<String, Value>,
    /// What the matrix includes besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<BTreeMap<String, String>>,
    /// How often it is tried again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// Whether the pipeline goes on when it fails.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignores_failure: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl PlanView {
    /// The view of a plan; `secrets` has the secrets that are set, by name, with
    /// the hosts they are bound to.
    #[must_use]
    pub fn new(plan: &Plan, secrets: &BTreeMap<String, Vec<String>>) -> Self {
        let mut view = Self {
            pipeline: plan.pipeline.clone(),
            file: plan.file.clone(),
            bundles: plan.pipelines.clone(),
            files: plan.files.iter().skip(1).map(|PlanFile { name, .. }| name.clone()).collect(),
            params: plan.params.clone(),
            tasks: Vec::with_capacity(plan.flow.tasks.len()),
            pipelines: Vec::new(),
            results: plan.flow.results.iter().map(|(name, value)| (name.clone(), value_of(value))).collect(),
        };
        view.add(&plan.flow, "", secrets);
        view
    }

    fn add(&mut self, flow: &Flow, prefix: &str, secrets: &BTreeMap<String, Vec<String>>) {
        for (index, task) in flow.tasks.iter().enumerate() {
            let name = format!("{prefix}{}", task.name);
            let control = ControlView::new(flow, index, task, prefix);
            match &task.work {
                Work::Task(work) => {
                    let view = TaskPlanView::new(flow, task, work, (name, control, prefix));
                    self.tasks.push(TaskPlanView { secrets: SecretPlanView::of(work, secrets), ..view });
                }
                Work::Pipeline(nested) => {
                    let prefix = format!("{name}/");
                    let (pipeline, params) = (nested.name.clone(), values_of(&task.params));
                    self.pipelines.push(NestedPlanView { task: name, pipeline, control, params });
                    self.add(nested, &prefix, secrets);
                }
            }
        }
    }
}

fn name_in(flow: &Flow, prefix: &str, index: usize) -> String {
    flow.tasks.get(index).map(|task| format!("{prefix}{}", task.name)).unwrap_or_default()
}

impl ControlView {
    fn new(flow: &Flow, index: usize, task: &PlannedTask, prefix: &str) -> Self {
        let matrix = task.matrix.iter();
        let include = matrix.clone().flat_map(|matrix| &matrix.include).map(|include| {
            include.params.iter().map(|(name, template)| (name.clone(), written(template))).collect()
        });
        Self {
            after: task.after.iter().map(|before| name_in(flow, prefix, before.task)).collect(),
            finally: index >= flow.finally_from,
            when: task.when.iter().map(condition).collect(),
            matrix: matrix
                .flat_map(|matrix| &matrix.params)
                .map(|(name, values)| (name.clone(), value_of(values)))
                .collect(),
            include: include.collect(),
            retries: task.retry.max,
            ignores_failure: task.on_error == ErrorMode::Continue,
        }
    }
}

impl TaskPlanView {
    fn new(flow: &Flow, task: &PlannedTask, work: &TaskWork, named: (String, ControlView, &str)) -> Self {
        let (name, control, prefix) = named;
        let from = |wire: &Wire| match wire {
            Wire::Source => "$(source)".to_owned(),
            Wire::Input(input) => format!("$(inputs.{input})"),
            Wire::Output { task, key, output } => {
                let key = key.as_ref().map(|key| format!("[{key}]")).unwrap_or_default();
                format!("$(tasks.{}{key}.outputs.{output})", name_in(flow, prefix, *task))
            }
        };
        let outputs = &work.component.manifest.spec.outputs;
        Self {
            task: name,
            identity: Shared::clone(&work.identity),
            control,
            params: values_of(&task.params)
                .into_iter()
                .filter(|(name, _)| {
                    let varied = task.matrix.iter().flat_map(|matrix| &matrix.params);
                    !varied.into_iter().any(|(own, _)| own == name)
                })
                .collect(),
            inputs: task.inputs.iter().map(|(name, wire)| (name.clone(), from(wire))).collect(),
            outputs: outputs.iter().map(|output| output.name.to_string()).collect(),
            imports: work.component.imports.clone(),
            grants: work.grant_lines.clone(),
            secrets: Vec::new(),
            hermetic: work.grants.hermetic(),
            limits: *work.limits,
        }
    }
}

fn condition(guard: &Guard) -> String {
    match guard {
        Guard::Values { input, operator, values } => {
            let operator = match operator {
                WhenOperator::In => "in",
                WhenOperator::NotIn => "notin",
            };
            let values: Vec<String> = values.iter().map(written).collect();
            format!("{} {operator} {}", written(input), values.join(", "))
        }
        Guard::Cel(guard) => guard.source().to_owned(),
    }
}

fn values_of(arguments: &BTreeMap<String, Argument>) -> BTreeMap<String, Value> {
    arguments.iter().map(|(name, argument)| (name.clone(), value_of(argument))).collect()
}

fn value_of(argument: &Argument) -> Value {
    match argument {
        Argument::Text(template) => Value::Text(written(template)),
        Argument::Texts(items) => Value::Texts(items.iter().map(written).collect()),
        Argument::Fields(fields) => {
            Value::Fields(fields.iter().map(|(key, template)| (key.clone(), written(template))).collect())
        }
    }
}

fn written(template: &Template) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Reference(reference) => format!("$({reference})"),
    };
    template.pieces.iter().map(piece).collect()
}
