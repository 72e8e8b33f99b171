//! The most a task may use: the host's configuration sets it, and a manifest can
//! only lower it.

use std::fs;

use serde_json::Value;

use crate::harness::{Task, World};
use crate::hostile::{attack, ended, line, world};

fn configure(world: &World, limits: &str) {
    fs::write(world.home().join("config.toml"), format!("[limits]\n{limits}\n")).unwrap();
}

/// What a plan gives a task.
fn planned(world: &World, task: &str) -> Value {
    let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ name: {task} }} }}"));
    let plan = world.run(&["plan", &pipeline, "--format", "json"]).ok();
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    plan["tasks"][0]["limits"].clone()
}

#[test]
fn configuration_raises_and_lowers_what_a_manifest_can_only_lower() {
    // One asks for nothing, the other for 128Mi of output and 30s.
    let world = World::with(&[Task::Test("noop"), Task::Hostile("lateness")]);
    assert_eq!(planned(&world, "noop")["memory"], "1Gi");
    configure(&world, "memory = \"4Gi\"\ntimeout = \"2h\"\nhandles = 7");
    let noop = planned(&world, "noop");
    assert_eq!(
        (&noop["memory"], &noop["timeout"], &noop["handles"]),
        (&"4Gi".into(), &"2h".into(), &7.into())
    );
    assert_eq!((&noop["cpu"], &noop["files"]), (&"1h".into(), &1_000_000.into()));
    assert_eq!(planned(&world, "lateness")["timeout"], "30s");
    configure(&world, "output = \"32Mi\"\ntimeout = \"5s\"");
    let lateness = planned(&world, "lateness");
    assert_eq!((&lateness["output"], &lateness["timeout"]), (&"32Mi".into(), &"5s".into()));
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_its_line() {
    let world = world();
    let pipeline = world.pipeline(&line("a", "stall", &[("how", "brief")], ""));
    for (limits, message) in
        [("memory = \"lots\"", "lots"), ("memroy = \"1Gi\"", "memroy"), ("tables = 65", "at most 64")]
    {
        configure(&world, limits);
        let refused = world.run(&["run", &pipeline]).refused(3, "config/invalid", "config.toml:2:");
        refused.says(message);
        assert!(world.runs().is_empty());
    }
    fs::write(world.home().join("config.toml"), "[limit]\n").unwrap();
    world.run(&["plan", &pipeline]).refused(3, "config/invalid", "config.toml:1:");
}

#[test]
fn each_limit_that_is_configured_ends_a_task_for_its_own_reason() {
    for (limits, how, reason, message) in [
        ("cpu = \"200ms\"", "loop", "CpuLimit", "more than its 200ms of processor time"),
        ("cpu = \"200ms\"", "calls", "CpuLimit", "more than its 200ms of processor time"),
        ("timeout = \"500ms\"", "loop", "TaskRunTimeout", "its timeout of 500ms"),
        ("handles = 1", "brief", "HandleLimit", "more than its 1 files, streams and timers"),
        ("instances = 1", "brief", "InstanceLimit", "more than its 1 core instances"),
        ("tables = 0", "brief", "TableLimit", "more than its 0 tables"),
        ("memory = \"64Ki\"", "brief", "MemoryLimit", "more than its 64Ki of memory"),
    ] {
        let world = world();
        configure(&world, limits);
        let a = attack(&world, "stall", &[("how", how)], "");
        ended(&a, reason, message);
        if reason == "CpuLimit" {
            let used = a["usage"]["cpuMicros"].as_u64().unwrap();
            assert!((200_000..5_000_000).contains(&used), "{a:#}");
        }
    }
}

#[test]
fn a_task_that_waits_uses_no_processor_time() {
    let world = world();
    configure(&world, "cpu = \"300ms\"");
    let sleep = ", timeout: 1s, grants: { clock: real }";
    let a = attack(&world, "patience", &[("how", "sleep")], sleep);
    ended(&a, "TaskRunTimeout", "");
}
