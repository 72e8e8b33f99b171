//! Runs that are stopped: with Ctrl-C, with `kill -9`, by another run beside them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::harness::{Task, World, name, task};

pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    rustix::process::kill_process(Pid::from_child(child), signal).unwrap();
}

/// A process that goes with the test, however that ends.
pub(crate) struct Running(Option<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    pub(crate) fn new(child: Child) -> Self {
        Self(Some(child))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    pub(crate) fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

/// A run of a task that never ends, once that task has begun.
fn spinning(world: &World) -> Running {
    let pipeline = world.pipeline(
        "- { name: forever, taskRef: { name: spin }, timeout: 2m }\n- { name: after, taskRef: { name: echo }, runAfter: [forever] }",
    );
    let mut command = world.command(&["run", &pipeline, "--format", "json"]);
    let child = Running(Some(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()));
    wait_for("the task to begin", || {
        let runs = world.runs();
        (runs.first()?["tasks"].get(0)?["status"] == "Running").then_some(())
    });
    child
}

fn world() -> World {
    World::with(&[Task::Hostile("spin"), Task::Test("echo")])
}

#[test]
fn ctrl_c_cancels_in_order_and_is_recorded() {
    for number in [Signal::INT, Signal::TERM, Signal::HUP] {
        let world = world();
        let mut running = spinning(&world);
        signal(running.child(), number);
        let output = running.output();
        assert_eq!(output.status.code(), Some(130));
        let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&run["status"], &run["sealed"]), (&"Cancelled".into(), &true.into()));
        assert_eq!(run["message"], "Tasks Completed: 1 (Failed: 0, Cancelled 1), Skipped: 1");
        assert_eq!(task(&run, "forever")["reason"], "TaskRunCancelled");
        assert_eq!(task(&run, "after")["reason"], "PipelineRun was gracefully cancelled");
        world.run(&["verify", &name(&run)]).ok();
    }
}

/// Waits until a task of the newest run stands so.
fn wait_until(world: &World, name: &'static str, status: &'static str) {
    wait_for("a task to get there", || {
        let runs = world.runs();
        let tasks = runs.first()?["tasks"].as_array()?.clone();
        tasks.iter().any(|task| task["task"] == name && task["status"] == status).then_some(())
    });
}

#[test]
fn the_first_ctrl_c_lets_finally_run_and_the_second_does_not() {
    let spec = "  tasks:
    - { name: forever, taskRef: { name: spin }, timeout: 2m }
  finally:
    - { name: tell, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.status) $(tasks.forever.reason)' }] }
    - { name: cleanup, taskRef: { name: spin }, timeout: 2m }
";
    let world = world();
    let pipeline = world.pipeline_spec(spec);
    let mut command = world.command(&["run", &pipeline, "--format", "json"]);
    let mut running = Running(Some(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()));
    wait_until(&world, "forever", "Running");
    signal(running.child(), Signal::INT);
    wait_until(&world, "cleanup", "Running");
    signal(running.child(), Signal::INT);
    let output = running.output();
    assert_eq!(output.status.code(), Some(130));
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&run["reason"], &run["sealed"]), (&"Cancelled".into(), &true.into()), "{run}");
    assert_eq!(task(&run, "forever")["reason"], "TaskRunCancelled");
    assert_eq!(task(&run, "tell")["results"]["text"], "Failed TaskRunCancelled");
    assert_eq!(task(&run, "cleanup")["reason"], "TaskRunCancelled");
    world.run(&["verify", &name(&run)]).ok();
}

#[test]
fn a_killed_run_shows_as_interrupted_and_the_next_command_works() {
    let world = world();
    let mut running = spinning(&world);
    signal(running.child(), Signal::KILL);
    running.child().wait().unwrap();
    let run = world.runs().remove(0);
    assert_eq!((&run["status"], &run["sealed"]), (&"Interrupted".into(), &false.into()));
    assert_eq!(task(&run, "forever")["status"], "Interrupted");
    let verdict = world.run(&["verify", &name(&run)]);
    assert_eq!(verdict.status, 1, "a run that was killed must not verify: {verdict:?}");
    assert!(verdict.out.contains("was interrupted"), "{verdict:?}");
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    world.run(&["run", &pipeline]).ok();
    // What the killed run left on disk is gone.
    assert!(world.home_files("home/work/").iter().all(|path| path.ends_with("gate.lock")));
    assert!(world.home_files("staging/").is_empty());
}

#[test]
fn runs_at_once_share_one_home() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: same }] }
- { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) }] }",
    );
    let children: Vec<Child> = (0..4)
        .map(|_| {
            let mut command = world.command(&["run", &pipeline, "--format", "json"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        world.run(&["verify", &name(&run)]).ok();
    }
    assert_eq!(world.runs().len(), 4);
}

#[test]
fn a_build_that_is_stopped_leaves_nothing_behind() {
    let world = World::empty();
    world.run(&["task", "new", "count-lines", "--lang", "python"]).ok();
    let compiler = world.write(
        "count-lines/.venv/bin/componentize-py",
        "#!/bin/sh\ntouch \"$TMPDIR/own\" ../begun\nexec sleep 20\n",
    );
    fs::set_permissions(compiler, Permissions::from_mode(0o755)).unwrap();
    let temporary = world.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut command = world.command(&["task", "build", "count-lines"]);
    let command = command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::new(command.spawn().unwrap());
    wait_for("the compiler to begin", || world.project().join("begun").exists().then_some(()));
    signal(running.child(), Signal::INT);
    assert_eq!(running.output().status.code(), Some(130));
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
