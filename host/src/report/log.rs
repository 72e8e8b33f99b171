//! Lines of logs: as text that can be searched line by line, and as JSON.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::words::{Palette, visible};
use crate::event::LogLevel;

/// A line that a task wrote, as it is shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LogLine<'a> {
    /// The run.
    pub run: &'a str,
    /// Its place among the events of the run.
    pub seq: u64,
    /// When the host recorded it.
    pub at: Timestamp,
    /// The task.
    pub task: &'a str,
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub message: &'a str,
    /// Names and values.
    pub fields: &'a [(String, String)],
}

/// What stands before a line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The name of the task.
    pub task: bool,
    /// The time.
    pub time: bool,
}

/// A line of a log as text, ended.
#[must_use]
pub fn log_text(line: &LogLine<'_>, heading: Heading, palette: &Palette) -> String {
    let mut text = String::new();
    if heading.task {
        let _ = write!(text, "{} ", palette.strong.apply_to(visible(line.task)));
    }
    if heading.time {
        let _ = write!(text, "{} ", palette.faint.apply_to(line.at));
    }
    text + &said_words(line.level, line.message, line.fields, palette) + "\n"
}

/// A line of a log without the name of its task.
pub(super) fn said_words(
    level: LogLevel,
    message: &str,
    fields: &[(String, String)],
    palette: &Palette,
) -> String {
    let word = match level {
        LogLevel::Debug => palette.faint.apply_to("debug"),
        LogLevel::Info => palette.faint.apply_to("info"),
        LogLevel::Warn => palette.caution.apply_to("warn"),
        LogLevel::Error => palette.bad.apply_to("error"),
    };
    let mut line = format!("{word} {}", visible(message));
    for (name, value) in fields {
        let field = format!(" {}={}", visible(name), visible(value));
        let _ = write!(line, "{}", palette.faint.apply_to(field));
    }
    line
}
