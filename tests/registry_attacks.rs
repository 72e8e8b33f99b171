//! Registries, key files and references made to mislead: a rule that names a
//! task holds however the task is written, and nothing unverified is repeated.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::{BUNDLE_TYPE, Digest};
use serde_json::{Value, json};

use crate::harness::{Done, Task, World, done, task_file};

const ECHO: &[Task] = &[Task::Test("echo")];
const BOAST: &str = "REDHAT-RELEASE-KEY-2 (verified by Fulcio)";

/// Runs the program, which must be done long before the timeout.
fn promptly(world: &World, args: &[&str]) -> Done {
    let command = world.command(args);
    let mut limited = Command::new("timeout");
    limited.arg("30").arg(command.get_program()).args(args).current_dir(world.project()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    let ended = done(&mut limited);
    assert_ne!(ended.status, 124, "it hung: {ended:?}");
    ended
}

fn use_task(world: &World, task: &str) -> String {
    world.pipeline(&format!("- {{ name: a, taskRef: {{ {task} }} }}"))
}

fn deny(world: &World, pattern: &str) {
    let file = world.home().join("trust.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let allowed = text.split("  deny:").next().unwrap();
    let rule = format!("  deny:\n    withdrawn: [{{ pattern: '{pattern}', message: it leaks }}]\n");
    fs::write(&file, format!("{allowed}{rule}")).unwrap();
}

/// Rewrites the index of the embedded registry.
fn change_index(world: &World, change: impl FnOnce(&mut Vec<Value>)) {
    let path = world.home().join("registry/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(index["manifests"].as_array_mut().unwrap());
    fs::write(&path, index.to_string()).unwrap();
}

fn put(world: &World, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::of(bytes);
    fs::write(world.home().join("registry/blobs/sha256").join(digest.to_hex()), bytes).unwrap();
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// Attaches bytes to `echo` as if they were a signature, without the program.
fn attach(world: &World, bundle: &[u8]) {
    let layer = put(world, BUNDLE_TYPE, bundle);
    let config = put(world, "application/vnd.oci.empty.v1+json", b"{}");
    change_index(world, |entries| {
        let subject = entries.iter().find(|entry| entry["annotations"].is_object()).unwrap();
        let manifest = json!({
            "schemaVersion": 2, "artifactType": BUNDLE_TYPE, "config": config, "layers": [layer],
            "subject": {
                "mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"],
            },
        });
        let mut entry =
            put(world, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        entry["artifactType"] = BUNDLE_TYPE.into();
        entries.push(entry);
    });
}

/// Takes the signature of `echo` out of the registry.
fn detach(world: &World) -> Value {
    let blobs = world.home_files("registry/blobs/").into_iter();
    let mut texts = blobs.filter_map(|blob| fs::read_to_string(blob).ok());
    let bundle = texts.find(|text| text.contains("dsseEnvelope")).unwrap();
    change_index(world, |entries| entries.retain(|entry| entry["artifactType"].is_null()));
    serde_json::from_str(&bundle).unwrap()
}

/// A signature of `echo` whose key is not the trusted one, with this hint.
fn foreign(world: &World, hint: &str) {
    let mut bundle = detach(world);
    bundle["verificationMaterial"]["publicKey"]["hint"] = hint.into();
    world.run(&["key", "generate", "--output", "other.key"]).ok();
    fs::copy(world.project().join("other.pub"), world.home().join("keys/cofferdam.pub")).unwrap();
    attach(world, bundle.to_string().as_bytes());
}

/// What is signed in the attestations below a directory.
fn signed(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let bundle: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        all += &String::from_utf8(payload).unwrap();
    }
    all
}

#[test]
fn what_a_signature_says_of_its_key_is_never_repeated_as_a_fact() {
    let world = World::with(ECHO);
    foreign(&world, BOAST);
    let pipeline = use_task(&world, "name: echo");
    for args in [
        &["plan", &pipeline][..],
        &["plan", "--format", "json", &pipeline],
        &["task", "inspect", "echo"],
        &["task", "inspect", "echo", "--format", "json"],
        &["run", &pipeline, "--require-trusted"],
        &["run", &pipeline, "--attestations", "att"],
        &["show"],
    ] {
        let said = world.run(args);
        assert!(!(said.out + &said.err).contains("REDHAT"), "{args:?}");
    }
    let refused = world.run(&["run", &pipeline, "--require-trusted"]);
    refused.refused(4, "trust/not-trusted", "6:18").says("it names no key");
    let statement = signed(&world.project().join("att"));
    assert!(statement.contains("wrongKey") && !statement.contains("REDHAT"), "{statement}");
    let journal = world.home_files("state.db");
    assert!(journal.iter().all(|file| !String::from_utf8_lossy(&fs::read(file).unwrap()).contains("REDHAT")));
}

#[test]
fn a_key_that_is_only_named_is_told_to_people_and_not_signed() {
    let world = World::with(ECHO);
    let own = world.home().join("keys/cofferdam.pub");
    fs::copy(&own, world.project().join("own.pub")).unwrap();
    let name = STANDARD.encode([7; 32]);
    foreign(&world, &name);
    let pipeline = use_task(&world, "name: echo");
    let refused = world.run(&["run", &pipeline, "--require-trusted"]);
    refused
        .refused(4, "trust/not-trusted", "6:18")
        .says(&format!("it names key {name}, which the rule `local` does not name"));
    world.run(&["run", &pipeline, "--attestations", "att"]).ok();
    let statement = signed(&world.project().join("att"));
    assert!(statement.contains("wrongKey") && !statement.contains(&name), "{statement}");
    // The journal says the same as what was signed.
    world.run(&["verify", "--key", "own.pub"]).ok();
}

#[test]
fn a_deny_rule_holds_under_every_spelling() {
    let world = World::with(ECHO);
    deny(&world, "oci://cofferdam.local/echo:0.1.*");
    let registry = world.home().join("registry");
    let registry = registry.display();
    symlink(world.home().join("registry"), world.path("link")).unwrap();
    fs::copy(task_file(ECHO[0]), world.project().join(".cofferdam/file.wasm")).unwrap();
    let (link, copy) = (world.path("link"), world.path("copy"));
    let copied = Command::new("cp").arg("-a").arg(world.home().join("registry")).arg(&copy).status();
    assert!(copied.unwrap().success());
    for task in [
        "name: echo".to_owned(),
        format!("bundle: 'oci:{registry}:echo:0.1.0'"),
        format!("bundle: 'oci:/{registry}/./:echo:latest'").replace("//", "/"),
        format!("bundle: 'oci:{registry}/../registry:echo:0.1.0'"),
        "bundle: 'oci:../../home/registry:echo:0.1.0'".to_owned(),
        format!("bundle: 'oci:{}:echo:0.1.0'", link.display()),
        format!("bundle: 'oci:{}:echo:0.1.0'", copy.display()),
        "bundle: 'oci://cofferdam.local/echo:0.1.0'".to_owned(),
        "bundle: 'oci://cofferdam.local/echo'".to_owned(),
        "component: file.wasm".to_owned(),
    ] {
        let pipeline = use_task(&world, &task);
        let refused = world.run(&["run", &pipeline]);
        assert_eq!(refused.status, 4, "{task}: {refused:?}");
        refused.refused(4, "trust/denied", "6:18").says("`withdrawn` denies it: it leaks");
    }
    deny(&world, &format!("oci:{}:*", copy.display()));
    symlink(&copy, world.path("other")).unwrap();
    let pipeline = use_task(&world, &format!("bundle: 'oci:{}:echo:0.1.0'", world.path("other").display()));
    world.run(&["run", &pipeline]).refused(4, "trust/denied", "6:18");
}

#[test]
fn a_version_is_a_tag_and_no_other_reference() {
    let world = World::with(ECHO);
    deny(&world, "oci://cofferdam.local/echo:*");
    let registry = world.home().join("registry");
    for version in [format!("{}:echo:0.1.0", registry.display()), "0.1.0@sha256:00".to_owned()] {
        let pipeline = use_task(&world, &format!("name: oci, version: '{version}'"));
        world.run(&["run", &pipeline]).refused(3, "registry/invalid-reference", "6:18").says("a tag has");
    }
}

#[test]
fn the_embedded_registry_is_the_same_by_its_path_and_by_its_host() {
    let world = World::with(ECHO);
    let by_path = format!("oci:{}:echo:0.1.0", world.home().join("registry").display());
    for reference in [&by_path, "oci://cofferdam.local/echo:0.1.0"] {
        let pipeline = use_task(&world, &format!("bundle: '{reference}'"));
        world.run(&["run", "--require-trusted", &pipeline]).ok();
        let inspected = world.run(&["task", "inspect", reference]).ok().out;
        assert!(inspected.contains("cofferdam.local/echo:0.1.0@sha256:"), "{inspected}");
    }
    for reference in ["oci://cofferdam.local:443/echo:0.1.0", "oci:///srv/registry:echo:0.1.0"] {
        let pipeline = use_task(&world, &format!("bundle: '{reference}'"));
        world.run(&["run", &pipeline]).refused(3, "registry/invalid-reference", "6:18");
    }
    let file = task_file(ECHO[0]).display().to_string();
    let to = world.run(&["task", "publish", &file, "--to", "oci://cofferdam.local/x"]);
    to.refused(2, "usage/invalid", "").says("--to HOST/PATH");
}

#[test]
fn a_deny_rule_can_name_a_digest() {
    let world = World::with(ECHO);
    let inspected = world.run(&["task", "inspect", "echo", "--format", "json"]).ok().out;
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    fs::copy(task_file(ECHO[0]), world.project().join(".cofferdam/file.wasm")).unwrap();
    let (manifest, component) = (inspected["digest"].as_str(), inspected["component"].as_str());
    let (manifest, component) = (manifest.unwrap(), component.unwrap());
    for (pattern, task, denied) in [
        (manifest.to_owned(), "name: echo", true),
        (format!("*@{manifest}"), "name: echo", true),
        (format!("oci://cofferdam.local/echo:*@{manifest}"), "name: echo", true),
        (component.to_owned(), "name: echo", true),
        (component.to_owned(), "component: file.wasm", true),
        (format!("*@{component}"), "component: file.wasm", true),
        (manifest.to_owned(), "component: file.wasm", false),
        (Digest::of(b"other").to_string(), "name: echo", false),
    ] {
        deny(&world, &pattern);
        let pipeline = use_task(&world, task);
        let ran = world.run(&["run", &pipeline]);
        assert_eq!(ran.status, if denied { 4 } else { 0 }, "{pattern} {task}: {ran:?}");
    }
}

#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let world = World::with(ECHO);
    let fifo = world.project().join(".cofferdam/fifo.wasm");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let fifo = fifo.display().to_string();
    for component in ["/dev/zero", &fifo, "."] {
        let pipeline = use_task(&world, &format!("component: '{component}'"));
        promptly(&world, &["run", &pipeline])
            .refused(3, "plan/unreadable-component", "6:18")
            .says("not a plain file");
    }
    for args in [&["task", "inspect", &fifo][..], &["task", "publish", &fifo], &["setup", &fifo]] {
        promptly(&world, args).refused(3, "io/unreadable", "").says("not a plain file");
    }
    world.write("t/task.yaml", "");
    fs::remove_file(world.project().join("t/task.yaml")).unwrap();
    symlink(&fifo, world.project().join("t/task.yaml")).unwrap();
    promptly(&world, &["task", "build", "t"]).refused(3, "io/unreadable", "task.yaml");
}

#[test]
fn a_registry_of_pipes_and_devices_is_refused_at_once() {
    let registry = |replaced: &str, with: &str| {
        let world = World::with(ECHO);
        let mut path = world.home().join("registry").join(replaced);
        if path.is_dir() {
            // The largest blob is the component.
            let blobs = world.home_files("registry/blobs/").into_iter();
            path = blobs.max_by_key(|blob| fs::metadata(blob).unwrap().len()).unwrap();
        }
        fs::remove_file(&path).unwrap();
        match with {
            "fifo" => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            target => symlink(target, &path).unwrap(),
        }
        let pipeline = use_task(&world, "name: echo");
        promptly(&world, &["run", &pipeline]).refused(3, "registry/corrupt-layout", "6:18");
    };
    for replaced in ["oci-layout", "index.json", "blobs"] {
        registry(replaced, "fifo");
        registry(replaced, "/dev/zero");
    }
}

#[test]
fn a_damaged_signature_hides_no_sound_one() {
    let world = World::with(ECHO);
    let pipeline = use_task(&world, "name: echo");
    attach(&world, b"no bundle at all");
    attach(&world, &vec![b' '; (1 << 20) + 1]);
    change_index(&world, |entries| {
        let mut lost = entries.last().unwrap().clone();
        lost["digest"] = Digest::of(b"lost").to_string().into();
        // Whatever comes first must not decide.
        entries.insert(0, lost);
        entries.reverse();
    });
    world.run(&["run", "--require-trusted", &pipeline]).ok();
    world.run(&["task", "inspect", "echo"]).ok();
    let bundle = detach(&world);
    attach(&world, bundle.to_string().as_bytes());
    world.run(&["run", "--require-trusted", &pipeline]).ok();
    let layer = Digest::of(bundle.to_string().as_bytes()).to_hex();
    fs::write(world.home().join("registry/blobs/sha256").join(layer), "changed").unwrap();
    world
        .run(&["run", "--require-trusted", &pipeline])
        .refused(4, "trust/not-trusted", "6:18")
        .says("the signature the rule `local` wants does not hold");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_setup_that_was_killed_is_repaired_by_the_next() {
    let world = World::with(ECHO);
    let pipeline = use_task(&world, "name: echo");
    let public = world.home().join("keys/cofferdam.pub");
    let before = fs::read(&public).unwrap();
    fs::remove_file(&public).unwrap();
    world.run(&["setup"]).ok();
    assert_eq!(fs::read(&public).unwrap(), before);
    world.run(&["run", "--require-trusted", &pipeline]).ok();

    let private = world.home().join("keys/cofferdam.key");
    for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA"] {
        fs::write(&private, broken).unwrap();
        for args in [&["setup"][..], &["run", &pipeline]] {
            let file = private.display().to_string();
            world.run(args).refused(3, "key/invalid", "").says(&format!("move {file} away"));
        }
    }
    fs::remove_file(&private).unwrap();
    // The public half of a key that is gone still says whom to trust.
    world.run(&["setup"]).refused(3, "key/exists", "cofferdam.pub");
    assert!(!private.exists() && fs::read(&public).unwrap() == before);
}

#[test]
fn whenever_a_setup_is_killed_the_next_completes_it() {
    let world = World::empty();
    for attempt in 0..40_u32 {
        let mut setup =
            world.command(&["setup"]).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(250) * attempt);
        setup.kill().unwrap();
        setup.wait().unwrap();
        let key = world.home().join("keys/cofferdam.key");
        assert!(!key.exists() || fs::metadata(&key).unwrap().len() > 0, "half a key after {attempt}");
        world.run(&["setup"]).ok();
        let private = fs::read_to_string(&key).unwrap();
        assert!(private.trim_end().ends_with("-----END PRIVATE KEY-----"));
        assert!(fs::metadata(world.home().join("keys/cofferdam.pub")).unwrap().len() > 0);
        fs::remove_dir_all(world.home()).unwrap();
    }
}

#[test]
fn keys_are_made_where_nobody_else_looks() {
    let world = World::with(&[]);
    assert_eq!(mode(&world.home()), 0o700);
    assert_eq!(mode(&world.home().join("keys")), 0o700);
    assert_eq!(mode(&world.home().join("keys/cofferdam.key")), 0o600);
    let left = fs::read_dir(world.home().join("keys")).unwrap().count();
    assert_eq!(left, 2, "a temporary file was left");
    world.run(&["key", "generate", "--output", "x.pub"]).refused(3, "key/invalid", "x.pub");
}
