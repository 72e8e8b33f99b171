//! `cofferdam task diff`: what one version of a task asks for and another does
//! not. Runs nothing of either.

use super::commands::TaskDiffArgs;
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::task_inspect::describe;
use crate::report::{TaskDifference, difference_text};

pub(crate) fn run(args: &TaskDiffArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let (old, new) = (describe(&args.old, home)?, describe(&args.new, home)?);
    let difference = TaskDifference::new(&old, &new);
    printer.result(&difference, |palette| difference_text(&difference, palette));
    Ok(if difference.asks_for_more() { exit::RUN_FAILED } else { exit::OK })
}
