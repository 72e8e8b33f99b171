//! What `lint` found: as JSON, in words, and as annotations for GitHub.

use serde::Serialize;

use super::live::annotation_of;
use super::problem::{Gravity, ProblemWords, problem_text};
use super::words::{Palette, visible};

/// Everything that was found in some files.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LintView {
    /// The files, in the order they were looked at.
    pub files: Vec<LintFile>,
    /// How many errors there are.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
}

/// What was found in one file.
#[derive(Clone, Debug, Serialize)]
pub struct LintFile {
    /// The file.
    pub file: String,
    /// `Pipeline`, `PipelineRun`, `Task` or `Trust`; nothing where it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// What must be mended; it may stand in a pipeline that the file names.
    pub errors: Vec<Finding>,
    /// What is worth a look.
    pub warnings: Vec<Finding>,
    /// What could not be checked, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The stable code.
    pub code: String,
    /// The sentence.
    pub message: String,
    /// The file it stands in.
    pub file: String,
    /// Counted from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Counted from one, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What to write or type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The text of the line.
    #[serde(skip)]
    pub source: Option<String>,
}

impl LintView {
    /// Everything that was found, in order.
    fn findings(&self) -> impl Iterator<Item = (Gravity, &Finding)> {
        self.files.iter().flat_map(|file| {
            let errors = file.errors.iter().map(|finding| (Gravity::Error, finding));
            errors.chain(file.warnings.iter().map(|finding| (Gravity::Warning, finding)))
        })
    }
}

/// What was found in words.
#[must_use]
pub fn lint_text(view: &LintView, palette: &Palette) -> String {
    let mut text = String::new();
    for (gravity, finding) in view.findings() {
        let place = finding.line.zip(finding.column);
        let words = ProblemWords {
            code: &finding.code,
            message: &finding.message,
            place: place.map(|(line, column)| (finding.file.as_str(), line, column)),
            source: finding.source.as_deref(),
            help: finding.help.as_deref(),
        };
        text += &problem_text(gravity, &words, palette);
    }
    for file in &view.files {
        for note in &file.unchecked {
            let label = palette.faint.apply_to("not checked");
            text += &format!("{label}: {}: {}\n", visible(&file.file), visible(note));
        }
    }
    let count = |number: usize, noun: &str| {
        if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
    };
    let style = match (view.errors, view.warnings) {
        (0, 0) => &palette.good,
        (0, _) => &palette.caution,
        (_, _) => &palette.bad,
    };
    let found = format!("{}, {}", count(view.errors, "error"), count(view.warnings, "warning"));
    text + &format!("checked {}: {}\n", count(view.files.len(), "file"), style.apply_to(found))
}

/// What was found as annotations for GitHub Actions.
#[must_use]
pub fn lint_annotations(view: &LintView) -> String {
    let line = |(gravity, finding): (Gravity, &Finding)| {
        let kind = match gravity {
            Gravity::Error => "error",
            Gravity::Warning => "warning",
        };
        let help = finding.help.iter().map(|help| format!("\nhelp: {help}"));
        let message: String = std::iter::once(finding.message.clone()).chain(help).collect();
        let place = (finding.file.as_str(), finding.line, finding.column);
        annotation_of(kind, place, &finding.code, &message) + "\n"
    };
    view.findings().map(line).collect()
}
