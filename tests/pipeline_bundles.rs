//! Pipelines that are published to registries, and used by those who have
//! nothing else: pinned, trusted by signature, and of no weight without it.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::{Layout, PipelineArtifact};
use serde_json::{Value, json};

use crate::harness::{DebianRegistry, Task, TestRegistry, World, task};
use crate::registry_http::trusts;

const ECHO: &[Task] = &[Task::Test("echo")];
const GREET: &str = "apiVersion: cofferdam.dev/v1
kind: Pipeline
metadata: { name: greet, labels: { app.kubernetes.io/version: 1.2.0 } }
spec:
  description: says a word
  params: [{ name: word }]
  results: [{ name: said, value: $(tasks.say.results.text) }]
  tasks: [{ name: say, taskRef: { name: echo }, params: [{ name: text, value: $(params.word) }] }]
";

/// What the download task asks for, granted by the pipeline that has it.
const GRANTED: &str = "apiVersion: cofferdam.dev/v1
kind: Pipeline
metadata: { name: fetching }
spec:
  tasks:
    - name: get
      taskRef: { name: download }
      params: [{ name: url, value: 'http://127.0.0.1:40002/' }]
      grants: { network: [{ host: 127.0.0.1, scheme: http, port: 40002 }] }
";

fn publish(world: &World, text: &str, to: &str, more: &[&str]) -> Value {
    let file = world.write("own/pipeline.yaml", text);
    let args =
        ["pipeline", "publish", file.to_str().unwrap(), "--to", to, "--tasks-by-name", "--format", "json"];
    serde_json::from_str(&world.run(&[&args, more].concat()).ok().out).unwrap()
}

/// A run of a pipeline that `pipelineRef` names.
fn run_of(world: &World, reference: &str) -> String {
    let text = format!(
        "apiVersion: cofferdam.dev/v1\nkind: PipelineRun\nmetadata: {{ name: own }}\n\
         spec:\n  pipelineRef: {reference}\n  params: [{{ name: word, value: hello }}]\n"
    );
    world.write(".cofferdam/run.yaml", text);
    ".cofferdam/run.yaml".to_owned()
}

/// A pipeline that has another as its only task.
fn around(world: &World, reference: &str) -> String {
    world.pipeline(&format!("- {{ name: inner, pipelineRef: {{ bundle: {reference:?} }} }}"))
}

/// Puts a pipeline into a layout, called whatever one likes.
fn put(world: &World, name: &str, text: &str) -> String {
    let root = world.path("layout");
    let layout = Layout::open_or_create(&root).unwrap();
    layout.publish_pipeline(&PipelineArtifact { name, version: "1", description: "", text }).unwrap();
    format!("oci:{}:{name}:1", root.display())
}

#[test]
fn a_published_pipeline_runs_for_who_has_only_its_name() {
    let registry = DebianRegistry::open();
    let host = registry.host();
    let (publisher, user) = (World::with(ECHO), World::with(ECHO));
    let published = publish(&publisher, GREET, &format!("{host}/team"), &["--sign"]);
    let digest = published["digest"].as_str().unwrap();
    assert_eq!(published["reference"], format!("{host}/team/greet:1.2.0"));
    trusts(&user, &publisher, &host);
    let long = format!(
        "{{ resolver: bundles, params: [{{ name: bundle, value: {host}/team/greet:1.2.0 }}, \
         {{ name: name, value: greet }}, {{ name: kind, value: pipeline }}] }}"
    );
    for reference in [format!("{{ bundle: {host}/team/greet:1.2.0 }}"), long] {
        let file = run_of(&user, &reference);
        let (status, run) = user.run_json(&["--require-trusted", &file]);
        assert_eq!((status, &run["results"]["said"]), (0, &json!("hello")), "{run:#}");
        let bundle = &run["bundles"][0];
        assert_eq!(bundle["reference"], format!("{host}/team/greet:1.2.0@{digest}"));
        assert_eq!(bundle["trust"]["verdict"], "trusted");
    }
    let lock = fs::read_to_string(user.project().join(".cofferdam/lock.yaml")).unwrap();
    assert!(lock.contains(digest), "{lock}");

    // Signed with everything else that went into the run.
    let run = user.runs()[0]["run"].as_str().unwrap().to_owned();
    let whole = user.run(&["verify", &run]).ok();
    assert!(!whole.out.contains("NOT trusted"), "{}", whole.out);
    let statement = statement(&user, &run);
    let dependencies = statement.pointer("/predicate/buildDefinition/resolvedDependencies").unwrap();
    let found = dependencies
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "pipeline" && one["uri"] == format!("oci://{host}/team/greet:1.2.0"));
    let wanted = digest.strip_prefix("sha256:").unwrap();
    assert_eq!(found.unwrap()["digest"]["sha256"], wanted, "{dependencies:#}");

    // Whoever else speaks OCI can copy it.
    let target = user.path("copied");
    let copied = Command::new("skopeo")
        .args(["copy", "--src-tls-verify=false", &format!("docker://{host}/team/greet:1.2.0")])
        .arg(format!("oci:{}:greet", target.display()))
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");

    // And the registry may be gone.
    let vendored = user.run(&["vendor", ".cofferdam/run.yaml"]).ok();
    assert!(vendored.out.contains("team/greet:1.2.0"), "{vendored:?}");
    drop(registry);
    fs::remove_dir_all(user.home().join("pulled")).unwrap();
    user.run(&["run", "--locked", "--require-trusted", ".cofferdam/run.yaml"]).ok();
    user.run(&["rebuild", &run]).ok();
}

/// The Statement about a run.
fn statement(world: &World, run: &str) -> Value {
    world.run(&["show", run, "--attestations", "att"]).ok();
    let bundle = fs::read(world.project().join("att/run.sigstore.json")).unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_bundle_of_tektons_own_program_is_read() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let user = World::with(ECHO);
    let archive = |name: &str, text: &str| {
        user.write(&format!("packed/{name}"), text);
        let packed = user.path("packed.tgz");
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(&packed).arg("-C").arg(user.project().join("packed")).arg(name);
        assert!(tar.status().unwrap().success());
        fs::read(packed).unwrap()
    };
    let tekton = GREET.replace("cofferdam.dev/v1", "tekton.dev/v1");
    let other = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: { name: other }\n";
    let layer = |kind: &str, name: &str, text: &str| {
        let media = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        let mut layer = registry.put_blob("tekton/greet", media, &archive(name, text));
        layer["annotations"] = json!({ "dev.tekton.image.name": name, "dev.tekton.image.kind": kind,
            "dev.tekton.image.apiVersion": "v1" });
        layer
    };
    let layers = json!([layer("pipeline", "greet", &tekton), layer("task", "other", other)]);
    let config = registry.put_blob("tekton/greet", "application/vnd.docker.container.image.v1+json", b"{}");
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
    registry.put("tekton/greet", "v1", kind, &manifest);
    let file = run_of(&user, &format!("{{ bundle: {host}/tekton/greet:v1 }}"));
    let (status, run) = user.run_json(&[&file]);
    assert_eq!((status, &run["results"]["said"]), (0, &json!("hello")), "{run:#}");
    // Nobody signed it, and nobody hides that.
    assert_eq!(run["bundles"][0]["trust"]["verdict"], "untrusted");
    let name = run["run"].as_str().unwrap();
    user.run(&["show", name, "--attestations", "att"]).ok();
    let verified = user.run(&["verify", "att/run.sigstore.json"]).ok();
    assert!(verified.out.contains("1 of its tasks NOT trusted; 1 of its pipelines NOT"), "{verified:?}");
    // The task is trusted, and what it was given is not.
    let verified = user.run(&["verify", "att/task-say.sigstore.json"]).ok();
    assert!(
        verified.out.contains("the pipeline that decided what it was given was NOT trusted"),
        "{verified:?}"
    );
    user.run(&["run", "--require-trusted", &file]).refused(4, "trust/not-trusted", ".cofferdam/run.yaml:5");

    // What it has besides are containers, and no manifest of Docker's is a task.
    let task = user.pipeline(&format!("- {{ name: a, taskRef: {{ bundle: '{host}/tekton/greet:v1' }} }}"));
    user.run(&["plan", &task])
        .refused(3, "registry/other-kind", ".cofferdam/test.yaml:")
        .says("a bundle with the pipeline `greet`, the task `other`, and no task of WebAssembly");
    let bare = json!({ "schemaVersion": 2, "mediaType": kind, "config": manifest["config"],
        "layers": [{ "mediaType": "application/wasm", "digest": layers[0]["digest"], "size": layers[0]["size"] }] });
    registry.put("tekton/greet", "v2", kind, &bare);
    let task = user.pipeline(&format!("- {{ name: a, taskRef: {{ bundle: '{host}/tekton/greet:v2' }} }}"));
    user.run(&["plan", &task]).refused(4, "registry/unsound", ".cofferdam/test.yaml:");
}

#[test]
fn what_a_pipeline_grants_that_nobody_trusts_is_worth_nothing() {
    let world = World::with(&[Task::Test("download")]);
    let reference = put(&world, "fetching", GRANTED);
    let pipeline = around(&world, &reference);
    world
        .run(&["plan", &pipeline])
        .refused(4, "plan/not-granted", "fetching:1")
        .says("the pipeline oci:")
        .says("is not trusted")
        .says("cofferdam trust explain");
    // A word for a task of one's own is none for one there.
    world.run(&["plan", "--allow", "get=network", &pipeline]).refused(4, "plan/not-granted", "fetching:1");
    // Whoever runs it may allow it all the same.
    let plan = world.run(&["plan", "--allow", "network", "--format", "json", &pipeline]).ok().out;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["tasks"][0]["grants"][0]["why"], "allowed by --allow network", "{plan:#}");
    // The same in a file of one's own is one's own.
    world.write(".cofferdam/fetching.yaml", GRANTED);
    world.run(&["plan", ".cofferdam/fetching.yaml"]).ok();
    // And what refuses everything still does.
    let quiet = GRANTED
        .replace("grants: { network: [{ host: 127.0.0.1, scheme: http, port: 40002 }] }", "grants: {}");
    let quiet = around(&world, &put(&world, "fetching", &quiet));
    world.run(&["plan", &quiet]).ok();
}

#[test]
fn whoever_is_not_trusted_lends_nothing_to_the_pipelines_it_names() {
    let registry = TestRegistry::plain();
    let host = registry.host();
    let (publisher, user) = (World::with(&[Task::Test("download")]), World::with(&[Task::Test("download")]));
    let to = format!("{host}/team");
    publish(&publisher, GRANTED, &to, &["--version", "1", "--sign"]);
    trusts(&user, &publisher, &host);
    trusts(&publisher, &publisher, &host);
    let direct = around(&user, &format!("{host}/team/fetching:1"));
    user.run(&["plan", &direct]).ok();
    let outer = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: outer }}\n\
         spec: {{ tasks: [{{ name: in, pipelineRef: {{ bundle: '{host}/team/fetching:1' }} }}] }}\n"
    );
    // Below the same name, and signed by nobody.
    publish(&publisher, &outer, &to, &["--version", "1"]);
    let indirect = around(&user, &format!("{host}/team/outer:1"));
    user.run(&["plan", &indirect]).refused(4, "plan/not-granted", "fetching:1").says("outer:1");
}

#[test]
fn a_pipeline_of_a_registry_names_nothing_of_this_machine() {
    let world = World::with(ECHO);
    world.write("secret.yaml", "password: hunter2\n");
    let secret = world.project().join("secret.yaml");
    for named in [
        format!("pipelineRef: {{ file: {} }}", secret.display()),
        "pipelineRef: { file: ../secret.yaml }".to_owned(),
        format!("pipelineRef: {{ bundle: 'oci:{}:x:1' }}", world.path("layout").display()),
        "taskRef: { component: x.wasm }".to_owned(),
        format!("taskRef: {{ bundle: 'oci:{}:echo' }}", world.home().join("registry").display()),
        "taskRef: { resolver: bundles, params: [{ name: bundle, value: 'oci:a:b' }] }".to_owned(),
    ] {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\n\
             spec: {{ tasks: [{{ name: a, {named} }}] }}\n"
        );
        let pipeline = around(&world, &put(&world, "p", &text));
        let refused = world.run(&["plan", &pipeline]).refused(3, "plan/outside-bundle", "p:1");
        assert!(!format!("{refused:?}").contains("hunter2"));
        // Nor can it be published.
        let file = world.write("own/p.yaml", &text);
        let done = world.run(&["pipeline", "publish", file.to_str().unwrap(), "--version", "1"]);
        assert!([3, 4].contains(&done.status), "{done:?}");
    }
}

#[test]
fn a_layout_lists_its_pipelines_and_one_that_is_not_there_is_said() {
    let world = World::with(ECHO);
    let reference = put(&world, "greet", GREET);
    let layout = reference.strip_suffix(":greet:1").unwrap();
    let listed = world.run(&["task", "list", layout]).ok();
    assert_eq!(listed.out, "pipeline greet:1\npipeline greet:latest\n");
    let file = run_of(&world, "{ bundle: 'oci:nowhere:greet:1' }");
    world
        .run(&["plan", &file])
        .refused(3, "registry/no-layout", ".cofferdam/run.yaml:5")
        .says("pipeline file");
}

#[test]
fn another_signed_pipeline_in_its_place_is_not_taken_for_it() {
    let registry = TestRegistry::plain();
    let world = World::with(ECHO);
    let staged = put(&world, "greet", GREET);
    copy(&staged, &registry, "team/lint");
    let reference = format!("{}/team/lint:1", registry.host());
    let named = |more: &str| run_of(&world, &format!("{{ bundle: {reference:?}{more} }}"));
    world.run(&["plan", &named("")]).refused(3, "plan/other-pipeline", ".cofferdam/run.yaml:5").says("greet");
    world.run(&["plan", &named(", name: greet")]).ok();
}

#[test]
fn a_pipeline_that_lies_about_its_name_or_is_denied_does_not_run() {
    let world = World::with(ECHO);
    let other = GREET.replace("name: greet", "name: other");
    let pipeline = around(&world, &put(&world, "greet", &other));
    world.run(&["plan", &pipeline]).refused(4, "trust/renamed", ".cofferdam/test.yaml:");
    let reference = put(&world, "greet", GREET);
    let file = run_of(&world, &format!("{{ bundle: {reference:?} }}"));
    world.run(&["plan", &file]).ok();
    let trust = world.home().join("trust.yaml");
    let text = fs::read_to_string(&trust).unwrap();
    let rule = format!("  deny:\n    withdrawn: [{{ pattern: '{reference}', message: it leaks }}]\n");
    fs::write(&trust, text + &rule).unwrap();
    world.run(&["plan", &file]).refused(4, "trust/denied", ".cofferdam/run.yaml:").says("it leaks");
    let explained = world.run(&["trust", "explain", &reference]);
    assert!(explained.out.contains("denied by rule `withdrawn`: it leaks"), "{explained:?}");
    let cycle = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: round }\n\
                 spec: { tasks: [{ name: a, pipelineRef: { bundle: 'BUNDLE' } }] }\n";
    let registry = TestRegistry::plain();
    let own = format!("{}/team/round:1", registry.host());
    let text = cycle.replace("BUNDLE", &own);
    // It can only be made by who writes the registry, not by `pipeline publish`.
    let staged = put(&world, "round", &text);
    copy(&staged, &registry, "team/round");
    world.run(&["plan", &around(&world, &own)]).refused(3, "plan/cycle", "round:1");
}

/// Copies what a layout has to a registry, as its owner would.
fn copy(reference: &str, registry: &TestRegistry, repository: &str) {
    let rest = reference.strip_prefix("oci:").unwrap();
    let (root, name) = rest.split_once(':').unwrap();
    let blob = |digest: &str| {
        fs::read(Path::new(root).join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())).unwrap()
    };
    let index: Value =
        serde_json::from_slice(&fs::read(Path::new(root).join("index.json")).unwrap()).unwrap();
    let entry = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name);
    let digest = entry.unwrap()["digest"].as_str().unwrap();
    let manifest: Value = serde_json::from_slice(&blob(digest)).unwrap();
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let bytes = blob(part["digest"].as_str().unwrap());
        registry.put_blob(repository, part["mediaType"].as_str().unwrap(), &bytes);
    }
    registry.put(repository, "1", manifest["mediaType"].as_str().unwrap(), &manifest);
}

#[test]
fn everything_after_a_task_that_is_not_trusted_says_so() {
    let world = World::with(&[Task::Test("echo"), Task::Test("stamp")]);
    let file = crate::harness::task_file(Task::Test("echo"));
    let pipeline = world.pipeline_spec(&format!(
        "  tasks:
    - {{ name: bad, taskRef: {{ component: {} }}, params: [{{ name: text, value: x }}] }}
    - {{ name: direct, taskRef: {{ name: echo }}, params: [{{ name: text, value: $(tasks.bad.results.text) }}] }}
    - {{ name: tree, taskRef: {{ name: stamp }}, inputs: [{{ name: source, from: $(tasks.direct.outputs.copy) }}] }}
    - {{ name: ordered, taskRef: {{ name: echo }}, params: [{{ name: text, value: y }}], runAfter: [bad] }}
    - name: inner
      params: [{{ name: word, value: $(tasks.direct.results.text) }}]
      pipelineSpec:
        params: [{{ name: word }}]
        tasks: [{{ name: say, taskRef: {{ name: echo }}, params: [{{ name: text, value: z }}] }}]
  finally:
    - {{ name: last, taskRef: {{ name: echo }}, params: [{{ name: text, value: $(tasks.bad.results.text) }}] }}
",
        file.display()
    ));
    let (status, run) = world.run_json(&[&pipeline]);
    assert_eq!(status, 0, "{run:#}");
    for (name, wanted) in [
        ("bad", None),
        ("direct", Some("bad")),
        ("tree", Some("bad")),
        ("ordered", None),
        ("inner/say", Some("bad")),
        ("last", Some("bad")),
    ] {
        let found = &task(&run, name)["descendsFrom"];
        let wanted = wanted.map_or(Value::Null, |wanted| json!([wanted]));
        assert_eq!(*found, wanted, "{name}");
    }
    let name = run["run"].as_str().unwrap();
    world.run(&["show", name, "--attestations", "att"]).ok();
    let verified = world.run(&["verify", "att/task-tree.sigstore.json"]).ok();
    assert!(verified.out.contains("what it was given comes from 1 NOT trusted"), "{verified:?}");
}

#[test]
fn a_pipeline_is_looked_at_without_running_or_finding_anything() {
    let registry = TestRegistry::plain();
    let (publisher, user) = (World::with(ECHO), World::with(&[]));
    let to = format!("{}/team", registry.host());
    let published = publish(&publisher, GREET, &to, &["--sign"]);
    let reference = format!("{to}/greet:1.2.0");
    let inspect = |world: &World, subject: &str| -> Value {
        let done = world.run(&["pipeline", "inspect", subject, "--format", "json"]).ok();
        serde_json::from_str(&done.out).unwrap()
    };
    let shown = inspect(&user, &reference);
    assert_eq!((&shown["digest"], &shown["version"]), (&published["digest"], &"1.2.0".into()));
    assert_eq!(shown["trust"]["verdict"], "untrusted");
    let key = published["signedBy"].clone();
    assert_eq!(shown["signatures"], json!([key]));
    assert_eq!(shown["tasks"], json!([{ "name": "say", "finally": false, "task": "echo" }]));
    trusts(&user, &publisher, &registry.host());
    let words = user.run(&["pipeline", "inspect", &reference]).ok().out;
    for line in [
        "greet:1.2.0 says a word\n",
        "trust     trusted: ",
        "param     word: string (required)",
        "result    said",
    ] {
        assert!(words.contains(line), "no {line:?} in {words}");
    }
    // Nothing is pinned by looking.
    assert!(!user.project().join(".cofferdam/lock.yaml").exists());

    let nested = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: all }\nspec:\n  tasks:\n    \
                  - { name: in, pipelineSpec: { tasks: [{ name: a, taskRef: { component: a.wasm } }] } }\n    \
                  - { name: by, pipelineRef: { bundle: 'h.example/p:1' } }\n  finally:\n    \
                  - { name: end, taskRef: { bundle: 'h.example/t:1' } }\n";
    user.write("all.yaml", nested);
    assert_eq!(
        inspect(&user, "all.yaml")["tasks"],
        json!([
            { "name": "in/a", "finally": false, "task": "file:a.wasm" },
            { "name": "by", "finally": false, "pipeline": "h.example/p:1" },
            { "name": "end", "finally": true, "task": "h.example/t:1" },
        ])
    );
    user.write("bad.yaml", nested.replace("finally", "finaly"));
    user.run(&["pipeline", "inspect", "bad.yaml"]).refused(3, "document/unknown-key", "bad.yaml:8");
    let file = crate::harness::task_file(Task::Test("noop")).display().to_string();
    publisher.run(&["task", "publish", &file, "--to", &to]).ok();
    user.run(&["pipeline", "inspect", &format!("{to}/noop")]).refused(3, "registry/other-kind", "");
    user.run(&["pipeline", "inspect", &format!("{to}/none")]).refused(3, "registry/no-such-name", "");
}
