//! `cofferdam trust`: what there is, why it decides so, and one rule more.

use std::fs;

use serde_json::Value;

use crate::harness::{Task, World};

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
