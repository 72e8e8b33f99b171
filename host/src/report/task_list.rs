//! The tasks of a layout as `task list` shows them.

use std::fmt::Write as _;

use cofferdam_registry::{Digest, TrustDecision};
use serde::Serialize;

use super::trust::trust_words;
use super::words::{Palette, bytes, visible};
use crate::event::TaskIdentity;

/// The tasks of a layout, or of a repository in a registry.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskList {
    /// Its directory, or the repository.
    pub layout: String,
    /// By name and version.
    pub tasks: Vec<TaskLine>,
    /// What the pipelines are called that it has besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<String>,
}

/// One task of a layout.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskLine {
    /// What it is called there.
    pub names: Vec<String>,
    /// What is signed and pinned; nothing where not even that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What it says of itself, and whether it is trusted.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub told: Option<TaskTold>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is known of a task that can be read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskTold {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: String,
    /// The reference to write in a pipeline, pinned to its digest.
    pub reference: String,
    /// The digest of the component.
    pub component: Digest,
    /// The component's bytes.
    pub size: u64,
    /// Whether it is trusted, and by which rule.
    pub trust: TrustDecision,
}

impl TaskLine {
    /// A task that can be read.
    #[must_use]
    pub fn new(digest: Digest, mut names: Vec<String>, identity: &TaskIdentity, size: u64) -> Self {
        names.sort_unstable();
        let TaskIdentity { name, version, reference, component, trust, .. } = identity.clone();
        let told = TaskTold { name, version, reference, component, size, trust };
        Self { names, digest: Some(digest), told: Some(told), problem: None }
    }

    /// One that cannot be read.
    #[must_use]
    pub fn unreadable(digest: Option<Digest>, names: Vec<String>, problem: String) -> Self {
        Self { names, digest, told: None, problem: Some(problem) }
    }

    /// In which order they are shown: a newer version after an older one, as far
    /// as its numbers tell.
    #[must_use]
    pub fn order(&self) -> (String, Vec<u64>, String) {
        let first = || self.names.first().cloned().unwrap_or_default();
        match &self.told {
            Some(told) => {
                let numbers = told.version.split(['.', '-', '+']).map_while(|part| part.parse().ok());
                (told.name.clone(), numbers.collect(), told.version.clone())
            }
            None => (first(), Vec::new(), String::new()),
        }
    }
}

/// The tasks of a layout in words.
#[must_use]
pub fn task_list_text(list: &TaskList, palette: &Palette) -> String {
    let pipelines: String =
        list.pipelines.iter().map(|name| format!("pipeline {}\n", visible(name))).collect();
    if list.tasks.is_empty() && !pipelines.is_empty() {
        return pipelines;
    }
    if list.tasks.is_empty() {
        return format!(
            "there is no task in {}; publish one with `cofferdam task publish FILE --sign`\n",
            visible(&list.layout)
        );
    }
    let mut out = String::new();
    for task in &list.tasks {
        let name = match &task.told {
            Some(told) => format!("{}:{}", told.name, told.version),
            None => task.names.join(", "),
        };
        let _ = writeln!(out, "{}", palette.strong.apply_to(visible(&name)));
        let mut row = |label: &str, text: &str| {
            let _ = writeln!(out, "  {} {}", palette.faint.apply_to(format!("{label:<9}")), visible(text));
        };
        match &task.told {
            Some(told) => {
                row("from", &told.reference);
                let others: Vec<&str> =
                    task.names.iter().filter(|own| **own != name).map(String::as_str).collect();
                if !others.is_empty() {
                    row("also", &others.join(", "));
                }
                row("component", &format!("{} ({})", told.component, bytes(told.size)));
                row("trust", &trust_words(&told.trust));
            }
            None => task.digest.iter().for_each(|digest| row("digest", &digest.to_string())),
        }
        if let Some(problem) = &task.problem {
            row("problem", problem);
        }
    }
    out.push_str(&pipelines);
    out
}
