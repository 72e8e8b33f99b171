//! What a task costs among a hundred, and among ten thousand.

use super::figure::{Times, line};
use super::graphs::Graph;
use super::world::{World, quiet};

const ROUNDS: usize = 5;

pub(super) fn run(world: &World) {
    let mut costs = Vec::new();
    for count in [100, 1000, 10_000] {
        let file = Graph::fan_out(count).pipeline(world);
        let mut times = Times(Vec::new());
        for _ in 0..ROUNDS {
            times.0.push(quiet(&mut world.cofferdam(&[
                "run",
                "--quiet",
                "--no-cache",
                &file,
                "--jobs",
                "2",
            ])));
        }
        // Without what a process costs that runs one.
        let alone = quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "one.yaml"])).as_secs_f64();
        let per_task = |seconds: f64| (seconds - alone).max(0.0) * 1e3 / count as f64;
        let what = format!("cofferdam run, fan-out of {count}, per task");
        line(&what, per_task(times.median()), per_task(times.best()), "ms", "");
        costs.push(per_task(times.median()));
    }
    if let [few, _, many] = costs.as_slice() {
        line("growth from 100 to 10000 tasks", many / few, many / few, "", "1.1");
    }
}
