//! Tasks that `trusted_tasks` names by their digest, and when that ends.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::harness::{Task, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A home whose only trust is a record of one task.
fn world(expires_on: Timestamp) -> (World, String) {
    let world = World::with(&[Task::Test("echo")]);
    let list = world.run(&["task", "list", "--format", "json"]).ok().out;
    let list: Value = serde_json::from_str(&list).unwrap();
    let digest = list["tasks"][0]["digest"].as_str().unwrap();
    let version = list["tasks"][0]["version"].as_str().unwrap();
    let text = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_tasks:\n  oci://cofferdam.local/echo:{version}:\n    \
         - ref: {digest}\n      expires_on: \"{expires_on}\"\n"
    );
    fs::write(world.home().join("trust.yaml"), text).unwrap();
    let pipeline = world.pipeline("- { name: a, taskRef: { name: echo } }");
    (world, pipeline)
}

#[test]
fn the_end_of_trust_is_announced_thirty_days_ahead() {
    let (world, pipeline) = world(Timestamp::now() + DAY * 19 / 2);
    let plan = world.run(&["plan", &pipeline]).ok();
    assert!(plan.out.contains("ends in 9 days"), "{plan:?}");
    let run = world.run(&["run", "--quiet", "--require-trusted", &pipeline]).ok();
    assert!(run.out.contains("ends in 9 days") && run.out.contains("trust.yaml"), "{run:?}");
    let (_, json) = world.run_json(&["--require-trusted", &pipeline]);
    assert_eq!(json["tasks"][0]["identity"]["trust"]["rule"], "trusted_tasks", "{json}");
}

#[test]
fn trust_that_lasts_is_not_announced_and_trust_that_ended_is_none() {
    let (world, pipeline) = world(Timestamp::now() + DAY * 40);
    let plan = world.run(&["plan", &pipeline]).ok();
    assert!(!plan.out.contains("ends in"), "{plan:?}");
    let trust = world.home().join("trust.yaml");
    let text = fs::read_to_string(&trust).unwrap();
    let (before, _) = text.split_once("expires_on").unwrap();
    fs::write(&trust, format!("{before}expires_on: \"2020-01-01\"\n")).unwrap();
    world.run(&["run", "--quiet", "--require-trusted", &pipeline]).refused(4, "trust/not-trusted", "expired");
}
