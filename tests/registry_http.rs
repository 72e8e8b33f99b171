//! Tasks go to a real registry and come from it: published, logged in, pinned,
//! pulled, trusted by signature, vendored, and run when the registry is gone.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{
    Authority, DebianRegistry, Done, Task, TestRegistry, World, done, reply, task, task_file,
};

/// A user who has published the task `noop` below `HOST/team`, signed.
pub(crate) fn publisher(host: &str) -> World {
    let world = World::with(&[]);
    let file = task_file(Task::Test("noop"));
    world.run(&["task", "publish", file.to_str().unwrap(), "--to", &format!("{host}/team"), "--sign"]).ok();
    world
}

/// Makes one user trust what another signs below `HOST/team`.
pub(crate) fn trusts(world: &World, publisher: &World, host: &str) {
    fs::copy(publisher.home().join("keys/cofferdam.pub"), world.home().join("keys/publisher.pub")).unwrap();
    let rule = format!(
        "    publisher:\n      - pattern: oci://{host}/team/*\n        signing_key: keys/publisher.pub\n"
    );
    let file = world.home().join("trust.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, text + &rule).unwrap();
}

/// A publisher, a user who trusts what it signs, and the user's pipeline with
/// the task under a tag.
pub(crate) fn parties(host: &str, tag: &str) -> (World, World, String) {
    let (publisher, user) = (publisher(host), World::with(&[]));
    trusts(&user, &publisher, host);
    let pipeline = pipeline(&user, &format!("{host}/team/noop:{tag}"));
    (publisher, user, pipeline)
}

/// A pipeline of one task of a registry.
pub(crate) fn pipeline(world: &World, reference: &str) -> String {
    world.pipeline(&format!("- name: noop\n  taskRef: {{ bundle: {reference:?} }}\n"))
}

fn login(world: &World, host: &str, password: &str) -> Done {
    let mut command = world.command(&["login", host, "--username", "user"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn lock(world: &World) -> String {
    fs::read_to_string(world.project().join(".cofferdam/lock.yaml")).unwrap_or_default()
}

#[test]
fn a_task_is_published_to_a_registry_with_a_login_and_run_from_there() {
    let authority = Authority::new();
    let registry = DebianRegistry::guarded(&authority);
    let host = registry.host();
    let publisher = World::with(&[]);
    authority.trusted_by(&publisher, &[]);
    let file = task_file(Task::Test("noop"));
    let to = format!("{host}/team");
    let publish = ["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"];
    publisher
        .run(&publish)
        .refused(3, "registry/unauthorized", &host)
        .says(&format!("cofferdam login {host}"));
    let path = format!("{host}/team");
    login(&publisher, &path, "password").refused(2, "usage/invalid", &path).says(&format!("write {host}"));
    login(&publisher, &host, "wrong").refused(3, "registry/unauthorized", &host);
    assert!(publisher.home_files("auth.json").is_empty());
    login(&publisher, &host, "password").ok();
    publisher.run(&publish).ok();

    let user = World::with(&[]);
    authority.trusted_by(&user, &[]);
    trusts(&user, &publisher, &host);
    let pipeline = pipeline(&user, &format!("{host}/team/noop:0.1.0"));
    user.run(&["run", &pipeline]).refused(3, "registry/unauthorized", ".cofferdam/test.yaml:");
    // What docker keeps is enough.
    let docker = user.path("docker");
    fs::create_dir(&docker).unwrap();
    fs::write(docker.join("config.json"), fs::read(publisher.home().join("auth.json")).unwrap()).unwrap();
    let mut command = user.command(&["run", "--quiet", "--format", "json", "--require-trusted", &pipeline]);
    let run: Value = serde_json::from_str(&done(command.env("DOCKER_CONFIG", &docker)).ok().out).unwrap();
    assert_eq!(task(&run, "noop")["reason"], "Succeeded", "{run:#}");
    assert!(lock(&user).contains(&format!("\"{host}/team/noop:0.1.0\"")), "{}", lock(&user));
    user.run(&["logout", &host]).refused(3, "registry/login", &host);
    publisher.run(&["logout", &host]).ok();
    publisher.run(&publish).refused(3, "registry/unauthorized", &host);
}

/// The pins that a run adds are told, and do not make its own source another than
/// the commit that was checked out.
#[test]
fn pins_that_are_new_are_told_and_change_nothing_of_the_source() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (publisher, user) = (publisher(&host), World::with(&[Task::Test("reader")]));
    trusts(&user, &publisher, &host);
    let pipeline = user.pipeline(&format!(
        "- name: noop\n  taskRef: {{ bundle: \"{host}/team/noop:0.1.0\" }}\n- name: look\n  taskRef: {{ name: reader }}\n  \
         inputs: [{{ name: source, from: $(source) }}, {{ name: other, from: $(source) }}]\n"
    ));
    user.commit("first");
    let run = || -> (Value, String) {
        let ran = user.run(&["run", "--quiet", "--format", "json", &pipeline]).ok();
        (serde_json::from_str(&ran.out).unwrap(), ran.err)
    };
    let (first, told) = run();
    assert_eq!(first["source"]["dirty"], false, "{first:#}");
    assert!(told.contains("pinned what tags stand for in .cofferdam/lock.yaml"), "{told}");
    let (second, told) = run();
    assert_eq!(second["source"]["dirty"], true, "it is not committed: {second:#}");
    assert!(!told.contains("pinned"), "{told}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_ends_it() {
    let authority = Authority::new();
    let registry = TestRegistry::tls(&authority, "localhost");
    let world = World::with(&[]);
    let pipeline = pipeline(&world, &format!("{}/team/noop:1", registry.host()));
    world.run(&["plan", &pipeline]).refused(1, "registry/unreachable", &registry.host());
}

#[test]
fn a_tag_is_pinned_once_and_a_registry_that_is_gone_stops_nobody() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (_, user, pipeline) = parties(&host, "latest");
    user.run(&["plan", "--locked", &pipeline]).refused(3, "plan/not-locked", ".cofferdam/test.yaml:");
    assert!(
        registry
            .server
            .received()
            .iter()
            .all(|received| received.method != "GET" || !received.target.contains("latest"))
    );
    user.run(&["lock"]).ok();
    let pinned = lock(&user);
    assert!(pinned.contains("signedBy: "), "{pinned}");
    // A warm plan asks nobody.
    let asked = registry.server.received().len();
    user.run(&["plan", &pipeline]).ok();
    user.run(&["run", "--locked", "--require-trusted", &pipeline]).ok();
    assert_eq!(registry.server.received().len(), asked);
    // The tag moves to somebody else's task: the pin stays, and an update tells.
    let intruder = World::with(&[]);
    let file = task_file(Task::Test("noop"));
    let _ = intruder.run(&["task", "publish", file.to_str().unwrap(), "--to", &format!("{host}/team")]);
    let manifest = registry.manifest("team/noop", "latest");
    let mut moved = manifest.clone();
    moved["annotations"]["moved"] = "yes".into();
    registry.put("team/noop", "latest", "application/vnd.oci.image.manifest.v1+json", &moved);
    user.run(&["run", "--require-trusted", &pipeline]).ok();
    assert_eq!(lock(&user), pinned);
    user.run(&["vendor"]).ok();
    let update = user.run(&["lock", "--update"]).ok();
    assert!(
        update.out.contains("nobody who is trusted") && update.out.contains("  was sha256:"),
        "{update:?}"
    );
    user.run(&["run", "--require-trusted", &pipeline]).refused(
        4,
        "trust/not-trusted",
        ".cofferdam/test.yaml:",
    );
    // With the pin of before, what was vendored runs without a registry.
    fs::write(user.project().join(".cofferdam/lock.yaml"), &pinned).unwrap();
    fs::remove_dir_all(user.home().join("pulled")).unwrap();
    drop(registry);
    user.run(&["run", "--require-trusted", &pipeline]).ok();
    fs::remove_dir_all(user.project().join(".cofferdam/vendor")).unwrap();
    user.run(&["run", &pipeline]).refused(1, "registry/unreachable", &host);
}

#[test]
fn what_is_vendored_is_trusted_by_signature_alone() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (_, user, pipeline) = parties(&host, "0.1.0");
    user.run(&["vendor"]).ok();
    // Somebody else's vendored copy, without the signature.
    let vendor = user.project().join(".cofferdam/vendor/index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&vendor).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().retain(|entry| entry["artifactType"].is_null());
    fs::write(&vendor, index.to_string()).unwrap();
    user.run(&["run", "--require-trusted", &pipeline]).refused(
        4,
        "trust/not-trusted",
        ".cofferdam/test.yaml:",
    );
    // A blob of it that was changed is not run either.
    let component =
        registry.manifest("team/noop", "0.1.0")["layers"][0]["digest"].as_str().unwrap().to_owned();
    let blob = user.project().join(".cofferdam/vendor/blobs/sha256").join(&component[7..]);
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&blob, bytes).unwrap();
    user.run(&["run", &pipeline]).refused(4, "registry/digest-mismatch", ".cofferdam/test.yaml:");
}

#[test]
fn other_programs_read_what_is_pushed() {
    let registry = DebianRegistry::open();
    let host = registry.host();
    let publisher = publisher(&host);
    let skopeo = |args: &[&str]| done(Command::new("skopeo").args(args)).ok().out;
    let image = format!("docker://{host}/team/noop:0.1.0");
    let raw: Value =
        serde_json::from_str(&skopeo(&["inspect", "--raw", "--tls-verify=false", &image])).unwrap();
    assert_eq!(raw["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(raw["layers"][0]["mediaType"], "application/wasm");
    let copy = publisher.path("copy");
    skopeo(&["copy", "--src-tls-verify=false", &image, &format!("oci:{}:noop:0.1.0", copy.display())]);
    let reference = format!("oci:{}:noop:0.1.0", copy.display());
    assert!(publisher.run(&["task", "inspect", &reference]).ok().out.contains("noop"));
    // Without a referrers API the signatures are listed under the fallback tag.
    let tags = skopeo(&["list-tags", "--tls-verify=false", &format!("docker://{host}/team/noop")]);
    let digest =
        publisher.run(&["task", "inspect", &format!("{host}/team/noop:0.1.0"), "--format", "json"]).ok().out;
    let digest: Value = serde_json::from_str(&digest).unwrap();
    let fallback = digest["digest"].as_str().unwrap().replace(':', "-");
    assert!(tags.contains(&format!("\"{fallback}\"")), "{tags}");
    let index =
        skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{host}/team/noop:{fallback}")]);
    let index: Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
}

#[test]
fn writers_at_once_lose_no_signature() {
    let registry = DebianRegistry::open();
    let host = registry.host();
    let file = task_file(Task::Test("noop"));
    let to = format!("{host}/team");
    let writers: Vec<World> = (0..6).map(|_| World::with(&[])).collect();
    std::thread::scope(|scope| {
        for writer in &writers {
            scope.spawn(|| {
                writer.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok()
            });
        }
    });
    let shown =
        writers[0].run(&["task", "inspect", &format!("{host}/team/noop:0.1.0"), "--format", "json"]).ok();
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["signatures"].as_array().unwrap().len(), writers.len(), "{shown:#}");
}

#[test]
fn what_is_published_again_is_not_signed_again() {
    let registries = [
        TestRegistry::plain(),
        TestRegistry::plain().without_referrers(),
        TestRegistry::plain().listing_types_of_configs(),
    ];
    for registry in registries {
        let host = registry.host();
        let publisher = publisher(&host);
        let file = task_file(Task::Test("noop"));
        let to = format!("{host}/team");
        publisher.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok();
        let shown = publisher.run(&["task", "inspect", &format!("{to}/noop:0.1.0"), "--format", "json"]).ok();
        let shown: Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(shown["signatures"].as_array().unwrap().len(), 1, "{shown:#}");
    }
}

#[test]
fn a_signature_counts_where_its_type_is_not_listed() {
    let registry = TestRegistry::plain().listing_types_of_configs();
    let (_, user, pipeline) = parties(&registry.host(), "0.1.0");
    user.run(&["run", "--require-trusted", &pipeline]).ok();
}

#[test]
fn a_copy_that_is_damaged_is_pulled_again_and_a_pin_that_leads_nowhere_is_said() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (_, user, pipeline) = parties(&host, "0.1.0");
    user.run(&["run", "--require-trusted", &pipeline]).ok();
    for blob in user.home_files("pulled/blobs/sha256/") {
        let mut bytes = fs::read(&blob).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&blob, bytes).unwrap();
        user.run(&["run", "--require-trusted", &pipeline]);
    }
    user.run(&["run", "--require-trusted", &pipeline]).ok();
    let pins = lock(&user);
    let (before, digest) = pins.split_once("digest: sha256:").unwrap();
    let other = format!("{before}digest: sha256:{}{}", "0".repeat(64), &digest[64..]);
    fs::write(user.project().join(".cofferdam/lock.yaml"), other).unwrap();
    user.run(&["run", &pipeline]).refused(3, "plan/pin-gone", ".cofferdam/test.yaml:").says("lock --update");
}

#[test]
fn a_contract_is_read_without_the_code_and_must_be_the_code_s_own() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (_, user, pipeline) = parties(&host, "0.1.0");
    let manifest = registry.manifest("team/noop", "0.1.0");
    let code = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    // Nobody gets the code.
    registry.fails(move |received, out| {
        let is_code = received.target.contains(&format!("/blobs/{code}"));
        if is_code {
            reply(out, 404, &[], "")?;
        }
        Ok(is_code)
    });
    let reference = format!("{host}/team/noop:0.1.0");
    let done = user.run(&["task", "inspect", "--format", "json", &reference]).ok();
    let told: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(told["manifest"]["metadata"]["name"], "noop");
    assert_eq!(told["trust"]["verdict"], "trusted", "{told:#}");
    assert_eq!(told["size"], manifest["layers"][0]["size"]);
    assert!(user.home_files("pulled").is_empty() && lock(&user).is_empty(), "nothing is kept");
    user.run(&["plan", &pipeline]).refused(3, "registry/no-such-name", ".cofferdam/test.yaml:");
    registry.fails(|_, _| Ok(false));
    user.run(&["plan", &pipeline]).ok();

    // Somebody who writes there has it tell less than the code asks for.
    let mut contract = told["manifest"].clone();
    contract["metadata"]["version"] = "0.2.0".into();
    let config = serde_json::json!({ "dev.cofferdam.task": contract });
    let kind = manifest["config"]["mediaType"].as_str().unwrap();
    let mut lying = manifest.clone();
    lying["config"] = registry.put_blob("team/noop", kind, config.to_string().as_bytes());
    registry.put("team/noop", "0.2.0", manifest["mediaType"].as_str().unwrap(), &lying);
    let pipeline = self::pipeline(&user, &format!("{host}/team/noop:0.2.0"));
    user.run(&["run", &pipeline]).refused(4, "trust/other-contract", ".cofferdam/test.yaml:");
}

#[test]
fn an_artifact_says_where_its_source_is() {
    let world = World::with(&[]);
    let directory = world.path("noop");
    let file = task_file(Task::Test("noop"));
    world.run(&["task", "inspect", file.to_str().unwrap()]).ok();
    fs::create_dir_all(&directory).unwrap();
    let manifest = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: noop, version: 0.1.0, \
                    source: 'https://git.example.org/noop', licenses: Apache-2.0 OR MIT }\nspec: {}\n";
    fs::write(directory.join("task.yaml"), manifest).unwrap();
    let (directory, out) = (directory.to_str().unwrap(), "noop.wasm");
    world.run(&["task", "build", directory, "--component", file.to_str().unwrap(), "--output", out]).ok();
    let registry = TestRegistry::plain();
    let to = format!("{}/team", registry.host());
    world.run(&["task", "publish", out, "--to", &to, "--revision", "4f2a9c1"]).ok();
    let annotations = &registry.manifest("team/noop", "latest")["annotations"];
    for (name, value) in [
        ("title", "noop"),
        ("version", "0.1.0"),
        ("source", "https://git.example.org/noop"),
        ("licenses", "Apache-2.0 OR MIT"),
        ("revision", "4f2a9c1"),
    ] {
        assert_eq!(annotations[format!("org.opencontainers.image.{name}")], value);
    }
}

#[test]
fn a_login_that_nobody_asks_for_is_said_to_be_unchecked() {
    let registry = TestRegistry::plain();
    let world = World::with(&[]);
    let kept = login(&world, &registry.host(), "anything").ok();
    assert!(kept.out.starts_with("not checked, since the registry asks for none: "), "{kept:?}");
}

#[test]
fn whoever_publishes_over_a_version_is_told() {
    let registry = TestRegistry::plain();
    let world = World::with(&[]);
    let file = world.write(
        "own/greet.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: greet }\n\
         spec: { tasks: [{ name: a, taskRef: { name: noop } }] }\n",
    );
    world.run(&["setup", task_file(Task::Test("noop")).to_str().unwrap()]).ok();
    for to in [format!("{}/team", registry.host()), "oci:layout".to_owned()] {
        let publish = |version: &str, more: &[&str]| {
            let file = file.to_str().unwrap();
            let args = [
                "pipeline",
                "publish",
                file,
                "--version",
                version,
                "--to",
                &to,
                "--tasks-by-name",
                "--format",
                "json",
            ];
            let args = [&args[..], more].concat();
            serde_json::from_str::<Value>(&world.run(&args).ok().out).unwrap()
        };
        let first = publish("1", &[]);
        assert_eq!(publish("1", &[])["replaces"], Value::Null, "it is the same");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("# changed\n{text}")).unwrap();
        assert_eq!(publish("2", &[])["replaces"], Value::Null, "it is another version");
        assert_eq!(publish("1", &["--replace"])["replaces"], first["digest"]);
    }
}

#[test]
fn what_a_pipeline_names_is_pulled_side_by_side() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (publisher, user) = (World::with(&[]), World::with(&[]));
    let to = format!("{host}/team");
    for name in ["noop", "echo", "fail"] {
        let file = task_file(Task::Test(name));
        publisher.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok();
    }
    // No manifest is given away before all three are asked for: one after the
    // other, nobody would ever have any.
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    registry.fails(move |received, out| {
        if received.method != "GET" || !received.target.ends_with("/manifests/0.1.0") {
            return Ok(false);
        }
        let (count, changed) = &*asked;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        let waited = changed.wait_timeout_while(count, Duration::from_secs(20), |count| *count < 3).unwrap();
        if waited.1.timed_out() {
            reply(out, 404, &[], "")?;
            return Ok(true);
        }
        Ok(false)
    });
    let task =
        |name: &str| format!("- {{ name: {name}, taskRef: {{ bundle: '{host}/team/{name}:0.1.0' }} }}\n");
    let tasks = task("noop")
        + &task("fail")
        + &task("echo").replace(" } }", " }, params: [{ name: text, value: x }] }");
    user.run(&["plan", &user.pipeline(&tasks)]).ok();
}
