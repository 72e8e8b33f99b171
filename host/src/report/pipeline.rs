//! A pipeline as `pipeline inspect` shows it.

use std::fmt::Write as _;

use cofferdam_registry::{Digest, TrustDecision};
use serde::Serialize;

use super::task::{param_words, signature_words, with_description};
use super::trust::trust_words;
use super::words::{Palette, visible};
use crate::model::{Pipeline, PipelineSpec, PipelineTask, TaskPlace};

/// A pipeline as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineDescription {
    /// The file, or the reference pinned to its digest.
    pub from: String,
    /// What is signed and pinned; nothing for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The version that its manifest gives, where it gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is trusted here; nothing for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustDecision>,
    /// The keys that its signatures name. Only `trust` says whether they hold.
    pub signatures: Vec<String>,
    /// What it names, those of nested pipelines that are written out, too.
    pub tasks: Vec<NamedTask>,
    /// The pipeline, as it is written.
    pub pipeline: Pipeline,
}

/// A task of a pipeline, and what it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedTask {
    /// Its name; below a nested pipeline, after the name of that and a `/`.
    pub name: String,
    /// Whether it runs when all others have ended.
    pub finally: bool,
    /// The task, as it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The pipeline in its place, as it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
}

/// What a pipeline names, in its order.
#[must_use]
pub fn task_lines(spec: &PipelineSpec) -> Vec<NamedTask> {
    let mut lines = Vec::new();
    add_lines(spec, ("", false), &mut lines);
    lines
}

fn add_lines(spec: &PipelineSpec, (before, last): (&str, bool), lines: &mut Vec<NamedTask>) {
    let tasks = spec.tasks.iter().map(|task| (task, last));
    for (task, finally) in tasks.chain(spec.finally.iter().map(|task| (task, true))) {
        let name = format!("{before}{}", task.name);
        match &task.pipeline_spec {
            Some(nested) => add_lines(nested, (&format!("{name}/"), finally), lines),
            None => lines.push(NamedTask {
                name,
                finally,
                task: named_task(task),
                pipeline: named_pipeline(task),
            }),
        }
    }
}

fn named_task(task: &PipelineTask) -> Option<String> {
    Some(match task.task_ref.as_ref()?.place().ok()? {
        TaskPlace::Embedded { name, version: Some(version) } => format!("{name}:{version}"),
        TaskPlace::Embedded { name, version: None } => name.to_owned(),
        TaskPlace::Bundle { reference, .. } => reference.to_owned(),
        TaskPlace::File(file) => format!("file:{file}"),
    })
}

fn named_pipeline(task: &PipelineTask) -> Option<String> {
    Some(task.pipeline_ref.as_ref()?.place().ok()?.to_string())
}

/// A pipeline in words.
#[must_use]
pub fn pipeline_text(shown: &PipelineDescription, palette: &Palette) -> String {
    let Pipeline { metadata, spec, .. } = &shown.pipeline;
    let mut out = String::new();
    let version = shown.version.as_deref().map(|version| format!(":{version}")).unwrap_or_default();
    let name = palette.strong.apply_to(visible(&format!("{}{version}", metadata.name)).into_owned());
    let _ = writeln!(out, "{name} {}", visible(&spec.description));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    row("from", &visible(&shown.from));
    if let Some(digest) = shown.digest {
        row("manifest", &digest.to_string());
    }
    if let Some(trust) = &shown.trust {
        row("trust", &visible(&trust_words(trust)));
        signature_words(&shown.signatures).iter().for_each(|words| row("signed", words));
    }
    spec.params.iter().for_each(|param| row("param", &param_words(param)));
    for input in &spec.inputs {
        row("reads", &with_description(input.name.as_str(), &input.description));
    }
    for task in &shown.tasks {
        let label = if task.finally { "finally" } else { "task" };
        let named = match (&task.task, &task.pipeline) {
            (Some(named), _) => named.clone(),
            (None, Some(named)) => format!("the pipeline {named}"),
            (None, None) => "nothing that can be read".to_owned(),
        };
        row(label, &visible(&format!("{}: {named}", task.name)));
    }
    for output in &spec.outputs {
        row("makes", &visible(&format!("{} from {}", output.name, output.from)));
    }
    for result in &spec.results {
        row("result", &with_description(result.name.as_str(), &result.description));
    }
    out
}
