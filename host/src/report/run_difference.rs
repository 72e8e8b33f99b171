//! What changed from one run to another: what they were given, what they made,
//! how they ended. A fold over two records; whoever has the store adds which
//! lines and which files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::event::{AfterFailure, RunRecord, Source, TaskEnd, TaskRecord, TaskStart};
use crate::store::{Tree, TreeDifference};

/// A task that took this many times as long, in halves: one and a half times.
const SLOWER_HALVES: u64 = 3;
/// Differences of less are noise, in microseconds.
const NOISE: u64 = 10_000;

/// What changed from one run to another.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDifference {
    /// The first.
    pub old: String,
    /// The second.
    pub new: String,
    /// Whether both ended in the same way, with the same outputs and results.
    pub same_outcome: bool,
    /// What is different about the whole run, by what it is.
    pub run: Vec<Changed>,
    /// The files the pipeline was read from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    /// The files of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<TreeChange>,
    /// The tasks of which anything is different.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskChange>,
    /// How many tasks both have, of which nothing is.
    pub same_tasks: usize,
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// What it is: `status`, `param level`, ..
    pub what: String,
    /// What it was; nothing, if it was not there.
    pub old: Value,
    /// What it is.
    pub new: Value,
}

/// A file of the pipeline that is different.
#[derive(Clone, Debug, Serialize)]
pub struct FileChange {
    /// Its name.
    pub file: String,
    /// The digest of what it was.
    pub old: Value,
    /// The digest of what it is.
    pub new: Value,
    /// The lines that differ, where both texts are in the store: `-12 text`,
    /// `+12 text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// A tree that is different.
#[derive(Clone, Debug, Serialize)]
pub struct TreeChange {
    /// What it was.
    pub old: Option<Tree>,
    /// What it is.
    pub new: Option<Tree>,
    /// Which files differ, where both trees are in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<TreeDifference>,
}

/// A task of which something is different.
#[derive(Clone, Debug, Serialize)]
pub struct TaskChange {
    /// Its name.
    pub task: String,
    /// What is different.
    pub changed: Vec<Changed>,
    /// The outputs that are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, TreeChange>,
}

impl RunDifference {
    /// Compares two runs.
    #[must_use]
    pub fn new(old: &RunRecord, new: &RunRecord) -> Self {
        let (tasks, same_tasks, same_ends) = tasks(old, new);
        let mut difference = Self {
            old: old.id.to_string(),
            new: new.id.to_string(),
            same_outcome: same_ends && outcome(old) == outcome(new) && old.results == new.results,
            run: run(old, new),
            files: Vec::new(),
            source: None,
            tasks,
            same_tasks,
        };
        let names: BTreeSet<&String> = old.start.files.keys().chain(new.start.files.keys()).collect();
        for name in names {
            let (old, new) = (json(&old.start.files.get(name)), json(&new.start.files.get(name)));
            if old != new {
                difference.files.push(FileChange { file: name.clone(), old, new, lines: None });
            }
        }
        let trees = [old, new].map(|record| record.source.as_ref().map(|source| source.tree));
        if trees[0] != trees[1] {
            difference.source = Some(TreeChange { old: trees[0], new: trees[1], files: None });
        }
        difference
    }

    /// Whether nothing at all is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.run.is_empty() && self.files.is_empty() && self.source.is_none() && self.tasks.is_empty()
    }

    /// Every tree that is different.
    pub fn trees(&mut self) -> impl Iterator<Item = &mut TreeChange> {
        self.source.iter_mut().chain(self.tasks.iter_mut().flat_map(|task| task.outputs.values_mut()))
    }
}

/// A value as JSON; what cannot be written is nothing.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn outcome(record: &RunRecord) -> Option<&'static str> {
    record.finished.as_ref().map(|(_, reason, _)| reason.as_str())
}

fn micros(record: &RunRecord) -> Option<u64> {
    let (at, ..) = record.finished.as_ref()?;
    u64::try_from(at.as_microsecond() - record.started.as_microsecond()).ok()
}

/// Gathers what is different.
#[derive(Default)]
struct Changes(Vec<Changed>);

impl Changes {
    fn compare(&mut self, what: &str, old: Value, new: Value) {
        if old != new {
            self.0.push(Changed { what: what.to_owned(), old, new });
        }
    }

    /// Compares two maps, entry by entry.
    fn entries<T: Serialize>(&mut self, what: &str, old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) {
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            self.compare(&format!("{what} {name}"), json(&old.get(name)), json(&new.get(name)));
        }
    }

    fn duration(&mut self, old: Option<u64>, new: Option<u64>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let (less, more) = (old.min(new), old.max(new));
        if more - less >= NOISE && 2 * more > SLOWER_HALVES * less {
            self.0.push(Changed { what: "duration".to_owned(), old: old.into(), new: new.into() });
        }
    }
}

fn run(old: &RunRecord, new: &RunRecord) -> Vec<Changed> {
    let mut changes = Changes::default();
    changes.compare("status", json(&outcome(old)), json(&outcome(new)));
    changes.compare("pipeline", json(&old.start.pipeline), json(&new.start.pipeline));
    changes.compare("file", json(&old.start.file), json(&new.start.file));
    // Whoever kept no files still recorded the digest of the first.
    if old.start.files.is_empty() || new.start.files.is_empty() {
        changes.compare("file digest", json(&old.start.file_digest), json(&new.start.file_digest));
    }
    changes.entries("param", &old.start.params, &new.start.params);
    changes.compare("overrides", json(&old.start.overrides), json(&new.start.overrides));
    let (before, after) = (old.source.as_ref(), new.source.as_ref());
    let mut compare = |what: &str, of: fn(&Source) -> Value| {
        changes.compare(what, json(&before.map(of)), json(&after.map(of)));
    };
    compare("source commit", |source| json(&source.commit));
    compare("source branch", |source| json(&source.branch));
    compare("source remote", |source| json(&source.remote));
    compare("source dirty", |source| json(&source.dirty));
    changes.compare("fixed time", json(&old.start.source_date_epoch), json(&new.start.source_date_epoch));
    changes.compare("builder", json(&old.start.builder), json(&new.start.builder));
    changes.entries("result", &old.results, &new.results);
    changes.duration(micros(old), micros(new));
    changes.0
}

/// The tasks that differ, how many do not, and whether all ended the same.
fn tasks(old: &RunRecord, new: &RunRecord) -> (Vec<TaskChange>, usize, bool) {
    let order = new.order.iter().chain(old.order.iter().filter(|name| !new.tasks.contains_key(*name)));
    let (mut found, mut same, mut same_ends) = (Vec::new(), 0, true);
    for name in order {
        let (before, after) = (old.tasks.get(name), new.tasks.get(name));
        let change = TaskChange::new(name, before, after);
        same_ends &= ends_alike(before, after);
        if change.changed.is_empty() && change.outputs.is_empty() {
            same += 1;
        } else {
            found.push(change);
        }
    }
    (found, same, same_ends)
}

/// Whether two tasks ended in the same way, with the same outputs and results.
fn ends_alike(old: Option<&TaskRecord>, new: Option<&TaskRecord>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let end = |task: &'_ TaskRecord| task.end.as_ref().map(|(_, end)| end.clone());
    match (end(old), end(new)) {
        (None, None) => old.skipped == new.skipped,
        (Some(old), Some(new)) => {
            old.reason == new.reason
                && old.outputs == new.outputs
                && old.results == new.results
                && old.stored_results == new.stored_results
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

impl TaskChange {
    fn new(name: &str, old: Option<&TaskRecord>, new: Option<&TaskRecord>) -> Self {
        let mut changes = Changes::default();
        let mut outputs = BTreeMap::new();
        match (old, new) {
            (Some(old), Some(new)) => {
                changes.compare("status", json(&state(old)), json(&state(new)));
                let start = |task: &'_ TaskRecord| task.start.as_ref().map(|(_, start)| start.clone());
                if let (Some(old), Some(new)) = (start(old), start(new)) {
                    starts(&mut changes, &old, &new);
                }
                let end = |task: &'_ TaskRecord| task.end.as_ref().map(|(_, end)| end.clone());
                let (before, after) = (end(old), end(new));
                if let (Some(before), Some(after)) = (&before, &after) {
                    ends(&mut changes, before, after);
                    changes.duration(took(old), took(new));
                }
                let trees = |end: Option<&TaskEnd>| end.map(|end| end.outputs.clone()).unwrap_or_default();
                outputs = changed_trees(&trees(before.as_deref()), &trees(after.as_deref()));
            }
            (old, new) => changes.compare("task", json(&old.map(state)), json(&new.map(state))),
        }
        Self { task: name.to_owned(), changed: changes.0, outputs }
    }
}

fn changed_trees(old: &BTreeMap<String, Tree>, new: &BTreeMap<String, Tree>) -> BTreeMap<String, TreeChange> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let pair = |name: &String| (old.get(name).copied(), new.get(name).copied());
    let changed = names.into_iter().map(|name| (name, pair(name))).filter(|(_, (old, new))| old != new);
    changed.map(|(name, (old, new))| (name.clone(), TreeChange { old, new, files: None })).collect()
}

/// How a task ended, in a word.
fn state(task: &TaskRecord) -> &'static str {
    match (&task.end, task.skipped, &task.start) {
        (Some((_, end)), ..) => end.reason.as_str(),
        (None, Some(_), _) => "Skipped",
        (None, None, Some(_)) => "Interrupted",
        (None, None, None) => "Pending",
    }
}

fn took(task: &TaskRecord) -> Option<u64> {
    let ((began, _), (ended, end)) = (task.start.as_ref()?, task.end.as_ref()?);
    // What was taken from elsewhere took no time here.
    let reused = end.reused.is_some();
    u64::try_from(ended.as_microsecond() - began.as_microsecond()).ok().filter(|_| !reused)
}

fn starts(changes: &mut Changes, old: &TaskStart, new: &TaskStart) {
    let (before, after) = (&old.identity, &new.identity);
    changes.compare("task", json(&before.name), json(&after.name));
    changes.compare("version", json(&before.version), json(&after.version));
    changes.compare("component", json(&before.component), json(&after.component));
    changes.compare("trust", json(&before.trust), json(&after.trust));
    changes.compare("grants", json(&old.grants), json(&new.grants));
    changes.compare("limits", json(&old.limits), json(&new.limits));
    changes.entries("param", &old.params, &new.params);
    let inputs = |start: &TaskStart| -> BTreeMap<String, cofferdam_registry::Digest> {
        start.inputs.iter().map(|input| (input.name.clone(), input.tree.digest)).collect()
    };
    changes.entries("input", &inputs(old), &inputs(new));
}

fn ends(changes: &mut Changes, old: &TaskEnd, new: &TaskEnd) {
    changes.compare("failure", json(&old.failure), json(&new.failure));
    let after = |after: AfterFailure| json(&after);
    changes.compare("after failure", after(old.after), after(new.after));
    changes.entries("result", &old.described_results(), &new.described_results());
    changes.compare("reused", json(&old.reused.is_some()), json(&new.reused.is_some()));
}
