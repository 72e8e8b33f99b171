//! `cofferdam gc`: removes old runs, and what nothing refers to any more.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::run_directory::{Gate, try_lock};
use super::since::Since;
use crate::event::{Fact, Journal, Origin, RunSummary};
use crate::model::RunId;
use crate::report::{Palette, bytes};
use crate::store::{Store, Swept, age, remove_tree};

/// What was not used for so long goes: compiled code, and what is known of runs as
/// a whole, can be made again.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam gc --dry-run\n  cofferdam gc\n  \
    cofferdam gc --keep-last 5 --older-than 2d --format json\n\n\
    Without options, the runs of the last 30 days and the last 20 are kept, with\n\
    everything that they refer to.")]
pub(crate) struct GcArgs {
    /// Remove nothing; say what would be.
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Keep so many of the newest runs, however old they are.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) keep_last: usize,
    /// Of the others, remove those that began before that: 30d, 2w, 2026-05-01.
    #[arg(long, value_name = "AGO|TIME", default_value = "30d")]
    pub(crate) older_than: Since,
    /// Keep objects that are younger, whatever refers to them: they may belong
    /// to a run that has not recorded them yet. Less than 1h only where nothing
    /// else runs.
    #[arg(long, value_name = "AGE", default_value = "1h")]
    pub(crate) grace: Since,
}

/// What was removed, or would be.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    dry_run: bool,
    /// Why no run was removed, if that was not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_untouched: Option<&'static str>,
    runs: Vec<RemovedRun>,
    kept_runs: usize,
    objects: u64,
    object_bytes: u64,
    compiled: u64,
    compiled_bytes: u64,
    /// What was known of runs as a whole.
    known_runs: u64,
    known_run_bytes: u64,
    work_directories: u64,
    /// What the journal gave back to the system.
    journal_bytes: u64,
}

#[derive(Debug, Serialize)]
struct RemovedRun {
    run: RunId,
    pipeline: String,
    started: Timestamp,
    /// Of its events and attestations.
    bytes: u64,
}

pub(crate) fn run(args: &GcArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let mut journal = home.journal()?;
    let store = home.store()?;
    let Some(_alone) =
        try_lock(&home.gc_lock()).map_err(|error| Failure::io("lock", &home.gc_lock(), &error))?
    else {
        let message = "another `cofferdam gc` is under way";
        return Err(Failure::invalid("store/gc-under-way", message, "wait until it is done"));
    };
    let mut removed = Removed { dry_run: args.dry_run, ..Removed::default() };
    let root = home.work_root();
    // No run begins until it is settled which runs stay.
    let gate = Gate::close(&root).map_err(|error| Failure::io("lock", &root, &error))?;
    let busy = gate.is_any_alive().map_err(|error| Failure::io("list", &root, &error))?;
    let (runs, unreadable) = journal.list(None, usize::MAX, |_| true)?;
    // What a run that cannot be read refers to, nobody can tell.
    if let Some(error) = unreadable.into_iter().next() {
        return Err(error.into());
    }
    let settled = settle(&journal, &store, &runs, (args, busy))?;
    removed.runs_untouched = busy.then_some("a run is under way, and may refer to any other");
    removed.kept_runs = settled.kept.len();
    for run in runs.iter().filter(|run| !settled.kept.contains(&run.id)) {
        let bytes = journal.bytes_of(&run.id)?;
        if !args.dry_run {
            journal.remove(&run.id)?;
        }
        let (run, pipeline, started) = (run.id.clone(), run.pipeline.clone(), run.started);
        removed.runs.push(RemovedRun { run, pipeline, started, bytes });
    }
    let abandoned = gate.abandoned().map_err(|error| Failure::io("list", &root, &error))?;
    for directory in &abandoned {
        if !args.dry_run {
            remove_tree(directory).map_err(|error| Failure::io("remove", directory, &error))?;
        }
        removed.work_directories += 1;
    }
    drop(gate);
    let now = Timestamp::now();
    let grace = now.duration_since(args.grace.moment(now)).unsigned_abs();
    let mut reached = settled.blobs;
    store.reach(&settled.trees, &mut reached)?;
    Swept { objects: removed.objects, bytes: removed.object_bytes } =
        store.sweep(&reached, grace, args.dry_run)?;
    (removed.compiled, removed.compiled_bytes) = sweep_unused(&home.compiled(), args.dry_run)?;
    (removed.known_runs, removed.known_run_bytes) = sweep_unused(&home.known_runs(), args.dry_run)?;
    if !args.dry_run && !busy {
        removed.journal_bytes = compact(&journal)?;
    }
    printer.result(&removed, |palette| words(&removed, palette));
    Ok(exit::OK)
}

/// Which runs stay, and what they refer to.
#[derive(Default)]
struct Settled {
    kept: BTreeSet<RunId>,
    trees: Vec<Digest>,
    blobs: HashSet<Digest>,
}

fn settle(
    journal: &Journal,
    store: &Store,
    runs: &[RunSummary],
    (args, busy): (&GcArgs, bool),
) -> Result<Settled, Failure> {
    let oldest = args.older_than.moment(Timestamp::now());
    let stays =
        |(place, run): &(usize, &RunSummary)| busy || *place < args.keep_last || run.started >= oldest;
    let mut open: Vec<RunId> = runs.iter().enumerate().filter(stays).map(|(_, run)| run.id.clone()).collect();
    let there: BTreeSet<&RunId> = runs.iter().map(|run| &run.id).collect();
    let mut settled = Settled::default();
    // A run that another one refers to stays whole: its attestations vouch.
    while let Some(run) = open.pop() {
        if !there.contains(&run) || !settled.kept.insert(run.clone()) {
            continue;
        }
        let mut plan = None;
        journal.replay(&run, |event| {
            if let Fact::RunStarted(start) = &event.fact {
                plan = start.plan;
            }
            open.extend(named_run(&event.fact));
            if !matches!(event.fact, Fact::TaskLogged { .. }) {
                settled.refer(&serde_json::to_value(&event.fact).unwrap_or(Value::Null));
            }
        })?;
        // What it was planned from names components that may not have run.
        let record = plan.and_then(|plan| store.read(plan).ok());
        settled.refer(&record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null));
    }
    Ok(settled)
}

/// The run that a fact names.
fn named_run(fact: &Fact) -> Option<RunId> {
    match fact {
        Fact::RunStarted(start) => start.origin.as_ref().map(|origin| match origin {
            Origin::Resume(run) | Origin::Rebuild(run) => run.clone(),
        }),
        Fact::TaskFinished(end) => end.reused.as_ref().map(|reused| reused.run.clone()),
        Fact::RunReused(reuse) => Some(reuse.run.clone()),
        Fact::SourceAcquired(_)
        | Fact::TaskStarted(_)
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
        | Fact::RunSealed => None,
    }
}

impl Settled {
    /// Adds every digest in a fact, whatever it is for: a digest too many only
    /// keeps an object too many.
    fn refer(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                for part in text.split("sha256:").skip(1) {
                    self.blobs.extend(part.get(..64).and_then(Digest::from_hex));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.refer(item)),
            Value::Object(fields) => {
                let digest = fields.get("digest").and_then(Value::as_str);
                let digest = digest.and_then(|digest| Digest::from_hex(digest.strip_prefix("sha256:")?));
                let is_tree = fields.contains_key("files") && fields.contains_key("bytes");
                self.trees.extend(digest.filter(|_| is_tree));
                fields.values().for_each(|field| self.refer(field));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Removes what a cache has in files and was not made or used for long.
fn sweep_unused(directory: &Path, dry: bool) -> Result<(u64, u64), Failure> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
        entries => entries.map_err(|error| Failure::io("list", directory, &error))?,
    };
    let (mut count, mut bytes) = (0, 0);
    for entry in entries {
        let path = entry.map_err(|error| Failure::io("list", directory, &error))?.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.is_file() && age(&metadata) >= UNUSED {
            if !dry {
                std::fs::remove_file(&path).map_err(|error| Failure::io("remove", &path, &error))?;
            }
            count += 1;
            bytes += metadata.len();
        }
    }
    Ok((count, bytes))
}

/// Makes the journal smaller where more than a quarter of it is empty; gives
/// by how much.
fn compact(journal: &Journal) -> Result<u64, Failure> {
    let before = journal.size()?;
    if before.free * 4 <= before.bytes {
        return Ok(0);
    }
    // A run that has begun since writes to it: there is a next time.
    if journal.compact().is_err() {
        return Ok(0);
    }
    Ok(before.bytes.saturating_sub(journal.size()?.bytes))
}

fn words(removed: &Removed, palette: &Palette) -> String {
    let verb = if removed.dry_run { "would remove" } else { "removed" };
    let mut text = String::new();
    for run in &removed.runs {
        let started = run.started.strftime("%Y-%m-%d %H:%M");
        text += &format!("{verb} run {} of {started}, {}\n", run.run, bytes(run.bytes));
    }
    let kept = format!("{} runs kept", removed.kept_runs);
    text += &match removed.runs_untouched {
        Some(why) => format!("{}: {why}\n", palette.caution.apply_to(format!("no run {verb}"))),
        None => format!("{verb} {} runs; {kept}\n", removed.runs.len()),
    };
    for (count, what, size) in [
        (removed.objects, "objects of the store", removed.object_bytes),
        (removed.compiled, "files of compiled code", removed.compiled_bytes),
        (removed.known_runs, "files of known runs", removed.known_run_bytes),
    ] {
        text += &format!("{verb} {count} {what}, {}\n", bytes(size));
    }
    if removed.work_directories > 0 {
        text += &format!("{verb} {} left-over work directories\n", removed.work_directories);
    }
    if removed.journal_bytes > 0 {
        text += &format!("the journal is smaller by {}\n", bytes(removed.journal_bytes));
    }
    text
}
