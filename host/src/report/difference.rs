//! The difference in capabilities between two versions of a task.

use std::fmt::Write as _;

use cofferdam_manifest::Manifest;
use serde::Serialize;

use super::task::{TaskDescription, asked};
use super::words::{Palette, visible};
use crate::capability::Import;

/// What two versions of a task ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDifference {
    /// The first.
    pub old: String,
    /// The second.
    pub new: String,
    /// What only the second asks for or imports.
    pub added: Vec<String>,
    /// What only the first asks for or imports.
    pub removed: Vec<String>,
    /// What both do.
    pub kept: Vec<String>,
}

impl TaskDifference {
    /// Compares two tasks.
    #[must_use]
    pub fn new(old: &TaskDescription, new: &TaskDescription) -> Self {
        let (before, after) = (wants(old), wants(new));
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|item| !others.contains(item)).cloned().collect()
        };
        Self {
            old: name(&old.manifest, &old.task),
            new: name(&new.manifest, &new.task),
            added: only(&after, &before),
            removed: only(&before, &after),
            kept: before.iter().filter(|item| after.contains(item)).cloned().collect(),
        }
    }

    /// Whether the second could do something that the first could not.
    #[must_use]
    pub fn asks_for_more(&self) -> bool {
        !self.added.is_empty()
    }
}

fn name(manifest: &Manifest, task: &str) -> String {
    format!("{}:{} ({task})", manifest.metadata.name, manifest.metadata.version)
}

/// Everything a task asks for, and the interfaces it could use it through. The
/// version of an interface says nothing about what it can do.
fn wants(task: &TaskDescription) -> Vec<String> {
    let mut found = asked(&task.manifest);
    let reaching = task.imports.iter().filter(|import| Import::of(import) != Import::Inert);
    found.extend(reaching.map(|import| {
        let interface = import.split_once('@').map_or(import.as_str(), |(interface, _)| interface);
        format!("imports {interface}")
    }));
    found.dedup();
    found
}

/// The difference in words.
#[must_use]
pub fn difference_text(difference: &TaskDifference, palette: &Palette) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}", palette.faint.apply_to("old"), visible(&difference.old));
    let _ = writeln!(out, "{} {}", palette.faint.apply_to("new"), visible(&difference.new));
    for item in &difference.removed {
        let _ = writeln!(out, "  {} {}", palette.good.apply_to("-"), visible(item));
    }
    for item in &difference.added {
        let _ = writeln!(out, "  {} {}", palette.bad.apply_to("+"), visible(item));
    }
    for item in &difference.kept {
        let _ = writeln!(out, "    {}", visible(item));
    }
    let verdict = match (difference.added.is_empty(), difference.removed.is_empty()) {
        (true, true) => "both ask for the same",
        (true, false) => "the new one asks for less",
        (false, _) => "the new one asks for more",
    };
    let _ = writeln!(out, "{verdict}");
    out
}
