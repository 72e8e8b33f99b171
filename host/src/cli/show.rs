//! `cofferdam show`: what happened in a run, in words.

use super::commands::ShowArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, export};
use crate::event::{Event, Fact, Journal, LogLevel, RunRecord};
use crate::model::RunId;
use crate::report::{Detail, RunView, run_text, visible};
use crate::store::Store;

pub(crate) fn run(args: &ShowArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let run = find(&journal, args.run.as_deref())?;
    if let Some(directory) = &args.attestations {
        export::make_new(directory)?;
        let count = export::attestations(&journal, &record(&journal, &run)?, directory)?;
        printer.note(&format!("wrote {count} attestations to {}", directory.display()));
    }
    if let Some(directory) = &args.outputs {
        export::make_new(directory)?;
        export::outputs(&record(&journal, &run)?, &home.store()?, directory)?;
        printer.note(&format!("wrote the outputs to {}", directory.display()));
    }
    let mut view = view(home, &journal, &run)?;
    if args.reads {
        list_reads(&mut view, &home.store()?)?;
    }
    let mut lines = String::new();
    if args.logs {
        journal.replay(&run, |event| lines.extend(log_line(&event)))?;
    }
    let history = home.history();
    let here = printer.surroundings(&history);
    printer.result(&view, |palette| {
        let mut text = run_text(&view, Detail::Full, here, palette);
        text.push_str(&lines);
        text
    });
    Ok(exit::OK)
}

/// The run that was named; the newest, if none was.
pub(crate) fn find(journal: &Journal, name: Option<&str>) -> Result<RunId, Failure> {
    let none =
        || Failure::invalid("journal/no-runs", "there are no runs yet", "start one: cofferdam run PIPELINE");
    match name {
        Some(name) => Ok(journal.find(name)?),
        None => journal.runs(1)?.into_iter().next().ok_or_else(none),
    }
}

/// The view of a run that is in the journal.
pub(crate) fn view(home: &Home, journal: &Journal, run: &RunId) -> Result<RunView, Failure> {
    Ok(RunView::new(&record(journal, run)?, home.is_alive(run.as_str())))
}

/// Adds the lists of the files that were opened.
fn list_reads(view: &mut RunView, store: &Store) -> Result<(), Failure> {
    for reads in view.tasks.iter_mut().flat_map(|task| task.reads.values_mut()) {
        reads.paths = Some(match reads.reads.list {
            None => Vec::new(),
            Some(list) => serde_json::from_slice(&store.read(list)?).map_err(|error| {
                let message = format!("{list} is no list of files: {error}");
                Failure::invalid(
                    "journal/changed",
                    message,
                    "do not rely on this run; run the pipeline again",
                )
            })?,
        });
    }
    Ok(())
}

pub(crate) fn record(journal: &Journal, run: &RunId) -> Result<RunRecord, Failure> {
    journal.record(run)?.ok_or_else(|| no_start(run))
}

/// The journal of a run is not one.
pub(crate) fn no_start(run: &RunId) -> Failure {
    let message = format!("the journal of run {run} does not begin with its start");
    Failure::invalid("journal/changed", message, "do not rely on this run; run the pipeline again")
}

fn log_line(event: &Event) -> Option<String> {
    let Fact::TaskLogged { task, level, message, fields } = &event.fact else { return None };
    let level = match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let fields: String =
        fields.iter().map(|(name, value)| format!(" {}={}", visible(name), visible(value))).collect();
    Some(format!("{} {} {level} {}{fields}\n", event.at, visible(task), visible(message)))
}
