//! What `show` tells of a whole run, and what `diff` tells of two.

use serde_json::{Value, json};

use crate::harness::{Server, Task, World, name, reply};
use crate::hostile_network::{Courier, loopback};

fn json_of(world: &World, args: &[&str], status: i32) -> Value {
    let mut all = args.to_vec();
    all.extend(["--format", "json"]);
    let done = world.run(&all);
    assert_eq!(done.status, status, "{done:?}");
    serde_json::from_str(&done.out).unwrap()
}

#[test]
fn the_chain_that_decided_how_long_a_run_took_is_told() {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline_spec(
        "  tasks:
    - { name: alone, taskRef: { name: echo } }
    - { name: a, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [x, y] }] } }
    - { name: b, taskRef: { name: echo }, runAfter: [a] }
    - { name: again, taskRef: { name: fail }, retries: { max: 2, backoff: 20ms }, runAfter: [b] }
  finally:
    - { name: last, taskRef: { name: echo } }
",
    );
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 1, "{run:#}");
    let story = &run["story"];
    let path: Vec<&str> =
        story["criticalPath"].as_array().unwrap().iter().map(|step| step["task"].as_str().unwrap()).collect();
    assert!(path[0].starts_with("a["), "{path:?}");
    assert_eq!(path[1..], ["b", "again", "last"], "{story:#}");
    assert_eq!((&story["ran"], &story["retries"], &story["reused"]), (&6.into(), &2.into(), &0.into()));
    let time = &story["time"];
    assert!(time["tasksMicros"].as_u64() > Some(0) && time["signingMicros"].as_u64() > Some(0), "{time}");
    assert!(time["waitingMicros"].as_u64() > Some(40_000), "between the attempts nothing ran: {time}");
    let text = world.run(&["show"]).ok().out;
    assert!(text.contains(" -> b (") && text.contains("a task was tried again 2 times"), "{text}");
}

#[test]
fn a_grant_that_nothing_used_is_told() {
    let server = Server::plain(|_, out| reply(out, 200, &[], b"x"));
    let used = loopback(server.port(), "");
    let courier = Courier::trusted(&format!("{used}, {{ host: unused.example.test }}"), "");
    let get = json!({ "url": server.url("/") });
    courier.run_with(&[get.clone(), get], "no", &["--deny", "a=tcp"]);
    let shown = json_of(&courier.world, &["show"], 0);
    let grants = shown["story"]["grants"].as_array().unwrap();
    let uses = |part: &str| {
        let found = grants.iter().find(|grant| grant["grant"].as_str().unwrap().contains(part));
        found.unwrap_or_else(|| panic!("no {part} in {grants:?}"))["uses"].clone()
    };
    assert_eq!((uses("127.0.0.1"), uses("unused.example.test")), (2.into(), 0.into()));
    let text = courier.world.run(&["show"]).ok().out;
    assert!(text.contains("used 2 times") && text.contains("not used"), "{text}");
}

#[test]
fn what_changed_from_one_run_to_the_next_is_told_whole() {
    let world = World::with(&[Task::Test("echo")]);
    let spec = |word: &str| {
        format!(
            "  params: [{{ name: level, default: low }}]
  tasks:
    - {{ name: same, taskRef: {{ name: echo }}, params: [{{ name: text, value: x }}] }}
    - {{ name: other, taskRef: {{ name: echo }}, params: [{{ name: text, value: '{word} $(params.level)' }}] }}
    - {{ name: third, taskRef: {{ name: echo }} }}
"
        )
    };
    let pipeline = world.pipeline_spec(&spec("one"));
    let (_, first) = world.run_json(&[&pipeline]);
    world.run(&["diff", &name(&first)]).refused(3, "journal/no-other-run", "no other run");
    let (_, again) = world.run_json(&[&pipeline]);
    let difference = json_of(&world, &["diff", &name(&first)], 0);
    // To the newest run, from whichever name it is asked.
    let newest = json_of(&world, &["diff", &name(&again)], 0);
    assert_eq!((&newest["old"], &newest["new"]), (&difference["old"], &difference["new"]));
    assert_eq!(
        (&difference["new"], &difference["sameOutcome"]),
        (&again["run"], &true.into()),
        "{difference:#}"
    );
    assert_eq!(difference["sameTasks"].as_u64().unwrap() + tasks(&difference).len() as u64, 3);
    world.pipeline_spec(&spec("two"));
    let (_, second) = world.run_json(&[&pipeline, "--param", "level=high"]);
    let difference = json_of(&world, &["diff", &name(&first), &name(&second)], 1);
    let changed = difference["run"].as_array().unwrap();
    let level = changed.iter().find(|changed| changed["what"] == "param level").unwrap();
    assert_eq!((&level["old"], &level["new"]), (&"low".into(), &"high".into()));
    let lines = difference["files"][0]["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].as_str().unwrap().starts_with("-8 ") && lines[1].as_str().unwrap().starts_with("+8 "));
    let other = tasks(&difference).into_iter().find(|task| task["task"] == "other").unwrap();
    assert_eq!(
        other["outputs"]["copy"]["files"]["paths"][0],
        json!({ "path": "text.txt", "change": "changed" })
    );
    let text = world.run(&["diff", &name(&first), &name(&second)]);
    assert_eq!(text.status, 1);
    assert!(text.out.contains("param level: low -> high") && text.out.contains("~ text.txt"), "{text:?}");
    assert!(text.out.contains("another outcome, or other outputs"), "{text:?}");
}

fn tasks(difference: &Value) -> Vec<Value> {
    difference["tasks"].as_array().cloned().unwrap_or_default()
}

#[test]
fn the_files_of_the_source_that_changed_are_listed() {
    let world = World::with(&[Task::Test("reader")]);
    world.write("kept.txt", "same");
    world.write("changed.txt", "one");
    let pipeline = world
        .pipeline("- { name: a, taskRef: { name: reader }, inputs: [{ name: source, from: $(source) }, { name: other, from: $(source) }] }");
    let (_, first) = world.run_json(&[&pipeline]);
    world.write("changed.txt", "two");
    for number in 0..60 {
        world.write(&format!("new/{number:02}.txt"), "new");
    }
    let (_, second) = world.run_json(&[&pipeline]);
    let done = world.run(&["diff", &name(&first), &name(&second), "--format", "json"]);
    let difference: Value = serde_json::from_str(&done.out).unwrap();
    let files = &difference["source"]["files"];
    assert_eq!((&files["added"], &files["changed"], &files["removed"]), (&60.into(), &1.into(), &0.into()));
    assert_eq!(files["paths"].as_array().unwrap().len(), 50);
    assert_eq!(files["paths"][0], json!({ "path": "changed.txt", "change": "changed" }));
    let text = world.run(&["diff", &name(&first), &name(&second)]).out;
    assert!(text.contains("and 11 more files"), "{text}");
}
