//! A plan in words.

use std::fmt::Write as _;

use cofferdam_manifest::Value;
use jiff::Timestamp;

use super::plan::{ControlView, NestedPlanView, PlanView, SecretPlanView, TaskPlanView};
use super::trust::{bundle_words, expiring, trust_words};
use super::words::{Palette, visible};
use crate::capability::GrantLine;

/// A plan in words; `now` decides whose trust ends soon.
#[must_use]
pub fn plan_text(view: &PlanView, now: Timestamp, palette: &Palette) -> String {
    let mut out = String::new();
    let count = view.tasks.len();
    let plural = if count == 1 { "" } else { "s" };
    let name = palette.strong.apply_to(&view.pipeline);
    let _ = writeln!(out, "{name} ({}): {count} task{plural}; nothing was run", visible(&view.file));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    for words in bundle_words(&view.bundles) {
        row("bundle", &words);
    }
    for (name, value) in &view.params {
        row("param", &format!("{name} = {}", shown(value)));
    }
    for (name, value) in &view.results {
        row("result", &format!("{name} = {}", shown(value)));
    }
    for task in &view.tasks {
        task_text(&mut out, task, palette);
    }
    for nested in &view.pipelines {
        nested_text(&mut out, nested, palette);
    }
    for words in expiring(view.tasks.iter().map(|task| &*task.identity), &view.bundles, now) {
        let _ = writeln!(out, "\n{} {words}", palette.bad.apply_to("trust"));
    }
    out
}

/// What decides whether and how often a task runs, in rows.
fn control_rows(control: &ControlView) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if control.finally {
        rows.push(("finally", "when all other tasks have ended, however that was".to_owned()));
    }
    if !control.after.is_empty() {
        rows.push(("after", control.after.join(", ")));
    }
    rows.extend(control.when.iter().map(|condition| ("when", visible(condition).into_owned())));
    rows.extend(
        control.matrix.iter().map(|(name, values)| ("matrix", format!("{name} of {}", shown(values)))),
    );
    for include in &control.include {
        let params: Vec<String> = include.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        rows.push(("include", visible(&params.join(", ")).into_owned()));
    }
    if control.retries > 0 {
        rows.push(("retries", format!("at most {}", control.retries)));
    }
    if control.ignores_failure {
        rows.push(("on error", "the pipeline goes on".to_owned()));
    }
    rows
}

fn nested_text(out: &mut String, nested: &NestedPlanView, palette: &Palette) {
    let _ = writeln!(out, "\n{} is the pipeline {}", palette.strong.apply_to(&nested.task), nested.pipeline);
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    for (label, words) in control_rows(&nested.control) {
        row(label, &words);
    }
    for (name, value) in &nested.params {
        row("param", &format!("{name} = {}", shown(value)));
    }
}

fn task_text(out: &mut String, task: &TaskPlanView, palette: &Palette) {
    let _ = writeln!(out, "\n{}", palette.strong.apply_to(&task.task));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    row("task", &visible(&task.identity.reference));
    row("trust", &visible(&trust_words(&task.identity.trust)));
    for (label, words) in control_rows(&task.control) {
        row(label, &words);
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
    for secret in &task.secrets {
        row("secret", &visible(&secret_words(secret)));
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

/// Whether a secret is there, and what to type where it is not.
fn secret_words(secret: &SecretPlanView) -> String {
    let SecretPlanView { name, hosts, granted, command, .. } = secret;
    let state = match command {
        None => format!("{name}: set, for {}", hosts.join(", ")),
        Some(command) => format!("{name}: not set; to set it: {command}"),
    };
    if *granted { state } else { format!("{state}; the task is not granted to have it sent") }
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
