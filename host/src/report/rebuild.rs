//! Whether a run that was repeated made the same, and where not: as JSON, and
//! in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cofferdam_manifest::Value;
use serde::Serialize;

use super::words::{Palette, bytes, visible};
use crate::provenance::{Comparison, Difference, Different};
use crate::store::{FileDifference, Tree};

/// So many files of an output are told one by one.
const MANY: usize = 20;
/// A longer value is cut.
const SHORT_VALUE: usize = 120;

/// A run that was repeated, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RebuildView {
    /// The new run.
    pub run: String,
    /// The run that it repeats.
    pub repeats: String,
    /// Whether everything is the same.
    pub reproduced: bool,
    /// How the new run ended.
    pub status: &'static str,
    /// What is the same, and what differs.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Which files differ, by the name of the output.
    pub files: BTreeMap<String, Vec<FileDifference>>,
}

/// The comparison in words; `program` is what commands begin with.
#[must_use]
pub fn rebuild_text(view: &RebuildView, program: &str, palette: &Palette) -> String {
    let (same, different) = (view.comparison.same.len(), view.comparison.different.len());
    let mut out = format!("{} repeats {}: {}\n", view.run, view.repeats, view.status);
    for found in &view.comparison.different {
        let _ = writeln!(out, "\n{} differs", palette.strong.apply_to(visible(&found.name)));
        difference(&mut out, found);
        for file in view.files.get(&found.name).into_iter().flatten().take(MANY) {
            let _ = writeln!(out, "  {}", file_words(file));
        }
        let more = view.files.get(&found.name).map_or(0, Vec::len).saturating_sub(MANY);
        if more > 0 {
            let _ = writeln!(out, "  and {more} more files");
        }
        for cause in &found.causes {
            let _ = writeln!(out, "  it may: {}", visible(cause));
        }
    }
    let all = same + different;
    let verdict = if view.reproduced {
        palette.good.apply_to(format!("reproduced: all {all} outcomes, outputs and results are the same"))
    } else {
        palette
            .bad
            .apply_to(format!("not reproduced: {different} of {all} outcomes, outputs and results differ"))
    };
    let _ = writeln!(out, "\n{verdict}\n  verify    {program} verify {}", view.run);
    out
}

fn difference(out: &mut String, found: &Difference) {
    let words = match &found.what {
        Different::Outcome { before, after } => {
            let after = after.map_or("it did not run", |after| after.as_str());
            format!("{after}, was {}", before.as_str())
        }
        Different::Output { before, after } => {
            let tree =
                |tree: &Option<Tree>| tree.map_or_else(|| "none".to_owned(), |tree| tree.digest.to_string());
            format!("{}, was {}", tree(after), tree(before))
        }
        Different::Result { before, after } => format!("{}, was {}", value(after), value(before)),
    };
    let _ = writeln!(out, "  {}", visible(&words));
}

fn value(value: &Option<Value>) -> String {
    let Some(value) = value else { return "none".to_owned() };
    // Strings always serialise.
    let text = serde_json::to_string(value).unwrap_or_default();
    let short: String = text.chars().take(SHORT_VALUE).collect();
    if short.len() < text.len() { format!("{short}..") } else { text }
}

fn file_words(found: &FileDifference) -> String {
    let shown = |path: &std::path::Path| visible(&path.display().to_string()).into_owned();
    match found {
        FileDifference::OnlyBefore { path } => format!("{}: gone", shown(path)),
        FileDifference::OnlyAfter { path } => format!("{}: new", shown(path)),
        FileDifference::Kind { path, before, after } => {
            format!("{}: {}, was {}", shown(path), visible(after), visible(before))
        }
        FileDifference::Mode { path, executable } => {
            let (now, was) = if *executable { ("can", "could not") } else { ("cannot", "could") };
            format!("{}: it {now} be executed, and {was}", shown(path))
        }
        FileDifference::Bytes { path, before, after, offset, line } => {
            let sizes = if before == after {
                format!("{} as before", bytes(*after))
            } else {
                format!("{}, was {}", bytes(*after), bytes(*before))
            };
            let place = offset.map(|offset| match line {
                Some(line) => format!("; the first difference is byte {offset}, in line {line}"),
                None => format!("; the first difference is byte {offset}"),
            });
            format!("{}: {sizes}{}", shown(path), place.unwrap_or_default())
        }
    }
}
