//! The `cofferdam` program.

use std::process::ExitCode;

// Each TaskRun makes and frees some hundred small values on its own thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cofferdam::cli::main()
}
