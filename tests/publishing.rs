//! What somebody gets wrong who publishes: places that are none, versions that are
//! taken, keys that are none, what nobody else has; and what is no longer used.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::{Received, Task, TestRegistry, World, reply, task_file};

fn noop() -> String {
    task_file(Task::Test("noop")).display().to_string()
}

#[test]
fn what_is_no_layout_is_not_made_one_among_other_things() {
    let world = World::with(&[]);
    world.write("file.txt", "x");
    world.write("src/a.rs", "y");
    let publish = |to: &str| world.run(&["task", "publish", &noop(), "--to", to]);
    publish("oci:file.txt").refused(2, "usage/invalid", "file.txt is a file, and no layout");
    publish("oci:src")
        .refused(2, "usage/invalid", "src is a directory with other things in it")
        .says("--to oci:");
    assert_eq!(fs::read_dir(world.project().join("src")).unwrap().count(), 1);
    // One that is empty, one that is not there, one that is a layout, with things beside.
    fs::create_dir(world.project().join("empty")).unwrap();
    publish("oci:empty").ok();
    publish("oci:a/new/one").ok();
    world.write("empty/README.md", "mine");
    publish("oci:empty").ok();
}

#[test]
fn a_version_that_is_taken_is_replaced_only_where_that_is_said() {
    let registry = TestRegistry::plain();
    let world = World::with(&[]);
    let built = |description: &str| {
        let manifest = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {{ name: noop, version: 0.1.0, description: \
             {description} }}\nspec: {{}}\n"
        );
        world.write(&format!("{description}/task.yaml"), manifest);
        let file = format!("{description}.wasm");
        world.run(&["task", "build", description, "--component", &noop(), "--output", &file]).ok();
        file
    };
    let (one, two) = (built("one"), built("two"));
    for to in [format!("{}/team", registry.host()), "oci:layout".to_owned()] {
        let publish =
            |file: &str, more: &[&str]| world.run(&[&["task", "publish", file, "--to", &to], more].concat());
        let json = |file: &str, more: &[&str]| -> Value {
            serde_json::from_str(&publish(file, &[&["--format", "json"], more].concat()).ok().out).unwrap()
        };
        let first = json(&one, &[]);
        // The same bytes again are nothing to speak of, also with a signature.
        for more in [&[][..], &["--sign"]] {
            assert_eq!(json(&one, more)["replaces"], Value::Null);
        }
        let refused = publish(&two, &[]).refused(3, "registry/version-taken", "noop:0.1.0");
        refused.says(first["digest"].as_str().unwrap()).says("--replace");
        // Nothing has changed by that.
        let listed = world.run(&["task", "inspect", &format!("{}:0.1.0", name(&to))]).ok();
        assert!(listed.out.contains("one") && !listed.out.contains("two"), "{listed:?}");
        assert_eq!(json(&two, &["--replace"])["replaces"], first["digest"]);
    }
    // On this machine alone one tries again and again.
    for file in [&one, &two] {
        world.run(&["task", "publish", file]).ok();
    }
}

/// What stands under a version is looked for once more when all is sent: it may
/// have come meanwhile, and who may write may not be allowed to look.
#[test]
fn a_version_that_comes_meanwhile_or_cannot_be_seen_is_not_replaced() {
    let world = World::with(&[]);
    world.run(&["key", "generate", "--output", "own.key"]).ok();
    let is_tag = |received: &Received| received.target.ends_with("/manifests/0.1.0");
    for (status, code) in [(200, "registry/version-taken"), (403, "registry/unauthorized")] {
        let registry = TestRegistry::plain();
        let to = format!("{}/team", registry.host());
        world.run(&["task", "publish", &noop(), "--to", &to]).ok();
        let (before, looks) = (registry.manifest("team/noop", "0.1.0"), AtomicUsize::new(0));
        registry.fails(move |received, out| {
            if is_tag(received) && received.method != "PUT" {
                match (status, looks.fetch_add(1, Ordering::SeqCst)) {
                    (200, 0) => reply(out, 404, &[], b"").map(|()| true),
                    (200, _) => Ok(false),
                    (status, _) => reply(out, status, &[], b"").map(|()| true),
                }
            } else {
                Ok(false)
            }
        });
        let file = task_file(Task::Test("echo")).display().to_string();
        world.write("other/task.yaml", OTHER);
        world.run(&["task", "build", "other", "--component", &file, "--output", "other.wasm"]).ok();
        for more in [&[][..], &["--key", "own.key"]] {
            let publish = [&["task", "publish", "other.wasm", "--to", &to], more].concat();
            world.run(&publish).refused(3, code, "0.1.0");
            assert_eq!(registry.manifest("team/noop", "0.1.0"), before, "{code}");
        }
    }
}

const OTHER: &str = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: noop, version: 0.1.0 }\nspec:\n  \
                     params: [{ name: text }]\n";

/// The task at a place that `--to` names.
fn name(to: &str) -> String {
    if to.starts_with("oci:") { format!("{to}:noop") } else { format!("{to}/noop") }
}

#[test]
fn a_pipeline_for_others_names_no_task_by_its_name_alone() {
    let world = World::with(&[Task::Test("noop")]);
    let text = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: build }\nspec:\n  tasks: [{ name: a, \
                pipelineSpec: { tasks: [{ name: b, taskRef: { name: noop } }] } }]\n";
    let file = world.write("build.yaml", text).display().to_string();
    let publish =
        |more: &[&str]| world.run(&[&["pipeline", "publish", &file, "--version", "1.0.0"], more].concat());
    publish(&["--to", "oci:layout"])
        .refused(3, "pipeline/not-whole", "by name alone, which each machine has for itself: noop")
        .says("bundle: HOST/PATH/NAME:TAG");
    publish(&["--to", "oci:layout", "--tasks-by-name"]).ok();
    publish(&[]).ok();
}

#[test]
fn a_file_that_is_no_key_is_said_to_be_none() {
    let world = World::with(&[]);
    world.write("file.txt", "x");
    world.run(&["key", "generate", "--output", "own.key"]).ok();
    let sign = |key: &str| world.run(&["task", "publish", &noop(), "--key", key]);
    for (key, why) in
        [("file.txt", "it is no PEM"), ("own.pub", "the public half"), (".", "not a plain file")]
    {
        sign(key).refused(3, "key/invalid", why).says("cofferdam key generate --output FILE");
    }
    sign("own.key").ok();
}

#[test]
fn what_no_pipeline_names_any_more_is_neither_pinned_nor_kept() {
    let registry = TestRegistry::plain();
    let world = World::with(&[]);
    let to = format!("{}/team", registry.host());
    for task in ["noop", "echo"] {
        let file = task_file(Task::Test(task)).display().to_string();
        world.run(&["task", "publish", &file, "--to", &to]).ok();
    }
    let pipeline = |name: &str, task: &str| {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: {name} }}\nspec:\n  params: [{{ name: text, \
             default: x }}]\n  tasks: [{{ name: a, taskRef: {{ bundle: '{to}/{task}:0.1.0' }}{} }}]\n",
            if task == "echo" { ", params: [{ name: text, value: $(params.text) }]" } else { "" },
        );
        world.write(&format!(".cofferdam/{name}.yaml"), text)
    };
    pipeline("one", "noop");
    let two = pipeline("two", "echo");
    world.run(&["vendor"]).ok();
    let lock = || fs::read_to_string(world.project().join(".cofferdam/lock.yaml")).unwrap();
    let vendored = || fs::read_to_string(world.project().join(".cofferdam/vendor/index.json")).unwrap();
    assert!(lock().contains("team/noop") && lock().contains("team/echo"));
    fs::remove_file(two).unwrap();
    // Only where it is asked for: another branch may still name it.
    world.run(&["lock"]).ok();
    world.run(&["vendor"]).ok();
    assert!(lock().contains("team/echo"));
    let pruned = world.run(&["vendor", "--prune"]).ok();
    assert!(
        pruned.out.contains("removed, since no pipeline here names it: ")
            && pruned.out.contains("/echo:0.1.0@sha256:"),
        "{pruned:?}"
    );
    let pruned = world.run(&["lock", "--prune"]).ok();
    assert!(pruned.out.contains(&format!("no pipeline here names it: {to}/echo:0.1.0\n")), "{pruned:?}");
    assert!(lock().contains("team/noop") && !lock().contains("team/echo"));
    assert!(vendored().contains("noop") && !vendored().contains("echo"), "{}", vendored());
    // What is pinned in the same breath is named.
    let before = lock();
    fs::remove_file(world.project().join(".cofferdam/lock.yaml")).unwrap();
    for more in [&[][..], &["--update"]] {
        let again = world.run(&[&["lock", "--prune"], more].concat()).ok();
        assert!(!again.out.contains("removed"), "{again:?}");
        assert_eq!(lock(), before);
    }
    // What is left is enough.
    drop(registry);
    world.run(&["plan", "--locked", ".cofferdam/one.yaml"]).ok();
    let files: Vec<_> = fs::read_dir(world.project().join(".cofferdam"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
}
