//! `cofferdam task list`, and what `plan` says of secrets.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Task, World, task, task_file};
use crate::hostile_network::Courier;

fn list(world: &World, args: &[&str], status: i32) -> Vec<Value> {
    let done = world.run(&[&["task", "list", "--format", "json"], args].concat());
    assert_eq!(done.status, status, "{done:?}");
    let json: Value = serde_json::from_str(&done.out).unwrap();
    json["tasks"].as_array().unwrap().clone()
}

#[test]
fn every_task_is_listed_with_what_it_is_and_by_which_rule_it_is_trusted() {
    let world = World::empty();
    assert_eq!(list(&world, &[], 0), [Value::Null; 0]);
    let none = world.run(&["task", "list"]).ok();
    assert!(none.out.contains("cofferdam task publish FILE --sign"), "{none:?}");
    let world = World::with(&[Task::Test("stamp"), Task::Test("echo")]);
    let unsigned = task_file(Task::Test("slow")).display().to_string();
    world.run(&["task", "publish", &unsigned]).ok();
    let tasks = list(&world, &[], 0);
    let names: Vec<&Value> = tasks.iter().map(|task| &task["name"]).collect();
    assert_eq!(names, ["echo", "slow", "stamp"]);
    let [echo, slow, _] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert_eq!((&echo["version"], &echo["trust"]["verdict"]), (&json!("0.1.0"), &json!("trusted")));
    assert_eq!(echo["trust"]["rule"], "local");
    let digest = echo["digest"].as_str().unwrap();
    assert!(echo["reference"].as_str().unwrap().ends_with(&format!("echo:0.1.0@{digest}")), "{echo}");
    assert!(echo["names"].as_array().unwrap().contains(&json!("echo:0.1.0")), "{echo}");
    assert_eq!(slow["trust"]["verdict"], "untrusted");
    let text = world.run(&["task", "list"]).ok();
    assert!(text.out.contains("echo:0.1.0\n") && text.out.contains("rule `local`"), "{text:?}");
    assert!(text.out.contains("not trusted: "), "{text:?}");
    // What the list says of a task is what a run records of it.
    let (_, run) = world.run_json(&[&world.pipeline("- { name: a, taskRef: { name: echo } }")]);
    assert_eq!(task(&run, "a")["identity"]["reference"], echo["reference"]);
}

#[test]
fn another_layout_can_be_listed_and_what_is_damaged_is_told() {
    let world = World::with(&[]);
    let file = task_file(Task::Test("echo")).display().to_string();
    world.run(&["task", "publish", &file, "--to", "oci:vendor"]).ok();
    let tasks = list(&world, &["oci:vendor"], 0);
    assert_eq!((tasks.len(), &tasks[0]["trust"]["verdict"]), (1, &json!("untrusted")));
    let component = tasks[0]["component"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    fs::write(world.project().join("vendor/blobs/sha256").join(component), "other").unwrap();
    let tasks = list(&world, &["oci:vendor"], 1);
    assert!(tasks[0]["problem"].is_string() && tasks[0]["name"].is_null(), "{tasks:?}");
    world.run(&["task", "list", "vendor"]).refused(2, "usage/invalid", "`vendor` is no layout");
    assert_ne!(world.run(&["task", "list", "oci:gone"]).status, 0);
}

#[test]
fn a_plan_says_of_each_secret_whether_it_is_set_and_never_its_value() {
    const VALUE: &str = "a value that nobody may see";
    let network = "{ host: api.example.test, secret: { name: token, as: bearer } }, \
                   { host: '*.example.test', port: 8443, secret: { name: token, as: bearer } }, \
                   { host: other.example.test, secret: { name: upload, as: bearer } }";
    let courier = Courier::trusted(network, "");
    let world = &courier.world;
    let pipeline = world.pipeline(&courier.line("a", &[], "no"));
    let plan = |args: &[&str]| -> (Value, String) {
        let json = world.run(&[&["plan", "--format", "json", pipeline.as_str()], args].concat()).ok();
        let text = world.run(&[&["plan", pipeline.as_str()], args].concat()).ok();
        assert!(!(json.out.clone() + &text.out).contains(VALUE));
        (serde_json::from_str::<Value>(&json.out).unwrap()["tasks"][0]["secrets"].clone(), text.out)
    };
    let (secrets, text) = plan(&[]);
    let command = "cofferdam secret set token --host api.example.test --host '*.example.test:8443'";
    assert_eq!(
        secrets,
        json!([
            { "name": "token", "set": false, "granted": true, "command": command },
            { "name": "upload", "set": false, "granted": true,
              "command": "cofferdam secret set upload --host other.example.test" },
        ])
    );
    assert!(text.contains(&format!("token: not set; to set it: {command}\n")), "{text}");
    // The command that is named sets it, for hosts that it may be sent to.
    let mut set = world.command(&[
        "secret",
        "set",
        "token",
        "--host",
        "api.example.test",
        "--host",
        "*.example.test:8443",
    ]);
    let mut child = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(VALUE.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let (secrets, text) = plan(&["--deny", "a=secrets"]);
    let token = &secrets[0];
    assert_eq!(
        (&token["set"], &token["granted"], &token["command"]),
        (&json!(true), &json!(false), &Value::Null)
    );
    assert_eq!(token["hosts"].as_array().unwrap().len(), 2);
    assert!(text.contains("token: set, for "), "{text}");
    assert!(text.contains("; the task is not granted to have it sent\n"), "{text}");
}
