//! Other clients of Sigstore judge as we do: what we sign verifies there, what
//! they sign verifies here, and what does not, does not. Another client of
//! registries pulls what we published.

use std::path::PathBuf;
use std::process::Command;

use cofferdam_registry::Digest;
use serde_json::{Value, json};

use crate::harness::keyless_services::{KeylessServices, SIGNER, token};
use crate::harness::sigstore::{Deployment, ISSUER};
use crate::harness::{DebianRegistry, Done, Task, World, done, repository, target, task_file};

/// Where the other clients are.
fn tools() -> PathBuf {
    let tools = target().join("tools/peers");
    assert!(tools.join("requirements.txt").is_file(), "tests/install-tools installs the other clients");
    tools
}

/// Runs another client where nothing of the user's is found.
fn peer(world: &World, program: &str, args: &[&str]) -> Done {
    let mut command = Command::new(program);
    command.args(args).current_dir(world.project()).env("HOME", world.path("home"));
    done(command.env("PEERS", tools()).env("NO_PROXY", "127.0.0.1,localhost"))
}

struct Peers {
    world: World,
    _services: KeylessServices,
    tools: PathBuf,
}

impl Peers {
    fn new() -> Self {
        let (world, deployment) = (World::empty(), Deployment::new());
        let services = KeylessServices::start(deployment.clone());
        let (root, config) = (deployment.trusted_root(), services.signing_config());
        world.write("app", "the artifact");
        world.write("other", "another");
        world.write("root.json", root.to_string());
        world.write("config.json", config.to_string());
        let kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";
        let both = json!({ "mediaType": kind, "trustedRoot": root, "signingConfig": config });
        world.write("trust.json", both.to_string());
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "app", "digest": { "sha256": Digest::of(b"the artifact").to_hex() } }],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {},
        });
        world.write("statement.json", statement.to_string());
        Self { world, _services: services, tools: tools() }
    }

    fn peer(&self, program: &str, args: &[&str]) -> Done {
        peer(&self.world, program, args)
    }

    fn python(&self, args: &[&str]) -> Done {
        let program = self.tools.join("python/bin/sigstore").display().to_string();
        self.peer(&program, &[&["--trust-config", "trust.json"], args].concat())
    }

    /// Insists that each of the others, and we, take a bundle as somebody's, or
    /// that none does.
    fn agree(&self, holds: bool, bundle: &str, who: &str, file: &str) {
        let script = repository().join("tests/peers/verify.mjs").display().to_string();
        let node = self.peer("node", &[&script, bundle, "root.json", who, ISSUER, file]);
        assert_eq!(node.status == 0, holds, "{bundle}: {node:?}");
        self.agree_with_python(holds, bundle, who, file);
    }

    fn agree_with_python(&self, holds: bool, bundle: &str, who: &str, file: &str) {
        let python = ["verify", "identity", "--offline", "--bundle", bundle, "--cert-identity", who];
        let python = self.python(&[&python[..], &["--cert-oidc-issuer", ISSUER, file]].concat());
        assert_eq!(python.status == 0, holds, "{bundle}: {python:?}");
        let ours = ["verify-bundle", "--bundle", bundle, "--certificate-identity", who];
        let more = ["--certificate-oidc-issuer", ISSUER, "--trusted-root", "root.json", file];
        let ours = self.world.run(&[&ours[..], &more].concat());
        assert_eq!(ours.status == 0, holds, "{bundle}: {ours:?}");
    }

    fn agree_on(&self, bundle: &str, is_statement: bool) {
        self.agree(true, bundle, SIGNER, "app");
        self.agree(false, bundle, "somebody@example.test", "app");
        if is_statement {
            // The other takes an envelope without looking for the file in it.
            self.agree_with_python(false, bundle, SIGNER, "other");
        } else {
            self.agree(false, bundle, SIGNER, "other");
        }
        let path = self.world.project().join(bundle);
        let mut changed: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        changed["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "1".into();
        self.world.write("changed.json", changed.to_string());
        self.agree(false, "changed.json", SIGNER, "app");
    }
}

#[test]
fn what_is_signed_here_verifies_with_other_clients() {
    let peers = Peers::new();
    let token = token(SIGNER, ISSUER);
    let sign = |first: &[&str], bundle: &str, file: &str| {
        let args = ["--identity-token", &token, "--bundle", bundle, "--trusted-root", "root.json"];
        let more = ["--signing-config", "config.json", file];
        peers.world.run(&[first, &args, &more].concat()).ok();
    };
    sign(&["sign-bundle"], "file.json", "app");
    peers.agree_on("file.json", false);
    sign(&["sign-bundle", "--in-toto"], "statement.sigstore.json", "statement.json");
    peers.agree_on("statement.sigstore.json", true);
}

#[test]
fn what_another_client_signs_verifies_here() {
    let peers = Peers::new();
    let token = token(SIGNER, ISSUER);
    let signed = peers.python(&["sign", "--identity-token", &token, "--bundle", "theirs.json", "app"]);
    assert_eq!(signed.status, 0, "{signed:?}");
    peers.agree_on("theirs.json", false);
}

#[test]
fn what_the_client_of_npm_signs_verifies_here() {
    let peers = Peers::new();
    let token = token(SIGNER, ISSUER);
    let script = repository().join("tests/peers/sign.mjs").display().to_string();
    let sign = |file: &str, bundle: &str, kind: &[&str]| {
        let args = [&script, "config.json", &token, file, bundle];
        peers.peer("node", &[&args[..], kind].concat()).ok();
        peers.agree_on(bundle, !kind.is_empty());
    };
    sign("app", "npm-file.json", &[]);
    sign("statement.json", "npm-statement.json", &["application/vnd.in-toto+json"]);
    // Whom the services do not know has no bundle.
    let nobody = crate::harness::keyless_services::token("nobody@example.test", ISSUER);
    let refused = peers.peer("node", &[&script, "config.json", &nobody, "app", "none.json"]);
    assert!(refused.status != 0 && !peers.world.project().join("none.json").exists(), "{refused:?}");
}

#[test]
fn another_client_of_registries_pulls_what_is_published() {
    let (registry, world) = (DebianRegistry::open(), World::with(&[]));
    let file = task_file(Task::Test("echo"));
    let to = format!("{}/team", registry.host());
    world.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"]).ok();
    let python = tools().join("python/bin/python").display().to_string();
    let script = repository().join("tests/peers/pull.py").display().to_string();
    let pulled = peer(&world, &python, &[&script, &format!("{to}/echo:0.1.0"), "pulled"]).ok();
    let [path] = pulled.out.lines().collect::<Vec<_>>().try_into().unwrap();
    let (pulled, published) = (std::fs::read(path).unwrap(), std::fs::read(file).unwrap());
    assert!(pulled == published, "other bytes: {} instead of {}", pulled.len(), published.len());
    let gone = peer(&world, &python, &[&script, &format!("{to}/echo:0.2.0"), "pulled"]);
    assert_ne!(gone.status, 0, "{gone:?}");
}
