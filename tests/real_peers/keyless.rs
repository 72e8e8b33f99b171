//! Signing with an identity against real services, with cosign on the other side.

use std::fs;

use cofferdam_registry::{Digest, SBOM_PREDICATE};
use serde_json::{Value, json};

use super::deployment::Deployment;
use super::registries::RealRegistry;
use super::run;
use crate::attestations::{PROVENANCE, publish, write_task};
use crate::harness::{Done, Task, World, task_file};
use crate::registry_http::pipeline;

const SIGNER: &str = "dev@example.test";
const OTHER: &str = "other@example.test";

impl Deployment {
    fn cosign(&self, args: &[&str]) -> Done {
        run(&self.world, "cosign", args)
    }

    /// Signs with cosign as somebody.
    fn cosign_signs(&self, email: &str, command: &[&str]) {
        // cosign takes what is no token of RS256 for the name of a file.
        self.world.write("token", self.issuer.token(email));
        let [root, config] = self.files();
        let services = ["--trusted-root", &root, "--signing-config", &config];
        let args = [&command[..1], &["--yes", "--identity-token", "token"], &services, &command[1..]];
        self.cosign(&args.concat()).ok();
    }

    /// Whether cosign finds that somebody signed.
    fn cosign_verifies(&self, email: &str, command: &[&str]) -> bool {
        let ([root, _], issuer) = (self.files(), self.issuer.url());
        let args = ["--trusted-root", &root, "--certificate-identity", email];
        let issuer = ["--certificate-oidc-issuer", &issuer];
        let done = self.cosign(&[&command[..1], &args, &issuer, &command[1..]].concat());
        let is_refusal = done.err.contains("none of the expected identities matched")
            || done.err.contains("failed to verify certificate identity");
        assert!(done.status == 0 || is_refusal, "{done:?}");
        done.status == 0
    }

    /// Whether we find that somebody signed a bundle.
    fn we_verify(&self, email: &str, bundle: &str, file: &str) -> bool {
        let ([root, _], issuer) = (self.files(), self.issuer.url());
        let args = ["verify-bundle", "--bundle", bundle, "--certificate-identity", email];
        let more = ["--certificate-oidc-issuer", &issuer, "--trusted-root", &root, file];
        let done = self.world.run(&[&args[..], &more].concat());
        assert!(done.status == 0 || done.err.contains("bundle/wrong-identity"), "{done:?}");
        done.status == 0
    }

    /// Another user, who trusts what somebody signs in a registry.
    fn truster(&self, host: &str, email: &str) -> World {
        let world = World::with(&[]);
        fs::copy(&self.files()[0], world.home().join("trusted_root.json")).unwrap();
        let (pattern, issuer) = (format!("oci://{host}/team/*"), self.issuer.url());
        let args = ["trust", "add", "team", &pattern, "--subject", email, "--issuer", &issuer];
        world.run(&args).ok();
        world
    }
}

fn runs(user: &World, reference: &str) -> bool {
    let done = user.run(&["run", "--require-trusted", &pipeline(user, reference)]);
    let runs = done.status == 0;
    if !runs {
        done.refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
    }
    runs
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn what_we_sign_cosign_verifies() {
    let deployment = Deployment::start();
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let host = &registry.host;
        let (file, to) = (task_file(Task::Test("noop")), format!("{host}/team"));
        deployment.world.write("token", deployment.issuer.token(SIGNER));
        let publish = ["task", "publish", file.to_str().unwrap(), "--to", &to, "--keyless"];
        deployment.world.run(&[&publish[..], &["--identity-token-file", "token"]].concat()).ok();
        let reference = format!("{to}/noop:0.1.0");
        assert!(deployment.cosign_verifies(SIGNER, &["verify", &reference]));
        assert!(!deployment.cosign_verifies(OTHER, &["verify", &reference]));
        assert!(runs(&deployment.truster(host, SIGNER), &reference));
        assert!(!runs(&deployment.truster(host, OTHER), &reference));
    }
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn what_we_attest_cosign_verifies() {
    let deployment = Deployment::start();
    write_task(&deployment.world);
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let to = format!("{}/team", registry.host);
        deployment.world.write("token", deployment.issuer.token(SIGNER));
        let keyless = ["tasks/noop", "--to", &to, "--keyless", "--identity-token-file", "token"];
        let published = publish(&deployment.world, &keyless);
        assert_eq!(published["attached"].as_array().unwrap().len(), 2, "{published:#}");
        let reference = format!("{to}/noop:0.1.0");
        for kind in [SBOM_PREDICATE, PROVENANCE] {
            let verify = ["verify-attestation", "--type", kind, &reference];
            assert!(deployment.cosign_verifies(SIGNER, &verify), "{kind}");
            assert!(!deployment.cosign_verifies(OTHER, &verify), "{kind}");
        }
    }
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn what_cosign_signs_and_attests_we_verify_and_run() {
    let deployment = Deployment::start();
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let host = &registry.host;
        let (file, to) = (task_file(Task::Test("noop")), format!("{host}/team"));
        deployment.world.run(&["task", "publish", file.to_str().unwrap(), "--to", &to]).ok();
        let reference = format!("{to}/noop:0.1.0");
        let shown = deployment.world.run(&["task", "inspect", "--format", "json", &reference]).ok();
        let shown: Value = serde_json::from_str(&shown.out).unwrap();
        let pinned = format!("{to}/noop@{}", shown["digest"].as_str().unwrap());
        // What is said of it is no signature of it.
        deployment.world.write("predicate.json", r#"{ "tested": true }"#);
        let attest = ["attest", "--type", "https://example.test/tested/v1", "--predicate", "predicate.json"];
        deployment.cosign_signs(SIGNER, &[&attest[..], &[&pinned]].concat());
        assert!(!runs(&deployment.truster(host, SIGNER), &reference));
        deployment.cosign_signs(SIGNER, &["sign", &pinned]);
        assert!(runs(&deployment.truster(host, SIGNER), &reference));
        assert!(!runs(&deployment.truster(host, OTHER), &reference));
    }
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn files_and_statements_verify_in_both_directions() {
    let deployment = Deployment::start();
    let world = &deployment.world;
    world.write("app", "the artifact");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app", "digest": { "sha256": Digest::of(b"the artifact").to_hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": { "buildDefinition": {}, "runDetails": {} },
    });
    world.write("statement.json", statement.to_string());
    let [root, config] = deployment.files();
    let token = deployment.issuer.token(SIGNER);
    let sign = |command: &[&str]| {
        let args = ["--identity-token", &token, "--trusted-root", &root, "--signing-config", &config];
        world.run(&[&command[..1], &args, &command[1..]].concat()).ok();
    };
    sign(&["sign-bundle", "--bundle", "our-file.json", "app"]);
    sign(&["sign-bundle", "--in-toto", "--bundle", "our-statement.json", "statement.json"]);
    deployment.cosign_signs(SIGNER, &["sign-blob", "--bundle", "their-file.json", "app"]);
    let attest = ["attest-blob", "--statement", "statement.json", "--bundle", "their-statement.json"];
    deployment.cosign_signs(SIGNER, &attest);
    for who in ["our", "their"] {
        let (file, statement) = (format!("{who}-file.json"), format!("{who}-statement.json"));
        for (email, holds) in [(SIGNER, true), (OTHER, false)] {
            let blob = ["verify-blob", "--bundle", &file, "app"];
            assert_eq!(deployment.cosign_verifies(email, &blob), holds, "{file} {email}");
            let kind = ["--type", "https://slsa.dev/provenance/v1"];
            let attestation = ["verify-blob-attestation", "--bundle", &statement];
            let attestation = [&attestation[..], &kind, &["app"]].concat();
            assert_eq!(deployment.cosign_verifies(email, &attestation), holds, "{statement} {email}");
            assert_eq!(deployment.we_verify(email, &file, "app"), holds, "{file} {email}");
            assert_eq!(deployment.we_verify(email, &statement, "app"), holds, "{statement} {email}");
        }
    }
}
