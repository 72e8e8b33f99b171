//! What a TaskRun costs in the sandbox from instance to exit, beside `bwrap`.

use super::figure::{Times, line};
use super::lone::{Lone, job};
use super::world::{World, quiet};

const RUNS: usize = 10_000;

/// A task that does nothing, from instance to exit, on one thread; beside it a
/// whole process that isolates `true`.
pub(super) fn run(world: &World) {
    let lone = Lone::new(world);
    let prepared = lone.prepare(world, "noop.wasm");
    let job = job();
    let ours = Times((0..RUNS).map(|_| lone.run(&prepared, &job)).collect());
    let isolate = ["--unshare-all", "--ro-bind", "/", "/", "true"];
    let bwrap = Times((0..100).map(|_| quiet(&mut world.command("bwrap", &isolate))).collect());
    let micros = |seconds: f64| seconds * 1e6;
    line("sandbox, one no-op TaskRun", micros(ours.median()), micros(ours.best()), "us", "25us");
    line("bwrap --unshare-all, whole process", micros(bwrap.median()), micros(bwrap.best()), "us", "");
    line("ratio to bwrap", ours.median() / bwrap.median(), ours.best() / bwrap.best(), "", "0.01");
}
