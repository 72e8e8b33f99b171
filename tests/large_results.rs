//! Results that are too large to be carried along: kept in the store, and as
//! good as any other.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Task, World, name, task};

const MIB: usize = 1 << 20;

fn world() -> World {
    World::with(&[Task::Test("bulk"), Task::Test("echo")])
}

/// A pipeline in which one task makes a text of so many bytes, and another one
/// is given it.
fn pipeline(world: &World, bytes: usize) -> String {
    world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: bulk }}, params: [{{ name: text, value: '{bytes}' }}] }}
- {{ name: b, taskRef: {{ name: echo }}, params: [{{ name: text, value: $(tasks.a.results.text) }}, {{ name: list, value: [$(tasks.a.results.short)] }}] }}"
    ))
}

fn stored(run: &Value, name: &str, result: &str) -> Value {
    task(run, name)["storedResults"][result].clone()
}

/// The blob of a stored result.
fn blob(world: &World, stored: &Value) -> std::path::PathBuf {
    let hex = stored["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let found = world.home_files("store/sha256/");
    found.into_iter().find(|path| path.display().to_string().replace('/', "").ends_with(&hex)).unwrap()
}

#[test]
fn a_result_up_to_a_mebibyte_is_carried_and_a_larger_one_is_stored_and_used_all_the_same() {
    let world = world();
    let (status, run) = world.run_json(&[&pipeline(&world, MIB)]);
    assert_eq!(status, 0, "{}", run["message"]);
    assert_eq!(stored(&run, "a", "text"), Value::Null);
    assert_eq!(task(&run, "a")["results"]["text"].as_str().unwrap().len(), MIB);
    let (status, run) = world.run_json(&[&pipeline(&world, 2 * MIB)]);
    assert_eq!(status, 0, "{}", run["message"]);
    let a = stored(&run, "a", "text");
    // The blob is JSON: the text in quotes.
    assert_eq!((&a["type"], &a["bytes"]), (&json!("string"), &json!(2 * MIB + 2)));
    let held = fs::read(blob(&world, &a)).unwrap();
    assert_eq!(serde_json::from_slice::<String>(&held).unwrap(), "x".repeat(2 * MIB));
    assert_eq!(task(&run, "a")["results"], json!({ "list": [], "short": "short" }));
    // What the second one was given it has returned: the same bytes.
    assert_eq!(stored(&run, "b", "text"), a);
    assert_eq!(task(&run, "b")["results"]["list"], json!(["short"]));
    let verified = world.run(&["verify", &name(&run)]).ok();
    assert!(verified.out.contains("result a.text"), "{verified:?}");
    let shown = world.run(&["show", &name(&run)]).ok();
    assert!(shown.out.contains(a["digest"].as_str().unwrap()), "{shown:?}");
}

#[test]
fn one_that_no_param_can_hold_is_refused_with_what_to_do_instead() {
    let world = world();
    let (status, run) = world.run_json(&[&pipeline(&world, 5 * MIB)]);
    assert_eq!((status, &run["reason"]), (1, &json!("InvalidParamValue")));
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("the result `text` of `a` has 5242882 bytes"), "{message}");
    assert!(message.contains("is an output of a task"), "{message}");
    assert_eq!(task(&run, "b")["status"], "Skipped");
    world.run(&["verify", &name(&run)]).ok();
}

#[test]
fn a_pipeline_hands_back_what_fits_and_says_what_does_not() {
    let world = world();
    let spec = "  results: [{ name: fits, value: $(tasks.a.results.text) }, { name: item, value: '$(tasks.a.results.list[1])' }, { name: large, value: $(tasks.b.results.text) }]
  tasks:
    - { name: a, taskRef: { name: bulk }, params: [{ name: text, value: '2097152' }, { name: items, value: '300000' }] }
    - { name: b, taskRef: { name: bulk }, params: [{ name: text, value: '5242880' }] }
";
    let (status, run) = world.run_json(&[&world.pipeline_spec(spec)]);
    assert_eq!(status, 0, "{}", run["message"]);
    assert_eq!(run["results"]["fits"].as_str().unwrap().len(), 2 * MIB);
    assert_eq!(run["results"]["item"], "item");
    assert_eq!(run["results"]["large"], Value::Null);
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("its result `large` is left out: the result `text` of `b`"), "{message}");
    assert_eq!(stored(&run, "a", "list")["type"], "array");
}

#[test]
fn one_of_a_task_that_failed_is_stored_too() {
    let world = world();
    let spec = "  tasks: [{ name: a, taskRef: { name: bulk }, params: [{ name: text, value: '2097152' }, { name: end, value: badly }] }]
  finally: [{ name: f, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) }] }]
";
    let (status, run) = world.run_json(&[&world.pipeline_spec(spec)]);
    assert_eq!(status, 1);
    assert_eq!(stored(&run, "f", "text"), stored(&run, "a", "text"));
    assert_eq!(stored(&run, "a", "text")["bytes"], 2 * MIB + 2);
    world.run(&["verify", &name(&run)]).ok();
}

#[test]
fn what_is_changed_or_gone_is_noticed_and_the_task_runs_again() {
    let world = world();
    let pipeline = pipeline(&world, 2 * MIB);
    let (_, first) = world.run_json(&[&pipeline]);
    let (_, second) = world.run_json(&[&pipeline]);
    assert_eq!(task(&second, "a")["reused"]["by"], "cache");
    assert_eq!(stored(&second, "a", "text"), stored(&first, "a", "text"));
    world.run(&["verify", &name(&second)]).ok();
    let file = blob(&world, &stored(&first, "a", "text"));
    let sound = fs::read(&file).unwrap();
    for change in [Some("\"other\""), None] {
        fs::remove_file(&file).unwrap();
        if let Some(text) = change {
            fs::write(&file, text).unwrap();
        }
        for run in [&first, &second] {
            let refused = world.run(&["verify", &name(run)]);
            assert_eq!(refused.status, 1, "{refused:?}");
            assert!(refused.out.contains("result a.text"), "{refused:?}");
        }
        let (status, again) = world.run_json(&[&pipeline]);
        assert_eq!(status, 0, "{}", again["message"]);
        assert_eq!(task(&again, "a")["reused"], Value::Null);
        // To run it has healed the store.
        assert_eq!(fs::read(&file).unwrap(), sound);
        world.run(&["verify", &name(&first)]).ok();
    }
}

#[test]
fn gc_keeps_those_of_kept_runs_alone_and_a_rebuild_compares_them() {
    let world = world();
    let (_, old) = world.run_json(&[&pipeline(&world, 3 * MIB)]);
    let (_, kept) = world.run_json(&[&pipeline(&world, 2 * MIB)]);
    let [gone, stays] = [&old, &kept].map(|run| blob(&world, &stored(run, "a", "text")));
    world.run(&["gc", "--keep-last", "1", "--older-than", "0s", "--grace", "0s"]).ok();
    assert!(!gone.exists() && stays.exists());
    world.run(&["verify", &name(&kept)]).ok();
    let rebuilt = world.run(&["rebuild", &name(&kept), "--format", "json"]).ok();
    let rebuilt: Value = serde_json::from_str(&rebuilt.out).unwrap();
    assert_eq!(rebuilt["reproduced"], true);
    assert!(rebuilt["same"].as_array().unwrap().contains(&json!("a.results.text")), "{rebuilt:#}");
}

#[test]
fn a_bundle_that_is_handed_over_names_them_by_digest() {
    let world = world();
    let (_, run) = world.run_json(&[&pipeline(&world, 2 * MIB), "--attestations", "att"]);
    world.run(&["verify", "att/task-a.sigstore.json"]).ok();
    world.run(&["verify", "att/run.sigstore.json"]).ok();
    fs::remove_file(blob(&world, &stored(&run, "a", "text"))).unwrap();
    let refused = world.run(&["verify", "att/task-a.sigstore.json"]);
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.out.contains("result text"), "{refused:?}");
}
