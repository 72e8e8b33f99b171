//! The complete list of what a task can import. What is not linked here does
//! not exist for a task.

use std::convert::Infallible;

use rand_core::TryRng;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi_io::bindings::wasi::io;

use super::bindings::cofferdam::task;
use super::state::TaskState;
use super::{Job, clock, files};
use crate::capability::SeededRandom;

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links everything that any task can import; `http` links itself, for those
/// that ask for it.
pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    task::types::add_to_linker::<TaskState, HasSelf<TaskState>>(linker, |state| state)?;
    task::log::add_to_linker::<TaskState, HasSelf<TaskState>>(linker, |state| state)?;

    io::error::add_to_linker::<TaskState, Table>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<TaskState, Table>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<TaskState, Table>(linker, |state| &mut state.table)?;

    cli::environment::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::exit::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::stdin::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::stdout::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::stderr::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::terminal_input::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::terminal_output::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::terminal_stdin::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::terminal_stdout::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;
    cli::terminal_stderr::add_to_linker::<TaskState, WasiCli>(linker, TaskState::cli)?;

    clock::link(linker)?;

    random::random::add_to_linker::<TaskState, WasiRandom>(linker, |state| state.wasi.random())?;
    random::insecure::add_to_linker::<TaskState, WasiRandom>(linker, |state| state.wasi.random())?;
    random::insecure_seed::add_to_linker::<TaskState, WasiRandom>(linker, |state| state.wasi.random())?;

    files::link(linker)
}

/// Sets randomness: seeded, unless the real one is granted.
pub(crate) fn set_chance(wasi: &mut WasiCtxBuilder, job: &Job) {
    if !job.grants.real_random {
        wasi.secure_random(Seeded(SeededRandom::new(&job.seed, "secure")));
        wasi.insecure_random(Seeded(SeededRandom::new(&job.seed, "insecure")));
        let mut seed = [0; 16];
        SeededRandom::new(&job.seed, "seed").fill(&mut seed);
        wasi.insecure_random_seed(u128::from_be_bytes(seed));
    }
}

struct Seeded(SeededRandom);

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}
