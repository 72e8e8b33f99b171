//! What the host saw of what a task read: the files it opened, whatever the
//! task says, kept as a list, attested, shown and verified.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::harness::{Task, World, name, task};

fn world() -> World {
    let world = World::with(&[Task::Test("reader"), Task::Test("noop")]);
    for file in ["a.txt", "below/b.txt", "below/deeper/c.txt", "new\nline.txt", "never.txt"] {
        world.write(file, file);
    }
    symlink("below/deeper", world.project().join("short")).unwrap();
    symlink("../a.txt", world.project().join("below/up.txt")).unwrap();
    world
}

/// Runs the reader; gives the run with every list.
fn read(world: &World, params: &str) -> Value {
    let inputs = "inputs: [{ name: source, from: $(source) }, { name: other, from: $(source) }]";
    let pipeline = world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: reader }}, params: [{params}], {inputs} }}\n- {{ name: b, taskRef: {{ name: noop }} }}"
    ));
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 0, "{run:#}");
    let shown = world.run(&["show", &name(&run), "--reads", "--format", "json"]).ok();
    serde_json::from_str(&shown.out).unwrap()
}

fn paths(run: &Value, input: &str) -> Value {
    task(run, "a")["reads"][input]["paths"].clone()
}

#[test]
fn files_are_listed_by_their_real_paths_and_only_once() {
    let world = world();
    let files = [
        "a.txt",
        "./below/../a.txt",
        "below/up.txt",
        "short/c.txt",
        "short/../b.txt",
        "short/../../new\nline.txt",
        "below//deeper/c.txt",
    ];
    let run = read(&world, &format!("{{ name: files, value: {} }}", json!(files)));
    let expected = json!(["a.txt", "below/b.txt", "below/deeper/c.txt", "new\nline.txt"]);
    assert_eq!(paths(&run, "source"), expected);
    assert_eq!(task(&run, "a")["reads"]["source"]["files"], 4);
    assert_eq!(task(&run, "a")["reads"]["other"], json!({ "files": 0, "paths": [] }));
    assert_eq!(task(&run, "b").get("reads"), None, "it has no inputs");
    let shown = world.run(&["show", "--reads"]).ok().out;
    assert!(shown.contains("from the source; 4 files opened\n"), "{shown}");
    assert!(shown.contains("from the source; no file opened\n"), "{shown}");
    assert!(shown.contains("new\\nline.txt") && !shown.contains("never.txt"), "{shown}");
}

#[test]
fn looking_is_not_reading() {
    let world = world();
    assert_eq!(paths(&read(&world, "{ name: how, value: none }"), "source"), json!([]));
    let all = paths(&read(&world, "{ name: how, value: all }"), "source");
    assert_eq!(all.as_array().unwrap().len(), 6, "{all:#}");
}

#[test]
fn what_was_read_is_attested_and_a_list_that_was_changed_does_not_verify() {
    let world = world();
    let run = read(&world, "{ name: files, value: [a.txt] }");
    let attestations = world.path("attestations");
    world.run(&["show", "--attestations", attestations.to_str().unwrap()]).ok();
    let bundle = attestations.join("task-a.sigstore.json");
    let verified = world.run(&["verify", bundle.to_str().unwrap()]).ok().out;
    assert!(verified.contains("files read of source"), "{verified}");
    let verified = world.run(&["verify"]).ok().out;
    assert!(verified.contains("files read by a of source"), "{verified}");

    let list = task(&run, "a")["reads"]["source"]["list"].as_str().unwrap().to_owned();
    let list = list.trim_start_matches("sha256:");
    let object = world.home_files(&list[2..]).remove(0);
    assert_eq!(fs::read_to_string(&object).unwrap(), "[\"a.txt\"]");
    fs::remove_file(&object).unwrap();
    fs::write(&object, "[\"b.txt\"]").unwrap();
    for subject in [&[][..], &[bundle.to_str().unwrap()]] {
        let mut args = vec!["verify"];
        args.extend(subject);
        let broken = world.run(&args);
        assert_eq!(broken.status, 1, "{broken:?}");
        assert!(broken.out.contains("BROKEN  files read"), "{broken:?}");
    }
    world.run(&["show", "--reads"]).refused(1, "store/corrupt", "");
}
