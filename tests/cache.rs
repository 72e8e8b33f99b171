//! A task that was given the same is not run again, and nobody can tell from
//! what a run made. What is kept can be lost, changed or taken elsewhere: then
//! the task runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Task, World, done, name, task};

const CHAIN: &str = "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: same }] }
- { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) more }] }
- { name: look, taskRef: { name: reader }, params: [{ name: how, value: all }],
    inputs: [{ name: source, from: $(tasks.a.outputs.copy) }, { name: other, from: $(source) }] }";

fn world() -> World {
    let world = World::with(&[Task::Test("echo"), Task::Test("reader"), Task::Test("fail")]);
    world.write("a.txt", "a");
    world
}

/// The tasks of a run that were not run.
fn reused(run: &Value) -> Vec<&str> {
    let tasks = run["tasks"].as_array().unwrap().iter();
    tasks.filter(|task| task["reused"].is_object()).map(|task| task["task"].as_str().unwrap()).collect()
}

/// What a run made, without how long it took.
fn made(run: &Value) -> Value {
    let tasks = run["tasks"].as_array().unwrap().iter();
    let tasks: Vec<Value> = tasks
        .map(|task| {
            json!([
                task["task"],
                task["status"],
                task["inputs"],
                task["reads"],
                task["outputs"],
                task["results"]
            ])
        })
        .collect();
    json!([run["status"], run["results"], tasks])
}

fn run(world: &World, args: &[&str]) -> Value {
    let (status, run) = world.run_json(args);
    assert_eq!(status, 0, "{run}");
    world.run(&["verify", &name(&run)]).ok();
    run
}

/// What became of looking for a task, in a word and all of it.
fn finding<'r>(run: &'r Value, task: &str) -> (&'r str, &'r Value) {
    let found = &run["cache"][task];
    (found["outcome"].as_str().unwrap(), found)
}

fn database(world: &World) -> Connection {
    Connection::open(world.home().join("taskruns.db")).unwrap()
}

#[test]
fn output_is_the_same_with_and_without_the_cache() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    let first = run(&world, &[&pipeline]);
    let cached = run(&world, &[&pipeline]);
    let without = run(&world, &["--no-cache", &pipeline]);
    assert_eq!((reused(&first).len(), reused(&without).len()), (0, 0));
    assert_eq!(reused(&cached), ["a", "b", "look"]);
    assert_eq!(made(&cached), made(&first));
    assert_eq!(made(&without), made(&first));
    for (run, directory) in [(&cached, "cached"), (&without, "without")] {
        let (out, att) = (format!("{directory}/out"), format!("{directory}/att"));
        let name = name(run);
        fs::create_dir(world.project().join(directory)).unwrap();
        world.run(&["show", &name, "--outputs", &out, "--attestations", &att]).ok();
        // The attestation of a task that did not run is that of the one that did.
        for file in ["run", "task-a", "task-b", "task-look"] {
            world.run(&["verify", &format!("{att}/{file}.sigstore.json")]).ok();
        }
    }
    let bytes =
        |directory: &str| fs::read(world.project().join(directory).join("out/b/copy/text.txt")).unwrap();
    assert_eq!(bytes("cached"), bytes("without"));
}

#[test]
fn a_reused_outcome_names_the_task_run_that_ran() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    let first = run(&world, &[&pipeline]);
    let other = world.pipeline(&CHAIN.replace("name: a,", "name: a, retries: 1,"));
    run(&world, &[&other]);
    // In between there was one that did not run either.
    let third = run(&world, &[&pipeline]);
    let reuse = &task(&third, "b")["reused"];
    assert_eq!((&reuse["run"], &reuse["task"], &reuse["by"]), (&first["run"], &"b".into(), &"cache".into()));
    let attested = first["attestations"].as_array().unwrap();
    assert!(attested.iter().any(|one| one["task"] == "b" && one["bundle"] == reuse["attestation"]));
    // It has no attestation of its own, and the run says where there is one.
    assert_eq!(third["attestations"].as_array().unwrap().len(), 1);
    world.run(&["show", &name(&third), "--attestations", "att"]).ok();
    let bundle = fs::read(world.project().join("att/run.sigstore.json")).unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    let dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let named: Vec<&Value> = dependencies.iter().filter(|one| one["name"] == "reusedTaskRun").collect();
    assert_eq!(named.len(), 3);
    assert_eq!(named[1]["annotations"]["pipelineRun"], first["run"]);
    assert_eq!(format!("sha256:{}", named[1]["digest"]["sha256"].as_str().unwrap()), reuse["attestation"]);
    let text = world.run(&["show", &name(&third)]).ok().out;
    assert!(text.contains("reused    3 of 3 tasks: their outcome was known"), "{text}");
    assert!(text.contains(&format!("reused    from {}/b: it was given the same", name(&first))), "{text}");
}

#[test]
fn what_changed_is_said_and_only_that_runs() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    let first = run(&world, &["--explain-cache", &pipeline]);
    assert_eq!(finding(&first, "a").0, "neverRan");
    world.write("a.txt", "other");
    let second = run(&world, &["--explain-cache", &pipeline]);
    assert_eq!(reused(&second), ["a", "b"]);
    assert_eq!(finding(&second, "a").0, "hit");
    let (word, found) = finding(&second, "look");
    let part = found["parts"][0].as_str().unwrap();
    assert!(word == "changed" && part.starts_with("input `other`: sha256:"), "{found}");
    // The same was there before: back to what it was is a hit again.
    world.write("a.txt", "a");
    assert_eq!(reused(&run(&world, &[&pipeline])), ["a", "b", "look"]);
    let pipeline = world.pipeline(&CHAIN.replace("value: same", "value: new"));
    let text = world.run(&["run", "--quiet", "--explain-cache", &pipeline]).ok().out;
    assert!(text.contains("  a     miss: param `text`: `new` was `same`\n"), "{text}");
    let text = world.run(&["run", "--quiet", "--explain-cache", &pipeline]).ok().out;
    assert!(text.contains("  a     hit: from test-") && text.contains(" ago\n"), "{text}");
    assert!(text.contains("3 tasks, 3 of them reused"), "{text}");
    let none = run(&world, &["--explain-cache", "--no-cache", &pipeline]);
    assert_eq!((finding(&none, "a").0, reused(&none).len()), ("notRead", 0));
}

#[test]
fn other_limits_and_another_component_are_another_task() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    run(&world, &[&pipeline]);
    fs::write(world.home().join("config.toml"), "[limits]\nmemory = \"512Mi\"\n").unwrap();
    let limited = run(&world, &["--explain-cache", &pipeline]);
    assert_eq!(reused(&limited).len(), 0);
    assert_eq!(finding(&limited, "b").1["parts"], json!(["limit `memory`: \"512Mi\" was \"1Gi\""]));
    // Its name in the pipeline decides nothing.
    let renamed =
        world.pipeline("- { name: z, taskRef: { name: echo }, params: [{ name: text, value: same }] }");
    assert_eq!(reused(&run(&world, &[&renamed])), ["z"]);
}

#[test]
fn what_fails_is_run_again() {
    let world = world();
    let pipeline = world.pipeline("- { name: a, taskRef: { name: fail } }");
    for round in 0..2 {
        let (status, run) = world.run_json(&["--explain-cache", &pipeline]);
        assert_eq!((status, reused(&run).len()), (1, 0));
        let word = if round == 0 { "neverRan" } else { "notKept" };
        assert_eq!(finding(&run, "a").0, word, "{run}");
    }
    let rows: i64 = database(&world).query_row("SELECT count(*) FROM taskrun", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn what_could_see_more_than_its_inputs_is_run_again() {
    let world = World::with(&[Task::Hostile("courier"), Task::Hostile("timekeeper")]);
    let pipeline = world.pipeline(
        "- { name: net, taskRef: { name: courier } }\n- { name: time, taskRef: { name: timekeeper } }",
    );
    for _ in 0..2 {
        let run = run(&world, &["--explain-cache", &pipeline]);
        assert_eq!(reused(&run).len(), 0);
        assert_eq!(finding(&run, "net").1["grants"], json!(["network example.test"]));
        assert_eq!(finding(&run, "time").1["grants"], json!(["clock", "random"]));
    }
    // Without its grants it is hermetic, and another task: what it did with
    // them is not known under the same key.
    let first = run(&world, &["--hermetic", &pipeline]);
    assert_eq!(reused(&first).len(), 0);
    assert_eq!(reused(&run(&world, &["--hermetic", &pipeline])), ["net", "time"]);
    assert_eq!(reused(&run(&world, &[&pipeline])).len(), 0);
}

#[test]
fn what_was_refused_something_is_run_again() {
    let world = World::with(&[Task::Hostile("courier")]);
    let pipeline = world.pipeline(
        "- name: net
  taskRef: { name: courier }
  params: [{ name: steps, value: ['{\"url\": \"https://example.test/\"}'] }]",
    );
    let first = run(&world, &["--hermetic", &pipeline]);
    assert_eq!(task(&first, "net")["usage"]["denials"], 1, "{first}");
    let second = run(&world, &["--hermetic", "--explain-cache", &pipeline]);
    assert_eq!(reused(&second).len(), 0);
    assert_eq!(finding(&second, "net").1["why"], "it tried what it is not granted");
}

#[test]
fn only_a_task_that_looks_at_the_time_depends_on_it() {
    let world = World::with(&[Task::Test("stamp"), Task::Test("echo")]);
    let pipeline = world.pipeline(
        "- { name: look, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }
- { name: a, taskRef: { name: echo } }",
    );
    let at = |epoch: &str| {
        let args = ["run", "--quiet", "--explain-cache", "--format", "json", &pipeline];
        let done = done(world.command(&args).env("SOURCE_DATE_EPOCH", epoch)).ok();
        serde_json::from_str::<Value>(&done.out).unwrap()
    };
    at("1700000000");
    let later = at("1700000001");
    assert_eq!(reused(&later), ["a"]);
    let part = "time: it looks at the clock, which stands at 1700000001 and was 1700000000";
    assert_eq!(finding(&later, "look").1["parts"], json!([part]));
    assert_eq!(task(&later, "look")["results"]["seconds"], "1700000001");
    for epoch in ["1700000000", "1700000001"] {
        let again = at(epoch);
        assert_eq!(reused(&again), ["look", "a"]);
        assert_eq!(task(&again, "look")["results"]["seconds"], epoch);
        world.run(&["verify", &name(&again)]).ok();
    }
}

#[test]
fn a_row_that_was_changed_is_not_believed() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    run(&world, &[&pipeline]);
    let changed = "UPDATE taskrun SET made = replace(made, 'same', 'evil')";
    assert!(database(&world).execute(changed, []).unwrap() >= 2);
    let mended = run(&world, &["--explain-cache", &pipeline]);
    assert_eq!(finding(&mended, "a").1["why"], "what was kept was changed on disk");
    assert_eq!(task(&mended, "a")["results"]["text"], "same");
    assert_eq!(reused(&run(&world, &[&pipeline])), ["a", "b", "look"]);
    fs::write(world.home().join("taskruns.db"), "no database").unwrap();
    fs::remove_dir_all(world.home().join("known-runs")).unwrap();
    assert_eq!(reused(&run(&world, &[&pipeline])).len(), 0);
    assert_eq!(reused(&run(&world, &[&pipeline])).len(), 3);
}

#[test]
fn an_outcome_of_another_home_is_not_believed() {
    let (own, foreign) = (world(), world());
    let pipeline = own.pipeline(CHAIN);
    foreign.pipeline(CHAIN);
    run(&foreign, &[&pipeline]);
    // The rows are in the log that lies beside it.
    for file in ["taskruns.db", "taskruns.db-wal"] {
        fs::copy(foreign.home().join(file), own.home().join(file)).unwrap();
    }
    let ran = run(&own, &["--explain-cache", &pipeline]);
    // Another key signs there: what it attested is not taken for this one's.
    assert_eq!((finding(&ran, "a").0, reused(&ran).len()), ("changed", 0));
}

#[test]
fn an_artifact_that_was_changed_or_lost_is_made_again() {
    let world = world();
    let pipeline = world.pipeline(CHAIN);
    let first = run(&world, &[&pipeline]);
    let object =
        world.home_files("store/sha256/").into_iter().find(|path| fs::read(path).unwrap() == b"same");
    let object = object.unwrap();
    for lost in [false, true] {
        fs::remove_file(&object).unwrap();
        if !lost {
            fs::write(&object, "evil").unwrap();
            fs::set_permissions(&object, fs::Permissions::from_mode(0o444)).unwrap();
        }
        let (status, ran) = world.run_json(&["--explain-cache", &pipeline]);
        assert_eq!(status, 0, "{ran}");
        assert_eq!(finding(&ran, "a").0, "damaged");
        assert_eq!(made(&ran), made(&first));
        world.run(&["verify", &name(&ran)]).ok();
        assert_eq!(reused(&run(&world, &[&pipeline])).len(), 3);
    }
}

#[test]
fn an_attestation_that_was_changed_or_lost_is_made_again() {
    for change in [
        "UPDATE attestation SET bundle = replace(bundle, 'a', 'b') WHERE task = 'a'",
        // Another one of the same run, signed by the same key.
        "UPDATE attestation SET bundle = (SELECT bundle FROM attestation WHERE task = 'b') WHERE task = 'a'",
        // What was packed and is damaged.
        "UPDATE attestation SET bundle = x'010162ffff' WHERE task = 'a'",
        "DELETE FROM attestation WHERE task = 'a'",
    ] {
        let world = world();
        let pipeline = world.pipeline(CHAIN);
        run(&world, &[&pipeline]);
        let second = run(&world, &[&pipeline]);
        let history = world.history();
        assert_eq!(history.execute(change, []).unwrap(), 1);
        // Who relied on it no longer verifies, and nobody relies on it again.
        let verdict = world.run(&["verify", &name(&second)]);
        assert_eq!(verdict.status, 1, "{verdict:?}");
        assert!(verdict.out.contains("BROKEN  provenance of task a "), "{verdict:?}");
        let third = run(&world, &["--explain-cache", &pipeline]);
        assert_eq!(finding(&third, "a").0, "damaged");
        assert_eq!(reused(&third), ["b", "look"]);
    }
}

#[test]
fn two_runs_at_once_share_one_cache() {
    let world = world();
    let tasks: String = (0..40)
        .map(|n| {
            format!(
                "- {{ name: t{n}, taskRef: {{ name: echo }}, params: [{{ name: text, value: \"{}\" }}] }}\n",
                n % 30
            )
        })
        .collect();
    let pipeline = world.pipeline(&tasks);
    for round in 0..2 {
        let start = |_| -> Child {
            let mut command = world.command(&["run", "--quiet", "--format", "json", &pipeline]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<Child> = (0..3).map(start).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && err.is_empty(), "{err}");
            let run: Value = serde_json::from_slice(&output.stdout).unwrap();
            world.run(&["verify", &name(&run)]).ok();
            assert!(round == 0 || reused(&run).len() == 40, "{run}");
        }
    }
}
