//! Tasks that an identity signed, and those that Conforma's records name.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../tests/harness/sigstore.rs"]
mod sigstore;

mod cause;

use std::fs;
use std::path::Path;

use cause::cause;
use cofferdam_registry::{
    Bundles, Candidate, Digest, Grounds, SIGNATURE_PREDICATE, Trust, TrustDecision, TrustError,
    UntrustedCause,
};
use jiff::Timestamp;
use sigstore::{Deployment, ISSUER, Signing, WORKFLOW};

const URI: &str = "oci://registry.test/tasks/sbom:0.1.0";
const HEADER: &str = "apiVersion: cofferdam.dev/v1\nkind: Trust\n";

fn task() -> Digest {
    Digest::of(b"manifest")
}

struct World {
    directory: tempfile::TempDir,
    deployment: Deployment,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().unwrap(), deployment: Deployment::new() };
        world.root("trusted_root.json");
        world
    }

    fn root(&self, name: &str) {
        fs::write(self.directory.path().join(name), self.deployment.trusted_root().to_string()).unwrap();
    }

    fn trust(&self, text: &str) -> Result<Trust, TrustError> {
        Trust::parse(&format!("{HEADER}{text}"), self.directory.path())
    }

    fn sign(&self, predicate: &str) -> Vec<u8> {
        self.deployment.sign(&Signing::new(predicate, task())).to_string().into_bytes()
    }
}

fn rule(subject: &str, issuer: &str) -> String {
    format!(
        "trusted_task_rules:\n  allow:\n    ci:\n      - pattern: oci://registry.test/*\n        identity:\n          \
         subject: {subject}\n          issuer: {issuer}\n"
    )
}

fn decide(trust: &Trust, digest: Digest, sound: Vec<Vec<u8>>) -> TrustDecision {
    decide_at(trust, digest, sound, Timestamp::UNIX_EPOCH)
}

fn decide_at(trust: &Trust, digest: Digest, sound: Vec<Vec<u8>>, now: Timestamp) -> TrustDecision {
    let bundles = Bundles { sound, ..Bundles::default() };
    let component = Digest::of(b"component");
    let candidate = Candidate { uri: URI, spellings: &[], digest, component, bundles: &bundles };
    trust.decide(&candidate, now)
}

#[test]
fn a_task_that_the_identity_of_a_rule_signed_is_trusted() {
    let world = World::new();
    let trust = world.trust(&rule(WORKFLOW, ISSUER)).unwrap();
    let decision = decide(&trust, task(), vec![world.sign(SIGNATURE_PREDICATE)]);
    let grounds = Grounds::Identity { identity: WORKFLOW.to_owned(), issuer: ISSUER.to_owned() };
    assert_eq!(decision, TrustDecision::Trusted { rule: "ci".to_owned(), grounds });
    assert_eq!(decision.signer().unwrap(), format!("{WORKFLOW} ({ISSUER})"));

    // As it is recorded, and read again.
    let json = serde_json::to_value(&decision).unwrap();
    let recorded = serde_json::json!({
        "verdict": "trusted", "rule": "ci", "identity": WORKFLOW, "issuer": ISSUER,
    });
    assert_eq!(json, recorded);
    assert_eq!(serde_json::from_value::<TrustDecision>(json).unwrap(), decision);
    let before = serde_json::json!({ "verdict": "trusted", "rule": "local", "key": "abc" });
    let grounds = Grounds::Key { key: "abc".to_owned() };
    let read: TrustDecision = serde_json::from_value(before).unwrap();
    assert_eq!(read, TrustDecision::Trusted { rule: "local".to_owned(), grounds });
}

#[test]
fn another_identity_another_claim_or_another_deployment_is_not_trusted() {
    let world = World::new();
    let trust = world.trust(&rule(WORKFLOW, ISSUER)).unwrap();
    let signed = || vec![world.sign(SIGNATURE_PREDICATE)];
    let bad = |cause| matches!(cause, UntrustedCause::BadSignature { why: Some(_), .. });
    assert!(matches!(cause(decide(&trust, task(), Vec::new())), UntrustedCause::Unsigned { .. }));
    assert!(bad(cause(decide(&trust, Digest::of(b"another"), signed()))));
    assert!(bad(cause(decide(&trust, task(), vec![world.sign("https://slsa.dev/provenance/v1")]))));
    let foreign = Deployment::new().sign(&Signing::new(SIGNATURE_PREDICATE, task()));
    assert!(bad(cause(decide(&trust, task(), vec![foreign.to_string().into_bytes()]))));
    for (subject, issuer) in [(WORKFLOW, "https://other.test"), ("dev@example.test", ISSUER)] {
        let trust = world.trust(&rule(subject, issuer)).unwrap();
        let cause = cause(decide(&trust, task(), signed()));
        assert!(matches!(cause, UntrustedCause::WrongIdentity { found: Some(_), .. }), "{cause:?}");
        // Who signed instead is told, and not recorded.
        assert!(!serde_json::to_string(&cause).unwrap().contains(WORKFLOW));
    }
}

#[test]
fn rules_that_say_not_who_or_whom_to_believe_cannot_be_read() {
    let world = World::new();
    let good = rule(WORKFLOW, ISSUER);
    world.trust(&good).unwrap();
    let nobody = "trusted_task_rules: { allow: { a: [{ pattern: '*' }] } }\n";
    assert!(matches!(world.trust(nobody), Err(TrustError::Signatory { .. })));
    let both = format!("{good}        signing_key: a.pub\n");
    assert!(matches!(world.trust(&both), Err(TrustError::Signatory { .. })));
    let star = rule("'*'", ISSUER);
    assert!(matches!(world.trust(&star), Err(TrustError::Identity { .. })));

    let named = format!("trusted_root: other.json\n{good}");
    assert!(matches!(world.trust(&named), Err(TrustError::Root { .. })));
    world.root("other.json");
    world.trust(&named).unwrap();
    fs::write(world.directory.path().join("trusted_root.json"), "{}").unwrap();
    assert!(matches!(world.trust(&good), Err(TrustError::Root { .. })));
    // Who has no such rule needs none.
    fs::remove_file(world.directory.path().join("trusted_root.json")).unwrap();
    world.trust("trusted_task_rules: {}\n").unwrap();
}

#[test]
fn a_recorded_digest_is_trusted_as_its_task_from_one_day_to_another() {
    let records = |more: &str| {
        let text = format!("{HEADER}trusted_tasks:\n  {URI}:\n    - {{ ref: '{}'{more} }}\n", task());
        Trust::parse(&text, Path::new("/nowhere")).unwrap()
    };
    let at = |day: &str| format!("{day}T00:00:00Z").parse::<Timestamp>().unwrap();
    let decide = |trust: &Trust, day: &str| decide_at(trust, task(), Vec::new(), at(day));
    let decision = decide(&records(""), "2026-05-01");
    let grounds = Grounds::Record { record: URI.to_owned(), expires_on: None };
    assert_eq!(decision, TrustDecision::Trusted { rule: "trusted_tasks".to_owned(), grounds });
    assert_eq!((decision.signer(), decision.expires_on()), (None, None));

    // What else Conforma's records say is theirs.
    let bounded = records(", effective_on: '2026-04-01', expires_on: '2026-06-01T00:00:00Z', note: x");
    assert_eq!(decide(&bounded, "2026-05-31").expires_on(), Some(at("2026-06-01")));
    let expired = UntrustedCause::Expired { record: URI.to_owned(), on: at("2026-06-01") };
    assert_eq!(cause(decide(&bounded, "2026-06-01")), expired);
    let not_yet = UntrustedCause::NotYetEffective { rule: URI.to_owned() };
    assert_eq!(cause(decide(&bounded, "2026-03-31")), not_yet);

    // Neither another digest, nor the same one under another name.
    let other = decide_at(&records(""), Digest::of(b"another"), Vec::new(), at("2026-05-01"));
    assert_eq!(cause(other), UntrustedCause::OtherDigest { record: URI.to_owned() });
    let elsewhere = format!(
        "{HEADER}trusted_tasks:\n  oci://registry.test/tasks/other:0.1.0: [{{ ref: '{}' }}]\n",
        task()
    );
    let elsewhere = Trust::parse(&elsewhere, Path::new("/")).unwrap();
    assert_eq!(cause(decide(&elsewhere, "2026-05-01")), UntrustedCause::NoRule);

    let denied = format!(
        "{HEADER}trusted_tasks: {{ '{URI}': [{{ ref: '{}' }}] }}\ntrusted_task_rules: {{ deny: {{ no: [{{ pattern: '*' }}] }} }}\n",
        task()
    );
    let denied = Trust::parse(&denied, Path::new("/")).unwrap();
    assert!(matches!(decide(&denied, "2026-05-01"), TrustDecision::Denied { .. }));
    for (wrong, right) in [("ref: abc", "git+https://git.test/r.git//t.yaml"), ("ref: abc", URI)] {
        let text = format!("{HEADER}trusted_tasks: {{ '{right}': [{{ {wrong} }}] }}\n");
        let read = Trust::parse(&text, Path::new("/"));
        assert_eq!(read.is_ok(), right.starts_with("git+"), "{right}");
    }
}
