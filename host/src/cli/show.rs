//! `cofferdam show`: what happened in a run, in words.

use std::path::Path;

use cofferdam_manifest::Name;

use super::commands::ShowArgs;
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use crate::event::{Event, Fact, Journal, LogLevel, RunRecord, StoredAttestation};
use crate::model::RunId;
use crate::report::{Detail, RunView, run_text, visible};

pub(crate) fn run(args: &ShowArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let run = find(&journal, args.run.as_deref())?;
    if let Some(directory) = &args.attestations {
        let stored = journal.attestations(&run)?;
        write_attestations(directory, &stored)?;
        printer.note(&format!("wrote {} attestations to {}", stored.len(), directory.display()));
    }
    let view = view(home, &journal, &run)?;
    let lines = if args.logs { journal.events(&run)? } else { Vec::new() };
    let history = home.history();
    let here = printer.surroundings(&history);
    printer.result(&view, |palette| {
        let mut text = run_text(&view, Detail::Full, here, palette);
        lines.iter().filter_map(log_line).for_each(|line| text.push_str(&line));
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
    let record = RunRecord::fold(&journal.events(run)?).ok_or_else(|| {
        let message = format!("the journal of run {run} does not begin with its start");
        Failure::invalid("journal/changed", message, "do not rely on this run; run the pipeline again")
    })?;
    Ok(RunView::new(&record, home.is_alive(run.as_str())))
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

/// Writes each bundle to a file of its own: `task-NAME.sigstore.json`, and
/// `run.sigstore.json` for the run itself.
pub(crate) fn write_attestations(directory: &Path, stored: &[StoredAttestation]) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))?;
    for attestation in stored {
        let name = match &attestation.task {
            // The database may have been changed by anyone; a name is no path.
            Some(task) if Name::try_from(task.clone()).is_err() => {
                let message = format!("`{}` is not the name of a task", visible(task));
                return Err(Failure::invalid("journal/changed-name", message, "do not rely on this run"));
            }
            Some(task) => format!("task-{task}.sigstore.json"),
            None => "run.sigstore.json".to_owned(),
        };
        let path = directory.join(name);
        super::write_file(&path, attestation.bundle.as_bytes())?;
    }
    Ok(())
}
