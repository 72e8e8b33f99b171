//! What is read of past runs, and of one that is under way: `logs` and `runs`.

use std::process::Stdio;

use crate::harness::{Task, World, done, name};

fn world() -> World {
    World::with(&[Task::Test("echo"), Task::Test("fail"), Task::Test("slow")])
}

/// A run of two tasks; gives its name.
fn recorded(world: &World) -> String {
    let pipeline = world.pipeline(
        "- { name: good, taskRef: { name: echo }, params: [{ name: text, value: '::x' }] }
- { name: bad, taskRef: { name: slow }, runAfter: [good],
    params: [{ name: millis, value: '1' }, { name: end, value: badly }] }",
    );
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 1, "{run:#}");
    name(&run)
}

fn lines(world: &World, args: &[&str]) -> Vec<String> {
    let mut all = vec!["logs"];
    all.extend(args);
    world.run(&all).ok().out.lines().map(str::to_owned).collect()
}

#[test]
fn every_line_names_its_task_unless_one_was_asked_for() {
    let world = world();
    let run = recorded(&world);
    let all = [
        "good info echoing text=::x",
        "good info a line on standard output",
        "bad info step 1",
        "bad info step 2",
        "bad info step 3",
        "bad error it came to nothing",
    ];
    assert_eq!(lines(&world, &[]), all);
    let (_, tail) = run.split_once('-').unwrap();
    assert_eq!(lines(&world, &[tail]), all, "the end of a run's name is enough");
    assert_eq!(lines(&world, &[&run, "bad"])[0], "info step 1");
    assert_eq!(lines(&world, &[&run, "--level", "warn"]), ["bad error it came to nothing"]);
    assert_eq!(lines(&world, &["--since", "1h"]).len(), 6);
    assert!(lines(&world, &["--since", "2999-01-01"]).is_empty());
    let timed = lines(&world, &["--timestamps"]);
    let (task, rest) = timed[0].split_once(' ').unwrap();
    let (at, rest) = rest.split_once(' ').unwrap();
    assert_eq!((task, rest), ("good", "info echoing text=::x"));
    assert!(at.ends_with('Z') && at.starts_with("20"), "{timed:?}");
    for line in lines(&world, &["--format", "json"]) {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["run"] == run.as_str() && line["task"].is_string() && line["at"].is_string(), "{line}");
    }
    let mut github = world.command(&["logs", &run, "good"]);
    let github = done(github.env("GITHUB_ACTIONS", "true")).ok();
    assert!(!github.out.lines().any(|line| line.starts_with("::")), "{github:?}");
}

#[test]
fn a_task_that_the_run_does_not_have_is_refused_with_what_it_has() {
    let world = world();
    let run = recorded(&world);
    let logs = |task: &str| world.run(&["logs", &run, task]);
    logs("godo").refused(3, "journal/no-such-task", &run).says("did you mean `good`?");
    logs("something-else").refused(3, "journal/no-such-task", "").says("it has: bad, good");
    let since = world.run(&["logs", "--since", "yesterday"]);
    assert!(since.status == 2 && since.err.contains("write 90s, 10m"), "{since:?}");
    World::empty().run(&["logs"]).refused(3, "journal/no-runs", "");
}

#[test]
fn a_run_under_way_is_followed_to_its_end() {
    let world = world();
    let pipeline = world.pipeline(
        "- { name: slow, taskRef: { name: slow }, params: [{ name: steps, value: '15' }] }
- { name: last, taskRef: { name: echo }, runAfter: [slow] }",
    );
    let mut command = world.command(&["run", "--quiet", &pipeline]);
    let mut running = command.stdout(Stdio::null()).spawn().unwrap();
    while world.run(&["runs", "--status", "running"]).ok().out == "no run fits\n" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let followed = lines(&world, &["--follow"]);
    let sealed = world.runs().remove(0);
    assert!(running.wait().unwrap().success());
    assert_eq!(followed.len(), 17, "{followed:?}");
    assert_eq!(followed[16], "last info a line on standard output");
    assert_eq!(sealed["sealed"], true, "it ended before the run did");
    // A run that has ended is read and not waited for.
    assert_eq!(lines(&world, &["--follow"]), followed);
}

#[test]
fn runs_are_listed_by_status_pipeline_and_time() {
    let world = world();
    let list = |args: &[&str]| -> Vec<(String, String)> {
        let mut all = vec!["runs", "--format", "json"];
        all.extend(args);
        let runs: Vec<serde_json::Value> = serde_json::from_str(&world.run(&all).ok().out).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        runs.iter().map(|run| (text(&run["pipeline"]), text(&run["status"]))).collect()
    };
    let pair = |pipeline: &str, status: &str| (pipeline.to_owned(), status.to_owned());
    let (bad, good) = (pair("test", "Failed"), pair("other", "Succeeded"));
    recorded(&world);
    let file = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let text = std::fs::read_to_string(world.project().join(&file)).unwrap();
    world.write("other.yaml", text.replace("{ name: test }", "{ name: other }"));
    world.run(&["run", "--quiet", "other.yaml"]).ok();
    assert_eq!(list(&[]), [good.clone(), bad.clone()]);
    assert_eq!(list(&["--limit", "1"]), std::slice::from_ref(&good));
    assert_eq!(list(&["--status", "failed,interrupted", "--limit", "1"]), [bad]);
    assert_eq!(list(&["--pipeline", "other"]), [good]);
    assert_eq!(list(&["--since", "1d"]).len(), 2);
    assert!(list(&["--since", "2999-01-01"]).is_empty());
    assert_eq!(world.run(&["runs", "--status", "cancelled"]).ok().out, "no run fits\n");
    let wrong = world.run(&["runs", "--status", "lost"]);
    assert!(wrong.status == 2 && wrong.err.contains("succeeded, failed"), "{wrong:?}");
}
