//! What every attack has in common: one hostile task is run, the run must end
//! in order, and nothing of the task may be left behind.
//!
//! The attacks are in `hostile_*.rs`, the components in `tests/hostile/`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Task, World, task, task_file};

/// A user with a key and without tasks.
pub(crate) fn world() -> World {
    World::with(&[])
}

/// A line of a pipeline: a hostile task by its file, so nobody trusts it.
pub(crate) fn line(name: &str, component: &'static str, params: &[(&str, &str)], more: &str) -> String {
    let file = task_file(Task::Hostile(component));
    let value = |text: &str| {
        // A list is given as JSON, which YAML can read.
        if text.starts_with('[') { text.to_owned() } else { serde_json::to_string(text).unwrap() }
    };
    let params: Vec<String> =
        params.iter().map(|(name, text)| format!("{{ name: {name}, value: {} }}", value(text))).collect();
    let params = params.join(", ");
    format!("- {{ name: {name}, taskRef: {{ component: {} }}, params: [{params}]{more} }}", file.display())
}

/// The source as the task's input.
pub(crate) const SOURCE: &str = ", inputs: [{ name: source, from: $(source) }]";

/// Runs one hostile task; gives how it ended.
#[track_caller]
pub(crate) fn attack(world: &World, component: &'static str, params: &[(&str, &str)], more: &str) -> Value {
    let pipeline = world.pipeline(&line("a", component, params, more));
    let run = run_whole(world, &[&pipeline]);
    task(&run, "a").clone()
}

/// Runs a pipeline of hostile tasks: whatever they do, the run is recorded to
/// its end and cleaned up after.
#[track_caller]
pub(crate) fn run_whole(world: &World, args: &[&str]) -> Value {
    let (status, run) = world.run_json(args);
    assert!(status == 0 || status == 1, "{status}: {run:#}");
    assert_eq!(run["sealed"], true, "{run:#}");
    left_nothing(world);
    run
}

/// Insists that no run left a file behind where it worked.
#[track_caller]
pub(crate) fn left_nothing(world: &World) {
    let names = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(world.home().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("work"), ["gate.lock"]);
    assert_eq!(names("store/staging"), [""; 0]);
}

/// Insists on how a task ended.
#[track_caller]
pub(crate) fn ended(task: &Value, reason: &str, message: &str) {
    assert_eq!(task["reason"], reason, "{task:#}");
    let text = task["message"].as_str().unwrap_or_default();
    assert!(text.contains(message), "no {message:?} in {task:#}");
    if reason != "Succeeded" {
        assert_eq!(task["outputs"], serde_json::json!({}), "something was sealed: {task:#}");
    }
}

/// Every file below a directory with its bytes, links as their text.
pub(crate) fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if metadata.is_dir() {
                pending.push(path);
            } else if metadata.is_symlink() {
                found.push((name, fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
            } else {
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
