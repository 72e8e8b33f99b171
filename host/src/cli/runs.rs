//! `cofferdam runs`: the newest runs.

use super::commands::RunsArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, show};
use crate::report::{RunView, runs_text};

pub(crate) fn run(args: &RunsArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let mut views: Vec<RunView> = Vec::new();
    for run in journal.runs(usize::from(args.limit))? {
        match show::view(home, &journal, &run) {
            Ok(view) => views.push(view),
            // One damaged run must not hide the others.
            Err(failure) => printer.failure(&failure),
        }
    }
    printer.result(&views, |palette| runs_text(&views, palette));
    Ok(exit::OK)
}
