//! How the cases of a task came out.

use std::fmt::Write as _;

use serde::Serialize;

use super::lint::Finding;
use super::problem::{Gravity, ProblemWords, problem_text};
use super::words::{Palette, duration, visible};

/// All cases of a task.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskTestView {
    /// The task.
    pub task: String,
    /// How many came out as they expect.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Each of them.
    pub cases: Vec<CaseView>,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseView {
    /// The file it stands in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// How long it took, in microseconds.
    pub micros: u64,
    /// What came out otherwise; nothing, where it passed.
    pub problems: Vec<Finding>,
}

impl TaskTestView {
    /// A task none of whose cases has run yet.
    #[must_use]
    pub fn new(task: String) -> Self {
        Self { task, passed: 0, failed: 0, cases: Vec::new() }
    }

    /// Adds a case that has run.
    pub fn add(&mut self, case: CaseView) {
        let count = if case.problems.is_empty() { &mut self.passed } else { &mut self.failed };
        *count += 1;
        self.cases.push(case);
    }
}

/// The cases in words: a line for each, and below it what is wrong.
#[must_use]
pub fn task_test_text(view: &TaskTestView, palette: &Palette) -> String {
    let mut out = String::new();
    for case in &view.cases {
        let word = if case.problems.is_empty() {
            palette.good.apply_to("PASS")
        } else {
            palette.bad.apply_to("FAIL")
        };
        let took = palette.faint.apply_to(format!("[{:>9}]", duration(case.micros)));
        let _ = writeln!(out, "{word} {took} {} {}", visible(&case.file), visible(&case.name));
        for problem in &case.problems {
            let place = problem.line.zip(problem.column);
            let words = ProblemWords {
                code: &problem.code,
                message: &problem.message,
                place: place.map(|(line, column)| (problem.file.as_str(), line, column)),
                source: problem.source.as_deref(),
                help: problem.help.as_deref(),
            };
            out += &problem_text(Gravity::Error, &words, palette);
        }
    }
    let count = view.cases.len();
    let cases = if count == 1 { "case" } else { "cases" };
    let _ = writeln!(out, "{}: {count} {cases}, {} passed, {} failed", view.task, view.passed, view.failed);
    out
}
