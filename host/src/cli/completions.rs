//! `cofferdam completions`: what a shell needs to complete commands, and the
//! answers when it asks.
//!
//! A shell asks by starting this program with a variable set. Whatever goes
//! wrong then, nothing is said: a person is in the middle of a line.

use clap::CommandFactory;
use clap_complete::CompleteEnv;
use clap_complete::env::Shells;

use super::commands::{Cli, CompletionsArgs};
use super::exit;
use super::failure::Failure;
use super::printer::Printer;

/// Set by the script, to the shell's name.
const VARIABLE: &str = "COFFERDAM_COMPLETE";

pub(crate) fn run(args: &CompletionsArgs, printer: &Printer) -> Result<u8, Failure> {
    let name = args.shell.to_string();
    let unknown = || Failure::usage(format!("`{name}` is not completed"), "name another shell");
    let shell = Shells::builtins();
    let shell = shell.completer(&name).ok_or_else(unknown)?;
    let mut script = Vec::new();
    let program = program();
    let written = shell.write_registration(VARIABLE, "cofferdam", "cofferdam", &program, &mut script);
    written.map_err(|error| Failure::io("write", std::path::Path::new("the script"), &error))?;
    printer.text(&String::from_utf8_lossy(&script));
    Ok(exit::OK)
}

/// This program, as the script is to start it: by its name, or by its whole
/// path where it was started by one.
fn program() -> String {
    let given = std::env::args().next().unwrap_or_else(|| "cofferdam".to_owned());
    if !given.contains('/') {
        return given;
    }
    std::path::absolute(&given).map(|path| path.display().to_string()).unwrap_or(given)
}

/// Answers a shell that asks, if one does.
pub(crate) fn answer() -> bool {
    if std::env::var_os(VARIABLE).is_none_or(|shell| shell.is_empty()) {
        return false;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let here = std::env::current_dir().ok();
    let answering = CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin("cofferdam");
    // What cannot be completed is not completed.
    let _ = answering.try_complete(std::env::args_os(), here.as_deref());
    true
}
