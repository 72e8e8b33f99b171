//! `cofferdam diff`: what changed from one run to another.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use cofferdam_registry::Digest;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{candidates, exit, show};
use crate::event::{Journal, RunRecord};
use crate::model::{MAX_PIPELINE, RunId};
use crate::report::{RunDifference, changed_lines, run_difference_text};
use crate::store::Store;

/// Of a tree, so many paths that differ are listed; all are counted.
const PATHS: usize = 50;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam diff build-k7dm2vqx4h build-9qzkf3m2rb\n  \
    cofferdam diff build-k7dm2vqx4h            to the newest run of the same pipeline\n  \
    cofferdam diff build                       to the newest run of build, from the one before\n  \
    cofferdam diff k7dm2vqx4h --format json\n\n\
    Exit status: 0 the same outcome, outputs and results, 1 others.")]
pub(crate) struct DiffArgs {
    /// The first run.
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(candidates::runs))]
    pub(crate) old: String,
    /// The second; left out, the newest of the same pipeline, or for that one the
    /// run before.
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(candidates::runs))]
    pub(crate) new: Option<String>,
}

pub(crate) fn run(args: &DiffArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let store = home.store()?;
    let old = show::record(&journal, &journal.find(&args.old)?)?;
    let new = match &args.new {
        Some(name) => journal.find(name)?,
        None => newest(&journal, &old)?,
    };
    let new = show::record(&journal, &new)?;
    // Of the newest run the other one is older: it is what that one changed from.
    let is_newest = args.new.is_none() && new.started < old.started;
    let (old, new) = if is_newest { (new, old) } else { (old, new) };
    let mut difference = RunDifference::new(&old, &new);
    for file in &mut difference.files {
        let text = |record: &RunRecord| text(&store, *record.start.files.get(&file.file)?);
        if let (Some(old), Some(new)) = (text(&old), text(&new)) {
            file.lines = changed_lines(&old, &new);
        }
    }
    for tree in difference.trees() {
        if let (Some(old), Some(new)) = (tree.old, tree.new) {
            // One that is not there any more only leaves the names out.
            tree.files = store.compare(old.digest, new.digest, PATHS).ok();
        }
    }
    printer.result(&difference, |palette| run_difference_text(&difference, palette));
    Ok(if difference.same_outcome { exit::OK } else { exit::RUN_FAILED })
}

/// The newest run of a run's pipeline, which is not that run itself.
fn newest(journal: &Journal, of: &RunRecord) -> Result<RunId, Failure> {
    let (found, _) = journal.list(None, 1, |run| run.pipeline == of.start.pipeline && run.id != of.id)?;
    found.into_iter().next().map(|run| run.id).ok_or_else(|| {
        let message = format!("there is no other run of the pipeline {}", of.start.pipeline);
        Failure::invalid("journal/no-other-run", message, "name the second run, too: cofferdam runs")
    })
}

fn text(store: &Store, digest: Digest) -> Option<String> {
    let length = store.check(digest).ok()?;
    String::from_utf8((length <= MAX_PIPELINE).then(|| store.read(digest).ok())??).ok()
}
