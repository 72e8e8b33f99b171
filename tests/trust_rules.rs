//! `cofferdam trust`: what there is, why it decides so, and one rule more.

use std::fs;

use serde_json::Value;

use crate::harness::{Task, World, done};

fn json(world: &World, args: &[&str], status: i32) -> Value {
    let done = world.run(&[args, &["--format", "json"]].concat());
    assert_eq!(done.status, status, "{done:?}");
    serde_json::from_str(&done.out).unwrap()
}

#[test]
fn every_rule_says_what_came_of_it() {
    let world = World::with(&[Task::Test("echo")]);
    let list = json(&world, &["trust", "list"], 0);
    assert_eq!((&list["rules"][0]["kind"], &list["rules"][0]["label"]), (&"allow".into(), &"local".into()));
    let told = json(&world, &["trust", "explain", "echo"], 0);
    assert_eq!(told["rules"][0]["outcome"], "trusts");
    assert_eq!((&told["signatures"], &told["decision"]["verdict"]), (&1.into(), &"trusted".into()));

    let trust = world.home().join("trust.yaml");
    let mut text = fs::read_to_string(&trust).unwrap();
    text +=
        "  deny:\n    old: [{ pattern: '*/echo:*', message: leaks }]\n    far: [{ pattern: '*/other:*' }]\n";
    fs::write(&trust, &text).unwrap();
    let told = json(&world, &["trust", "explain", "echo"], 4);
    let outcomes: Vec<&Value> =
        told["rules"].as_array().unwrap().iter().map(|rule| &rule["outcome"]).collect();
    assert_eq!(outcomes, ["otherTask", "denies", "trusts"]);
    assert_eq!(told["decision"]["verdict"], "denied");
    let words = world.run(&["trust", "explain", "echo"]);
    assert!(words.out.contains("refuses it") && words.out.contains("leaks"), "{words:?}");
    world.run(&["trust", "explain", "nothing"]).refused(3, "registry/not-found", "");
}

#[test]
fn a_rule_is_added_and_nothing_else_is_touched() {
    let world = World::with(&[Task::Test("echo")]);
    let trust = world.home().join("trust.yaml");
    let key = world.home().join("keys/cofferdam.pub").display().to_string();
    let text = fs::read_to_string(&trust).unwrap();
    let commented =
        text.replace("  allow:\n", "  # whom we trust\n  allow: # these\n").replace(" # these", "");
    fs::write(&trust, format!("# ours\n{commented}# the end\n")).unwrap();
    world.run(&["trust", "add", "team", "oci://registry.test/*", "--key", &key]).ok();
    let added = fs::read_to_string(&trust).unwrap();
    for kept in ["# ours\n", "  # whom we trust\n", "# the end\n", "    local:\n"] {
        assert!(added.contains(kept), "{kept:?} is gone:\n{added}");
    }
    let list = json(&world, &["trust", "list"], 0);
    let labels: Vec<&Value> = list["rules"].as_array().unwrap().iter().map(|rule| &rule["label"]).collect();
    assert_eq!(labels, ["local", "team"]);
    // The key itself is kept, not where it was.
    assert!(!added.contains(&key), "{added}");
    fs::rename(&key, world.path("moved.pub")).unwrap();
    let refused = world.run(&["trust", "list"]);
    assert!(!refused.err.contains("`team`") && refused.err.contains("`local`"), "{refused:?}");
    fs::rename(world.path("moved.pub"), &key).unwrap();

    // Twice the same label, a key that is none, nobody, an identity without a root.
    world.run(&["trust", "add", "team", "*", "--key", &key]).refused(2, "usage/invalid", "team");
    world.run(&["trust", "add", "b", "*", "--key", "no.pub"]).refused(3, "key/io", "no.pub");
    world
        .run(&["trust", "add", "b", "registry.example/*", "--key", &key])
        .refused(2, "usage/invalid", "registry.example")
        .says("oci://registry.example/*");
    assert_eq!(world.run(&["trust", "add", "b", "*"]).status, 2);
    let identity = ["--subject", "dev@example.test", "--issuer", "https://issuer.test"];
    world.run(&[&["trust", "add", "b", "*"], &identity[..]].concat()).refused(
        4,
        "trust/invalid",
        "trusted root",
    );
    assert_eq!(fs::read_to_string(&trust).unwrap(), added);

    // What is not written line by line is left to its author.
    let flow = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules: { allow: {} }\n";
    fs::write(&trust, flow).unwrap();
    let refused = world.run(&["trust", "add", "b", "oci://x.test/*", "--key", &key]);
    refused.refused(3, "document/unwritten", "trust.yaml").says("oci://x.test/*");
    assert_eq!(fs::read_to_string(&trust).unwrap(), flow);
    fs::remove_file(&trust).unwrap();
    world.run(&["trust", "add", "b", "oci://x.test/*", "--key", &key]).ok();
}

#[test]
fn a_repository_only_narrows_what_its_user_trusts_and_a_user_what_the_server_does() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline =
        world.pipeline("- { name: a, taskRef: { name: echo }, params: [{ name: text, value: x }] }");
    let key = fs::read_to_string(world.home().join("keys/cofferdam.pub")).unwrap();
    let allows = |pattern: &str, key: &str| {
        format!(
            "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    own: \
             [{{ pattern: '{pattern}', signing_key: {key} }}]\n"
        )
    };
    let run = |args: &[&str]| {
        let server = world.path("server");
        let args = [&["plan", "--require-trusted"], args, &[pipeline.as_str()]].concat();
        done(world.command(&args).env("COFFERDAM_SERVER_CONFIG", server))
    };
    run(&[]).ok();

    // The repository refuses, has another key for it, has nothing to say.
    world.write(
        ".cofferdam/trust.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  deny:\n    no: \
         [{ pattern: 'oci://cofferdam.local/*', message: not here }]\n",
    );
    run(&[]).refused(4, "trust/denied", ".cofferdam/test.yaml:").says("not here");
    world.run(&["key", "generate", "--output", "other.key"]).ok();
    fs::rename(world.project().join("other.pub"), world.project().join(".cofferdam/other.pub")).unwrap();
    world.write(".cofferdam/trust.yaml", allows("oci://cofferdam.local/*", "other.pub"));
    run(&[]).refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
    let explained = world.run(&["trust", "explain", "echo"]);
    assert!(explained.out.contains("repository, which can only narrow"), "{explained:?}");
    world.write(".cofferdam/trust.yaml", allows("oci://elsewhere.example/*", "other.pub"));
    run(&[]).ok();
    // What it cannot say plainly stops everything, and shows nothing of elsewhere.
    world.write("password", "hunter2\n");
    let link = world.project().join(".cofferdam/trust.yaml");
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(world.project().join("password"), &link).unwrap();
    let refused = run(&[]);
    assert!(refused.status != 0 && !refused.err.contains("hunter2"), "{refused:?}");
    fs::remove_file(&link).unwrap();

    // Trusting is the server's where it has rules, and not the user's.
    fs::create_dir_all(world.path("server")).unwrap();
    fs::write(world.path("server").join("user.pub"), key).unwrap();
    fs::write(world.path("server").join("trust.yaml"), allows("oci://other.example/*", "user.pub")).unwrap();
    run(&[]).refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
    fs::write(world.path("server").join("trust.yaml"), allows("oci://cofferdam.local/*", "user.pub"))
        .unwrap();
    run(&[]).ok();
    fs::remove_file(world.home().join("trust.yaml")).unwrap();
    run(&[]).ok();
    world.write(".cofferdam/trust.yaml", allows("oci://cofferdam.local/*", "other.pub"));
    run(&[]).refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
}
