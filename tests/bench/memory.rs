//! The memory of a whole `cofferdam run`, and how it grows with its tasks.

use std::process::Stdio;
use std::time::Duration;

use super::{World, line, pipeline, quiet};

/// The most memory a run of so many no-op tasks had, in MB.
fn peak(world: &World, tasks: usize) -> f64 {
    let file = format!("{tasks}.yaml");
    world.write(&file, &pipeline(tasks));
    let mut run = world.cofferdam(&["run", "--quiet", &file, "--jobs", "2"]);
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The system keeps the peak; what is asked for last before the end counts.
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0.0) * 1024.0 / 1e6);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success());
    peak
}

pub(super) fn run(world: &World) {
    // The first run compiles the task, which takes more memory than the rest.
    quiet(&mut world.cofferdam(&["run", "--quiet", "one.yaml"]));
    let (few, many) = (peak(world, 1000), peak(world, 10_000));
    line("peak memory of a run, 1,000 no-op tasks", few, few, "MB", "");
    line("peak memory of a run, 10,000 no-op tasks", many, many, "MB", "64MB");
    let growth = (many - few) * 1e3 / 9000.0;
    line("growth for each task between them", growth, growth, "kB", "");
}
