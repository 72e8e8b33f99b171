//! Moments in words: one line for each, and a block for a task that failed.

use std::fmt::Write as _;

use super::Reader;
use super::moment::{Ending, Moment, Outcome, Said};
use super::tail::Tail;
use crate::event::Source;
use crate::model::RunId;
use crate::report::contacts::{denial_words, exchange_words};
use crate::report::log;
use crate::report::words::{Palette, bytes, duration, shell_word, visible};

/// The line a moment deserves, if it does; that of a task begins with its name.
/// The end of a task has words of its own: [`ending_words`].
pub(super) fn line(moment: &Moment<'_>, palette: &Palette) -> Option<String> {
    let of = |task: &str, words: &dyn std::fmt::Display| {
        format!("{} {words}", palette.strong.apply_to(visible(task)))
    };
    match moment {
        Moment::RunBegan(start) => {
            let (word, count) = (palette.strong.apply_to("running"), start.tasks.len());
            Some(format!("{word} {} ({})", visible(&start.pipeline), counted(count, "task")))
        }
        Moment::SourceTaken(source) => Some(source_words(source)),
        Moment::TaskBegan(task) => Some(format!("{} {}", palette.faint.apply_to("started"), visible(task))),
        Moment::Said(said) => Some(of(said.task, &said_words(said, palette))),
        Moment::Asked(exchange) => {
            let words = format!("{} {}", palette.faint.apply_to("request"), exchange_words(exchange));
            Some(of(&exchange.task, &words))
        }
        Moment::Denied(denial) => {
            let words = format!("{} {}", palette.bad.apply_to("denied"), denial_words(denial));
            Some(of(&denial.task, &words))
        }
        Moment::AllKnown(reuse) => {
            let word = Outcome::Reused.as_str();
            let (word, count) = (palette.status(word).apply_to(word), counted(reuse.task_runs, "TaskRun"));
            Some(format!("{word} {count}, as in {}", reuse.run))
        }
        Moment::TaskEnded(_) | Moment::RunEnded | Moment::Unshown => None,
    }
}

/// A number of things.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn source_words(source: &Source) -> String {
    let files = usize::try_from(source.tree.files).unwrap_or(usize::MAX);
    let (digest, size) = (source.tree.digest.short(), bytes(source.tree.bytes));
    format!("source {digest}: {}, {size}", counted(files, "file"))
}

/// A line of a log without the name of its task.
pub(super) fn said_words(said: &Said<'_>, palette: &Palette) -> String {
    log::said_words(said.level, said.message, said.fields, palette)
}

/// `Failed`, `Failed in 1.20 s`.
pub(super) fn status_words(ending: &Ending<'_>) -> String {
    let took = ending.took.map(|took| format!(" {} {}", preposition(ending), duration(took)));
    format!("{}{}", ending.outcome.as_str(), took.unwrap_or_default())
}

/// What it took is no time to wait: `Retrying` is about what is past.
fn preposition(ending: &Ending<'_>) -> &'static str {
    if ending.outcome == Outcome::Retried { "after" } else { "in" }
}

/// How a task ended, on one line.
pub(super) fn ending_words(ending: &Ending<'_>, palette: &Palette) -> String {
    let word = ending.outcome.as_str();
    let mut line = format!("{} {}", palette.status(word).apply_to(word), visible(ending.task));
    if let Some(took) = ending.took {
        let _ = write!(line, " {} {}", preposition(ending), duration(took));
    }
    if let Some(reason) = ending.reason {
        let _ = write!(line, " ({reason})");
    }
    line
}

/// All that is to be said at the end of a task, each line ended: one line, and
/// below it, if it failed, why and what it said last.
pub(super) fn ending_block(ending: &Ending<'_>, tail: &Tail, run: &RunId, reader: &Reader) -> String {
    let mut block = ending_words(ending, &reader.palette) + "\n";
    match ending.outcome {
        Outcome::Succeeded | Outcome::Reused | Outcome::Skipped => return block,
        Outcome::Failed | Outcome::Retried | Outcome::Ignored | Outcome::Cancelled => {}
    }
    let mut row = |label: &str, text: &str| {
        let label = reader.palette.faint.apply_to(format!("{label:<4}"));
        let _ = writeln!(block, "  {label} {text}");
    };
    if let Some(message) = ending.message {
        row("why", &visible(message));
    }
    if let Some(failure) = ending.failure {
        row("why", &format!("{}: {}", visible(&failure.reason), visible(&failure.message)));
        if let Some(remedy) = &failure.remedy {
            row("help", &visible(remedy));
        }
    }
    let failed = matches!(ending.outcome, Outcome::Failed | Outcome::Retried | Outcome::Ignored);
    if failed && tail.count() > 0 {
        let all = format!("{} logs {run} {}", reader.program, shell_word(ending.task));
        match tail.before() {
            0 => row("log", &counted(tail.count(), "line")),
            before => row("log", &format!("{} before these; all of it: {all}", counted(before, "line"))),
        }
        let bar = reader.palette.faint.apply_to("|").to_string();
        for line in tail.lines() {
            let _ = writeln!(block, "  {bar} {line}");
        }
    }
    block
}
