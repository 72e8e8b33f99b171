//! What somebody who is new gets wrong: each slip is told with what was meant.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Done, Task, TestRegistry, World, done, task_file};

#[test]
fn a_pattern_that_can_fit_nothing_is_refused_with_its_right_spelling() {
    let world = World::with(&[Task::Test("noop")]);
    let key = world.home().join("keys/cofferdam.pub").display().to_string();
    fs::create_dir(world.project().join("layout")).unwrap();
    let layout = world.project().canonicalize().unwrap().join("layout");
    let layout = format!("write oci:{}:noop:*", layout.display());
    for (pattern, meant) in [
        ("oci//registry.example/*", "write oci://registry.example/*"),
        ("oci:registry.example/team/*", "write oci://registry.example/team/*"),
        ("oci:layout:noop:*", &layout),
        ("oci:elsewhere:*", "write oci:/PATH/elsewhere:* for a layout, with its whole path"),
    ] {
        let add = ["trust", "add", "team", pattern, "--key", &key];
        world.run(&add).refused(2, "usage/invalid", pattern).says(meant);
        for list in ["allow", "deny"] {
            let who = if list == "allow" { format!(", signing_key: {key}") } else { String::new() };
            let rule = format!("{{ pattern: '{pattern}'{who} }}");
            let text = format!(
                "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  {list}:\n    slip: [{rule}]\n"
            );
            let file = world.write("trust.yaml", &text).display().to_string();
            let linted = world.run(&["lint", &file]);
            assert_eq!(linted.status, 4, "{linted:?}");
            assert!(linted.out.contains("trust.yaml:5:") && linted.out.contains("write `oci:"), "{linted:?}");
            // A rule that denies nothing would be noticed by nobody.
            let own = world.home().join("trust.yaml");
            let before = fs::read(&own).unwrap();
            fs::write(&own, text).unwrap();
            world.run(&["trust", "list"]).refused(4, "trust/invalid", pattern);
            fs::write(&own, before).unwrap();
        }
    }
}

#[test]
fn what_is_in_a_directory_is_said_to_be_neither_pinned_nor_copied() {
    let registry = TestRegistry::plain();
    let world = World::with(&[]);
    let (noop, echo) = (task_file(Task::Test("noop")), task_file(Task::Test("echo")));
    let to = format!("{}/team", registry.host());
    world.run(&["task", "publish", noop.to_str().unwrap(), "--to", &to, "--sign"]).ok();
    world.run(&["task", "publish", echo.to_str().unwrap(), "--to", "oci:layout", "--sign"]).ok();
    let in_layout = "- { name: b, taskRef: { bundle: 'oci:../layout:echo:0.1.0' } }\n";
    let remote = format!("- {{ name: a, taskRef: {{ bundle: '{to}/noop:0.1.0' }} }}\n");
    let pipeline = world.pipeline(&format!("{remote}{in_layout}"));
    let layout = world.project().canonicalize().unwrap().join("layout");
    let skipped = format!("oci:{}:echo:0.1.0", layout.display());
    for (command, what) in [("lock", "pinned"), ("vendor", "copied")] {
        let done = world.run(&[command, &pipeline]).ok();
        let line = format!("not {what}, since it is in a directory: {skipped}\n");
        assert!(done.out.contains(&line) && done.out.contains("team/noop:0.1.0"), "{done:?}");
        let done = world.run(&[command, &pipeline, "--format", "json"]).ok();
        assert_eq!(serde_json::from_str::<Value>(&done.out).unwrap()["skipped"], json!([skipped]));
    }
    let lock = fs::read_to_string(world.project().join(".cofferdam/lock.yaml")).unwrap();
    assert!(!lock.contains("echo"), "{lock}");
}

#[test]
fn a_private_key_where_a_public_one_is_meant_is_called_one() {
    let world = World::with(&[]);
    world.run(&["key", "generate", "--algorithm", "ed25519", "--output", "ci.key"]).ok();
    let sealed = world.write("sealed.key", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nZm9v\n");
    let own = world.home().join("keys/cofferdam.key").display().to_string();
    for key in ["ci.key", sealed.to_str().unwrap(), &own] {
        let add = ["trust", "add", "team", "oci://registry.example/*", "--key", key];
        let said = world.run(&add).refused(3, "key/invalid", "it is a private key");
        assert!(said.err.contains(&format!("cofferdam key public {key}")), "{said:?}");
    }
    // What is said to type next works, and what that shows is taken.
    let public = world.run(&["key", "public", "ci.key"]).ok().out;
    world.write("ci.pub", public);
    world.run(&["trust", "add", "team", "oci://registry.example/*", "--key", "ci.pub"]).ok();
}

#[test]
fn a_file_that_is_empty_is_pointed_to_its_own_schema() {
    let world = World::with(&[]);
    for (name, schema) in [
        ("task.yaml", "task"),
        ("trust.yaml", "trust"),
        (".cofferdam/build.yaml", "pipeline"),
        ("cases.yaml", "task-test"),
    ] {
        let text =
            if name == "cases.yaml" { "# yaml-language-server: $schema=task-test.schema.json\n" } else { "" };
        world.write(name, text);
        let linted = world.run(&["lint", name]);
        assert_eq!(linted.status, 3, "{linted:?}");
        let help = format!("cofferdam schema {schema}\n");
        assert!(linted.out.contains(&help), "no {help:?} in {linted:?}");
    }
    world.write("empty/task.yaml", "");
    world
        .run(&["task", "build", "empty"])
        .refused(3, "document/syntax", "task.yaml:1:1")
        .says("cofferdam schema task\n");
}

#[test]
fn a_directory_to_publish_to_is_taken_for_no_host() {
    let world = World::with(&[]);
    let task = task_file(Task::Test("noop")).display().to_string();
    fs::create_dir_all(world.project().join("with.dot")).unwrap();
    for to in ["layout", "vendor/registry", "./layout", "/srv/layout", "with.dot"] {
        let refused = world.run(&["task", "publish", &task, "--to", to]).refused(2, "usage/invalid", to);
        refused.says(&format!("did you mean --to oci:{to}, a layout"));
    }
    // What may be a host is asked.
    world.run(&["task", "publish", &task, "--to", "localhost:1/team"]).refused(1, "registry/unreachable", "");
    world.run(&["task", "publish", &task, "--to", "oci:layout"]).ok();
}

#[test]
fn options_of_which_one_is_needed_are_all_named() {
    let world = World::with(&[]);
    let needs = |args: &[&str], alternatives: &str| {
        let done = world.run(args);
        assert_eq!(done.status, 2, "{done:?}");
        done.says(alternatives);
    };
    needs(&["trust", "add", "a", "*"], "<--key <FILE>|--subject <IDENTITY>>");
    needs(&["verify-bundle", "--bundle", "b", "f"], "<--certificate-identity <IDENTITY>|--key <FILE>>");
    needs(&["graph"], "<PIPELINE|--run [<RUN>]>");
    for both in [
        &["trust", "add", "a", "*", "--key", "k", "--subject", "s", "--issuer", "i"][..],
        &["graph", "p.yaml", "--run", "r"],
    ] {
        needs(both, "cannot be used with");
    }
}

#[test]
fn a_pipeline_run_is_no_pipeline_to_publish() {
    let world = World::with(&[]);
    // What else is wrong with it is not what matters.
    let text = "apiVersion: cofferdam.dev/v1\nkind: PipelineRun\nmetadata: { name: r }\n\
                spec: { params: [{ name: x, value: y }], pipelineSpec: { tasks: [{ name: a, taskRef: { name: no } }] } }\n";
    let file = world.write("run.yaml", text).display().to_string();
    let refused = world.run(&["pipeline", "publish", &file, "--version", "1"]);
    refused.refused(3, "pipeline/no-pipeline", "is a PipelineRun").says("kind: Pipeline");
}

#[test]
fn a_file_that_is_no_text_is_not_quoted() {
    let world = World::with(&[]);
    let binary = b"\0asm\x01\0\0\0\x1b[31mred\n";
    for (name, command) in [
        ("build.yaml", &["plan", "build.yaml"][..]),
        ("build.yaml", &["import", "build.yaml"]),
        ("task/task.yaml", &["task", "build", "task"]),
        (".cofferdam/trust.yaml", &["trust", "list"]),
    ] {
        world.write(name, binary);
        let done = world.run(command);
        assert!(done.err.contains("no text") && !done.err.contains("asm"), "{done:?}");
        fs::remove_file(world.project().join(name)).unwrap();
    }
    world.write("build.yaml", binary);
    let linted = world.run(&["lint", "build.yaml"]);
    assert!(linted.out.contains("no text") && !linted.out.contains("asm"), "{linted:?}");
    world.write("some.wasm", [0xbb, 0xd1, 0x07, 0x00, 0xff, 0x1b]);
    let inspected =
        world.run(&["task", "inspect", "some.wasm"]).refused(3, "component/not-wasm", "some.wasm");
    assert!(!inspected.err.contains("bb") && !inspected.err.contains("magic"), "{inspected:?}");
}

#[test]
fn a_task_that_is_not_there_is_told_of_with_what_can_be_given() {
    let world = World::with(&[Task::Test("noop")]);
    world.write("file.txt", "x");
    for reference in ["oci:layout:noop", "registry.example/team/noop:0.1.0", "noop", "no.wasm"] {
        let run = world.run(&["task", "run", reference]).refused(3, "io/unreadable", reference);
        run.says("one that is in a registry runs in a pipeline");
    }
    for command in
        [&["task", "test"][..], &["task", "test", "."], &["task", "build", "."], &["task", "run", "."]]
    {
        world.run(command).refused(3, "component/no-task", "it has no task.yaml").says("cofferdam task new");
    }
    let noop = task_file(Task::Test("noop")).display().to_string();
    for path in ["file.txt", "nowhere"] {
        let run = world.run(&["task", "run", &noop, "--input", &format!("source={path}")]);
        run.refused(3, "source/not-a-directory", path).says("--input source=DIRECTORY");
    }
    let explain = world.run(&["trust", "explain", "file.txt"]);
    explain.refused(2, "usage/invalid", "`file.txt` is a file").says("task publish FILE --sign");
}

#[test]
fn what_is_allowed_and_nobody_asks_for_is_told_of() {
    let world = World::with(&[Task::Test("download"), Task::Test("noop")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: noop } }\n- { name: get, taskRef: { name: download }, params: [{ name: url, value: x }] }",
    );
    let plan = |allow: &str| world.run(&["plan", &pipeline, "--allow", allow]);
    plan("network").ok();
    plan("get=network").ok();
    plan("clock")
        .refused(2, "usage/invalid", "--allow clock allows nothing that a task asks for")
        .says("what is asked for: network:");
    plan("a=network").refused(2, "usage/invalid", "a=network").says("nothing is asked for: leave it out");
    plan("secrets").refused(2, "usage/invalid", "secrets").says("trusted");
    let noop = task_file(Task::Test("noop")).display().to_string();
    world.run(&["task", "run", &noop, "--allow", "network:example.org"]).refused(
        2,
        "usage/invalid",
        "leave it out",
    );
}

#[test]
fn a_signature_that_another_rule_wants_is_offered_the_rule_that_fits() {
    let world = World::with(&[]);
    let noop = task_file(Task::Test("noop")).display().to_string();
    world.run(&["setup"]).ok();
    world.run(&["task", "publish", &noop, "--to", "oci:layout", "--sign"]).ok();
    let explain = || world.run(&["trust", "explain", "oci:layout:noop:0.1.0"]);
    let told = explain();
    assert_eq!(told.status, 4, "{told:?}");
    // Typed as it is offered, it is trusted.
    let command = told.out.lines().find_map(|line| line.trim().strip_prefix("cofferdam trust add ")).unwrap();
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches('\'')).collect();
    assert!(words.contains(&"--key") && words[1].ends_with("layout:noop:*"), "{command}");
    world.run(&[&["trust", "add"], &words[..]].concat()).ok();
    assert!(explain().ok().out.contains("trusted: signed by key"));
    // Nobody's signature is offered nothing.
    world.run(&["task", "publish", &noop, "--to", "oci:other"]).ok();
    let told = world.run(&["trust", "explain", "oci:other:noop:0.1.0"]);
    assert!(told.status == 4 && !told.out.contains("trust add"), "{told:?}");
}

#[test]
fn rules_are_listed_in_the_order_in_which_they_are_asked() {
    let world = World::with(&[]);
    let rules = "  allow:\n    b: [{ pattern: '*:2', signing_key: keys/cofferdam.pub }]\n    \
                 a: [{ pattern: '*:1', signing_key: keys/cofferdam.pub }]\n  deny:\n    z: [{ pattern: '*:3' }]\n";
    let digest = format!("sha256:{}", "00".repeat(32));
    let records = format!("trusted_tasks:\n  oci://h.example/t:1: [{{ ref: '{digest}' }}]\n");
    let text = format!("apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n{rules}{records}");
    fs::write(world.home().join("trust.yaml"), text).unwrap();
    let deny = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules: { deny: { y: [{ pattern: '*:4' }] } }\n";
    world.write(".cofferdam/trust.yaml", deny);
    let list = world.run(&["trust", "list", "--format", "json"]).ok();
    let list: Value = serde_json::from_str(&list.out).unwrap();
    let labels: Vec<&Value> = list["rules"].as_array().unwrap().iter().map(|rule| &rule["label"]).collect();
    assert_eq!(labels, ["z", "a", "b", "trusted_tasks", "y"]);
}

#[test]
fn a_directory_is_no_task_to_inspect_and_what_to_give_is_said() {
    let world = World::with(&[Task::Test("noop")]);
    world.write("mine/task.yaml", "");
    fs::create_dir(world.project().join("noop")).unwrap();
    let task = task_file(Task::Test("noop")).display().to_string();
    world.run(&["task", "publish", &task, "--to", "oci:layout"]).ok();
    for (directory, help) in [
        ("mine", "cofferdam task build mine"),
        ("layout", "oci:layout:NAME"),
        ("noop", "cofferdam.local/noop"),
        (".", "NAME.wasm"),
    ] {
        let refused = world.run(&["task", "inspect", directory]);
        refused.refused(2, "usage/invalid", "is a directory, and no task").says(help);
    }
    world.run(&["task", "inspect", "cofferdam.local/noop"]).ok();
}

#[test]
fn a_registry_that_does_not_answer_has_the_status_that_the_book_gives_it() {
    let world = World::with(&[]);
    let task = task_file(Task::Test("noop")).display().to_string();
    let pipeline = world.pipeline("- { name: a, taskRef: { bundle: 'localhost:1/team/noop:0.1.0' } }\n");
    for args in [
        &["run", &pipeline][..],
        &["plan", &pipeline],
        &["lock", &pipeline],
        &["vendor", &pipeline],
        &["task", "inspect", "localhost:1/team/noop"],
        &["task", "list", "localhost:1/team/noop"],
        &["task", "publish", &task, "--to", "localhost:1/team"],
        &["trust", "explain", "localhost:1/team/noop"],
    ] {
        world.run(args).refused(1, "registry/unreachable", "localhost:1");
    }
    let linted = world.run(&["lint", &pipeline]);
    assert!(linted.status == 1 && linted.out.contains("registry/unreachable"), "{linted:?}");
}

/// Runs the program on a terminal; gives every byte that reaches it.
fn on_a_terminal(world: &World, args: &str) -> Done {
    let program = world.command(&[]);
    let line = format!("{} {args}", program.get_program().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(world.project());
    script.env_clear().env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
    for (name, value) in program.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    done(script.stdin(std::process::Stdio::null()))
}

#[test]
fn without_colour_no_escape_sequence_reaches_a_terminal() {
    let registry = TestRegistry::plain();
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let to = format!("{}/team", registry.host());
    let task = task_file(Task::Test("noop")).display().to_string();
    world.run(&["task", "publish", &task, "--to", &to, "--sign"]).ok();
    let noop = format!("- {{ name: n, taskRef: {{ bundle: '{to}/noop:0.1.0' }} }}\n");
    let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ name: echo }} }}\n{noop}"));
    world.write("bad.yaml", "kind: Nothing\n");
    world.write("mine/Cargo.toml", "[package]\nname = 'mine'\nversion = '0.1.0'\nedition = '2024'\n");
    world.write("mine/src/lib.rs", "fn broken( {}\n");
    let manifest = "apiVersion: cofferdam.dev/v1\nkind: Task\n\
                    metadata: { name: mine, version: 0.1.0, description: x }\nspec: {}\n";
    world.write("mine/task.yaml", manifest);
    let lines = [
        format!("run {pipeline}"),
        "run --log-format pretty .cofferdam/test.yaml".to_owned(),
        "run bad.yaml".to_owned(),
        "run --nothing".to_owned(),
        "trust add a '*'".to_owned(),
        "--help".to_owned(),
        "show".to_owned(),
        "lint bad.yaml".to_owned(),
        "task build mine".to_owned(),
        "task inspect echo".to_owned(),
    ];
    for line in &lines {
        let coloured = on_a_terminal(&world, &format!("{line} --color always"));
        assert!(coloured.out.contains('\x1b'), "{line}: it would be in colour: {coloured:?}");
        for colour in ["--color never", "--color=never"] {
            let plain = on_a_terminal(&world, &format!("{colour} {line}"));
            assert!(!plain.out.contains('\x1b'), "{line}: {plain:?}");
            assert_eq!(plain.status, coloured.status, "{line}: {plain:?}");
        }
    }
}
