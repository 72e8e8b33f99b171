//! What was built here is published with its SBOM and its provenance, which say
//! no more than is known, and which no rule of trust takes for a signature.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cofferdam_registry::{Digest, Layout, PublicKey, SBOM_PREDICATE, verify_statement};
use serde_json::{Value, json};

use crate::harness::keyless_services::{KeylessServices, SIGNER, token};
use crate::harness::sigstore::{Deployment, ISSUER};
use crate::harness::{DebianRegistry, TestRegistry, World, bare_component, done, repository, target};

pub(crate) const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const SUM: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MANIFEST: &str = "apiVersion: cofferdam.dev/v1\nkind: Task\n\
                        metadata: { name: noop, version: 0.1.0, description: does nothing }\nspec: {}\n";

/// Writes a task whose compiler is a script that knows the result already.
fn task_of(world: &World, compiler: &str, files: &[(&str, &str)]) {
    let component = bare_component("noop");
    let script = format!("#!/bin/sh\nfor last; do :; done\ncp {} \"$last\"\n", component.display());
    let compiler = world.write(&format!("tasks/noop/{compiler}"), script);
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    world.write("tasks/noop/task.yaml", MANIFEST);
    world.write(".gitignore", "node_modules\n.venv\n*.wasm\nlayout\n");
    for (name, text) in files {
        world.write(&format!("tasks/noop/{name}"), text);
    }
}

/// A user with such a task in JavaScript, in a commit.
pub(crate) fn author() -> World {
    let world = World::with(&[]);
    write_task(&world);
    world
}

/// Writes a task in JavaScript, in a commit.
pub(crate) fn write_task(world: &World) {
    let lock = json!({
        "name": "task-noop", "lockfileVersion": 3,
        "packages": {
            "": { "name": "task-noop", "devDependencies": { "componentize-qjs": "0.4.5" } },
            "node_modules/componentize-qjs": {
                "version": "0.4.5", "dev": true,
                "resolved": "https://packages.example.test/componentize-qjs/-/componentize-qjs-0.4.5.tgz",
                "integrity": format!("sha512-{}", "A".repeat(86) + "=="),
            },
        },
    });
    let files = [("package.json", "{}"), ("src/task.js", ""), ("package-lock.json", &lock.to_string())];
    task_of(world, "node_modules/.bin/componentize-qjs", &files);
    world.commit("all");
}

pub(crate) fn publish(world: &World, args: &[&str]) -> Value {
    let all = [&["task", "publish"], args, &["--format", "json"]].concat();
    serde_json::from_str(&world.run(&all).ok().out).unwrap()
}

/// The predicates that a key has attested of what was published to a layout.
pub(crate) fn attested(world: &World, layout: &Layout, published: &Value) -> Vec<(String, Value)> {
    let digest: Digest = published["digest"].as_str().unwrap().parse().unwrap();
    let key = PublicKey::load(&world.home().join("keys/cofferdam.pub")).unwrap();
    let found = layout.attestations(digest).unwrap().into_iter().map(|one| {
        assert!(one.names_it);
        let kind = one.statement.predicate_type;
        let statement = verify_statement::<Value>(&one.bundle, &key, &kind).unwrap();
        (kind, statement.predicate)
    });
    found.collect()
}

fn embedded(world: &World) -> Layout {
    Layout::open(&world.home().join("registry")).unwrap()
}

pub(crate) fn of_kind<'a>(attested: &'a [(String, Value)], kind: &str) -> &'a Value {
    let mut found = attested.iter().filter(|(found, _)| found == kind);
    let (Some((_, one)), None) = (found.next(), found.next()) else { panic!("{attested:#?}") };
    one
}

fn commit(world: &World) -> String {
    let git = ["rev-parse", "HEAD"];
    done(std::process::Command::new("git").args(git).current_dir(world.project())).ok().out.trim().to_owned()
}

#[test]
fn a_task_that_is_built_here_is_published_with_its_sbom_and_provenance() {
    let world = author();
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let kinds: Vec<_> =
        published["attached"].as_array().unwrap().iter().map(|one| &one["predicateType"]).collect();
    assert_eq!(kinds, [SBOM_PREDICATE, PROVENANCE]);
    assert_eq!(published["notAttached"], Value::Null);

    let attested = attested(&world, &embedded(&world), &published);
    let sbom = of_kind(&attested, SBOM_PREDICATE);
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let component = published["component"].as_str().unwrap().trim_start_matches("sha256:");
    let itself = &sbom["metadata"]["component"];
    assert_eq!((&itself["name"], &itself["version"]), (&"noop".into(), &"0.1.0".into()));
    assert_eq!(itself["hashes"], json!([{ "alg": "SHA-256", "content": component }]));
    let package = &sbom["components"][0];
    assert_eq!(package["purl"], "pkg:npm/componentize-qjs@0.4.5");
    assert_eq!(package["hashes"][0]["alg"], "SHA-512");

    let provenance = of_kind(&attested, PROVENANCE);
    let definition = &provenance["buildDefinition"];
    assert_eq!(definition["buildType"], "https://cofferdam.dev/buildtypes/task-build/v1");
    assert_eq!(definition["externalParameters"]["directory"], "tasks/noop");
    assert_eq!(definition["externalParameters"]["language"], "javascript");
    assert_eq!(definition["externalParameters"]["command"][0], "node_modules/.bin/componentize-qjs");
    // Nobody watched the tools, and it says so.
    let internal = json!({ "source": "commit", "observed": false, "hermetic": false });
    assert_eq!(definition["internalParameters"], internal);
    let details = &provenance["runDetails"];
    assert_eq!(details["builder"]["id"], "https://cofferdam.dev/builder/unobserved@v1");
    assert_eq!(details["byproducts"][0]["digest"]["sha256"], component);
    let lock = fs::read(world.project().join("tasks/noop/package-lock.json")).unwrap();
    let dependencies = json!([
        { "name": "source", "digest": { "gitCommit": commit(&world) } },
        { "name": "package-lock.json", "digest": { "sha256": Digest::of(&lock).to_hex() } },
    ]);
    assert_eq!(definition["resolvedDependencies"], dependencies);
    let text = provenance.to_string();
    assert!(!text.contains(world.project().to_str().unwrap()), "no path of this machine: {text}");

    let inspected = world.run(&["task", "inspect", "noop"]).ok().out;
    for line in ["attached  SBOM, names key", "attached  provenance, names key"] {
        assert!(inspected.contains(line), "{inspected}");
    }
    world
        .run(&["run", "--require-trusted", &world.pipeline("- { name: a, taskRef: { name: noop } }\n")])
        .ok();
}

#[test]
fn what_was_said_before_is_not_said_again() {
    let world = author();
    let first = publish(&world, &["tasks/noop", "--sign"]);
    let second = publish(&world, &["tasks/noop", "--sign"]);
    for (one, again) in
        first["attached"].as_array().unwrap().iter().zip(second["attached"].as_array().unwrap())
    {
        assert_eq!((&one["already"], &again["already"]), (&false.into(), &true.into()));
        assert_eq!(one["bundle"], again["bundle"]);
    }
    assert_eq!(attested(&world, &embedded(&world), &second).len(), 2);
    // From another commit, it is something else.
    world.commit("nothing");
    publish(&world, &["tasks/noop", "--sign"]);
    assert_eq!(attested(&world, &embedded(&world), &second).len(), 3);
}

#[test]
fn a_source_with_changes_is_said_and_names_no_commit() {
    let world = author();
    world.write("elsewhere.txt", "not committed");
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let why = published["notAttached"][0].as_str().unwrap();
    assert_eq!(why, "the provenance names no commit: the source has changes that are not committed");
    let attested = attested(&world, &embedded(&world), &published);
    let provenance = of_kind(&attested, PROVENANCE);
    assert_eq!(provenance["buildDefinition"]["internalParameters"]["source"], "changed");
    assert!(!provenance.to_string().contains(&commit(&world)), "{provenance}");
    let words = world.run(&["task", "publish", "tasks/noop", "--sign"]).ok().out;
    assert!(words.contains("  the provenance names no commit: the source has changes"), "{words}");
}

#[test]
fn a_build_that_changes_the_source_is_no_build_of_the_commit() {
    let world = author();
    let compiler = world.project().join("tasks/noop/node_modules/.bin/componentize-qjs");
    let script = fs::read_to_string(&compiler).unwrap();
    fs::write(&compiler, script + "echo changed >> src/task.js\n").unwrap();
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let why = published["notAttached"][0].as_str().unwrap();
    assert!(why.contains("changes that are not committed"), "{why}");
}

#[test]
fn a_source_that_only_looks_like_a_commit_is_none() {
    let told = |flag: &str| {
        let world = author();
        let git = ["update-index", flag, "tasks/noop/src/task.js"];
        done(std::process::Command::new("git").args(git).current_dir(world.project())).ok();
        world.write("tasks/noop/src/task.js", "malice()");
        world
    };
    // What is compiled and ignored, and a task that the commit does not have.
    let ignored = |line: &str| {
        let world = author();
        let ignore = fs::read_to_string(world.project().join(".gitignore")).unwrap();
        world.write(".gitignore", format!("{ignore}{line}\n"));
        done(
            std::process::Command::new("git")
                .args(["rm", "-r", "--cached", "--quiet", "--ignore-unmatch", line])
                .current_dir(world.project()),
        )
        .ok();
        world.write("tasks/noop/src/more.js", "malice()");
        world.commit("ignores");
        world
    };
    let git = |world: &World, args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.test"]).args(args);
        done(git.current_dir(world.project())).ok().out.trim().to_owned()
    };
    // A name for git is a file for a compiler.
    let linked = || {
        let world = author();
        let outside = world.path("outside.js");
        fs::write(&outside, "malice()").unwrap();
        std::os::unix::fs::symlink(outside, world.project().join("tasks/noop/src/more.js")).unwrap();
        world.commit("links");
        world
    };
    // Another commit stands where this one is.
    let replaced = || {
        let world = author();
        let own = commit(&world);
        world.write("tasks/noop/src/task.js", "malice()");
        world.commit("malice");
        git(&world, &["replace", &own, &commit(&world)]);
        git(&world, &["update-ref", "HEAD", &own]);
        world
    };
    // As old and as long as what it stands for.
    let disguised = || {
        let world = author();
        let file = world.project().join("tasks/noop/src/task.js");
        let write = |text: &str| {
            fs::write(&file, text).unwrap();
            let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
            fs::File::options().write(true).open(&file).unwrap().set_modified(then).unwrap();
        };
        git(&world, &["config", "core.trustctime", "false"]);
        git(&world, &["config", "core.checkStat", "minimal"]);
        write("innocent");
        world.commit("innocent");
        write("malice()");
        world
    };
    let excluded = || {
        let world = author();
        fs::write(world.project().join(".git/info/exclude"), "build.rs\n").unwrap();
        world.write("tasks/noop/build.rs", "malice()");
        world
    };
    for (case, world) in [
        ("linked", linked()),
        ("replaced", replaced()),
        ("disguised", disguised()),
        ("excluded", excluded()),
        ("assumed", told("--assume-unchanged")),
        ("skipped", told("--skip-worktree")),
        ("a source that is ignored", ignored("tasks/noop/src/more.js")),
        ("a task that is ignored", ignored("tasks")),
    ] {
        let status = ["status", "--porcelain"];
        let clean =
            done(std::process::Command::new("git").args(status).current_dir(world.project())).ok().out;
        assert_eq!(clean, "", "{case}");
        let published = publish(&world, &["tasks/noop", "--sign"]);
        let attested = attested(&world, &embedded(&world), &published);
        let provenance = of_kind(&attested, PROVENANCE);
        assert_eq!(provenance["buildDefinition"]["internalParameters"]["source"], "changed", "{case}");
        assert!(!provenance.to_string().contains(&commit(&world)), "{case}: {provenance}");
    }
}

#[test]
fn a_remote_is_named_without_secrets_and_paths_of_this_machine() {
    let world = author();
    for (url, named) in [
        ("https://git.example.test/a/b.git", Some("git+https://git.example.test/a/b.git@")),
        ("https://alice:SECRET@git.example.test/a.git", Some("git+https://git.example.test/a.git@")),
        ("git@git.example.test:a/b.git", Some("git@git.example.test")),
        ("ssh://SECRET@git.example.test/a", Some("git+ssh://git.example.test/a@")),
        ("https://git.example.test/a?private_token=SECRET", None),
        ("oauth2:SECRET@git.example.test:a/b.git", None),
        ("hg::https://alice:SECRET@git.example.test/x", None),
        ("codecommit::eu-west-1://alice:SECRET@repository", None),
        ("ssh://git.example.test?token=SECRET/a", None),
        ("ssh://alice:b:SECRET/a", None),
        ("https://SECRET%40git.example.test/a", None),
        ("https://git.example.test/a%3Ftoken=SECRET", None),
        ("localhost:/home/alice/SECRET", None),
        ("/home/alice/SECRET", None),
        ("file:///home/alice/SECRET", None),
        ("../SECRET", None),
    ] {
        let git = ["config", "remote.origin.url", url];
        done(std::process::Command::new("git").args(git).current_dir(world.project())).ok();
        // Each time something else, so that it is said anew.
        world.write("tasks/noop/src/task.js", url);
        world.commit(named.unwrap_or("none"));
        let published = publish(&world, &["tasks/noop", "--sign"]);
        let all = attested(&world, &embedded(&world), &published);
        let text = format!("{all:?}");
        assert!(!text.contains("SECRET") && !text.contains("alice"), "{url}: {text}");
        let named = named.is_none_or(|named| text.contains(named));
        assert!(named && text.contains(&commit(&world)), "{url}: {text}");
    }
}

#[test]
fn what_a_link_leads_to_outside_of_a_task_is_neither_listed_nor_told() {
    let world = World::with(&[]);
    let lock = format!("-r more.txt\ncomponentize-py==0.25.1 --hash={SUM}\n");
    let files = [("requirements.txt", lock.as_str()), ("src/app.py", "")];
    task_of(&world, ".venv/bin/componentize-py", &files);
    let secret = world.write("netrc", "machine git.example.test login alice\n");
    let directory = world.project().join("tasks/noop");
    std::os::unix::fs::symlink(&secret, directory.join("more.txt")).unwrap();
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let why = published["notAttached"][0].as_str().unwrap();
    assert_eq!(why, "no SBOM: more.txt is not in the task's directory");
    // And so with the lock file itself.
    fs::rename(directory.join("more.txt"), directory.join("requirements.txt")).unwrap();
    let said = format!("{:?}", publish(&world, &["tasks/noop", "--sign"]));
    assert!(said.contains("requirements.txt is a link") && !said.contains("alice"), "{said}");
}

#[test]
fn without_a_signer_nothing_is_attached() {
    let world = author();
    let published = publish(&world, &["tasks/noop"]);
    assert_eq!(published["attached"], json!([]));
    assert_eq!(published["notAttached"], json!(["no SBOM and no provenance: nobody signs"]));
    assert!(attested(&world, &embedded(&world), &published).is_empty());
}

#[test]
fn what_is_missing_for_an_sbom_is_said() {
    let world = author();
    fs::remove_file(world.project().join("tasks/noop/package-lock.json")).unwrap();
    world.commit("without");
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let why = "no SBOM: there is no package-lock.json; `npm install` writes one";
    assert_eq!(published["notAttached"], json!([why]));
    world.write("tasks/noop/package-lock.json", "{\n\"lockfileVersion\": 1}");
    let why = publish(&world, &["tasks/noop", "--sign"])["notAttached"][0].as_str().unwrap().to_owned();
    assert!(why.starts_with("no SBOM: package-lock.json: lockfileVersion 1"), "{why}");
}

#[test]
fn the_evidence_goes_with_a_file_that_was_built_here() {
    let world = author();
    world.run(&["task", "build", "tasks/noop", "--output", "noop.wasm"]).ok();
    let published = publish(&world, &["noop.wasm", "--sign", "--to", "oci:layout"]);
    let layout = Layout::open(&world.project().join("layout")).unwrap();
    assert_eq!(attested(&world, &layout, &published).len(), 2);
    let set_up = world.run(&["setup", "noop.wasm", "--format", "json"]).ok();
    let set_up: Value = serde_json::from_str(&set_up.out).unwrap();
    assert_eq!(set_up["tasks"][0]["attached"].as_array().unwrap().len(), 2);

    // Somebody else did not build it, and neither did who only put it together.
    let other = World::with(&[]);
    other.write("noop.wasm", fs::read(world.project().join("noop.wasm")).unwrap());
    let unknown = json!(["no SBOM and no provenance: it was not built here"]);
    assert_eq!(publish(&other, &["noop.wasm", "--sign"])["notAttached"], unknown);
    other.write("task.yaml", MANIFEST);
    let component = bare_component("noop");
    let component = component.to_str().unwrap();
    other.run(&["task", "build", ".", "--component", component, "--output", "own.wasm"]).ok();
    assert_eq!(publish(&other, &["own.wasm", "--sign"])["notAttached"], unknown);
}

#[test]
fn pinned_requirements_are_listed_with_what_they_include() {
    let world = World::with(&[]);
    let lock = format!("-r more.txt\ncomponentize-py==0.25.1 --hash={SUM}\n");
    let more = format!("Some_Thing==2.0 --hash={SUM}\n");
    let files = [("requirements.txt", lock.as_str()), ("more.txt", &more), ("src/app.py", "")];
    task_of(&world, ".venv/bin/componentize-py", &files);
    let published = publish(&world, &["tasks/noop", "--sign"]);
    let why = published["notAttached"][0].as_str().unwrap();
    assert_eq!(why, "the provenance names no commit: the source is no git checkout that can be read");
    let attested = attested(&world, &embedded(&world), &published);
    let sbom = of_kind(&attested, SBOM_PREDICATE);
    let purls: Vec<_> = sbom["components"].as_array().unwrap().iter().map(|one| &one["purl"]).collect();
    assert_eq!(purls, ["pkg:pypi/componentize-py@0.25.1", "pkg:pypi/some-thing@2.0"]);
    assert_eq!(sbom["components"][0]["hashes"][0]["content"], SUM.trim_start_matches("sha256:"));
    let dependencies = &of_kind(&attested, PROVENANCE)["buildDefinition"]["resolvedDependencies"];
    let named: Vec<_> = dependencies.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(named, ["more.txt", "requirements.txt"]);
}

#[test]
fn of_a_workspace_the_sbom_lists_what_the_task_can_need() {
    let world = World::with(&[]);
    let directory = repository().join("examples/word-count");
    let args = ["task", "publish", directory.to_str().unwrap(), "--sign", "--format", "json"];
    let mut command = world.command(&args);
    command.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    let published: Value = serde_json::from_str(&done(&mut command).ok().out).unwrap();
    let attested = attested(&world, &embedded(&world), &published);
    let sbom = of_kind(&attested, SBOM_PREDICATE);
    let components = sbom["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|one| one["name"] == name);
    let foreign = named("wit-bindgen").unwrap();
    assert!(foreign["purl"].as_str().unwrap().starts_with("pkg:cargo/wit-bindgen@"), "{foreign}");
    assert_eq!(foreign["hashes"][0]["alg"], "SHA-256");
    assert!(named("cofferdam-sdk").is_some() && named("wasmtime").is_none() && named("cofferdam").is_none());
    let provenance = of_kind(&attested, PROVENANCE);
    let lock = fs::read(repository().join("Cargo.lock")).unwrap();
    let dependencies = provenance["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let lock = json!({ "name": "Cargo.lock", "digest": { "sha256": Digest::of(&lock).to_hex() } });
    assert!(dependencies.contains(&lock), "{dependencies:#?}");
}

#[test]
fn a_registry_has_them_and_a_copy_in_the_repository_has_not() {
    let debian = DebianRegistry::open();
    let own = TestRegistry::plain();
    for host in [debian.host(), own.host()] {
        let world = author();
        let to = format!("{host}/team");
        let published = publish(&world, &["tasks/noop", "--sign", "--to", &to]);
        assert_eq!(published["attached"].as_array().unwrap().len(), 2);
        // Nothing is said twice there, either.
        let again = publish(&world, &["tasks/noop", "--sign", "--to", &to]);
        assert!(again["attached"].as_array().unwrap().iter().all(|one| one["already"] == true), "{again:#}");

        let reference = format!("{host}/team/noop:0.1.0");
        let inspected = world.run(&["task", "inspect", &reference, "--format", "json"]).ok();
        let inspected: Value = serde_json::from_str(&inspected.out).unwrap();
        let attestations = inspected["attestations"].as_array().unwrap();
        assert_eq!(attestations.len(), 2, "{inspected:#}");
        assert!(attestations.iter().all(|one| one["namesIt"] == true), "{inspected:#}");

        let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ bundle: '{reference}' }} }}\n"));
        world.run(&["vendor", &pipeline]).ok();
        let vendored = Layout::open(&world.project().join(".cofferdam/vendor")).unwrap();
        let digest: Digest = published["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(vendored.bundles(digest).unwrap().sound.len(), 1);
        assert!(vendored.attestations(digest).unwrap().is_empty());
        world.run(&["run", "--locked", &pipeline]).ok();
    }
}

#[test]
fn attestations_alone_make_no_task_trusted() {
    let registry = TestRegistry::plain();
    let (world, to) = (author(), format!("{}/team", registry.host()));
    publish(&world, &["tasks/noop", "--sign", "--to", &to]);
    let rule = format!("oci://{}/team/*", registry.host());
    world.run(&["trust", "add", "team", &rule, "--key", "../home/keys/cofferdam.pub"]).ok();
    let reference = format!("{}/team/noop:0.1.0", registry.host());
    let explained = world.run(&["trust", "explain", &reference]).ok().out;
    assert!(explained.contains("trusted"), "{explained}");
    // Whoever has the registry takes the signature away, and leaves the rest.
    registry.forget_bundles("team/noop", "https://sigstore.dev/cosign/sign/v1");
    let user = World::with(&[]);
    fs::copy(world.home().join("keys/cofferdam.pub"), user.project().join("team.pub")).unwrap();
    user.run(&["trust", "add", "team", &rule, "--key", "team.pub"]).ok();
    let inspected = user.run(&["task", "inspect", &reference, "--format", "json"]).ok();
    let inspected: Value = serde_json::from_str(&inspected.out).unwrap();
    assert_eq!(inspected["attestations"].as_array().unwrap().len(), 2);
    assert_eq!(inspected["trust"]["verdict"], "untrusted", "{inspected:#}");
    assert_eq!(inspected["trust"]["cause"]["cause"], "unsigned", "{inspected:#}");
}

#[test]
fn an_identity_attests_as_a_key_does() {
    let (world, deployment) = (author(), Deployment::new());
    let services = KeylessServices::start(deployment.clone());
    let own = |name: &str, value: Value| fs::write(world.home().join(name), value.to_string()).unwrap();
    own("trusted_root.json", deployment.trusted_root());
    own("signing_config.json", services.signing_config());
    fs::write(world.path("token"), token(SIGNER, ISSUER)).unwrap();
    let args = ["tasks/noop", "--keyless", "--identity-token-file", "../token"];
    let published = publish(&world, &args);
    let attached = published["attached"].as_array().unwrap();
    let by: Vec<_> = attached.iter().map(|one| one["signedBy"].as_str().unwrap()).collect();
    assert_eq!(by, [format!("{SIGNER} ({ISSUER})"), format!("{SIGNER} ({ISSUER})")]);
    let digest: Digest = published["digest"].as_str().unwrap().parse().unwrap();
    assert_eq!(embedded(&world).attestations(digest).unwrap().len(), 2);
    let inspected = world.run(&["task", "inspect", "noop"]).ok().out;
    assert!(inspected.contains(&format!("attached  SBOM, names {SIGNER}")), "{inspected}");
    let again = publish(&world, &args);
    assert!(again["attached"].as_array().unwrap().iter().all(|one| one["already"] == true), "{again:#}");
}
