//! What changed from one run to another, in words.

use std::fmt::Write as _;

use serde_json::Value;

use super::run_difference::{Changed, RunDifference, TreeChange};
use super::words::{Palette, bytes, duration, visible};
use crate::store::{Change, Tree};

/// More lines of a file than this are counted.
const LINES: usize = 40;
/// A longer value is cut.
const LONG: usize = 72;

/// What changed, in words.
#[must_use]
pub fn run_difference_text(difference: &RunDifference, palette: &Palette) -> String {
    let strong = &palette.strong;
    let (old, new) = (strong.apply_to(&difference.old), strong.apply_to(&difference.new));
    let mut out = format!("{old} -> {new}\n");
    for changed in &difference.run {
        row(&mut out, changed, palette);
    }
    for file in &difference.files {
        let what = format!("file {}", file.file);
        row(&mut out, &Changed { what, old: file.old.clone(), new: file.new.clone() }, palette);
        let lines = file.lines.as_deref().unwrap_or_default();
        for line in lines.iter().take(LINES) {
            let style = if line.starts_with('-') { &palette.bad } else { &palette.good };
            let _ = writeln!(out, "    {}", style.apply_to(visible(line)));
        }
        more(&mut out, lines.len().saturating_sub(LINES) as u64, "lines");
    }
    if let Some(source) = &difference.source {
        tree(&mut out, "source", source, palette);
    }
    for task in &difference.tasks {
        let _ = writeln!(out, "\n{}", strong.apply_to(visible(&task.task)));
        for changed in &task.changed {
            row(&mut out, changed, palette);
        }
        for (name, change) in &task.outputs {
            tree(&mut out, &format!("output {name}"), change, palette);
        }
    }
    let same = difference.same_tasks;
    let count = format!("nothing differs in {same} task{}", if same == 1 { "" } else { "s" });
    let (style, verdict) = if difference.same_outcome {
        (&palette.good, "same outcome, same outputs")
    } else {
        (&palette.caution, "another outcome, or other outputs")
    };
    let nothing = if difference.is_empty() { "; nothing else differs" } else { "" };
    let _ = writeln!(out, "\n{}: {count}{nothing}", style.apply_to(verdict));
    out
}

fn row(out: &mut String, changed: &Changed, palette: &Palette) {
    let shown = |value: &Value| words(&changed.what, value);
    let label = palette.faint.apply_to(visible(&changed.what).into_owned());
    let _ = writeln!(out, "  {label}: {} -> {}", shown(&changed.old), shown(&changed.new));
}

fn words(what: &str, value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::Number(number) if what == "duration" => {
            number.as_u64().map(duration).unwrap_or_else(|| number.to_string())
        }
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    let shown = visible(&text);
    if shown.chars().count() <= LONG {
        return shown.into_owned();
    }
    shown.chars().take(LONG).chain("...".chars()).collect()
}

fn tree(out: &mut String, what: &str, change: &TreeChange, palette: &Palette) {
    let shown = |tree: Option<Tree>| match tree {
        None => "nothing".to_owned(),
        Some(tree) => {
            let digest: String = tree.digest.to_string().chars().take(19).collect();
            let files = if tree.files == 1 { "file" } else { "files" };
            format!("{digest}.. ({} {files}, {})", tree.files, bytes(tree.bytes))
        }
    };
    let label = palette.faint.apply_to(visible(what).into_owned());
    let _ = writeln!(out, "  {label}: {} -> {}", shown(change.old), shown(change.new));
    let Some(files) = &change.files else {
        if change.old.is_some() && change.new.is_some() {
            let _ = writeln!(out, "    which files cannot be told: one of the trees is not in the store");
        }
        return;
    };
    for changed in &files.paths {
        let (style, sign) = match changed.change {
            Change::Added => (&palette.good, '+'),
            Change::Removed => (&palette.bad, '-'),
            Change::Changed => (&palette.caution, '~'),
        };
        let _ = writeln!(out, "    {} {}", style.apply_to(sign), visible(&changed.path));
    }
    more(out, files.count().saturating_sub(files.paths.len() as u64), "files");
}

fn more(out: &mut String, count: u64, what: &str) {
    if count > 0 {
        let _ = writeln!(out, "    and {count} more {what}");
    }
}
