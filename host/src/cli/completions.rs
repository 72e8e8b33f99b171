//! `cofferdam completions`: what a shell needs to complete commands.

use clap::CommandFactory;

use super::commands::{Cli, CompletionsArgs};
use super::exit;
use super::failure::Failure;
use super::printer::Printer;

pub(crate) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cofferdam", &mut script);
    printer.text(&String::from_utf8_lossy(&script));
    Ok(exit::OK)
}
