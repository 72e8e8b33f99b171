//! `cofferdam gc`: what is old goes, and what is kept stays whole.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::harness::{Task, World, name, task};

/// Keeps the newest run alone, and nothing for being young.
const ALL: [&str; 6] = ["--keep-last", "1", "--older-than", "0s", "--grace", "0s"];

fn gc(world: &World, more: &[&str]) -> Value {
    let mut args = vec!["gc", "--format", "json"];
    args.extend(more);
    serde_json::from_str(&world.run(&args).ok().out).unwrap()
}

/// Runs a pipeline whose only task makes a text of its own.
fn run(world: &World, text: &str) -> String {
    let pipeline = world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: echo }}, params: [{{ name: text, value: {text} }}] }}"
    ));
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 0, "{run:#}");
    name(&run)
}

fn objects(world: &World) -> usize {
    world.home_files("store/sha256/").len()
}

#[test]
fn without_options_nothing_that_is_new_goes() {
    let world = World::with(&[Task::Test("echo")]);
    let runs = [run(&world, "one"), run(&world, "two")];
    let before = objects(&world);
    let removed = gc(&world, &[]);
    assert_eq!(
        (&removed["runs"], &removed["objects"]),
        (&Value::Array(Vec::new()), &0.into()),
        "{removed:#}"
    );
    assert_eq!(removed["keptRuns"], 2);
    // Neither is an object that a removed run has just made.
    let removed = gc(&world, &["--keep-last", "1", "--older-than", "0s"]);
    assert_eq!((&removed["runs"][0]["run"], &removed["objects"]), (&runs[0].clone().into(), &0.into()));
    assert_eq!(objects(&world), before);
}

#[test]
fn a_dry_run_says_what_a_run_does_and_what_is_kept_verifies() {
    let world = World::with(&[Task::Test("echo")]);
    let old = [run(&world, "one"), run(&world, "two")];
    let kept = run(&world, "three");
    fs::create_dir_all(world.home().join("work/killed-aaaaaaaaaa")).unwrap();
    let before = objects(&world);
    let mut dry: Vec<&str> = vec!["--dry-run"];
    dry.extend(ALL);
    let mut said = gc(&world, &dry);
    assert_eq!((objects(&world), world.runs().len()), (before, 3), "a dry run changes nothing");
    let mut did = gc(&world, &ALL);
    for view in [&mut said, &mut did] {
        view.as_object_mut().unwrap().retain(|key, _| key != "dryRun" && key != "journalBytes");
    }
    assert_eq!(said, did);
    assert_eq!((did["runs"].as_array().unwrap().len(), &did["workDirectories"]), (2, &1.into()), "{did:#}");
    assert_eq!(before - objects(&world), usize::try_from(did["objects"].as_u64().unwrap()).unwrap());
    assert!(did["objects"].as_u64() > Some(2), "{did:#}");
    world.run(&["verify", &kept]).ok();
    for run in &old {
        world.run(&["show", run]).refused(3, "journal/no-such-run", run);
    }
    assert_eq!(gc(&world, &ALL)["objects"], 0, "there is nothing more");
    // What was removed can be made again.
    let again = run(&world, "one");
    world.run(&["verify", &again]).ok();
}

#[test]
fn a_run_that_another_one_took_from_stays() {
    let world = World::with(&[Task::Test("echo")]);
    let first = run(&world, "same");
    let other = run(&world, "other");
    let last = run(&world, "same");
    let reused = &world.runs()[0];
    assert_eq!(task(reused, "a")["reused"]["run"], first.as_str());
    let removed = gc(&world, &ALL);
    assert_eq!((&removed["runs"][0]["run"], &removed["keptRuns"]), (&other.into(), &2.into()), "{removed:#}");
    for run in [first, last] {
        world.run(&["verify", &run]).ok();
    }
}

#[test]
fn while_a_run_is_under_way_no_run_goes_and_what_it_uses_stays() {
    let world = World::with(&[Task::Test("echo"), Task::Test("slow")]);
    run(&world, "old");
    run(&world, "older");
    world.write("source.txt", "of the run that is under way");
    let pipeline = world.pipeline(
        "- { name: first, taskRef: { name: echo }, params: [{ name: text, value: made }], }
- { name: wait, taskRef: { name: slow }, runAfter: [first], params: [{ name: steps, value: '20' }] }
- { name: last, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.first.results.text) }], runAfter: [wait] }",
    );
    let mut command = world.command(&["run", &pipeline, "--quiet"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !world.runs().first().is_some_and(|run| run["tasks"][1]["status"] == "Running") {
        assert!(Instant::now() < until, "the task did not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let removed = gc(&world, &ALL);
    assert!(child.try_wait().unwrap().is_none(), "it was still under way");
    assert_eq!(
        (&removed["runs"], &removed["keptRuns"]),
        (&Value::Array(Vec::new()), &3.into()),
        "{removed:#}"
    );
    assert!(removed["runsUntouched"].is_string());
    assert!(child.wait().unwrap().success());
    world.run(&["verify"]).ok();
}

#[test]
fn two_do_not_meet() {
    let world = World::with(&[Task::Test("echo")]);
    run(&world, "one");
    let lock = File::create(world.home().join("gc.lock")).unwrap();
    lock.lock().unwrap();
    world.run(&["gc"]).refused(1, "store/gc-under-way", "another");
    drop(lock);
    gc(&world, &[]);
}

#[test]
fn where_a_run_cannot_be_read_nothing_goes() {
    let world = World::with(&[Task::Test("echo")]);
    run(&world, "one");
    let damaged = run(&world, "two");
    let database = Connection::open(world.home().join("state.db")).unwrap();
    let sql = "UPDATE event SET fact = '{}' WHERE run = ?1 AND seq = 2";
    assert_eq!(database.execute(sql, [&damaged]).unwrap(), 1);
    drop(database);
    let before = objects(&world);
    let mut args = vec!["gc"];
    args.extend(ALL);
    world.run(&args).refused(1, "journal/changed", &damaged);
    assert_eq!((objects(&world), world.home_files("state.db").is_empty()), (before, false));
    let list = world.run(&["runs", "--format", "json"]).ok().out;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&list).unwrap().len(), 2);
}

#[test]
fn the_journal_gives_back_what_it_does_not_need() {
    let world = World::with(&[Task::Test("slow")]);
    let pipeline = world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: slow }}, params: [{{ name: steps, value: '300' }}, {{ name: millis, value: '0' }}, {{ name: say, value: {} }}] }}",
        "x".repeat(2000)
    ));
    let (status, _) = world.run_json(&[&pipeline]);
    assert_eq!(status, 0);
    let pipeline =
        world.pipeline("- { name: a, taskRef: { name: slow }, params: [{ name: steps, value: '1' }] }");
    world.run_json(&[&pipeline]);
    let size = || -> u64 { world.home_files("state.db").iter().map(|f| f.metadata().unwrap().len()).sum() };
    let before = size();
    let removed = gc(&world, &ALL);
    assert!(removed["journalBytes"].as_u64() > Some(100_000), "{removed:#}");
    assert!(size() < before / 2, "{before} {}", size());
    world.run(&["verify"]).ok();
}
