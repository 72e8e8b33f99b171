//! `verify-bundle`, as the sigstore-conformance client protocol calls it.

use std::fs;

use cofferdam_registry::{Digest, SigningKey, sign};
use serde_json::Value;

use crate::harness::sigstore::{Deployment, ISSUER, Signing, WORKFLOW};
use crate::harness::{Done, World};

const PREDICATE: &str = "https://slsa.dev/provenance/v1";

struct Signed {
    world: World,
    deployment: Deployment,
}

impl Signed {
    fn new() -> Self {
        let (world, deployment) = (World::empty(), Deployment::new());
        world.write("app", "the artifact");
        let bundle = deployment.sign(&Signing::new(PREDICATE, Digest::of(b"the artifact")));
        world.write("app.sigstore.json", bundle.to_string());
        world.write("root.json", deployment.trusted_root().to_string());
        Self { world, deployment }
    }

    fn verify(&self, more: &[&str]) -> Done {
        let mut args = vec!["verify-bundle", "--bundle", "app.sigstore.json"];
        args.extend(more);
        self.world.run(&args)
    }
}

#[test]
fn a_bundle_is_verified_as_the_client_protocol_says() {
    let signed = Signed::new();
    let who = ["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ISSUER];
    let with = |root: &[&str], artifact: &str| signed.verify(&[&who, root, &[artifact]].concat());
    let root = ["--trusted-root", "root.json"];
    let done = with(&root, "app").ok();
    assert!(
        done.out.contains(WORKFLOW) && done.out.contains(ISSUER) && done.out.contains(PREDICATE),
        "{done:?}"
    );
    let digest = Digest::of(b"the artifact").to_string();
    with(&root, &digest).ok();
    let other = Digest::of(b"another");
    with(&root, &other.to_string()).refused(1, "bundle/wrong-subject", "");
    with(&root, &digest[..20]).refused(3, "io/unreadable", &digest[..20]);
    // What looks like a digest and is a file is a file.
    signed.world.write(&other.to_string(), "the artifact");
    with(&root, &other.to_string()).ok();

    // Nothing is fetched: the user's own file, or none.
    with(&[], "app").refused(3, "bundle/no-trusted-root", "trusted_root.json").says("--trusted-root");
    fs::create_dir_all(signed.world.home()).unwrap();
    let own = signed.world.home().join("trusted_root.json");
    fs::write(&own, signed.deployment.trusted_root().to_string()).unwrap();
    with(&[], "app").ok();
    fs::write(&own, "{}").unwrap();
    with(&[], "app").refused(3, "bundle/trusted-root", "trusted_root.json");

    with(&["--trusted-root", "root.json", "--predicate-type", PREDICATE], "app").ok();
    let other = ["--trusted-root", "root.json", "--predicate-type", "https://other.test/v1"];
    with(&other, "app").refused(1, "bundle/statement", "slsa.dev");
    let json = with(&["--trusted-root", "root.json", "--format", "json"], "app").ok().out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["signedBy"], &json["issuer"]), (&WORKFLOW.into(), &ISSUER.into()));
    assert_eq!((&json["verified"], &json["logged"]), (&true.into(), &true.into()));
}

#[test]
fn a_bundle_of_another_deployment_is_none_of_this_root() {
    let signed = Signed::new();
    for (other, code) in [
        (signed.deployment.with_other_authority(), "bundle/certificate"),
        (signed.deployment.with_other_certificate_log(), "bundle/certificate-log"),
    ] {
        let bundle = other.sign(&Signing::new(PREDICATE, Digest::of(b"the artifact")));
        signed.world.write("app.sigstore.json", bundle.to_string());
        let who = ["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ISSUER];
        signed.verify(&[&who[..], &["--trusted-root", "root.json", "app"]].concat()).refused(1, code, "");
    }
}

#[test]
fn nobody_in_particular_is_never_enough() {
    let signed = Signed::new();
    let root = ["--trusted-root", "root.json", "app"];
    for who in [
        &[][..],
        &["--certificate-identity", WORKFLOW],
        &["--certificate-oidc-issuer", ISSUER],
        &["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ISSUER, "--key", "app"],
    ] {
        let done = signed.verify(&[who, &root].concat());
        assert_eq!(done.status, 2, "{who:?}: {done:?}");
    }
    let as_whom = |who: &str, issuer: &str| {
        signed.verify(
            &[&["--certificate-identity", who, "--certificate-oidc-issuer", issuer], &root[..]].concat(),
        )
    };
    as_whom("dev@example.test", ISSUER).refused(1, "bundle/wrong-identity", WORKFLOW);
    as_whom(WORKFLOW, "https://other.test").refused(1, "bundle/wrong-issuer", ISSUER);
    as_whom("*", ISSUER).refused(3, "bundle/identity", "*");
}

#[test]
fn a_key_without_a_log_is_lower_assurance() {
    let signed = Signed::new();
    let key = SigningKey::generate(&signed.world.path("release.key")).unwrap();
    let statement = Signing::new(PREDICATE, Digest::of(b"the artifact")).statement.to_string();
    signed.world.write("app.sigstore.json", sign(statement.as_bytes(), &key).unwrap());
    let public = signed.world.path("release.pub").display().to_string();
    let done = signed.verify(&["--key", &public, "app"]).ok();
    assert!(done.out.contains("lower assurance"), "{done:?}");
    signed.verify(&["--key", &public, "root.json"]).refused(1, "bundle/wrong-subject", "");

    // An entry of a log that is there has to hold, and nobody knows this log.
    let path = signed.world.project().join("app.sigstore.json");
    let mut bundle: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let logged = signed.deployment.sign(&Signing::new(PREDICATE, Digest::of(b"the artifact")));
    let entries = &logged["verificationMaterial"]["tlogEntries"];
    bundle["verificationMaterial"]["tlogEntries"] = entries.clone();
    fs::write(&path, bundle.to_string()).unwrap();
    signed.verify(&["--key", &public, "app"]).refused(3, "bundle/no-trusted-root", "");
    let root = ["--key", &public, "--trusted-root", "root.json", "app"];
    signed.verify(&root).refused(1, "bundle/log-entry", "");
}
