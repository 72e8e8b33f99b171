//! The source of a run: a commit, a working copy, plain files.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::harness::{Task, World, task};

fn world() -> (World, String) {
    let world = World::with(&[Task::Test("stamp")]);
    let pipeline = world
        .pipeline("- { name: look, taskRef: { name: stamp }, inputs: [{ name: source, from: $(source) }] }");
    world.write("a.txt", "a");
    (world, pipeline)
}

fn listing(run: &Value) -> String {
    let listing = task(run, "look")["results"]["listing"].as_str().unwrap();
    listing.split(' ').map(|entry| entry.split('@').next().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_clean_checkout_is_its_commit_and_a_changed_one_is_not() {
    let (world, pipeline) = world();
    world.write(".gitignore", "ignored\n");
    world.commit("first");
    world.write("ignored", "x");
    let (_, clean) = world.run_json(&[&pipeline]);
    assert_eq!(clean["source"]["dirty"], false);
    assert_eq!(clean["source"]["branch"], "main");
    assert_eq!(listing(&clean), ".cofferdam .gitignore a.txt");

    // Neither time stamps nor modes of the working copy matter to a commit.
    fs::File::open(world.project().join("a.txt")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let (_, again) = world.run_json(&[&pipeline]);
    assert_eq!(again["source"], clean["source"]);

    world.write("new.txt", "x");
    let (_, dirty) = world.run_json(&[&pipeline]);
    assert_eq!(dirty["source"]["dirty"], true);
    assert_eq!(listing(&dirty), ".cofferdam .gitignore a.txt new.txt");
    let text = world.run(&["show"]).ok().out;
    assert!(text.contains("with changes that are not committed"), "{text}");

    fs::remove_file(world.project().join("a.txt")).unwrap();
    let (_, less) = world.run_json(&[&pipeline]);
    assert_eq!(listing(&less), ".cofferdam .gitignore new.txt");
    let (_, plain) = world.run_json(&[&pipeline, "--no-git"]);
    assert!(plain["source"].get("commit").is_none());
    assert!(listing(&plain).contains("ignored"));
}

#[test]
fn what_git_keeps_for_itself_is_never_part_of_the_source() {
    let (world, pipeline) = world();
    // A repository without a commit, and then one with, taken as plain files.
    let git =
        std::process::Command::new("git").args(["init", "--quiet"]).current_dir(world.project()).status();
    assert!(git.unwrap().success());
    let (_, run) = world.run_json(&[&pipeline]);
    assert_eq!(listing(&run), ".cofferdam a.txt");
    world.commit("first");
    let (_, run) = world.run_json(&[&pipeline, "--no-git"]);
    assert_eq!(listing(&run), ".cofferdam a.txt");
}

#[test]
fn a_commit_whose_objects_were_changed_is_never_claimed() {
    let (world, pipeline) = world();
    world.commit("first");
    world.run(&["run", &pipeline]).ok();
    let objects = world.project().join(".git/objects");
    let (mut changed, mut refused) = (0, 0);
    for shard in fs::read_dir(objects).unwrap() {
        for object in fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = object.unwrap().path();
            let sound = fs::read(&path).unwrap();
            // A valid object of another content: what an attacker would leave.
            let other = "x\u{9c}+\u{c9}\u{cf}OR0d\u{c8}\u{0}\u{0}";
            fs::remove_file(&path).unwrap();
            fs::write(&path, other.as_bytes()).unwrap();
            let ran = world.run(&["run", "--quiet", "--format", "json", &pipeline]);
            assert!(!ran.err.contains("panicked"), "{ran:?}");
            // Either there is no run, or one of a working copy.
            let run: Value = serde_json::from_str(&ran.out).unwrap_or_default();
            assert!(ran.status != 0 || run["source"]["dirty"] == true, "{}: {ran:?}", path.display());
            refused += usize::from(ran.status != 0);
            fs::write(&path, sound).unwrap();
            changed += 1;
        }
    }
    assert!(changed >= 4 && refused >= 2, "{changed} {refused}");
}

#[test]
fn a_source_that_reaches_out_is_refused_before_anything_runs() {
    let (world, pipeline) = world();
    symlink("/etc/passwd", world.project().join("link")).unwrap();
    world.run(&["run", &pipeline]).refused(1, "store/unsuitable-entry", "link");
    fs::remove_file(world.project().join("link")).unwrap();
    world.write("below/x", "");
    symlink("../../../etc", world.project().join("below/link")).unwrap();
    world.run(&["run", &pipeline]).refused(1, "store/unsuitable-entry", "below/link");
    assert!(world.runs().is_empty());
}

#[test]
fn credentials_in_a_remote_are_never_recorded() {
    let (world, pipeline) = world();
    world.commit("first");
    let config = world.project().join(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    let remote = "[remote \"origin\"]\n\turl = https://user:hunter2@git.example.test/a/b.git\n";
    fs::write(&config, text + remote).unwrap();
    world.run(&["run", &pipeline, "--attestations", "att"]).ok();
    let text = fs::read_to_string(world.project().join("att/run.sigstore.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement =
        String::from_utf8(base64::Engine::decode(&base64::prelude::BASE64_STANDARD, payload).unwrap())
            .unwrap();
    assert!(statement.contains("git+https://git.example.test/a/b.git"), "{statement}");
    assert!(!statement.contains("hunter2") && !statement.contains("user"), "{statement}");
}

#[test]
fn no_program_that_a_repository_names_is_run() {
    let (world, pipeline) = world();
    world.write(".gitattributes", "*.txt filter=evil\n");
    world.commit("first");
    let touched = world.path("touched");
    let command = format!("sh -c 'touch {}; cat'", touched.display());
    let config = world.project().join(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    let evil = format!(
        "[filter \"evil\"]\n\tclean = \"{command}\"\n\tsmudge = \"{command}\"\n\trequired = true\n[core]\n\tsshCommand = \"{command}\"\n"
    );
    fs::write(&config, text + &evil).unwrap();
    world.write("a.txt", "changed");
    world.write("b.txt", "new");
    world.run(&["run", &pipeline]).ok();
    world.commit("second");
    fs::remove_file(&touched).unwrap();
    world.run(&["run", &pipeline]).ok();
    assert!(!touched.exists(), "a filter was run on the host");
}

#[test]
fn a_repository_of_another_user_is_not_read() {
    let (world, pipeline) = world();
    world.commit("first");
    // Only root can give files away; whoever runs the tests otherwise owns all.
    let git = world.project().join(".git");
    if std::os::unix::fs::chown(&git, Some(65534), None).is_err() {
        return;
    }
    world.run(&["run", &pipeline]).refused(3, "source/git", "").says("--no-git");
    world.run(&["run", "--no-git", &pipeline]).ok();
    fs::write(git.join("config"), "[").unwrap();
    world.run(&["run", &pipeline]).refused(3, "source/git", "");
}

/// The statement of the newest run.
fn statement(world: &World) -> Value {
    let _ = fs::remove_dir_all(world.project().join("att"));
    world.run(&["show", "--attestations", "att"]).ok();
    let text = fs::read_to_string(world.project().join("att/run.sigstore.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    serde_json::from_slice(&base64::Engine::decode(&base64::prelude::BASE64_STANDARD, payload).unwrap())
        .unwrap()
}

#[test]
fn a_repository_is_claimed_only_for_a_pipeline_that_is_in_its_commit() {
    let (world, pipeline) = world();
    world.write(".gitignore", "/att/\n/hidden.yaml\n");
    world.commit("first");
    let config = world.project().join(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "[remote \"origin\"]\n\turl = https://git.example.test/a/b.git\n").unwrap();
    let workflow = |world: &World| {
        statement(world)["predicate"]["buildDefinition"]["externalParameters"]["workflow"].clone()
    };
    world.run(&["run", &pipeline]).ok();
    assert_eq!(workflow(&world)["repository"], "https://git.example.test/a/b.git");
    assert_eq!(workflow(&world)["path"], ".cofferdam/test.yaml");

    // The same commit, and a pipeline that it does not hold.
    let bytes = fs::read(world.project().join(&pipeline)).unwrap();
    world.write("hidden.yaml", bytes);
    world.run(&["run", "hidden.yaml"]).ok();
    assert_eq!(workflow(&world)["repository"], Value::Null);

    // One that git is told not to look at.
    let skip = ["update-index", "--skip-worktree", &pipeline];
    let status = std::process::Command::new("git").args(skip).current_dir(world.project()).status();
    assert!(status.unwrap().success());
    let text = fs::read_to_string(world.project().join(&pipeline)).unwrap();
    fs::write(world.project().join(&pipeline), format!("{text}# another\n")).unwrap();
    world.run(&["run", &pipeline]).ok();
    assert_eq!(workflow(&world)["repository"], Value::Null);

    // A file from elsewhere is named without the path of this machine.
    fs::copy(world.project().join("hidden.yaml"), world.path("elsewhere.yaml")).unwrap();
    let elsewhere = world.path("elsewhere.yaml").display().to_string();
    world.run(&["run", &elsewhere, "--source", "."]).ok();
    assert_eq!(workflow(&world)["path"], "elsewhere.yaml");
}
