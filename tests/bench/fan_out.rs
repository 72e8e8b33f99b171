//! Many tasks in one run, beside ninja and make.

use super::figure::{Times, line};
use super::world::{TASKS, World, quiet};

const ROUNDS: usize = 9;

/// The same thousand tasks, one tool after the other in each round.
pub(super) fn run(world: &World) {
    let (mut ours, mut ninja, mut make) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
    quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "many.yaml", "--jobs", "2"]));
    for _ in 0..ROUNDS {
        ours.0.push(quiet(&mut world.cofferdam(&[
            "run",
            "--quiet",
            "--no-cache",
            "many.yaml",
            "--jobs",
            "2",
        ])));
        ninja.0.push(quiet(&mut world.command("ninja", &["-j2"])));
        make.0.push(quiet(&mut world.command("make", &["-j2", "-s"])));
    }
    let per_task = |seconds: f64| seconds * 1e3 / TASKS as f64;
    for (name, times) in [("cofferdam run", &ours), ("ninja -j2", &ninja), ("make -j2", &make)] {
        let what = format!("{name}, {TASKS} no-op tasks, per task");
        line(&what, per_task(times.median()), per_task(times.best()), "ms", "");
    }
    line("ratio to ninja", ours.median() / ninja.median(), ours.best() / ninja.best(), "", "0.067");
    line("ratio to make", ours.median() / make.median(), ours.best() / make.best(), "", "0.125");
    let tasks = world.newest_run_seconds();
    let rest = ours.median() - tasks;
    println!(
        "  limited by: {:.0} ms for the tasks on 2 threads (sandbox, journal, one signature each), {rest:.0} ms to plan, \
         to sign the whole run and to flush",
        tasks * 1e3,
        rest = rest * 1e3
    );
}
