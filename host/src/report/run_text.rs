//! A run in words: the summary at its end, the whole story for `show`, and the
//! list of runs.

use std::fmt::Write as _;
use std::path::Path;

use cofferdam_manifest::Value;

use super::contacts::{connection_words, denial_words, exchange_words, grant_words};
use super::run::{RunView, TaskState, TaskView};
use super::story_text::story_rows;
use super::trust::{bundle_words, expiring};
use super::words::{Palette, bytes, duration, shell_word, visible};
use crate::engine::CacheFinding;
use crate::event::{AfterFailure, InputArtifact, Origin, Reuse, ReusedBy, StoredResult};
use crate::store::Tree;

/// How much of a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What a person wants to see at its end.
    Summary,
    /// Everything.
    Full,
}

/// What the text names that depends on where it is read.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What the commands that are named begin with.
    pub program: &'a str,
    /// Where events and attestations are kept.
    pub history: &'a Path,
}

const NOT_HERMETIC: &str = "no: a task could reach more than its inputs";
/// A longer value is cut in a summary.
const SHORT_VALUE: usize = 72;
/// Only this many tasks that succeeded are described one by one in a summary.
pub const MANY_TASKS: usize = 40;
/// Only this many requests of a task are told one by one in a summary.
const FEW: usize = 5;

/// A run in words.
#[must_use]
pub fn run_text(view: &RunView, detail: Detail, here: Surroundings<'_>, palette: &Palette) -> String {
    let mut out = String::new();
    let status = palette.status(view.status).apply_to(view.status);
    let took = view.duration_micros.map(|d| format!(" in {}", duration(d))).unwrap_or_default();
    let reason = view.reason.filter(|reason| *reason != view.status);
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let _ = writeln!(out, "{} {status}{took}{reason}", palette.strong.apply_to(&view.run));
    if let Some(message) = &view.message {
        let _ = writeln!(out, "  {message}");
    }
    row(&mut out, palette, "pipeline", &format!("{} ({})", view.pipeline, visible(&view.file)));
    for words in bundle_words(&view.bundles) {
        row(&mut out, palette, "bundle", &shortened(&words, detail));
    }
    if let Some(source) = &view.source {
        row(&mut out, palette, "source", &shortened(&source_words(source), detail));
    }
    let hermetic =
        if view.hermetic { "yes: no task could see anything but its inputs" } else { NOT_HERMETIC };
    row(&mut out, palette, "hermetic", hermetic);
    if view.reused() > 0 {
        let from = view.reused_run.as_ref().map(|reuse| format!(", as in {}", reuse.run));
        let words = format!(
            "{} of {} tasks: their outcome was known{}",
            view.reused(),
            view.task_count(),
            from.unwrap_or_default()
        );
        row(&mut out, palette, "reused", &words);
    }
    if detail == Detail::Full {
        row(&mut out, palette, "started", &view.started.to_string());
        row(&mut out, palette, "builder", &format!("{} ({})", view.builder.id, view.builder.version));
        for (name, value) in &view.params {
            row(&mut out, palette, "param", &format!("{name} = {}", value_words(value, detail)));
        }
    }
    if let Some(origin) = &view.origin {
        let words = match origin {
            Origin::Resume(run) => format!("goes on from {run}"),
            Origin::Rebuild(run) => format!("repeats {run}"),
        };
        row(&mut out, palette, "origin", &words);
    }
    for (name, value) in &view.results {
        row(&mut out, palette, "result", &format!("{name} = {}", value_words(value, detail)));
    }
    if detail == Detail::Full {
        for (label, words) in story_rows(view) {
            row(&mut out, palette, label, &visible(&words));
        }
    }
    tasks(&mut out, view, detail, here, palette);
    nested(&mut out, view, palette);
    cache(&mut out, view, detail, palette);
    out.push('\n');
    attestations(&mut out, view, detail, here, palette);
    if detail == Detail::Summary {
        // Again at the end, where the eye is.
        let (count, runs) = (view.pipeline_tasks, view.task_count());
        let tasks = if count == 1 { "task" } else { "tasks" };
        let runs = if runs == count { String::new() } else { format!(", {runs} TaskRuns") };
        let reused = view.reused();
        let reused = if reused > 0 { format!(", {reused} of them reused") } else { String::new() };
        let _ = writeln!(out, "\n{status}: {} of {count} {tasks}{runs}{reused}{took}", view.pipeline);
        let identities = view.tasks.iter().filter_map(|task| task.identity.as_deref());
        for words in expiring(identities, &view.bundles, view.started) {
            let _ = writeln!(out, "  {} {words}", palette.bad.apply_to("trust"));
        }
        next(&mut out, view, here);
    }
    out
}

/// What to type after a run that failed.
fn next(out: &mut String, view: &RunView, here: Surroundings<'_>) {
    let mut failed = view.tasks.iter().filter(|task| task.status == TaskState::Failed).peekable();
    if failed.peek().is_none() {
        return;
    }
    let (program, run) = (here.program, &view.run);
    let spoke = |task: &&TaskView| task.usage.is_some_and(|usage| usage.logged > 0);
    match failed.find(spoke) {
        Some(task) => {
            let _ = writeln!(out, "  what it logged: {program} logs {run} {}", shell_word(&task.task));
        }
        None => {
            let _ = writeln!(out, "  all there is to know: {program} show {run}");
        }
    }
}

fn tasks(out: &mut String, view: &RunView, detail: Detail, here: Surroundings<'_>, palette: &Palette) {
    let brief = detail == Detail::Summary && view.task_count() > MANY_TASKS;
    let mut told = 0;
    for task in &view.tasks {
        if brief && matches!(task.status, TaskState::Succeeded | TaskState::Skipped) {
            continue;
        }
        told += 1;
        out.push('\n');
        task_text(out, task, detail, palette);
    }
    if brief {
        let count = |state| view.tasks.iter().filter(|task| task.status == state).count();
        let (succeeded, skipped) = match &view.reused_run {
            Some(reuse) => (reuse.task_runs, reuse.skipped),
            None => (count(TaskState::Succeeded), count(TaskState::Skipped)),
        };
        let _ = writeln!(
            out,
            "\n{} tasks: {succeeded} Succeeded, {told} shown above, {skipped} Skipped; all of them: {} show {}",
            view.task_count(),
            here.program,
            view.run
        );
    }
}

/// The pipelines that ran as tasks; what they ran is told with the tasks.
/// How one task was that ran alone.
#[must_use]
pub fn task_view_text(task: &TaskView, palette: &Palette) -> String {
    let mut out = String::new();
    task_text(&mut out, task, Detail::Full, palette);
    out
}

fn nested(out: &mut String, view: &RunView, palette: &Palette) {
    for nested in &view.pipelines {
        let word = nested.status.as_str();
        let reason = nested.reason.filter(|reason| *reason != word);
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let name = palette.strong.apply_to(visible(&nested.task));
        let status = palette.status(word).apply_to(word);
        let _ = writeln!(out, "\n{name} {status}{reason}");
        row(out, palette, "pipeline", &nested.pipeline);
        if let Some(message) = &nested.message {
            row(out, palette, "", &visible(message));
        }
        for (name, value) in &nested.results {
            row(out, palette, "result", &format!("{name} = {}", value_words(value, Detail::Summary)));
        }
    }
}

/// What became of looking for each task in the cache.
fn cache(out: &mut String, view: &RunView, detail: Detail, palette: &Palette) {
    if view.cache.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", palette.strong.apply_to("cache"));
    let width = view.cache.keys().map(|task| task.chars().count()).max().unwrap_or(0);
    for task in &view.tasks {
        let Some(finding) = view.cache.get(&task.task) else { continue };
        let ago = if let CacheFinding::Hit { age_micros, .. } = finding {
            format!(", {} ago", duration(*age_micros))
        } else {
            String::new()
        };
        let words = shortened(&format!("{finding}{ago}"), detail);
        let _ = writeln!(out, "  {:<width$}  {}", visible(&task.task), visible(&words));
    }
}

fn task_text(out: &mut String, task: &TaskView, detail: Detail, palette: &Palette) {
    let word = task.status.as_str();
    // What the component took, as it was told live; `show` has the rest.
    let ran = task.usage.map(|usage| usage.wall_micros).filter(|micros| *micros > 0);
    let took = ran.or(task.duration_micros).map(|d| format!(" in {}", duration(d))).unwrap_or_default();
    let reason = match task.status {
        TaskState::Failed | TaskState::Cancelled | TaskState::Skipped => {
            let more = task.reason.filter(|reason| *reason != word);
            more.map(|reason| format!(" ({reason})")).unwrap_or_default()
        }
        TaskState::Pending | TaskState::Running | TaskState::Interrupted | TaskState::Succeeded => {
            String::new()
        }
    };
    let status = palette.status(word).apply_to(word);
    let _ = writeln!(out, "{} {status}{took}{reason}", palette.strong.apply_to(visible(&task.task)));
    for attempt in &task.earlier {
        let failure =
            attempt.failure.as_ref().map(|failure| format!("{}: {}", failure.reason, failure.message));
        let why =
            failure.or_else(|| attempt.message.clone()).map(|why| format!(": {why}")).unwrap_or_default();
        let took = duration(attempt.duration_micros);
        let words = format!("attempt {} ended in {took} ({}){why}", attempt.attempt, attempt.reason);
        row(out, palette, "before", &visible(&words));
    }
    if task.after_failure == AfterFailure::FailureIgnored {
        row(out, palette, "ignored", "the pipeline went on, by `onError: continue`");
    }
    if let Some(Reuse { by, run, task, .. }) = &task.reused {
        let why = match by {
            ReusedBy::Cache => "it was given the same",
            ReusedBy::Resume => "this run goes on from there",
        };
        row(out, palette, "reused", &visible(&format!("from {run}/{task}: {why}")));
    }
    if let Some(message) = &task.message {
        row(out, palette, "why", &visible(message));
    }
    if let Some(failure) = &task.failure {
        row(out, palette, "why", &format!("{}: {}", visible(&failure.reason), visible(&failure.message)));
        if let Some(remedy) = &failure.remedy {
            row(out, palette, "help", &visible(remedy));
        }
    }
    if let Some(identity) = &task.identity {
        row(out, palette, "task", &visible(&shortened(&identity.reference, detail)));
    }
    if let Some(trust) = task.trust() {
        row(out, palette, "trust", &visible(&trust));
    }
    if let Some(doubts) = &task.doubts {
        if let Some(pipeline) = &doubts.untrusted_pipeline {
            let words = format!("what it was given was decided by {pipeline}, not trusted");
            row(out, palette, "", &visible(&shortened(&words, detail)));
        }
        if !doubts.descends_from.is_empty() {
            let words =
                format!("what it was given comes from {}, not trusted", doubts.descends_from.join(", "));
            row(out, palette, "", &visible(&words));
        }
    }
    if task.started.is_some() && !task.hermetic {
        let granted = task.grants.as_deref().map(grant_words).unwrap_or_default();
        row(out, palette, "hermetic", &format!("no: {}", visible(&granted.join("; "))));
    }
    for input in &task.inputs {
        let reads = task.reads.get(&input.name);
        let opened = reads.map(|reads| opened_words(reads.reads.files)).unwrap_or_default();
        let words = format!("{} = {}{opened}", input.name, input_words(input));
        row(out, palette, "read", &shortened(&words, detail));
        for path in reads.and_then(|reads| reads.paths.as_ref()).into_iter().flatten() {
            row(out, palette, "", &visible(path));
        }
    }
    contact_rows(out, task, detail, palette);
    for (name, tree) in &task.outputs {
        row(out, palette, "produced", &shortened(&format!("{name} = {}", tree_words(tree)), detail));
    }
    for (name, value) in &task.results {
        row(out, palette, "result", &format!("{name} = {}", value_words(value, detail)));
        if let Some(verdict) = test_verdict(name, value) {
            let style = palette.verdict(&verdict);
            row(out, palette, "found", &style.apply_to(visible(&verdict)).to_string());
        }
    }
    for (name, stored) in &task.stored_results {
        let StoredResult { digest, bytes: size, .. } = stored;
        let words = format!("{name} = {digest}, {} in the store", bytes(*size));
        row(out, palette, "result", &shortened(&words, detail));
    }
    if detail == Detail::Full {
        full(out, task, palette);
    }
}

fn full(out: &mut String, task: &TaskView, palette: &Palette) {
    for (name, value) in &task.params {
        row(out, palette, "param", &format!("{name} = {}", value_words(value, Detail::Full)));
    }
    if let Some(grants) = &task.grants {
        match grant_words(grants).as_slice() {
            [] => row(out, palette, "granted", "nothing beyond its inputs and outputs: hermetic"),
            some => some.iter().for_each(|words| row(out, palette, "granted", words)),
        }
    }
    if let (Some(usage), Some(limits), None) = (task.usage, &task.limits, &task.reused) {
        let words = format!(
            "{} of {}, {} of {} processor time, {} of {} memory, {} of {} written, {} of {} logged",
            duration(usage.wall_micros),
            limits.timeout,
            duration(usage.cpu_micros),
            limits.cpu,
            bytes(usage.peak_memory),
            limits.memory,
            bytes(usage.written),
            limits.output,
            bytes(usage.logged),
            limits.log,
        );
        row(out, palette, "used", &words);
        if usage.requests > 0 {
            let words = format!(
                "{} of {} requests, {} of {} sent, {} of {} received",
                usage.requests,
                limits.requests,
                bytes(usage.sent),
                limits.egress,
                bytes(usage.received),
                limits.ingress,
            );
            row(out, palette, "", &words);
        }
    }
}

/// What it fetched and reached, and what it was denied.
fn contact_rows(out: &mut String, task: &TaskView, detail: Detail, palette: &Palette) {
    let shown = if detail == Detail::Full { usize::MAX } else { FEW };
    for exchange in task.exchanges.iter().take(shown) {
        row(out, palette, "request", &shortened(&exchange_words(exchange), detail));
    }
    if let Some(more) = task.exchanges.len().checked_sub(shown).filter(|more| *more > 0) {
        row(out, palette, "", &format!("and {more} more requests"));
    }
    for connection in &task.connections {
        row(out, palette, "connected", &shortened(&connection_words(connection), detail));
    }
    for denial in task.denials.iter().take(shown) {
        row(out, palette, "denied", &denial_words(denial));
    }
    if let Some(more) = task.denials.len().checked_sub(shown).filter(|more| *more > 0) {
        row(out, palette, "", &format!("and {more} more denials"));
    }
}

fn attestations(out: &mut String, view: &RunView, detail: Detail, here: Surroundings<'_>, palette: &Palette) {
    let run = &view.run;
    let count = view.attestations.len();
    if count > 0 {
        let key = &view.builder.key;
        let statements = if count == 1 { "statement" } else { "statements" };
        row(out, palette, "attested", &format!("{count} SLSA provenance {statements}, signed by key {key}"));
        if detail == Detail::Full {
            for attestation in &view.attestations {
                let about = attestation.task.as_deref().unwrap_or("the run");
                row(out, palette, "", &format!("{about}: {}", attestation.bundle));
            }
        }
        row(out, palette, "kept in", &here.history.display().to_string());
        let program = here.program;
        row(
            out,
            palette,
            "as files",
            &format!("{program} show {run} --outputs DIRECTORY --attestations DIRECTORY"),
        );
    }
    if view.sealed {
        row(out, palette, "verify", &format!("{} verify {run}", here.program));
    } else if view.status == "Interrupted" {
        let words = format!(
            "its process ended before it was complete; go on from what is done: {} resume {run}",
            here.program
        );
        row(out, palette, "help", &words);
    }
}

fn row(out: &mut String, palette: &Palette, label: &str, text: &str) {
    let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
}

/// Digests as far as people compare them; all of each where everything is told.
fn shortened(text: &str, detail: Detail) -> String {
    const SHOWN: usize = 12;
    if detail == Detail::Full {
        return text.to_owned();
    }
    let mut pieces = text.split("sha256:");
    let mut short = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.chars().take_while(char::is_ascii_hexdigit).count();
        let (digest, rest) = piece.split_at_checked(digits).unwrap_or((piece, ""));
        let (shown, more) = digest.split_at_checked(SHOWN).unwrap_or((digest, ""));
        short += &format!("sha256:{shown}{}{rest}", if more.is_empty() { "" } else { ".." });
    }
    short
}

/// The verdict in a result of Konflux's shape for tests, in words.
fn test_verdict(name: &str, value: &Value) -> Option<String> {
    let Value::Text(text) = value else { return None };
    if name != "TEST_OUTPUT" {
        return None;
    }
    let output: serde_json::Value = serde_json::from_str(text).ok()?;
    let count = |name: &str| output.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let result = output.get("result")?.as_str()?;
    Some(format!("{result}: {} failures, {} warnings", count("failures"), count("warnings")))
}

fn source_words(source: &crate::event::Source) -> String {
    let tree = tree_words(&source.tree);
    let Some(commit) = &source.commit else { return format!("{tree}, plain files") };
    let short: String = commit.chars().take(12).collect();
    let branch = source.branch.as_ref().map(|b| format!(" on {}", visible(b))).unwrap_or_default();
    let state = if source.dirty { ", with changes that are not committed" } else { "" };
    format!("{tree}, commit {short}{branch}{state}")
}

fn tree_words(tree: &Tree) -> String {
    let files = if tree.files == 1 { "file" } else { "files" };
    format!("{} ({} {files}, {})", tree.digest, tree.files, bytes(tree.bytes))
}

fn input_words(input: &InputArtifact) -> String {
    let from = match (&input.task, &input.output) {
        (Some(task), Some(output)) => format!(" from {task}/{output}"),
        _ => " from the source".to_owned(),
    };
    tree_words(&input.tree) + &from
}

fn opened_words(files: u64) -> String {
    let files = match files {
        0 => "no file".to_owned(),
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    format!("; {files} opened")
}

fn value_words(value: &Value, detail: Detail) -> String {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Texts(_) | Value::Fields(_) => serde_json::to_string(value).unwrap_or_default(),
    };
    let shown = visible(&text);
    if detail == Detail::Full || shown.chars().count() <= SHORT_VALUE {
        return shown.into_owned();
    }
    let cut: String = shown.chars().take(SHORT_VALUE).collect();
    format!("{cut}...")
}
