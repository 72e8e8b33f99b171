//! Several processes with one home share the machine.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Task, World, task};
use crate::interruption::{Running, signal, wait_for};

/// A home on a machine of which this is said.
fn world(machine: &str) -> World {
    let world = World::with(&[Task::Hostile("spin"), Task::Test("slow"), Task::Test("echo")]);
    std::fs::write(world.home().join("config.toml"), format!("[machine]\n{machine}\n")).unwrap();
    world
}

fn start(world: &World, tasks: &str, name: &str) -> Running {
    let spec = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: {name} }}\nspec:\n  tasks:\n{tasks}"
    );
    let file = world.write(&format!(".cofferdam/{name}.yaml"), spec).display().to_string();
    let mut command = world.command(&["run", &file, "--format", "json", "--quiet"]);
    Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// From when to when each task of a run ran, in microseconds.
fn spans(run: &Value) -> Vec<(i64, i64)> {
    let span = |task: &Value| {
        let from: jiff::Timestamp = task["started"].as_str().unwrap().parse().unwrap();
        (from.as_microsecond(), from.as_microsecond() + task["durationMicros"].as_i64().unwrap())
    };
    run["tasks"].as_array().unwrap().iter().map(span).collect()
}

#[test]
fn four_processes_at_once_use_no_more_than_there_is() {
    // Without a limit of its own, a task may use 1 GiB.
    for machine in
        ["processors = 1", "processors = 8\nmemory = \"1536Mi\"", "processors = 2\nmemory = \"8Mi\""]
    {
        let world = world(machine);
        let tasks: String = (0..5)
            .map(|n| {
                let params = "params: [{ name: steps, value: '2' }, { name: millis, value: '5' }]";
                format!("    - {{ name: t{n}, taskRef: {{ name: slow }}, {params} }}\n")
            })
            .collect();
        let runs = ["a", "b", "c", "d"].map(|name| start(&world, &tasks, name));
        let mut all = Vec::new();
        for run in runs {
            let output = run.output();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{machine}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            all.extend(spans(&serde_json::from_slice(&output.stdout).unwrap()));
        }
        assert_eq!(all.len(), 20);
        all.sort_unstable();
        for pair in all.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{machine}: {pair:?} overlap");
        }
        assert!(world.home_files("admission/process-").is_empty());
    }
}

/// A run that holds all there is, and another one that waits for it.
fn one_behind_another(world: &World) -> (Running, Running) {
    let forever = "    - { name: forever, taskRef: { name: spin }, timeout: 2m }\n";
    let first = start(world, forever, "first");
    wait_for("the first to begin", || {
        let runs = world.runs();
        (runs.first()?["tasks"].get(0)?["status"] == "Running").then_some(())
    });
    let second = start(world, "    - { name: a, taskRef: { name: echo } }\n", "second");
    wait_for("the second to stand in line", || {
        // The last of the three numbers that a process says of itself is its ticket.
        let said =
            world.home_files("admission/process-").into_iter().map(|file| std::fs::read(file).unwrap());
        said.into_iter().any(|bytes| bytes.get(16..24).is_some_and(|ticket| ticket != [0; 8])).then_some(())
    });
    (first, second)
}

#[test]
fn a_process_that_is_killed_frees_what_it_held() {
    let world = world("processors = 1");
    let (mut first, second) = one_behind_another(&world);
    let waiting = world.runs();
    let waiting = waiting.iter().find(|run| run["pipeline"] == "second").unwrap();
    assert_eq!(task(waiting, "a")["started"], Value::Null);
    signal(first.child(), Signal::KILL);
    let output = second.output();
    assert_eq!(output.status.code(), Some(0));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["status"], "Succeeded");
}

#[test]
fn one_that_waits_can_be_cancelled() {
    let world = world("processors = 1");
    let (first, mut second) = one_behind_another(&world);
    signal(second.child(), Signal::INT);
    let output = second.output();
    assert_eq!(output.status.code(), Some(130));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(task(&run, "a")["reason"], "TaskRunCancelled");
    drop(first);
}
