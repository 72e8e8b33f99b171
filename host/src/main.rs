//! The `cofferdam` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cofferdam::cli::main()
}
