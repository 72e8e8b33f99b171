//! The list of runs.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::run::{between, run_status};
use super::words::{Palette, duration, visible};
use crate::event::RunSummary;

/// A run as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunLine {
    /// Its name.
    pub run: String,
    /// `Succeeded`, `Failed`, `Cancelled`, `Running` or `Interrupted`.
    pub status: &'static str,
    /// The pipeline's name.
    pub pipeline: String,
    /// Its file.
    pub file: String,
    /// When it began.
    pub started: Timestamp,
    /// When the last task had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// From one to the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_micros: Option<u64>,
}

impl RunLine {
    /// The line of a run; `alive` says whether its process still runs.
    #[must_use]
    pub fn new(summary: &RunSummary, alive: bool) -> Self {
        Self {
            run: summary.id.to_string(),
            status: run_status(summary.state, alive),
            pipeline: summary.pipeline.clone(),
            file: summary.file.clone(),
            started: summary.started,
            finished: summary.finished,
            duration_micros: summary.finished.map(|end| between(summary.started, end)),
        }
    }
}

/// Runs, one on a line, newest first.
#[must_use]
pub fn runs_text(lines: &[RunLine], palette: &Palette) -> String {
    let width = lines.iter().map(|line| line.run.len()).max().unwrap_or(0);
    let mut out = String::new();
    for line in lines {
        let took = line.duration_micros.map(duration).unwrap_or_default();
        let started = line.started.strftime("%Y-%m-%d %H:%M:%S UTC");
        let status = palette.status(line.status).apply_to(format!("{:<11}", line.status));
        let _ =
            writeln!(out, "{:<width$}  {status}  {started}  {took:>10}  {}", line.run, visible(&line.file));
    }
    out
}
