//! Tasks that claim what is not so. What is attested comes from the host alone.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Task, World, name, task};
use crate::hostile::{attack, ended, line, run_whole, world};

const FALSE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn results_that_the_manifest_does_not_name_or_type_so_are_refused() {
    let world = world();
    for (claim, message) in [
        ("undeclared", "it returned `IMAGE_DIGEST`, which its manifest does not name"),
        ("hostile-name", "\\u{1b}[2J"),
        ("no-name", "it returned ``"),
        ("twice", "it returned `digest` twice"),
        ("many", "which its manifest does not name"),
        ("missing", "it returned no result `list`"),
        ("wrong-type", "its result `list` is not of type array"),
    ] {
        let a = attack(&world, "liar", &[("claim", claim)], "");
        ended(&a, "InvalidTaskResults", message);
        assert_eq!(a["results"], json!({}));
    }
    let a = attack(&world, "liar", &[("claim", "large")], "");
    ended(&a, "TaskRunResultLargerThanAllowedLimit", "at most 67108864 are kept");
    assert_eq!((&a["results"], &a["storedResults"]), (&json!({}), &Value::Null));
    // Items count, even if there is nothing in them.
    let a = attack(&world, "liar", &[("claim", "empty-items")], "");
    ended(&a, "Succeeded", "");
    assert_eq!((&a["results"]["list"], &a["storedResults"]["list"]["type"]), (&Value::Null, &json!("array")));
    // Too much even for the way to the host.
    let a = attack(&world, "liar", &[("claim", "larger")], "");
    ended(&a, "TaskTrapped", "too much data");
}

#[test]
fn a_failure_is_told_whatever_is_wrong_with_its_results_and_those_are_not_kept() {
    let world = world();
    for (claim, message) in [
        ("undeclared", "its results were not kept: it returned `IMAGE_DIGEST`, which its manifest"),
        ("twice", "its results were not kept: it returned `digest` twice"),
        ("wrong-type", "its results were not kept: its result `list` is not of type array"),
        ("large", "its results were not kept: "),
    ] {
        let a = attack(&world, "liar", &[("claim", &format!("failing-{claim}"))], "");
        ended(&a, "Failed", message);
        assert_eq!(a["failure"]["reason"], "Liar");
        assert_eq!(a["results"], json!({}));
    }
    let a = attack(&world, "liar", &[("claim", "failing-missing")], "");
    ended(&a, "Failed", "");
    assert_eq!(a["results"], json!({ "digest": format!("sha256:{FALSE}") }));
    assert_eq!(a["outputs"], json!({}));
}

fn payload(bundle: &str) -> Value {
    use base64::Engine as _;
    let bundle: Value = serde_json::from_str(bundle).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_digest_that_a_task_claims_is_never_the_subject() {
    let world = world();
    let pipeline = world.pipeline(&line("a", "liar", &[("claim", "nothing more")], ""));
    let run = run_whole(&world, &[&pipeline, "--attestations", "att"]);
    let a = task(&run, "a");
    ended(a, "Succeeded", "");
    let digest = a["outputs"]["out"]["digest"].as_str().unwrap().to_owned();
    assert!(!digest.contains(FALSE));
    // It is a result, and told as what it is.
    assert_eq!(a["results"]["digest"], format!("sha256:{FALSE}"));
    for file in ["task-a.sigstore.json", "run.sigstore.json"] {
        let statement = payload(&fs::read_to_string(world.project().join("att").join(file)).unwrap());
        let subjects = statement["subject"].to_string();
        assert!(subjects.contains(digest.trim_start_matches("sha256:")), "{statement:#}");
        assert!(!subjects.contains(FALSE), "{statement:#}");
    }
    let journal = world.history();
    let facts: Vec<String> = {
        let mut rows = journal.prepare("SELECT fact FROM event ORDER BY seq").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let end = facts.iter().find(|fact| fact.contains("TaskFinished") || fact.contains("taskFinished"));
    let end: Value = serde_json::from_str(end.unwrap()).unwrap();
    assert!(end.to_string().contains(&digest), "{end:#}");
    world.run(&["verify", &name(&run)]).ok();
}

fn seconds(world: &World) -> Value {
    let pipeline = world.pipeline("- { name: a, taskRef: { name: timekeeper } }");
    let run = run_whole(world, &[&pipeline]);
    ended(task(&run, "a"), "Succeeded", "");
    run
}

#[test]
fn real_time_and_chance_are_for_tasks_that_ask_and_are_trusted() {
    let world = World::with(&[Task::Hostile("timekeeper"), Task::Test("stamp")]);
    let before = jiff::Timestamp::now().as_second();
    let (one, other) = (seconds(&world), seconds(&world));
    assert_eq!(one["hermetic"], false);
    assert_eq!(task(&one, "a")["hermetic"], false);
    let results = &task(&one, "a")["results"];
    let told: i64 = results["seconds"].as_str().unwrap().parse().unwrap();
    assert!((before..before + 600).contains(&told), "{told} is not about {before}");
    assert_eq!(results["waited"], "true");
    assert_ne!(results["number"], task(&other, "a")["results"]["number"]);
    // Without asking: the fixed time, whoever trusts it.
    let stamp = "- { name: a, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }";
    let run = run_whole(&world, &[&world.pipeline(stamp)]);
    assert_eq!(run["hermetic"], true);
    let told: i64 = task(&run, "a")["results"]["seconds"].as_str().unwrap().parse().unwrap();
    assert!(told < before - 86_400, "{told} is the real time");
}

#[test]
fn a_task_that_asks_and_is_not_trusted_needs_a_grant() {
    let world = world();
    let pipeline = world.pipeline(&line("a", "timekeeper", &[], ""));
    world.run(&["run", &pipeline]).refused(4, "plan/not-granted", "test.yaml:6:").says("clock");
    assert!(world.runs().is_empty());
    world.run(&["run", &pipeline]).says("grants: { clock: real }");
    // What the pipeline leaves out is refused, and that is a decision.
    let pipeline = world.pipeline(&line("a", "timekeeper", &[], ", grants: { clock: real }"));
    let (one, other) = (run_whole(&world, &[&pipeline]), run_whole(&world, &[&pipeline]));
    assert_eq!(task(&one, "a")["grants"], json!({ "realClock": true, "realRandom": false }));
    assert_eq!(task(&one, "a")["results"]["number"], task(&other, "a")["results"]["number"]);
    let pipeline = world.pipeline(&line("a", "timekeeper", &[], ", grants: { clock: real, random: real }"));
    let run = run_whole(&world, &[&pipeline]);
    ended(task(&run, "a"), "Succeeded", "");
    assert_eq!(run["hermetic"], false);
}
