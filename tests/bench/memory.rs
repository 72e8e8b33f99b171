//! The memory of a whole `cofferdam run`, how it grows with its tasks, and that
//! of the commands that look at such a run afterwards.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::figure::line;
use super::world::{World, pipeline, quiet};

/// The most memory a command had, in MB.
fn peak(mut command: Command) -> f64 {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The system keeps the peak; what is asked for last before the end counts.
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0.0) * 1024.0 / 1e6);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    peak
}

fn of_run(world: &World, tasks: usize) -> f64 {
    let file = format!("{tasks}.yaml");
    world.write(&file, &pipeline(tasks));
    peak(world.cofferdam(&["run", "--quiet", "--no-cache", &file, "--jobs", "2"]))
}

pub(super) fn run(world: &World) {
    // The first run compiles the task, which takes more memory than the rest.
    quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "one.yaml"]));
    let figure = |what: &str, peak, wanted| line(what, peak, peak, "MB", wanted);
    let (few, many) = (of_run(world, 1000), of_run(world, 10_000));
    figure("peak memory of a run, 1,000 no-op tasks", few, "");
    figure("peak memory of a run, 10,000 no-op tasks", many, "64MB");
    let growth = (many - few) * 1e3 / 9000.0;
    line("growth for each task between them", growth, growth, "kB", "");
    for command in ["verify", "show", "runs"] {
        figure(&format!("peak memory of `{command}` after it"), peak(world.cofferdam(&[command])), "");
    }
}
