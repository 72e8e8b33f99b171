//! Pipelines that run: values, artifacts, results, order, and what is told of it.

use crate::harness::{Task, World, name, task};

const ECHO: &[Task] = &[Task::Test("echo")];

#[test]
fn params_of_every_type_reach_the_task_and_come_back() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline_spec(
        "  params:
    - { name: word, default: hello }
    - { name: words, type: array }
    - { name: pair, type: object, properties: { a: {}, b: {} } }
  tasks:
    - name: first
      taskRef: { name: echo }
      params:
        - { name: text, value: '$(params.word), $(params.words[1]) and $(params.pair.b) $$' }
        - { name: list, value: ['x', '$(params.words[*])', '$(params.pair.a)'] }
        - { name: fields, value: '$(params.pair[*])' }
    - name: second
      taskRef: { name: echo }
      params:
        - { name: text, value: '<$(tasks.first.results.text)> $(tasks.first.results.fields.a)' }
        - { name: list, value: '$(tasks.first.results.list[*])' }
        - { name: mode, value: loud }
",
    );
    let given = [
        "--param",
        "words=one",
        "--param",
        "words=$(params.word)",
        "--param",
        "pair.a=1",
        "--param",
        "pair.b=2",
    ];
    let args: Vec<&str> = std::iter::once(pipeline.as_str()).chain(given).collect();
    let (status, run) = world.run_json(&args);
    assert_eq!(status, 0, "{run:#}");
    let first = &task(&run, "first")["results"];
    // What a param holds is never read again as a reference.
    assert_eq!(first["text"], "hello, $(params.word) and 2 $$");
    assert_eq!(first["list"], serde_json::json!(["x", "one", "$(params.word)", "1"]));
    assert_eq!(first["fields"], serde_json::json!({"a": "1", "b": "2"}));
    let second = &task(&run, "second")["results"];
    assert_eq!(second["text"], "<HELLO, $(PARAMS.WORD) AND 2 $$> 1");
    assert_eq!(second["list"], first["list"]);
}

#[test]
fn a_failure_stops_what_has_not_begun_and_is_told_whole() {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline(
        "- { name: bad, taskRef: { name: fail } }
- { name: after, taskRef: { name: echo }, runAfter: [bad] }
- { name: later, taskRef: { name: echo }, runAfter: [after] }",
    );
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!((status, &run["status"]), (1, &"Failed".into()));
    assert_eq!(run["message"], "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 2");
    assert_eq!(task(&run, "bad")["failure"]["reason"], "NothingToDo");
    assert_eq!(task(&run, "after")["reason"], "PipelineRun was stopping");
    let text = world.run(&["show"]).ok().out;
    assert!(text.contains("NothingToDo: there was nothing to do in `a.txt`"), "{text}");
    assert!(text.contains("put something into it"), "{text}");
    // A failed run is attested, too, and verifies as what it is.
    world.run(&["verify", &name(&run)]).ok();
}

#[test]
fn an_untrusted_task_runs_without_grants_and_the_run_says_so() {
    let world = World::with(ECHO);
    let file = crate::harness::task_file(Task::Test("echo"));
    let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ component: {} }} }}", file.display()));
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 0);
    assert_eq!(task(&run, "a")["identity"]["trust"]["verdict"], "untrusted");
    world.run(&["run", &pipeline, "--require-trusted"]).refused(4, "trust/not-trusted", "test.yaml:6:");
}

#[test]
fn a_task_sees_nothing_of_the_machine() {
    let world = World::with(&[Task::Test("stamp")]);
    world.write("b.txt", "b");
    world.write("a.txt", "a");
    let pipeline = world
        .pipeline("- { name: look, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }");
    let look = || {
        let mut run = world.command(&["run", "--quiet", "--format", "json", &pipeline]);
        run.env("SOURCE_DATE_EPOCH", "1700000000").env("SECRET", "x");
        let done = crate::harness::done(&mut run).ok();
        let run: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        task(&run, "look")["results"].clone()
    };
    let first = look();
    assert_eq!(first["seconds"], "1700000000");
    assert_eq!(first["environment"], "[] 0");
    assert_eq!(first["listing"], ".cofferdam@315532800 a.txt@315532800 b.txt@315532800");
    assert_eq!(look(), first, "the same inputs give the same time and the same random numbers");
    world.write("a.txt", "other");
    assert_ne!(look()["hash"], first["hash"], "other inputs give other random numbers");
}

#[test]
fn outputs_and_attestations_can_be_had_as_files() {
    let world = World::with(ECHO);
    let pipeline =
        world.pipeline("- { name: a, taskRef: { name: echo }, params: [{ name: text, value: kept }] }");
    world.run(&["run", &pipeline, "--outputs", "out", "--attestations", "att"]).ok();
    let text = std::fs::read_to_string(world.project().join("out/a/copy/text.txt")).unwrap();
    assert_eq!(text, "kept");
    for file in ["att/task-a.sigstore.json", "att/run.sigstore.json"] {
        let report = world.run(&["verify", file]).ok().out;
        assert!(report.contains("every byte as attested"), "{report}");
    }
    world.run(&["run", &pipeline, "--outputs", "out"]).refused(3, "io/not-empty", "out");
    world.run(&["show", "--attestations", "again"]).ok();
    let same = |name: &str| std::fs::read(world.project().join(name)).unwrap();
    assert_eq!(same("again/run.sigstore.json"), same("att/run.sigstore.json"));
}

#[test]
fn what_is_printed_as_json_is_json_and_nothing_else() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let (_, run) = world.run_json(&[&pipeline]);
    let file = crate::harness::task_file(Task::Test("echo"));
    for args in [
        &["plan", &pipeline][..],
        &["show"],
        &["runs"],
        &["verify", &name(&run)],
        &["task", "inspect", "echo"],
        &["task", "publish", file.to_str().unwrap(), "--sign"],
        &["key", "generate", "--output", "other.key"],
        &["setup"],
    ] {
        let mut all = args.to_vec();
        all.extend(["--format", "json"]);
        let done = world.run(&all).ok();
        serde_json::from_str::<serde_json::Value>(&done.out)
            .unwrap_or_else(|e| panic!("{args:?} {e}: {done:?}"));
    }
    let error = world.run(&["show", "no-such-run", "--format", "json"]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&error.err).unwrap()["problems"][0]["code"],
        "journal/no-such-run"
    );
}

#[test]
fn the_same_task_builds_to_the_same_digest() {
    let world = World::empty();
    let digest = |output: &str| {
        let plugin = crate::harness::repository().join("plugins/report");
        let args = ["task", "build", plugin.to_str().unwrap(), "--output", output, "--format", "json"];
        let built: serde_json::Value = serde_json::from_str(&world.run(&args).ok().out).unwrap();
        built["digest"].clone()
    };
    assert_eq!(digest("one.wasm"), digest("two.wasm"));
    let bytes = |name: &str| std::fs::read(world.project().join(name)).unwrap();
    assert_eq!(bytes("one.wasm"), bytes("two.wasm"));
    let home = std::env::var("HOME").unwrap();
    let text = String::from_utf8_lossy(&bytes("one.wasm")).into_owned();
    assert!(!text.contains(&format!("{home}/.cargo")), "a path of this machine is in the component");
}

#[test]
fn a_task_is_recorded_by_the_version_that_was_signed_and_by_no_path_of_this_machine() {
    let world = World::with(ECHO);
    let file = crate::harness::task_file(Task::Test("echo"));
    world.run(&["task", "publish", file.to_str().unwrap(), "--to", "oci:vendor/registry"]).ok();
    let pipeline = world.pipeline(
        "- { name: near, taskRef: { name: echo } }
- { name: far, taskRef: { bundle: 'oci:../vendor/registry:echo:latest' } }",
    );
    let (_, run) = world.run_json(&[&pipeline]);
    let reference = |name: &str| task(&run, name)["identity"]["reference"].as_str().unwrap().to_owned();
    assert!(reference("near").starts_with("cofferdam.local/echo:0.1.0@sha256:"), "{}", reference("near"));
    assert!(
        reference("far").starts_with("oci:../vendor/registry:echo:0.1.0@sha256:"),
        "{}",
        reference("far")
    );
    assert_eq!(task(&run, "far")["identity"]["trust"]["verdict"], "untrusted");
    world.run(&["verify", &name(&run)]).ok();
}

#[test]
fn a_list_that_leaves_runs_out_says_so() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    for _ in 0..3 {
        world.run(&["run", "--quiet", &pipeline]).ok();
    }
    let list = |limit: &str| world.run(&["runs", "--limit", limit]).ok().out;
    let (some, all) = (list("2"), list("3"));
    assert!(some.lines().count() == 3 && some.ends_with("there are older ones: `--limit 4`\n"), "{some}");
    assert!(all.lines().count() == 3 && !all.contains("older"), "{all}");
    let json = world.run(&["runs", "--limit", "2", "--format", "json"]).ok().out;
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap().len(), 2);
}
