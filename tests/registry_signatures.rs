//! Signatures and attestations on their way through registries: those that an
//! identity makes, those under the tags of older versions of cosign, and more of
//! them than anybody needs.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::{Digest, SBOM_PREDICATE};
use rcgen::{KeyPair, PublicKeyData as _, SanType, SigningKey as _};
use serde_json::{Value, json};

use crate::attestations;
use crate::harness::keyless_services::{KeylessServices, SIGNER, token};
use crate::harness::sigstore::{Deployment, ISSUER, Signing};
use crate::harness::simple_signing::simple_payload;
use crate::harness::{DebianRegistry, Done, Task, TestRegistry, World, reply, task_file};
use crate::registry_http::pipeline;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const REPOSITORY: &str = "team/noop";

pub(crate) fn publish(world: &World, host: &str, more: &[&str]) -> Value {
    let (file, to) = (task_file(Task::Test("noop")), format!("{host}/team"));
    let args = ["task", "publish", file.to_str().unwrap(), "--to", &to, "--format", "json"];
    serde_json::from_str(&world.run(&[&args[..], more].concat()).ok().out).unwrap()
}

/// A user who trusts what somebody signs in a registry, and the trusted root.
pub(crate) fn truster(deployment: &Deployment, host: &str, who: &[&str]) -> World {
    let world = World::with(&[]);
    let root = deployment.trusted_root().to_string();
    fs::write(world.home().join("trusted_root.json"), root).unwrap();
    let pattern = format!("oci://{host}/team/*");
    world.run(&[&["trust", "add", "team", &pattern], who].concat()).ok();
    world
}

/// Runs the task as one that must be trusted.
pub(crate) fn run_trusted(user: &World, host: &str) -> Done {
    let pipeline = pipeline(user, &format!("{host}/{REPOSITORY}:0.1.0"));
    user.run(&["run", "--quiet", "--require-trusted", &pipeline])
}

pub(crate) fn refused(done: Done) -> Done {
    done.refused(4, "trust/not-trusted", ".cofferdam/test.yaml:")
}

#[test]
fn what_an_identity_publishes_is_trusted_by_who_it_is() {
    let deployment = Deployment::new();
    let services = KeylessServices::start(deployment.clone());
    let (debian, with, without) =
        (DebianRegistry::open(), TestRegistry::plain(), TestRegistry::plain().without_referrers());
    for host in [debian.host(), with.host(), without.host()] {
        let world = World::with(&[]);
        let own = |name: &str, value: Value| fs::write(world.home().join(name), value.to_string()).unwrap();
        own("trusted_root.json", deployment.trusted_root());
        own("signing_config.json", services.signing_config());
        fs::write(world.path("token"), token(SIGNER, ISSUER)).unwrap();
        let keyless = ["--keyless", "--identity-token-file", "../token"];
        let published = publish(&world, &host, &keyless);
        assert_eq!(published["signedByIdentity"], format!("{SIGNER} ({ISSUER})"));
        run_trusted(&truster(&deployment, &host, &["--subject", SIGNER, "--issuer", ISSUER]), &host).ok();
        let other = ["--subject", "other@example.test", "--issuer", ISSUER];
        refused(run_trusted(&truster(&deployment, &host, &other), &host)).says(SIGNER);
        let foreign = deployment.with_other_authority();
        let untrusting = truster(&foreign, &host, &["--subject", SIGNER, "--issuer", ISSUER]);
        refused(run_trusted(&untrusting, &host)).says("no authority of the trusted root signed it");
        // Whom the services do not know has nothing published.
        fs::write(world.path("token"), token("nobody@example.test", ISSUER)).unwrap();
        let (file, to) = (task_file(Task::Test("noop")), format!("{host}/other"));
        let args = ["task", "publish", file.to_str().unwrap(), "--to", &to];
        world.run(&[&args[..], &keyless].concat()).refused(1, "sign/service", "");
        world.run(&["task", "list", &format!("{host}/other/noop")]).refused(3, "registry/no-such-name", "");
    }
}

/// A task in a registry that nobody has signed, and its digest.
fn unsigned(registry: &TestRegistry) -> Digest {
    let published = publish(&World::with(&[]), &registry.host(), &[]);
    published["digest"].as_str().unwrap().parse().unwrap()
}

/// Puts signatures where older versions of cosign do.
fn tag(registry: &TestRegistry, task: Digest, layers: &[(&[u8], BTreeMap<String, String>)]) -> Vec<Value> {
    let layer = |(payload, annotations): &(&[u8], BTreeMap<String, String>)| {
        let mut layer = registry.put_blob(REPOSITORY, SIMPLE, payload);
        layer["annotations"] = json!(annotations);
        layer
    };
    let layers: Vec<Value> = layers.iter().map(layer).collect();
    let config = registry.put_blob(REPOSITORY, "application/vnd.oci.image.config.v1+json", b"{}");
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    registry.put(REPOSITORY, &format!("sha256-{}.sig", task.to_hex()), MANIFEST, &manifest);
    layers
}

/// A key's signature, and the key's public half.
fn by_key(payload: &[u8]) -> (BTreeMap<String, String>, String) {
    let key = KeyPair::generate().unwrap();
    let signature = STANDARD.encode(key.sign(payload).unwrap());
    let public = STANDARD.encode(key.subject_public_key_info());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n");
    ([("dev.cosignproject.cosign/signature".to_owned(), signature)].into(), pem)
}

#[test]
fn signatures_under_the_tags_of_older_versions_count() {
    let deployment = Deployment::new();
    for registry in [TestRegistry::plain(), TestRegistry::plain().without_referrers()] {
        let (host, task) = (registry.host(), unsigned(&registry));
        let payload = simple_payload(task);
        let (signed, public) = by_key(&payload);
        let subject = SanType::Rfc822Name(SIGNER.try_into().unwrap());
        let identity = deployment.sign_simple(&Signing { subject, ..Signing::new("", task) }, &payload);
        let by_identity = || truster(&deployment, &host, &["--subject", SIGNER, "--issuer", ISSUER]);
        let with_key = |public: &str| {
            let user = World::with(&[]);
            user.write("team.pub", public);
            let pattern = format!("oci://{host}/team/*");
            user.run(&["trust", "add", "team", &pattern, "--key", "team.pub"]).ok();
            user
        };
        refused(run_trusted(&with_key(&public), &host));
        tag(&registry, task, &[(&payload, signed), (&payload, identity)]);
        for user in [with_key(&public), by_identity()] {
            run_trusted(&user, &host).ok();
            // What is vendored has them, too.
            let pipeline = pipeline(&user, &format!("{host}/{REPOSITORY}:0.1.0"));
            user.run(&["vendor", &pipeline]).ok();
            let _ = fs::remove_dir_all(user.home().join("pulled"));
            user.run(&["run", "--quiet", "--locked", "--require-trusted", &pipeline]).ok();
        }
        refused(run_trusted(&with_key(&by_key(&payload).1), &host));
        let other = ["--subject", "other@example.test", "--issuer", ISSUER];
        refused(run_trusted(&truster(&deployment, &host, &other), &host)).says(SIGNER);
        let foreign = deployment.with_other_log();
        let untrusting = truster(&foreign, &host, &["--subject", SIGNER, "--issuer", ISSUER]);
        refused(run_trusted(&untrusting, &host)).says("its signed entry timestamp is not that of a log");
    }
}

#[test]
fn what_a_registry_does_to_those_tags_makes_nothing_trusted() {
    let registry = TestRegistry::plain();
    let (host, task) = (registry.host(), unsigned(&registry));
    let payload = simple_payload(task);
    let (signed, public) = by_key(&payload);
    let user = || {
        let user = World::with(&[]);
        user.write("team.pub", &public);
        let pattern = format!("oci://{host}/team/*");
        user.run(&["trust", "add", "team", &pattern, "--key", "team.pub"]).ok();
        user
    };
    // What was signed is another task.
    let elsewhere = simple_payload(Digest::of(b"another"));
    tag(&registry, task, &[(&elsewhere, signed.clone())]);
    refused(run_trusted(&user(), &host));
    // It gives other bytes than it names: they are left out, and that is said.
    let layers = tag(&registry, task, &[(&payload, signed.clone())]);
    registry.corrupt(REPOSITORY, layers[0]["digest"].as_str().unwrap());
    refused(run_trusted(&user(), &host)).says(".sig is left out");
    // More than anybody has, in number and in size.
    let many: Vec<_> = (0..65).map(|_| (payload.as_slice(), signed.clone())).collect();
    tag(&registry, task, &many);
    refused(run_trusted(&user(), &host)).says("larger than signatures are");
    let mut large = signed.clone();
    large.insert("padding".to_owned(), "x".repeat(1 << 20));
    tag(&registry, task, &[(&payload, large)]);
    refused(run_trusted(&user(), &host)).says("larger than signatures are");
    // Where it does not say whether there are any, nothing runs.
    tag(&registry, task, &[(&payload, signed)]);
    run_trusted(&user(), &host).ok();
    registry.fails(|received, out| {
        let asked = received.target.ends_with(".sig");
        if asked {
            reply(out, 418, &[], Vec::new())?;
        }
        Ok(asked)
    });
    run_trusted(&user(), &host).refused(1, "registry/answer", "418");
}

#[test]
fn attestations_that_are_too_large_together_are_left_out() {
    let registry = TestRegistry::plain();
    let (world, to) = (attestations::author(), format!("{}/team", registry.host()));
    let published = attestations::publish(&world, &["tasks/noop", "--sign", "--to", &to]);
    let reference = format!("{to}/noop:0.1.0");
    let inspect = || world.run(&["task", "inspect", &reference, "--format", "json"]).ok();
    let count = |shown: &Done| {
        let shown: Value = serde_json::from_str(&shown.out).unwrap();
        shown["attestations"].as_array().unwrap().len()
    };
    let shown = inspect();
    assert_eq!(count(&shown), 2, "{shown:?}");
    // Bundles that are not there, and claim all of the 64 MiB but 64 bytes: what is
    // listed after them finds no room, and what comes before them does.
    let config = registry.put_blob(REPOSITORY, "application/vnd.oci.empty.v1+json", b"{}");
    let subject = json!({ "mediaType": MANIFEST, "digest": published["digest"], "size": 1 });
    let kinds = [SBOM_PREDICATE, attestations::PROVENANCE];
    let lowest = kinds.iter().flat_map(|kind| registry.bundles_of(REPOSITORY, kind)).min().unwrap();
    for (number, less) in [(0, 2), (1, 2), (2, 2), (3, 2 + 64)] {
        let digest = Digest::of(format!("nothing {number}").as_bytes());
        let layer = json!({ "mediaType": BUNDLE, "digest": digest, "size": (16 << 20) - less });
        // The registry lists them by their digests.
        let before = (0_u32..).find_map(|nonce| {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
                "config": config, "layers": [layer], "subject": subject,
                "annotations": {
                    "dev.sigstore.bundle.predicateType": SBOM_PREDICATE, "nonce": nonce.to_string(),
                },
            });
            let digest = Digest::of(&serde_json::to_vec(&manifest).unwrap()).to_string();
            (digest < lowest).then_some(manifest)
        });
        registry.put(REPOSITORY, &format!("fake-{number}"), MANIFEST, &before.unwrap());
        let shown = inspect();
        let left = if number < 3 { 2 } else { 0 };
        assert_eq!(count(&shown), left, "{shown:?}");
        assert_eq!(shown.err.contains("it is more than is read"), number == 3, "{shown:?}");
    }
}
