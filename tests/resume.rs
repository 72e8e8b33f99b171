//! Going on with a run that failed, was cancelled or was killed: from what it
//! had done, planned from what it had recorded.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::harness::{Task, World, name, task, task_file};

fn reused(run: &Value) -> Vec<&str> {
    let tasks = run["tasks"].as_array().unwrap().iter();
    tasks.filter(|task| task["reused"].is_object()).map(|task| task["task"].as_str().unwrap()).collect()
}

/// Goes on with a run; gives the status and the new run.
fn resume(world: &World, run: &str) -> (i32, Value) {
    let done = world.run(&["resume", "--quiet", "--format", "json", run]);
    let json = serde_json::from_str(&done.out);
    (done.status, json.unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

#[test]
fn a_failed_run_goes_on_from_what_is_done_with_what_it_was_given() {
    let world = World::with(&[Task::Test("echo"), Task::Hostile("timekeeper")]);
    let component = task_file(Task::Test("picky"));
    fs::copy(component, world.project().join(".cofferdam/picky.wasm")).unwrap();
    let inner = |word: &str| {
        format!(
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: inner }}\nspec:\n  tasks:
    - {{ name: say, taskRef: {{ name: echo }}, params: [{{ name: text, value: {word} }}] }}\n"
        )
    };
    world.write(".cofferdam/inner.yaml", inner("within"));
    // What makes the last one fail is not the text alone, but how often it ran.
    let spec = "  params: [{ name: word, default: none }]\n  tasks:
    - { name: time, taskRef: { name: timekeeper } }
    - { name: nest, pipelineRef: { file: inner.yaml } }
    - { name: each, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [x, y] }] } }
    - { name: say, taskRef: { name: echo }, params: [{ name: text, value: $(params.word) }] }
    - { name: bad, taskRef: { component: picky.wasm }, runAfter: [time, nest, each, say], params: [{ name: text, value: bad }] }
    - { name: last, taskRef: { name: echo }, runAfter: [bad] }\n";
    let pipeline = world.pipeline_spec(spec);
    let (status, first) = world.run_json(&[&pipeline, "--param", "word=given"]);
    assert_eq!(status, 1, "{first}");
    // Whatever becomes of the files, the run is what it was.
    world.write(".cofferdam/test.yaml", "no pipeline");
    world.write(".cofferdam/inner.yaml", inner("other"));
    fs::remove_file(world.project().join(".cofferdam/picky.wasm")).unwrap();
    let (status, second) = resume(&world, &name(&first));
    assert_eq!(status, 1, "{second}");
    assert_eq!(second["origin"], json!({ "as": "resume", "run": first["run"] }));
    // Also what is not hermetic: it is done.
    assert_eq!(reused(&second), ["time", "nest/say", "each[x]", "each[y]", "say"]);
    for done in reused(&second) {
        for part in ["results", "outputs", "params"] {
            assert_eq!(task(&second, done)[part], task(&first, done)[part], "{done}");
        }
        assert_eq!(task(&second, done)["reused"]["by"], "resume");
        assert_eq!(task(&second, done)["reused"]["run"], first["run"]);
    }
    assert_eq!(task(&second, "bad")["status"], "Failed");
    world.run(&["verify", &name(&second)]).ok();
    // The third goes on from the second, and names the run that ran.
    let (_, third) = resume(&world, &name(&second));
    assert_eq!(task(&third, "time")["reused"]["run"], first["run"]);
    world.run(&["verify", &name(&third)]).ok();
    let text = world.run(&["show", &name(&third)]).ok().out;
    assert!(text.contains(&format!("origin    goes on from {}", name(&second))), "{text}");
}

#[test]
fn a_run_that_succeeded_leaves_nothing_to_do() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let (_, first) = world.run_json(&[&pipeline]);
    let done = world.run(&["resume"]).ok();
    assert_eq!(done.out, format!("{} has succeeded: there is nothing to do\n", name(&first)));
    assert_eq!(resume(&world, &name(&first)).1["nothingToDo"], true);
    assert_eq!(world.runs().len(), 1);
    world.run(&["resume", "other"]).refused(3, "journal/no-such-run", "");
}

#[test]
fn what_was_done_is_done_again_where_it_is_gone() {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: kept }] }
- { name: b, taskRef: { name: fail }, runAfter: [a] }",
    );
    let (_, first) = world.run_json(&[&pipeline]);
    let object =
        world.home_files("store/sha256/").into_iter().find(|path| fs::read(path).unwrap() == b"kept");
    fs::remove_file(object.unwrap()).unwrap();
    let (_, second) = resume(&world, &name(&first));
    assert_eq!(reused(&second).len(), 0);
    assert_eq!(task(&second, "a")["outputs"], task(&first, "a")["outputs"]);
    world.run(&["verify", &name(&second)]).ok();
    // The record of what it was planned from is needed, and said to be gone.
    for path in world.home_files("store/sha256/") {
        fs::remove_file(path).unwrap();
    }
    world.run(&["resume", &name(&first)]).refused(3, "journal/unplanned-run", "is not in the store");
}

#[test]
fn trust_is_decided_anew() {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo } }\n- { name: b, taskRef: { name: fail }, runAfter: [a] }",
    );
    let (_, first) = world.run_json(&[&pipeline]);
    let trust = fs::read_to_string(world.home().join("trust.yaml")).unwrap();
    let deny = "  deny:\n    no:\n      - pattern: oci://cofferdam.local/echo:*\n";
    let denied = trust.replace("trusted_task_rules:\n", &format!("trusted_task_rules:\n{deny}"));
    assert_ne!(denied, trust);
    fs::write(world.home().join("trust.yaml"), denied).unwrap();
    world.run(&["resume", &name(&first)]).refused(4, "trust/denied", "`no`");
}

#[test]
fn a_cancelled_run_goes_on_and_one_under_way_does_not() {
    let world = World::with(&[Task::Test("echo"), Task::Test("slow")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo } }
- { name: b, taskRef: { name: slow }, runAfter: [a], params: [{ name: steps, value: '600' }] }",
    );
    let mut command = world.command(&["run", "--quiet", &pipeline]);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let run = loop {
        assert!(Instant::now() < until, "the task does not begin");
        let runs = world.runs();
        let begun = runs.first().filter(|run| run["tasks"][1]["status"] == "Running");
        if let Some(run) = begun {
            break name(run);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let refused = world.run(&["resume", &run]);
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    refused.refused(3, "journal/active-run", &run);
    let mut command = world.command(&["resume", "--quiet", &run]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let run = loop {
        assert!(Instant::now() < until, "the task does not begin");
        let runs = world.runs();
        let begun =
            runs.first().filter(|run| run["tasks"][1]["status"] == "Running" && run["status"] == "Running");
        if let Some(run) = begun {
            break run.clone();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(reused(&run), ["a"]);
}
