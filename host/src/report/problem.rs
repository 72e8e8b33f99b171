//! Something that is wrong, or worth a look, with the line it stands in.

use super::words::{Palette, visible};

/// What is told of a problem.
#[derive(Clone, Copy, Debug)]
pub struct ProblemWords<'a> {
    /// The stable code.
    pub code: &'a str,
    /// The sentence.
    pub message: &'a str,
    /// File, line and column.
    pub place: Option<(&'a str, usize, usize)>,
    /// The text of that line.
    pub source: Option<&'a str>,
    /// What to write or type next.
    pub help: Option<&'a str>,
}

/// How grave a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gravity {
    /// It must be mended.
    Error,
    /// It is worth a look.
    Warning,
}

/// A problem in words.
#[must_use]
pub fn problem_text(gravity: Gravity, problem: &ProblemWords<'_>, palette: &Palette) -> String {
    let Palette { bad, caution, strong, faint, .. } = palette;
    let (style, word) = match gravity {
        Gravity::Error => (bad, "error"),
        Gravity::Warning => (caution, "warning"),
    };
    let label = style.apply_to(format!("{word}[{}]", problem.code));
    let mut text = format!("{label}: {}\n", strong.apply_to(visible(problem.message)));
    if let Some((file, line, column)) = problem.place {
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        text += &format!("{margin}{} {}:{line}:{column}\n", faint.apply_to("-->"), visible(file));
        if let Some(source) = problem.source {
            let bar = faint.apply_to("|");
            let indent = " ".repeat(column.saturating_sub(1));
            text += &format!("{margin} {bar}\n{} {bar} {}\n", faint.apply_to(&number), visible(source));
            text += &format!("{margin} {bar} {indent}{}\n", style.apply_to("^"));
        }
    }
    for (index, line) in problem.help.iter().flat_map(|help| help.lines()).enumerate() {
        let start = if index == 0 { "  help: " } else { "        " };
        text += &format!("{start}{}\n", visible(line));
    }
    text
}
