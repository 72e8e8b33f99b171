//! Ways out of the directories a task was given, and into those it may only read.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::harness::{World, name, task};
use crate::hostile::{SOURCE, attack, contents, ended, line, run_whole, world};

/// A source with a link that stays inside.
fn with_source() -> World {
    let world = world();
    world.write("file.txt", "input");
    world.write("sub/other.txt", "input below");
    symlink("file.txt", world.project().join("inner")).unwrap();
    world
}

const TWINS: usize = 8;

/// Everything in the world that a task must not reach, as it would be named
/// from the root, and from each of its own directories.
fn targets(world: &World) -> Vec<String> {
    let key = world.home().join("keys/cofferdam.key");
    let secret = world.path("secret.txt");
    fs::write(&secret, "secret").unwrap();
    let mut targets = vec![secret.display().to_string(), key.display().to_string()];
    for up in ["../../..", "../../../..", "../../../../..", "../../../../../.."] {
        for below in
            ["keys/cofferdam.key", "state.db", "store/sha256", "secret.txt", "0/scratch", "1/scratch"]
        {
            targets.push(format!("{up}/{below}"));
        }
        targets.push(format!("{up}/1/outputs/out"));
        targets.push(format!("{up}/tasks/1/outputs/out/file.txt"));
    }
    targets
}

/// Insists that all attempts failed, and that nothing bears their mark.
#[track_caller]
fn nothing_broke(world: &World, task: &serde_json::Value) {
    assert_eq!(task["results"]["breaches"], json!([]), "{task:#}");
    let allowed = task["results"]["allowed"].as_array().unwrap();
    assert!(allowed.iter().all(|line| !line.as_str().unwrap().starts_with("not: ")), "{allowed:#?}");
    let root = world.project().parent().unwrap().to_owned();
    for (path, bytes) in contents(&root) {
        assert!(!path.ends_with("breach"), "{path} was made");
        assert!(!path.contains("store/sha256") || bytes != b"breach", "{path} holds a breach");
    }
    assert_eq!(fs::read_to_string(world.path("secret.txt")).unwrap(), "secret");
}

#[test]
fn no_path_and_no_link_leads_out_of_a_directory() {
    let world = with_source();
    let targets = serde_json::to_string(&targets(&world)).unwrap();
    let key = fs::read(world.home().join("keys/cofferdam.key")).unwrap();
    let a = attack(&world, "escape", &[("targets", &targets)], SOURCE);
    ended(&a, "Succeeded", "");
    nothing_broke(&world, &a);
    assert_eq!(a["results"]["allowed"].as_array().unwrap().len(), TWINS);
    assert_eq!(fs::read(world.home().join("keys/cofferdam.key")).unwrap(), key);
    world.run(&["verify", &name(&world.runs()[0])]).ok();
}

#[test]
fn a_task_cannot_reach_another_that_runs_beside_it() {
    let world = with_source();
    let targets = serde_json::to_string(&targets(&world)).unwrap();
    let params = [("targets", targets.as_str()), ("rounds", "5")];
    let both = [line("a", "escape", &params, SOURCE), line("b", "escape", &params, SOURCE)];
    let pipeline = world.pipeline(&both.join("\n"));
    let run = run_whole(&world, &[&pipeline, "--jobs", "2"]);
    for name in ["a", "b"] {
        ended(task(&run, name), "Succeeded", "");
        nothing_broke(&world, task(&run, name));
    }
}

#[test]
fn an_input_cannot_be_changed_and_an_output_can() {
    let world = with_source();
    let before = contents(&world.project());
    let a = attack(&world, "overwrite", &[], SOURCE);
    ended(&a, "Succeeded", "");
    assert_eq!(a["results"]["breaches"], json!([]), "{a:#}");
    let allowed: Vec<&str> =
        a["results"]["allowed"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for twin in [
        "open with every flag",
        "open and truncate",
        "open and create",
        "create anew",
        "touch by name",
        "symlink",
        "unlink the link",
        "mkdir below a handle",
        "write at",
        "resize",
        "touch",
        "write through a stream",
        "append through a stream",
        "write",
        "create",
        "append",
        "open for both",
        "mkdir",
        "copy",
        "rename",
        "rmdir",
        "unlink",
        "remove_dir_all",
    ] {
        assert!(allowed.contains(&twin), "{twin} is denied where it should not be: {allowed:#?}");
    }
    // The pipeline was written in between, and nothing else.
    let after: Vec<_> =
        contents(&world.project()).into_iter().filter(|f| !f.0.ends_with("test.yaml")).collect();
    assert_eq!(after, before);
    world.run(&["verify", &name(&world.runs()[0])]).ok();
    // The input is still what it was for the next task, too.
    let again = attack(&world, "overwrite", &[], SOURCE);
    assert_eq!(again["inputs"][0]["digest"], a["inputs"][0]["digest"]);
}

#[test]
fn a_source_with_a_link_that_leads_out_is_refused_before_anything_runs() {
    for (target, at) in [
        ("/etc/passwd", "planted"),
        ("../secret.txt", "planted"),
        ("sub/../../secret.txt", "planted"),
        ("../../secret.txt", "sub/planted"),
        ("../..", "sub/planted"),
    ] {
        let world = with_source();
        fs::write(world.path("secret.txt"), "secret").unwrap();
        symlink(target, world.project().join(at)).unwrap();
        let pipeline = world.pipeline(&line("a", "escape", &[], SOURCE));
        let refused = world.run(&["run", &pipeline]).refused(1, "store/unsuitable-entry", at);
        assert!(refused.err.contains("could lead out"), "{refused:?}");
        assert!(world.runs().iter().all(|run| run["sealed"] == false), "something was run");
        let stored = contents(&world.home().join("store"));
        assert!(stored.iter().all(|(_, bytes)| bytes != b"secret"), "{target} was followed");
    }
}

#[test]
fn a_directory_that_became_a_link_is_not_followed() {
    for (target, at) in [("../outside", "conf"), ("../../outside", "a/conf")] {
        let world = with_source();
        world.write(&format!("{at}/passwd"), "tracked");
        world.commit("with a directory");
        // Git keeps the file in its index, and is told to say nothing of the link.
        world.write(".git/info/exclude", "conf\n");
        fs::create_dir(world.path("outside")).unwrap();
        fs::write(world.path("outside/passwd"), "secret").unwrap();
        fs::remove_dir_all(world.project().join(at)).unwrap();
        symlink(target, world.project().join(at)).unwrap();
        let pipeline = world.pipeline(&line("a", "escape", &[], SOURCE));
        let ran = world.run(&["run", &pipeline]);
        let stored = contents(&world.home().join("store"));
        assert!(stored.iter().all(|(_, bytes)| bytes != b"secret"), "it was followed: {ran:?}");
        ran.ok();
    }
}

#[test]
fn a_source_whose_names_command_the_terminal_is_refused_in_plain_text() {
    let world = with_source();
    symlink("/etc/passwd", world.project().join("\u{1b}[2J\u{202e}\nplanted")).unwrap();
    let pipeline = world.pipeline(&line("a", "escape", &[], SOURCE));
    let refused = world.run(&["run", &pipeline]).refused(1, "store/unsuitable-entry", "planted");
    assert!(!refused.err.contains(['\u{1b}', '\u{202e}']), "{refused:?}");
}

#[test]
fn a_link_that_leads_out_of_an_output_makes_it_no_artifact() {
    let world = world();
    for (target, at) in [
        ("..", "link"),
        ("../..", "a/link"),
        ("../../../../../../../../etc/passwd", "a/b/link"),
        ("a/../..", "link"),
        ("../../../../scratch", "a/link"),
    ] {
        let a = attack(&world, "links", &[("target", target), ("at", at)], "");
        ended(&a, "InvalidOutput", "its output `out` cannot be sealed");
        ended(&a, "InvalidOutput", at);
        assert_eq!(a["results"], json!({}));
        let stored = contents(&world.home().join("store"));
        assert!(stored.iter().all(|(_, bytes)| bytes != b"beside a link"), "something was sealed");
    }
    // A link to an absolute path cannot even be made.
    let a = attack(&world, "links", &[("target", "/etc/passwd"), ("at", "link")], "");
    assert_ne!(a["results"]["made"], "yes", "{a:#}");
    for (target, at) in
        [("file.txt", "link"), ("../file.txt", "a/link"), ("../..", "a/b/link"), ("gone", "link")]
    {
        let a = attack(&world, "links", &[("target", target), ("at", at)], "");
        ended(&a, "Succeeded", "");
        assert_eq!(a["results"]["made"], "yes", "{a:#}");
    }
}

#[test]
fn a_task_cannot_take_its_own_directories_away() {
    let world = world();
    let a = attack(&world, "uproot", &[], "");
    ended(&a, "Succeeded", "");
    assert_eq!(a["results"]["breaches"], json!([]), "{a:#}");
    assert_eq!(a["outputs"]["out"]["files"], 1);
}

#[test]
fn directories_deeper_than_any_path_end_the_task_and_not_the_run() {
    let world = world();
    for (levels, length, why) in [
        ("5000", "1", "more than 256 levels"),
        ("300", "100", "bytes in the path"),
        ("20", "250", "bytes in the path"),
    ] {
        let deep = [("root", "output"), ("levels", levels), ("length", length)];
        ended(&attack(&world, "deep", &deep, ""), "InvalidOutput", why);
    }
    let deep = [("root", "scratch"), ("levels", "5000"), ("length", "100")];
    let a = attack(&world, "deep", &deep, "");
    ended(&a, "Succeeded", "");
    assert_eq!(a["results"]["levels"], "5000");
    let fits = [("root", "output"), ("levels", "256"), ("length", "1")];
    ended(&attack(&world, "deep", &fits, ""), "Succeeded", "");
    world.run(&["verify", &name(&world.runs()[0])]).ok();
}

#[test]
fn names_that_mislead_are_kept_as_they_are_or_refused() {
    let world = world();
    let long = "x".repeat(255);
    let kept = [
        "e\u{301}",
        "\u{e9}",
        "A",
        "a",
        "\u{430}",
        "new\nline",
        "\u{202e}txt.exe",
        "\u{1b}[2J",
        "-rf *",
        " ",
        "a ",
        "NUL",
        "con.txt",
        "a:b",
        "a\\b",
        "..\\up",
        "...",
        "~",
        "\u{feff}",
        "\u{10ffff}",
        &long,
    ];
    let refused = [
        "x".repeat(256),
        "a/b".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "a\0b".to_owned(),
        String::new(),
    ];
    let names: Vec<&str> = kept.iter().copied().chain(refused.iter().map(String::as_str)).collect();
    let names = serde_json::to_string(&names).unwrap();
    let pipeline = world.pipeline(&line("a", "names", &[("names", &names)], ""));
    let run = run_whole(&world, &[&pipeline, "--outputs", "out"]);
    let a = task(&run, "a");
    ended(a, "Succeeded", "");
    assert_eq!(a["results"]["refused"], json!(refused));
    let found = contents(&world.project().join("out/a/out"));
    let mut expected: Vec<(String, Vec<u8>)> =
        kept.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
    expected.sort();
    assert_eq!(found, expected);
    world.run(&["verify", &name(&run)]).ok();
    let shown = world.run(&["show", &name(&run), "--color", "never"]).ok();
    assert!(!shown.out.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}

#[test]
fn nothing_is_written_to_an_output_after_it_was_hashed() {
    let world = world();
    for _ in 0..6 {
        let task = attack(&world, "lateness", &[], "");
        assert_eq!(task["status"], "Succeeded", "{task:#}");
        // Every write that was begun is in what was hashed.
        let tree = &task["outputs"]["out"];
        assert_eq!(tree["bytes"], 15 << 20, "{task:#}");
        let name = crate::harness::name(&world.runs()[0]);
        world.run(&["verify", &name]).ok();
    }
    let done: Vec<_> =
        world.runs().iter().map(|run| run["tasks"][0]["outputs"]["out"]["digest"].clone()).collect();
    assert!(done.windows(2).all(|pair| pair[0] == pair[1]), "{done:?}");
}
