//! Everything that can be wrong with what is given: each is refused with a
//! code, a place and a way out, and leaves store and history as they were.

use std::fs;
use std::process::Command;

use crate::harness::{Done, Task, World, done, task_file};

const ECHO: &[Task] = &[Task::Test("echo")];

fn plan(world: &World, tasks: &str) -> Done {
    let pipeline = world.pipeline(tasks);
    let ran = world.run(&["run", &pipeline]);
    assert!(world.runs().is_empty(), "something was run");
    ran
}

#[test]
fn a_pipeline_that_makes_no_sense_is_refused_in_its_place() {
    let world = World::with(ECHO);
    for (tasks, code, place, help) in [
        ("- { nam: a, taskRef: { name: echo } }", "document/unknown-key", "6:9", "did you mean `name`?"),
        ("- { name: a, taskRef: { name: echo }, params: 7 }", "document/wrong-type", "6:51", "takes a list"),
        (
            "- { name: a, taskRef: { name: echo }, runAfter: [b] }\n- { name: b, taskRef: { name: echo }, runAfter: [a] }",
            "plan/cycle",
            "6:15",
            "a -> b -> a",
        ),
        ("- { name: a, taskRef: { name: echo }, runAfter: [b] }", "plan/unknown-name", "6:54", "there is: a"),
        (
            "- { name: a, taskRef: { name: echo }, params: [{ name: txt, value: x }] }",
            "plan/unknown-name",
            "6:60",
            "there is: text, list",
        ),
        ("- { name: a, taskRef: { name: nothing } }", "registry/not-found", "6:18", "it holds echo:0.1.0"),
        (
            "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: [x] }] }",
            "plan/invalid-value",
            "6:66",
            "type string, not array",
        ),
        (
            "- { name: a, taskRef: { name: echo }, params: [{ name: mode, value: quiet }] }",
            "plan/invalid-value",
            "6:73",
            "plain, loud",
        ),
        (
            "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: $(params.no) }] }",
            "plan/unknown-name",
            "6:73",
            "takes no params",
        ),
        (
            "- { name: a, taskRef: { name: echo }, inputs: [{ name: source, from: $(source) }] }",
            "plan/unknown-name",
            "6:60",
            "has no inputs",
        ),
        (
            "- { name: a, taskRef: { name: echo, version: 0.1.0, bundle: x } }",
            "plan/ambiguous-task",
            "6:18",
            "exactly one",
        ),
        (
            "- { name: a, taskRef: { name: echo } }\n- { name: a, taskRef: { name: echo } }",
            "plan/duplicate-name",
            "7:15",
            "used twice",
        ),
    ] {
        let refused = plan(&world, tasks).refused(3, code, &format!("test.yaml:{place}"));
        assert!(refused.err.contains(help), "{help}: {refused:?}");
    }
}

#[test]
fn an_artifact_from_a_task_that_makes_none_is_refused() {
    let world = World::with(&[Task::Test("fail"), Task::Test("stamp")]);
    let tasks = "- { name: a, taskRef: { name: fail } }
- { name: b, taskRef: { name: stamp }, inputs: [{ name: source, from: $(tasks.a.outputs.x) }] }
- { name: c, taskRef: { name: stamp } }";
    let refused =
        plan(&world, tasks).refused(3, "plan/unknown-name", "7:75").says("the task `a` makes no artifacts");
    refused.refused(3, "plan/missing", "8:15").says("from: $(source)");
}

#[test]
fn a_missing_param_says_how_to_give_it() {
    let world = World::with(ECHO);
    let pipeline =
        world.pipeline_spec("  params: [{ name: level }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n");
    world.run(&["run", &pipeline]).refused(3, "plan/missing", "test.yaml:5:").says("--param level=VALUE");
    world.run(&["run", &pipeline, "-p", "lvl=1"]).refused(3, "plan/unknown-name", "").says("there is: level");
    world.run(&["run", &pipeline, "-p", "level"]).refused(2, "usage/invalid", "").says("has no `=`");
}

#[test]
fn what_is_not_supported_yet_is_named_and_never_ignored() {
    let world = World::with(ECHO);
    for (text, what) in [
        ("- { name: a, taskSpec: {} }", "`taskSpec`"),
        ("- { name: a, taskRef: { name: echo }, workspaces: [] }", "`workspaces`"),
    ] {
        plan(&world, text).refused(3, "plan/unsupported", "6:").says(what);
    }
    let pipeline = world.pipeline_spec("  on: {}\n  tasks: []\n");
    world.run(&["run", &pipeline]).refused(3, "plan/unsupported", "5:3").says("`on`");
    world.write(
        "t.yaml",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: t }\nspec:\n  workspaces: [{ name: w }]\n  tasks:\n    \
         - { name: a, taskRef: { name: echo } }\n    - { name: b, taskSpec: { steps: [{ image: x, script: y }] } }\n",
    );
    let refused = world.run(&["run", "t.yaml"]).refused(3, "plan/kubernetes-only", "t.yaml:5:16");
    refused.says("t.yaml:8:").says("inputs");
    world.write(
        "t.yaml",
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: t }\nspec:\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
    );
    world.run(&["plan", "t.yaml"]).ok();
}

#[test]
fn what_is_no_task_is_called_what_it_is() {
    let world = World::with(ECHO);
    let empty_component = wat::parse_str("(component)").unwrap();
    world.write(".cofferdam/text.wasm", "not wasm at all");
    world.write(".cofferdam/core.wasm", wat::parse_str("(module)").unwrap());
    world.write(".cofferdam/bare.wasm", &empty_component);
    world.write(".cofferdam/empty.wasm", "");
    for (file, code) in [
        ("text.wasm", "component/not-wasm"),
        ("empty.wasm", "component/not-wasm"),
        ("core.wasm", "component/core-module"),
        ("bare.wasm", "component/no-manifest"),
        ("gone.wasm", "plan/unreadable-component"),
    ] {
        let reference = format!("- {{ name: a, taskRef: {{ component: {file} }} }}");
        plan(&world, &reference).refused(3, code, "test.yaml:6:18").says(file);
        let path = format!(".cofferdam/{file}");
        assert_ne!(world.run(&["setup", &path]).status, 0);
        assert_ne!(world.run(&["task", "inspect", &path]).status, 0);
    }
}

#[test]
fn a_manifest_that_asks_for_less_than_the_component_imports_is_refused() {
    let world = World::empty();
    let wat = "(component (import \"wasi:http/outgoing-handler@0.2.6\" (instance)))";
    world.write("greedy/code.wasm", wat::parse_str(wat).unwrap());
    let manifest =
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: greedy, version: 0.1.0 }\nspec: {}\n";
    world.write("greedy/task.yaml", manifest);
    world
        .run(&["task", "build", "greedy", "--component", "greedy/code.wasm"])
        .refused(3, "component/undeclared-import", "")
        .says("wasi:http/outgoing-handler@0.2.6");
    assert!(!world.project().join("greedy.wasm").exists());
    world.write(
        "greedy/task.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: greedy }\nspecs: {}\n",
    );
    let refused = world.run(&["task", "build", "greedy", "--component", "greedy/code.wasm"]);
    refused.refused(3, "document/missing-key", "task.yaml:3:").says("did you mean `spec`?");
}

#[test]
fn a_registry_that_is_damaged_says_so() {
    let world = World::with(ECHO);
    let registry = world.home().join("registry");
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    for (file, text) in [("index.json", "{"), ("oci-layout", "[]"), ("index.json", "")] {
        let path = registry.join(file);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        world.run(&["run", &pipeline]).refused(3, "registry/corrupt-layout", file);
        fs::write(&path, sound).unwrap();
    }
    world.run(&["run", &pipeline]).ok();
}

#[test]
fn a_damaged_store_object_is_found_and_made_anew() {
    let world = World::with(&[Task::Test("stamp")]);
    world.write("file.txt", "a text that is in the store");
    let tasks = "- { name: a, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }";
    let pipeline = world.pipeline(tasks);
    world.run(&["run", &pipeline]).ok();
    for object in world.home_files("store/sha256/") {
        fs::remove_file(&object).unwrap();
        fs::write(&object, "damaged").unwrap();
    }
    // The source is still there, so every object can be made again.
    world.run(&["run", &pipeline]).ok();
    let name = crate::harness::name(&world.runs()[0]);
    world.run(&["verify", &name]).ok();
}

/// Runs the program where `home` is on another file system.
fn on_another_disk(world: &World, mount: &str, args: &str) -> Done {
    let script = format!("set -e; mkdir -p \"$COFFERDAM_HOME\"; {mount}; exec \"$0\" {args}",);
    let mut command = world.command(&[]);
    let mut inside = Command::new("unshare");
    // Whoever is root already needs no namespace in which to be root.
    if !rustix::process::geteuid().is_root() {
        inside.args(["--user", "--map-root-user"]);
    }
    inside.args(["--mount", "sh", "-c", &script]);
    inside.arg(command.get_program()).current_dir(world.project()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    command.current_dir(world.project());
    done(&mut inside)
}

#[test]
fn a_full_disk_is_said_and_nothing_is_half_written() {
    let world = World::with(&[Task::Test("stamp")]);
    world.write("large.bin", vec![7_u8; 8 << 20]);
    let pipeline = world
        .pipeline("- { name: a, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }");
    // Room for the registry and the compiled task, and not for the source.
    let mount = "cp -a \"$COFFERDAM_HOME\" ../kept; mount -t tmpfs -o size=6m none \"$COFFERDAM_HOME\"; \
                 cp -a ../kept/. \"$COFFERDAM_HOME\"";
    let full = on_another_disk(&world, mount, &format!("run {pipeline}"));
    assert!(full.err.contains("os error 28") || full.err.contains("disk is full"), "{full:?}");
    assert_eq!(full.status, 1, "{full:?}");
    assert!(!full.err.contains("panicked"), "{full:?}");
    world.run(&["run", &pipeline]).ok();
}

#[test]
fn a_home_that_cannot_be_written_is_said() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let mount = "mount --bind \"$COFFERDAM_HOME\" \"$COFFERDAM_HOME\"; \
                 mount -o remount,ro,bind \"$COFFERDAM_HOME\"";
    let refused = on_another_disk(&world, mount, &format!("run {pipeline}"));
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.err.contains("help: ") && !refused.err.contains("panicked"), "{refused:?}");
    world.run(&["run", &pipeline]).ok();
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::empty();
    world.run(&["run", "no.yaml"]).refused(3, "io/unreadable", "no.yaml");
    world.run(&["show"]).refused(3, "journal/no-runs", "").says("cofferdam run");
    world.run(&["show", "x"]).refused(3, "journal/no-such-run", "");
    world.run(&["verify", "out/no.json"]).refused(3, "key/none", "");
    world.run(&["task", "inspect", "nothing"]).refused(3, "registry/no-tasks", "");
    world.run(&["task", "build", "."]).refused(3, "component/no-task", "task.yaml");
    let pipeline =
        world.pipeline("- { name: a, taskRef: { name: echo } }\n- { name: b, taskRef: { name: fail } }");
    let none = world.run(&["run", &pipeline]).refused(3, "registry/no-tasks", "6:18").says("cofferdam setup");
    assert_eq!(none.err.matches("error[").count(), 1, "{none:?}");
    world.run(&["setup"]).ok();
    world.run(&["run", &pipeline]).refused(3, "registry/not-found", "6:18");
    let pipeline = world.pipeline_spec("  tasks: []\n");
    world.run(&["run", &pipeline]).refused(3, "plan/invalid-value", "5:3").says("would prove nothing");
    world.run(&["frob"]);
    assert_eq!(world.run(&["frob"]).status, 2);
    assert_eq!(world.run(&["run"]).status, 2);
}

#[test]
fn a_key_is_never_overwritten_nor_read_when_others_may() {
    let world = World::with(ECHO);
    world.run(&["key", "generate"]).refused(3, "key/exists", "cofferdam.key");
    let key = world.home().join("keys/cofferdam.key");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    world.run(&["run", &pipeline]).refused(3, "key/exposed", "").says("chmod 600");
    assert!(task_file(ECHO[0]).exists());
}

#[test]
fn trust_rules_that_cannot_be_read_decide_nothing() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    let trust = world.home().join("trust.yaml");
    let text = fs::read_to_string(&trust).unwrap();
    fs::write(&trust, text.replace("pattern", "patern")).unwrap();
    world
        .run(&["run", &pipeline])
        .refused(3, "document/unknown-key", "trust.yaml:6:")
        .says("did you mean `pattern`?");
    fs::write(&trust, text.replace("cofferdam.pub", "gone.pub")).unwrap();
    world.run(&["run", &pipeline]).refused(4, "trust/invalid", "gone.pub");
}

#[test]
fn values_that_multiply_are_bounded() {
    let world = World::with(ECHO);
    let long = "x".repeat(100_000);
    let many = "$(params.a)".repeat(2000);
    let pipeline = world.pipeline_spec(&format!(
        "  params: [{{ name: a, default: {long} }}]\n  tasks:\n    - {{ name: t, taskRef: {{ name: echo }}, params: [{{ name: text, value: '{many}' }}] }}\n"
    ));
    world.run(&["plan", &pipeline]).refused(3, "plan/invalid-value", "7:").says("bytes");

    // The same with results, which are known only when the task has run.
    let many = "$(tasks.a.results.text)".repeat(60);
    let pipeline = world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: echo }}, params: [{{ name: text, value: {long} }}] }}\n- {{ name: b, taskRef: {{ name: echo }}, params: [{{ name: text, value: '{many}' }}] }}"
    ));
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 1);
    assert_eq!(crate::harness::task(&run, "b")["status"], "Skipped");
    assert!(run["message"].as_str().unwrap().contains("`b`: all params together have more than"), "{run}");
}

#[test]
fn what_a_new_user_gets_wrong_is_told_in_their_words() {
    let world = World::with(&[Task::Test("stamp"), Task::Test("echo")]);
    let stamp = |from: &str| {
        world.pipeline(&format!(
            "- {{ name: a, taskRef: {{ name: stamp }}, inputs: [{{ name: source, from: {from} }}] }}"
        ))
    };
    world
        .run(&["run", &stamp("source")])
        .refused(3, "plan/invalid-value", "6:")
        .says("`source` names no artifact");
    world.write("tab.yaml", "apiVersion: cofferdam.dev/v1\n\tkind: Pipeline\n");
    world.run(&["run", "tab.yaml"]).refused(3, "document/syntax", "tab.yaml:").says("indent with spaces");
    world.write("empty.yaml", "");
    world.run(&["run", "empty.yaml"]).refused(3, "document/syntax", "1:1").says("cofferdam schema pipeline");
    world.run(&["task", "inspect", "./nope.wasm"]).refused(3, "io/unreadable", "nope.wasm");
    world.run(&["verify", "."]).refused(3, "io/unreadable", "");

    let spec = "  params: [{ name: list, type: array }, { name: level }]\n  tasks: [{ name: a, taskRef: { name: echo }, \
                params: [{ name: list, value: ['$(params.list[*])'] }, { name: text, value: $(params.level) }] }]\n";
    let pipeline = world.pipeline_spec(spec);
    let missing = world.run(&["plan", &pipeline]).refused(3, "plan/missing", "5:");
    assert_eq!(missing.err.matches("error[").count(), 2, "nothing follows from what is missing: {missing:?}");
    let refused = world.run(&["plan", &pipeline, "-p", "level=x", "-p", "list=[\"a\", 1]"]);
    refused.refused(3, "plan/invalid-value", "5:").says("begins like a JSON list of strings and is none");
    world.run(&["plan", &pipeline, "-p", "level=x", "-p", "list=[\"a\"]"]).ok();
}

#[test]
fn output_that_cannot_be_written_is_no_success() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    world.run(&["run", &pipeline]).ok();
    for command in
        [&["show"][..], &["verify"], &["runs"], &["completions", "bash"], &["run", "--quiet", &pipeline]]
    {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut program = world.command(command);
        let output = program.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"), "{command:?}");
    }
}

#[test]
fn a_directory_for_results_is_checked_before_the_run() {
    let world = World::with(ECHO);
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    world.write("full/x", "");
    world.write("file", "");
    for flag in ["--outputs", "--attestations"] {
        world.run(&["run", &pipeline, flag, "full"]).refused(3, "io/not-empty", "full");
        world.run(&["run", &pipeline, flag, "file"]).refused(3, "io/no-directory", "is no directory");
    }
    assert!(world.runs().is_empty());
    let run = world.run(&["run", &pipeline]).ok().out;
    assert!(run.ends_with("ms\n") && run.contains("\nSucceeded: test of 1 task in "), "{run}");
    world.run(&["run", &pipeline]).ok();
    world.run(&["show", "t"]).refused(3, "journal/ambiguous-run", "").says("fits 2 runs: test-");
    // The name of the pipeline means its newest run.
    assert!(world.run(&["show", "test"]).ok().out.contains("reused"));
    world.run(&["show", "--outputs", "again"]).ok();
    assert!(world.project().join("again/a/copy/text.txt").exists());
}
