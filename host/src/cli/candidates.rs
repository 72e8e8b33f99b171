//! What can stand at a place of the command line, for shells: runs, their tasks,
//! pipeline files, params. Reads only what is there; finds nothing where
//! anything is wrong.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use cofferdam_manifest::Document;

use super::home::Home;
use crate::event::Journal;
use crate::model::RunId;
use crate::report::visible;

/// Only so many of the newest runs: more would not be read.
const RUNS: usize = 50;
/// Directories deeper than this are not looked into.
const DEPTH: usize = 4;
/// Larger files are no pipelines.
const MAX_PIPELINE: u64 = 4 << 20;

fn journal() -> Option<(Home, Journal)> {
    let home = Home::find().ok()?;
    let journal = Journal::peek(&home.history())?;
    Some((home, journal))
}

/// The newest runs.
pub(crate) fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let Some((_, journal)) = journal() else { return Vec::new() };
    let found = journal.list(None, RUNS, |run| run.id.as_str().starts_with(current));
    let (found, _) = found.unwrap_or_default();
    let candidate = |(place, run): (usize, &crate::event::RunSummary)| {
        let help = run.started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        CompletionCandidate::new(run.id.as_str()).help(Some(help.into())).display_order(Some(place))
    };
    found.iter().enumerate().map(candidate).collect()
}

/// A run, or the file of an attestation.
pub(crate) fn runs_or_files(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = runs(current);
    if !current.is_empty() {
        found.extend(PathCompleter::file().complete(current));
    }
    found
}

/// The tasks of the run that the line names.
pub(crate) fn tasks(current: &OsStr) -> Vec<CompletionCandidate> {
    let find = || -> Option<Vec<String>> {
        let (_, journal) = journal()?;
        let named = words().into_iter().skip(2).find_map(|word| named_run(&journal, &word));
        journal.listed_tasks(&named?).ok()
    };
    let current = current.to_string_lossy();
    let tasks = find().unwrap_or_default().into_iter();
    tasks.filter(|task| task.starts_with(&*current)).map(CompletionCandidate::new).collect()
}

fn named_run(journal: &Journal, word: &OsStr) -> Option<RunId> {
    let word = word.to_str().filter(|word| !word.is_empty() && !word.starts_with('-'))?;
    journal.find(word).ok()
}

/// The files below `.cofferdam/`, and then any.
pub(crate) fn pipelines(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut files = Vec::new();
    below(Path::new(".cofferdam"), DEPTH, &mut files);
    files.retain(|file| is_pipeline(file));
    files.sort();
    let fits = |file: &PathBuf| file.to_string_lossy().starts_with(&*current.to_string_lossy());
    let mut found: Vec<_> = files.into_iter().filter(fits).map(CompletionCandidate::new).collect();
    if found.is_empty() {
        let yaml = |path: &Path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        found = PathCompleter::any().filter(move |path| path.is_dir() || yaml(path)).complete(current);
    }
    found
}

fn below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        match kind {
            Ok(kind) if kind.is_dir() && depth > 0 => below(&path, depth - 1, found),
            Ok(kind) if kind.is_file() => found.push(path),
            Ok(_) | Err(_) => {}
        }
    }
}

/// A pipeline's document, read without insisting that all of it makes sense.
fn document(file: &Path) -> Option<serde_json::Value> {
    let bytes = super::read_file(file, MAX_PIPELINE).ok()?;
    Some(Document::parse(std::str::from_utf8(&bytes).ok()?).ok()?.to_json())
}

fn is_pipeline(file: &Path) -> bool {
    let yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let kind = |document: serde_json::Value| {
        document.get("kind").is_some_and(|kind| kind == "Pipeline" || kind == "PipelineRun")
    };
    yaml && document(file).is_some_and(kind)
}

/// The params of the pipeline that the line names, each with `=` behind it.
pub(crate) fn params(current: &OsStr) -> Vec<CompletionCandidate> {
    let file = words().into_iter().skip(2).map(PathBuf::from).find(|word| word.is_file());
    let Some(document) = file.as_deref().and_then(document) else { return Vec::new() };
    let current = current.to_string_lossy();
    let params = document.pointer("/spec/params").and_then(serde_json::Value::as_array);
    let candidate = |param: &serde_json::Value| {
        let name = param.get("name")?.as_str().filter(|name| name.starts_with(&*current))?;
        let help = param.get("description").and_then(serde_json::Value::as_str);
        let help = help.map(|help| visible(help).into_owned().into());
        Some(CompletionCandidate::new(format!("{name}=")).help(help))
    };
    params.into_iter().flatten().filter_map(candidate).collect()
}

/// The words of the line that is being completed: they stand behind `--`.
fn words() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}
