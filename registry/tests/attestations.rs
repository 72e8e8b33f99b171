//! Attestations beside a task: they are found, they are copied nowhere, and none
//! of them passes for a signature, whatever it calls itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cause;
mod world;

use cause::cause;
use cofferdam_registry::{
    Candidate, Digest, Layout, SBOM_PREDICATE, Statement, Subject, Trust, TrustDecision, UntrustedCause, sign,
};
use jiff::Timestamp;
use serde_json::json;
use world::{World, sbom};

const RULES: &str = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    ours:\n      \
                     - {pattern: 'oci://cofferdam.local/*', signing_key: keys/test.pub}\n";

impl World {
    /// An SBOM of the task, signed by the key that a rule trusts.
    fn attestation(&self, about: Digest) -> Vec<u8> {
        let predicate = json!({ "bomFormat": "CycloneDX", "specVersion": "1.6" });
        let statement = Statement::new(SBOM_PREDICATE, vec![Subject::new("sbom", about)], predicate);
        sign(&serde_json::to_vec(&statement).unwrap(), &self.key).unwrap().into_bytes()
    }

    fn decide(&self, layout: &Layout) -> TrustDecision {
        let trust = Trust::parse(RULES, self.directory.path()).unwrap();
        let (bundles, uri) = (layout.bundles(self.digest).unwrap(), sbom().version_uri("0.1.0"));
        let (digest, component) = (self.digest, Digest::of(b"component"));
        let candidate = Candidate { uri: &uri, spellings: &[], digest, component, bundles: &bundles };
        trust.decide(&candidate, Timestamp::UNIX_EPOCH)
    }
}

#[test]
fn an_attestation_of_the_trusted_key_is_no_signature() {
    let world = World::new();
    let bundle = world.attestation(world.digest);
    let digest = world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, &bundle).unwrap();
    assert_eq!(cause(world.decide(&world.layout)), UntrustedCause::Unsigned { rule: "ours".into() });
    let [found] = world.layout.attestations(world.digest).unwrap().try_into().unwrap();
    assert_eq!((found.digest, found.names_it, found.bundle), (digest, true, bundle));
    assert_eq!(found.statement.predicate_type, SBOM_PREDICATE);
}

#[test]
fn an_attestation_that_calls_itself_a_signature_is_none() {
    let world = World::new();
    let bundle = world.attestation(world.digest);
    world.layout.attach_signature(&sbom(), &bundle).unwrap();
    let why = cause(world.decide(&world.layout)).to_string();
    assert!(why.contains("its predicate is https://cyclonedx.org/bom"), "{why}");
    // And the signature beside it counts.
    world.layout.sign(&sbom(), &world.key).unwrap();
    assert!(matches!(world.decide(&world.layout), TrustDecision::Trusted { .. }));
}

#[test]
fn a_signature_that_calls_itself_an_attestation_is_only_lost() {
    let world = World::new();
    let claim = world.layout.claim(&sbom()).unwrap();
    let bundle = sign(&claim, &world.key).unwrap();
    world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, bundle.as_bytes()).unwrap();
    assert_eq!(cause(world.decide(&world.layout)), UntrustedCause::Unsigned { rule: "ours".into() });
}

#[test]
fn a_copy_has_the_signatures_and_no_attestations() {
    let world = World::new();
    world.layout.sign(&sbom(), &world.key).unwrap();
    let bundle = world.attestation(world.digest);
    world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, &bundle).unwrap();
    let copy = Layout::open_or_create(&world.directory.path().join("vendor")).unwrap();
    copy.copy_from(&world.layout, world.digest, Some("sbom:0.1.0".to_owned())).unwrap();
    assert!(matches!(world.decide(&copy), TrustDecision::Trusted { .. }));
    assert!(copy.attestations(world.digest).unwrap().is_empty());
}

#[test]
fn what_is_about_something_else_is_told_from_what_is_about_the_task() {
    let world = World::new();
    let other = world.attestation(Digest::of(b"other"));
    world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, &other).unwrap();
    world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, b"no bundle").unwrap();
    let [found] = world.layout.attestations(world.digest).unwrap().try_into().unwrap();
    assert!(!found.names_it);
    // However large or many they are, the signature is found.
    world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, &vec![b' '; 17 << 20]).unwrap();
    for n in 0..70 {
        world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, format!("{n}").as_bytes()).unwrap();
    }
    world.layout.sign(&sbom(), &world.key).unwrap();
    assert!(matches!(world.decide(&world.layout), TrustDecision::Trusted { .. }));
}

#[test]
fn only_so_many_bytes_are_read_together() {
    let world = World::new();
    for n in 0..6 {
        let predicate = json!({ "number": n, "padding": " ".repeat(8 << 20) });
        let statement = Statement::new(SBOM_PREDICATE, vec![Subject::new("sbom", world.digest)], predicate);
        let bundle = sign(&serde_json::to_vec(&statement).unwrap(), &world.key).unwrap();
        world.layout.attach_attestation(&sbom(), SBOM_PREDICATE, bundle.as_bytes()).unwrap();
    }
    let found = world.layout.attestations(world.digest).unwrap();
    let together: usize = found.iter().map(|one| one.bundle.len()).sum();
    assert!(found.len() == 5 && together <= 64 << 20, "{} of {together} bytes", found.len());
}
