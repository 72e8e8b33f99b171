//! Running again what was run: whether the same comes out is found, told and
//! signed.

use std::fs;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Task, World, name};

/// Runs a run again; gives the status and what was found.
fn rebuild(world: &World, run: &str) -> (i32, Value) {
    let done = world.run(&["rebuild", "--quiet", "--format", "json", run]);
    let json = serde_json::from_str(&done.out);
    (done.status, json.unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

/// The predicate of the Statement in a bundle.
fn predicate(bundle: &[u8]) -> (Value, Value) {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    (statement["predicate"].clone(), statement["subject"].clone())
}

#[test]
fn a_hermetic_run_is_reproduced_and_that_is_signed() {
    let world = World::with(&[Task::Test("echo"), Task::Test("reader")]);
    world.write("a.txt", "a");
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: kept }] }
- { name: look, taskRef: { name: reader }, params: [{ name: how, value: all }],
    inputs: [{ name: source, from: $(tasks.a.outputs.copy) }, { name: other, from: $(source) }] }
- { name: each, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [x, y] }] } }",
    );
    let (_, first) = world.run_json(&[&pipeline]);
    // Whatever became of the files, the run is what it was; the cache is left out.
    world.write("a.txt", "other");
    world.write(".cofferdam/test.yaml", "no pipeline");
    let done = world.run(&["rebuild", "--quiet", &name(&first), "--attestations", "att"]).ok();
    assert!(
        done.out.contains("reproduced: all 17 outcomes, outputs and results are the same"),
        "{}",
        done.out
    );
    let (predicate, subject) =
        predicate(&fs::read(world.project().join("att/rebuild.sigstore.json")).unwrap());
    assert_eq!((&predicate["result"], &predicate["failedTests"]), (&"PASSED".into(), &json!([])));
    for test in ["a", "a/copy", "a.results.text", "look.results.opened", "each[x]/copy"] {
        assert!(predicate["passedTests"].as_array().unwrap().contains(&test.into()), "{test}: {predicate}");
    }
    let provenance = first["attestations"].as_array().unwrap().iter().find(|one| one["task"].is_null());
    let digest = predicate["configuration"][0]["digest"]["sha256"].as_str().unwrap();
    assert_eq!(provenance.unwrap()["bundle"], format!("sha256:{digest}"));
    assert_eq!(subject.as_array().unwrap().len(), 3);
    let second = world.runs().remove(0);
    assert_eq!(second["origin"], json!({ "as": "rebuild", "run": first["run"] }));
    assert!(second["tasks"].as_array().unwrap().iter().all(|task| task["reused"].is_null()), "{second}");
    let verdict = world.run(&["verify", &name(&second)]).ok().out;
    let line =
        format!("comparison with the run it repeats  PASSED: 17 of 17 are the same as in {}", name(&first));
    assert!(verdict.contains(&line), "{verdict}");
    assert_eq!(rebuild(&world, &name(&second)).1["reproduced"], true, "a rebuild can be repeated, too");
}

#[test]
fn what_comes_out_differently_is_shown_with_the_reason_it_may_have() {
    let world = World::with(&[Task::Hostile("timekeeper"), Task::Test("echo")]);
    let pipeline = world.pipeline(
        "- { name: chance, taskRef: { name: timekeeper } }
- { name: keep, taskRef: { name: echo }, params: [{ name: text, value: \"a line\\n$(tasks.chance.results.number)\" }] }",
    );
    let (_, first) = world.run_json(&[&pipeline]);
    let (status, found) = rebuild(&world, &name(&first));
    assert_eq!((status, &found["reproduced"]), (1, &false.into()), "{found}");
    let different = found["different"].as_array().unwrap();
    let one = |name: &str| {
        different.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {found}"))
    };
    let causes = json!(["it sees the real time", "it has real random numbers"]);
    assert_eq!(one("chance.results.number")["causes"], causes);
    assert_eq!(one("keep/copy")["causes"], json!(["it was given other params"]));
    let file = &found["files"]["keep/copy"][0];
    assert_eq!((&file["path"], &file["line"]), (&"text.txt".into(), &2.into()), "{file}");
    assert!(file["offset"].as_u64().unwrap() >= 7, "{file}");
    // What does not come out the same is signed, too, and verifies as that.
    let run = found["run"].as_str().unwrap();
    let verdict = world.run(&["verify", run]).ok().out;
    assert!(verdict.contains("FAILED: "), "{verdict}");
    world.run(&["show", run, "--attestations", "att"]).ok();
    let (predicate, _) = predicate(&fs::read(world.project().join("att/rebuild.sigstore.json")).unwrap());
    assert_eq!(predicate["result"], "FAILED");
    assert!(predicate["failedTests"].as_array().unwrap().contains(&"keep/copy".into()), "{predicate}");
    let text = world.run(&["rebuild", "--quiet", &name(&first)]);
    assert!(text.status == 1 && text.out.contains("keep/copy differs\n"), "{}", text.out);
    assert!(
        text.out.contains("the first difference is byte ") && text.out.contains(", in line 2\n"),
        "{}",
        text.out
    );
    assert!(text.out.contains("  it may: it has real random numbers\n"), "{}", text.out);
}

#[test]
fn a_comparison_does_not_outlive_what_it_was_about() {
    for change in [
        "DELETE FROM attestation WHERE run = ?1 AND predicate_type LIKE '%test-result%'",
        "UPDATE attestation SET bundle = replace(bundle, 'a', 'b') WHERE run = ?1 AND predicate_type LIKE '%test-result%'",
        // What was packed and is damaged.
        "UPDATE attestation SET bundle = x'02ffffff' WHERE run = ?1 AND predicate_type LIKE '%test-result%'",
        "DELETE FROM attestation WHERE run = ?2 AND task = ''",
        "DELETE FROM event WHERE run = ?2",
    ] {
        let world = World::with(&[Task::Test("echo")]);
        let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
        let (_, first) = world.run_json(&[&pipeline]);
        let (status, found) = rebuild(&world, &name(&first));
        assert_eq!(status, 0, "{found}");
        let second = found["run"].as_str().unwrap().to_owned();
        let history = world.history();
        let changed = history.execute(&format!("{change} AND ?1 <> ?2"), [&second, &name(&first)]).unwrap();
        assert!(changed > 0, "{change}");
        let verdict = world.run(&["verify", &second]);
        assert_eq!(verdict.status, 1, "{change}: {verdict:?}");
        assert!(verdict.out.contains("BROKEN  comparison with the run it repeats"), "{change}: {verdict:?}");
    }
}

#[test]
fn a_failed_run_can_be_repeated_and_an_incomplete_one_not() {
    let world = World::with(&[Task::Test("fail")]);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: fail } }");
    let (_, first) = world.run_json(&[&pipeline]);
    let (status, found) = rebuild(&world, &name(&first));
    assert_eq!((status, &found["status"], &found["same"]), (0, &"Failed".into(), &json!(["a"])), "{found}");
    let history = Connection::open(world.home().join("state.db")).unwrap();
    let sql = "DELETE FROM event WHERE run = ?1 AND seq = (SELECT max(seq) FROM event WHERE run = ?1)";
    history.execute(sql, [&name(&first)]).unwrap();
    world.run(&["rebuild", &name(&first)]).refused(3, "journal/incomplete-run", "").says("cofferdam resume");
}
