//! A run of one task: what the rest of a process costs.

use super::figure::{Times, line};
use super::world::{World, quiet};

/// A whole process that runs one task, whose code is compiled already.
pub(super) fn run(world: &World) {
    let mut times = Times(Vec::new());
    for _ in 0..50 {
        times.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "one.yaml"])));
    }
    line(
        "cofferdam run, one no-op task, whole process",
        times.median() * 1e3,
        times.best() * 1e3,
        "ms",
        "10ms",
    );
    let task = world.newest_run_seconds() * 1e3;
    let rest = times.median() * 1e3 - task;
    println!(
        "  limited by: {task:.1} ms for the run, {rest:.1} ms to load the program and compiled code, to verify the task, \
         and to wait for the disk"
    );
}
