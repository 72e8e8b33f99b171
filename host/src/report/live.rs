//! A run while it happens, on standard error: moving lines on a terminal,
//! plain lines anywhere else.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::words::{Palette, duration, visible};
use crate::event::{Denial, Event, Exchange, Fact, LiveSink, LogLevel, TaskEnd, TaskStart};
use crate::model::Status;

/// Plain lines, each complete and each written at once.
pub struct PlainLines {
    out: Box<dyn Write + Send>,
    palette: Palette,
}

impl std::fmt::Debug for PlainLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainLines")
    }
}

impl PlainLines {
    /// Lines written to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, palette: Palette) -> Self {
        Self { out, palette }
    }
}

impl LiveSink for PlainLines {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        match line(&event.fact, &self.palette, false) {
            Some(line) => self.out.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }
}

/// Lines on a terminal: finished tasks above, running ones below with the time
/// they have taken and what they last said.
#[derive(Debug)]
pub struct TerminalLines {
    screen: MultiProgress,
    running: HashMap<String, ProgressBar>,
    palette: Palette,
}

impl TerminalLines {
    /// Lines on the terminal that standard error is.
    #[must_use]
    pub fn new(palette: Palette) -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { screen, running: HashMap::new(), palette }
    }

    fn begin(&mut self, task: &str) {
        let bar = self.screen.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {prefix:.bold} {elapsed:.dim} {wide_msg:.dim}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(task.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.running.insert(task.to_owned(), bar);
    }
}

impl LiveSink for TerminalLines {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        match &event.fact {
            Fact::TaskStarted(start) => self.begin(&start.task),
            Fact::TaskFinished(end) => {
                if let Some(bar) = self.running.remove(&end.task) {
                    bar.finish_and_clear();
                }
            }
            Fact::TaskLogged { task, message, level, .. } if *level < LogLevel::Warn => {
                if let Some(bar) = self.running.get(task) {
                    bar.set_message(visible(message).into_owned());
                }
            }
            Fact::RunStarted(_)
            | Fact::SourceAcquired(_)
            | Fact::TaskLogged { .. }
            | Fact::RequestFinished(_)
            | Fact::ConnectionFinished(_)
            | Fact::CapabilityDenied(_)
            | Fact::TaskExpanded { .. }
            | Fact::PipelineStarted(_)
            | Fact::PipelineFinished(_)
            | Fact::FinallyStarted { .. }
            | Fact::TaskSkipped { .. }
            | Fact::RunFinished { .. }
            | Fact::Attested { .. }
            | Fact::RunSealed => {}
        }
        match line(&event.fact, &self.palette, true) {
            Some(line) => self.screen.println(line),
            None => Ok(()),
        }
    }

    fn progress(&mut self, task: &str, done: u64, total: Option<u64>, message: &str) -> io::Result<()> {
        if let Some(bar) = self.running.get(task) {
            let of = total.map(|total| format!("/{total}")).unwrap_or_default();
            bar.set_message(format!("{done}{of} {}", visible(message)));
        }
        Ok(())
    }
}

impl Drop for TerminalLines {
    fn drop(&mut self) {
        let _ = self.screen.clear();
    }
}

/// The line an event deserves. On a terminal that shows running tasks anyway,
/// beginnings and unimportant log lines deserve none.
fn line(fact: &Fact, palette: &Palette, terminal: bool) -> Option<String> {
    match fact {
        Fact::RunStarted(start) => {
            let tasks = start.tasks.len();
            Some(format!(
                "{} {} ({tasks} task{})",
                palette.strong.apply_to("running"),
                start.pipeline,
                plural(tasks)
            ))
        }
        Fact::SourceAcquired(source) if terminal => {
            let _ = source;
            None
        }
        Fact::SourceAcquired(source) => Some(format!(
            "source {}: {} file{}, {}",
            source.tree.digest.short(),
            source.tree.files,
            plural(usize::try_from(source.tree.files).unwrap_or(usize::MAX)),
            super::words::bytes(source.tree.bytes)
        )),
        Fact::TaskStarted(start) => (!terminal).then(|| started(start, palette)),
        Fact::TaskLogged { task, level, message, fields } => {
            if terminal && *level < LogLevel::Warn {
                return None;
            }
            Some(logged(task, *level, message, fields, palette))
        }
        Fact::RequestFinished(exchange) => (!terminal).then(|| exchanged(exchange, palette)),
        Fact::CapabilityDenied(denial) => Some(denied(denial, palette)),
        Fact::TaskFinished(end) => Some(finished(end, palette)),
        Fact::TaskSkipped { task, reason } => {
            Some(format!("{} {} ({})", palette.faint.apply_to("Skipped"), task, reason.as_str()))
        }
        Fact::TaskExpanded { .. }
        | Fact::PipelineStarted(_)
        | Fact::PipelineFinished(_)
        | Fact::FinallyStarted { .. }
        | Fact::ConnectionFinished(_)
        | Fact::RunFinished { .. }
        | Fact::Attested { .. }
        | Fact::RunSealed => None,
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn started(start: &TaskStart, palette: &Palette) -> String {
    format!("{} {}", palette.faint.apply_to("started"), start.task)
}

fn exchanged(exchange: &Exchange, palette: &Palette) -> String {
    let what = super::contacts::exchange_words(exchange);
    format!("{} {} {what}", palette.strong.apply_to(&exchange.task), palette.faint.apply_to("request"))
}

fn denied(denial: &Denial, palette: &Palette) -> String {
    let what = super::contacts::denial_words(denial);
    format!("{} {} {what}", palette.strong.apply_to(&denial.task), palette.bad.apply_to("denied"))
}

fn logged(
    task: &str,
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
    let mut line = format!("{} {word} {}", palette.strong.apply_to(task), visible(message));
    for (name, value) in fields {
        let field = format!(" {}={}", visible(name), visible(value));
        line.push_str(&palette.faint.apply_to(field).to_string());
    }
    line
}

fn finished(end: &TaskEnd, palette: &Palette) -> String {
    let status = end.reason.status();
    let word = palette.status(status.as_str()).apply_to(status.as_str());
    let mut line = format!("{word} {} in {}", end.task, duration(end.usage.wall_micros));
    if status != Status::Succeeded {
        if end.reason.as_str() != status.as_str() {
            line.push_str(&format!(" ({})", end.reason.as_str()));
        }
        if let Some(message) = &end.message {
            line.push_str(&format!(": {}", visible(message)));
        }
        if let Some(failure) = &end.failure {
            line.push_str(&format!(": {}: {}", visible(&failure.reason), visible(&failure.message)));
            if let Some(remedy) = &failure.remedy {
                line.push_str(&format!("\n  help: {}", visible(remedy)));
            }
        }
    }
    line
}
