//! A plan as it is shown: the graph, each task's identity, and every grant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cofferdam_manifest::Value;
use serde::Serialize;

use super::run::trust_words;
use super::words::{Palette, visible};
use crate::capability::GrantLine;
use crate::event::TaskIdentity;
use crate::model::{EffectiveLimits, Shared};
use crate::plan::{Argument, Piece, Plan, PlannedTask, Template, Wire};

/// A plan as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// Its params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// Its tasks, in the order they are written.
    pub tasks: Vec<TaskPlanView>,
}

/// A task of a plan as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPlanView {
    /// The name in the pipeline.
    pub task: String,
    /// Which task it is, and whether it is trusted.
    pub identity: Shared<TaskIdentity>,
    /// The tasks it waits for.
    pub after: Vec<String>,
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
    /// Whether nothing but inputs, params and the component decide its outcome.
    pub hermetic: bool,
    /// How much it may use.
    pub limits: EffectiveLimits,
}

impl PlanView {
    /// The view of a plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            pipeline: plan.pipeline.clone(),
            file: plan.file.clone(),
            params: plan.params.clone(),
            tasks: plan.tasks.iter().map(|task| TaskPlanView::new(plan, task)).collect(),
        }
    }
}

impl TaskPlanView {
    fn new(plan: &Plan, task: &PlannedTask) -> Self {
        let name = |index: &usize| plan.tasks.get(*index).map(|t| t.name.to_string()).unwrap_or_default();
        let from = |wire: &Wire| match wire {
            Wire::Source => "$(source)".to_owned(),
            Wire::Output { task, output } => format!("$(tasks.{}.outputs.{output})", name(task)),
        };
        let outputs = &task.component.manifest.spec.outputs;
        Self {
            task: task.name.to_string(),
            identity: Shared::clone(&task.identity),
            after: task.after.iter().map(name).collect(),
            params: task.params.iter().map(|(name, argument)| (name.clone(), value_of(argument))).collect(),
            inputs: task.inputs.iter().map(|(name, wire)| (name.clone(), from(wire))).collect(),
            outputs: outputs.iter().map(|output| output.name.to_string()).collect(),
            imports: task.component.imports.clone(),
            grants: task.grant_lines.clone(),
            hermetic: task.grants.hermetic(),
            limits: task.limits,
        }
    }
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

/// A plan in words.
#[must_use]
pub fn plan_text(view: &PlanView, palette: &Palette) -> String {
    let mut out = String::new();
    let count = view.tasks.len();
    let plural = if count == 1 { "" } else { "s" };
    let name = palette.strong.apply_to(&view.pipeline);
    let _ = writeln!(out, "{name} ({}): {count} task{plural}; nothing was run", visible(&view.file));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    for (name, value) in &view.params {
        row("param", &format!("{name} = {}", shown(value)));
    }
    for task in &view.tasks {
        task_text(&mut out, task, palette);
    }
    out
}

fn task_text(out: &mut String, task: &TaskPlanView, palette: &Palette) {
    let _ = writeln!(out, "\n{}", palette.strong.apply_to(&task.task));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    row("task", &visible(&task.identity.reference));
    row("trust", &visible(&trust_words(&task.identity.trust)));
    if !task.after.is_empty() {
        row("after", &task.after.join(", "));
    }
    for (name, from) in &task.inputs {
        row("reads", &format!("{name} = {from}"));
    }
    for name in &task.outputs {
        row("makes", name);
    }
    for (name, value) in &task.params {
        row("param", &format!("{name} = {}", shown(value)));
    }
    if task.grants.is_empty() {
        row("granted", "nothing: it asks for nothing beyond its inputs and outputs");
    }
    for line in grant_table(&task.grants) {
        row("", &line);
    }
    row("hermetic", if task.hermetic { "yes" } else { "no" });
    let limits = &task.limits;
    let words = format!(
        "{} memory, {}, {} of processor time, {} and {} files written, {} logged, {} handles, {} instances, {} tables",
        limits.memory,
        limits.timeout,
        limits.cpu,
        limits.output,
        limits.files,
        limits.log,
        limits.handles,
        limits.instances,
        limits.tables
    );
    row("limits", &words);
    // What a task without a network could use of one is noise.
    if task.grants.iter().any(|line| line.asked.contains("://") || line.asked.starts_with("tcp ")) {
        let words = format!(
            "{} requests, {} at once, {} in one body, {} sent, {} received",
            limits.requests, limits.open_requests, limits.body, limits.egress, limits.ingress
        );
        row("", &words);
    }
}

/// What is asked for, what is granted of it, and why, in columns.
fn grant_table(lines: &[GrantLine]) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![["ASKED".to_owned(), "GRANTED".to_owned(), "WHY".to_owned()]];
    for line in lines {
        let asked = visible(&line.asked).into_owned();
        let why = match &line.remedy {
            Some(yaml) => format!("{}; to grant it: {}", line.why, visible(yaml)),
            None => line.why.clone(),
        };
        match line.granted.as_slice() {
            [] => rows.push([asked, "nothing".to_owned(), why]),
            [first, rest @ ..] => {
                let first =
                    if *first == line.asked { "all of it".to_owned() } else { visible(first).into_owned() };
                rows.push([asked, first, why]);
                rows.extend(
                    rest.iter().map(|more| [String::new(), visible(more).into_owned(), String::new()]),
                );
            }
        }
    }
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let (first, second) = (width(0).unwrap_or(0), width(1).unwrap_or(0));
    rows.iter().map(|[asked, granted, why]| format!("{asked:<first$}  {granted:<second$}  {why}")).collect()
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Texts(_) | Value::Fields(_) => serde_json::to_string(value).unwrap_or_default(),
    };
    visible(&text).into_owned()
}
