//! What is told of tasks in registries over HTTP without their code: the versions
//! of one, and what a repository pins a tag to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Task, TestRegistry, World, task_file};
use crate::registry_http::parties;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn json_of(world: &World, args: &[&str], status: i32) -> Value {
    let done = world.run(&[args, &["--format", "json"]].concat());
    assert_eq!(done.status, status, "{done:?}");
    serde_json::from_str(&done.out).unwrap()
}

#[test]
fn every_version_of_a_task_is_listed_without_its_code() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (publisher, user, _) = parties(&host, "latest");
    let repository = format!("{host}/team/noop");
    let manifest = registry.manifest("team/noop", "0.1.0");
    let code = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    // Somebody else's, which nobody signed, and something that is no task.
    let mut other = manifest.clone();
    other["annotations"]["moved"] = "yes".into();
    let unsigned = registry.put("team/noop", "next", MANIFEST, &other);
    registry.put(
        "team/noop",
        "image",
        "application/vnd.oci.image.index.v1+json",
        &json!({ "manifests": [] }),
    );
    let before = registry.server.received().len();
    let list = json_of(&user, &["task", "list", &repository], 1);
    let tasks = list["tasks"].as_array().unwrap();
    let of = |name: &str| {
        let mut found = tasks.iter().filter(|task| task["names"].as_array().unwrap().contains(&json!(name)));
        found.next().unwrap_or_else(|| panic!("no {name} in {list:#}")).clone()
    };
    let signed = of("noop:0.1.0");
    assert_eq!(signed["names"], json!(["noop:0.1.0", "noop:latest"]));
    assert_eq!((&signed["version"], &signed["trust"]["verdict"]), (&json!("0.1.0"), &json!("trusted")));
    assert_eq!((&signed["trust"]["rule"], &signed["component"]), (&json!("publisher"), &json!(code)));
    let next = of("noop:next");
    assert_eq!((&next["digest"], &next["trust"]["verdict"]), (&json!(unsigned), &json!("untrusted")));
    let image = of("noop:image");
    assert!(image["problem"].is_string() && image["trust"].is_null(), "{image:#}");
    assert_eq!(tasks.len(), 3);
    let asked = registry.server.received().split_off(before);
    assert!(
        !asked.is_empty() && !asked.iter().any(|received| received.target.contains(&code)),
        "the code was pulled"
    );
    // What the list says of a task is what `inspect` says.
    let inspected = json_of(&user, &["task", "inspect", &format!("{repository}:0.1.0")], 0);
    assert_eq!(
        (&inspected["digest"], &inspected["task"], &inspected["trust"]),
        (&signed["digest"], &signed["reference"], &signed["trust"])
    );
    let text = user.run(&["task", "list", &repository]);
    for words in ["noop:0.1.0\n", "also      noop:latest", "rule `publisher`", "not trusted: ", "problem  "] {
        assert!(text.out.contains(words), "no {words:?} in {text:?}");
    }
    // A pipeline is listed as one.
    publisher.write("p.yaml", format!("apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: build }}\nspec:\n  tasks: [{{ name: a, taskRef: {{ bundle: '{repository}:0.1.0' }} }}]\n"));
    publisher
        .run(&["pipeline", "publish", "p.yaml", "--version", "1.0.0", "--to", &format!("{host}/team")])
        .ok();
    let list = json_of(&user, &["task", "list", &format!("{host}/team/build")], 0);
    assert!(list["tasks"].as_array().unwrap().is_empty(), "{list:#}");
    assert!(list["pipelines"].to_string().contains("build:latest"), "{list:#}");
    user.run(&["task", "list", &format!("{host}/team/none")]).refused(
        3,
        "registry/no-such-name",
        "team/none",
    );
}

#[test]
fn a_list_tells_what_tags_stand_for_now_and_a_look_what_is_pinned() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (_, user, pipeline) = parties(&host, "latest");
    let reference = format!("{host}/team/noop:latest");
    let looks = |status: i32| {
        [
            json_of(&user, &["task", "inspect", &reference], 0),
            json_of(&user, &["trust", "explain", &reference], status),
        ]
    };
    // Nothing is pinned yet.
    let [before, explained] = looks(0);
    assert!(before["pinned"].is_null() && explained["pinned"].is_null(), "{before:#}{explained:#}");
    user.run(&["lock", &pipeline]).ok();
    let digest = before["digest"].clone();
    for look in looks(0) {
        assert_eq!((&look["pinned"]["digest"], &look["pinned"]["now"]), (&digest, &digest), "{look:#}");
        assert!(look["pinned"]["file"].as_str().unwrap().ends_with(".cofferdam/lock.yaml"), "{look:#}");
    }
    let says = |words: &str| {
        for args in [["task", "inspect", &reference], ["trust", "explain", &reference]] {
            let text = user.run(&args).ok().out;
            assert!(text.contains(&format!("pinned    to {} in ", digest.as_str().unwrap())), "{text}");
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    };
    says("the tag stands for the same now");
    // The tag moves: what is pinned is what is shown, and it is said.
    let mut moved = registry.manifest("team/noop", "latest");
    moved["annotations"]["moved"] = "yes".into();
    let now = registry.put("team/noop", "latest", MANIFEST, &moved);
    for look in looks(0) {
        assert_eq!((&look["digest"], &look["pinned"]["now"]), (&digest, &json!(now)), "{look:#}");
    }
    says(&format!("the tag stands for another now, {now}; to take that: cofferdam lock --update"));
    let list = json_of(&user, &["task", "list", &format!("{host}/team/noop")], 0);
    assert!(list.to_string().contains(&now), "{list:#}");
    // Whoever writes a digest, or another tag, has no pin.
    for other in [format!("{host}/team/noop:0.1.0"), format!("{reference}@{}", digest.as_str().unwrap())] {
        assert!(json_of(&user, &["task", "inspect", &other], 0)["pinned"].is_null());
    }
    // Without the registry, that much is known.
    drop(registry);
    says("what the tag stands for now is not known: ");
}

/// Every file below a directory, with its mode.
fn files(directory: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), mode));
        }
    }
    found
}

#[test]
fn what_is_vendored_is_a_layout_and_nothing_else() {
    let registry = TestRegistry::plain();
    let (_, user, _) = parties(&registry.host(), "latest");
    for more in [&[][..], &["--prune"]] {
        user.run(&[&["vendor"], more].concat()).ok();
        let found = files(&user.project().join(".cofferdam/vendor"));
        let is_blob = |name: &str| name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
        let others: Vec<&str> =
            found.iter().map(|(name, _)| name.as_str()).filter(|name| !is_blob(name)).collect();
        assert!(
            others.len() == 2 && others.contains(&"oci-layout") && others.contains(&"index.json"),
            "{others:?}"
        );
        // Whoever checks the repository out reads all of it.
        assert!(found.iter().all(|(_, mode)| mode & 0o044 == 0o044), "{found:?}");
    }
}

#[test]
fn writers_of_one_layout_wait_for_each_other() {
    let world = World::with(&[]);
    let tasks = ["noop", "echo", "slow", "stamp"].map(|name| task_file(Task::Test(name)));
    let publish = |file: &Path| {
        world.command(&["task", "publish", file.to_str().unwrap(), "--to", "oci:shared"]).spawn().unwrap()
    };
    let children: Vec<_> = tasks.iter().chain(&tasks).map(|file| publish(file)).collect();
    assert!(children.into_iter().all(|mut child| child.wait().unwrap().success()));
    let list = json_of(&world, &["task", "list", "oci:shared"], 0);
    assert_eq!(list["tasks"].as_array().unwrap().len(), tasks.len(), "{list:#}");
}
