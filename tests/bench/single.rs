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

/// A whole process whose one task's outcome is known, and one that only tells
/// how it is used.
pub(super) fn known(world: &World) {
    let run = || quiet(&mut world.cofferdam(&["run", "--quiet", "one.yaml"]));
    run();
    let (mut one, mut help) = (Times(Vec::new()), Times(Vec::new()));
    for _ in 0..15 {
        one.0.push(run());
        help.0.push(quiet(&mut world.cofferdam(&["--help"])));
    }
    let millis = |seconds: f64| seconds * 1e3;
    line(
        "cofferdam run, one task, known, whole process",
        millis(one.median()),
        millis(one.best()),
        "ms",
        "10ms",
    );
    line("cofferdam --help, whole process", millis(help.median()), millis(help.best()), "ms", "5ms");
}
