//! Signatures of identities under the tags of older versions of cosign.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../tests/harness/sigstore.rs"]
mod sigstore;
#[path = "../../tests/harness/simple_signing.rs"]
mod simple_signing;

mod cause;
mod tagged;

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cause::cause;
use cofferdam_registry::{Digest, Grounds, SIGNATURE_PREDICATE, TrustDecision, UntrustedCause};
use serde_json::{Value, json};
use sigstore::{Deployment, ISSUER, Signing, WORKFLOW};
use simple_signing::simple_payload;
use tagged::{SIMPLE, Tagged, is_trusted};

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const BUNDLE: &str = "dev.sigstore.cosign/bundle";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

type Annotations = BTreeMap<String, String>;

fn task() -> Digest {
    Digest::of(b"manifest")
}

fn tag(subject: Digest) -> String {
    format!("sha256-{}.sig", subject.to_hex())
}

/// What is said of a task by a rule for one identity.
fn decide_as(
    deployment: &Deployment,
    (subject, issuer): (&str, &str),
    layers: &[(&[u8], Annotations)],
    task: Digest,
) -> TrustDecision {
    let world = Tagged::new();
    let root = world.directory.path().join("trusted_root.json");
    fs::write(root, deployment.trusted_root().to_string()).unwrap();
    let layers: Vec<(&[u8], Value)> = layers.iter().map(|(bytes, said)| (*bytes, json!(said))).collect();
    world.tag(&tag(task), SIMPLE, &layers);
    let rule = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    ci:\n      \
         - pattern: oci://registry.test/*\n        identity: {{ subject: {subject:?}, issuer: {issuer:?} }}\n"
    );
    world.decide(&rule, task)
}

fn decide(deployment: &Deployment, payload: &[u8], annotations: Annotations) -> TrustDecision {
    decide_as(deployment, (WORKFLOW, ISSUER), &[(payload, annotations)], task())
}

/// Why it is no signature.
#[track_caller]
fn why(decision: TrustDecision) -> String {
    let cause = cause(decision);
    let UntrustedCause::BadSignature { why: Some(why), .. } = cause else { panic!("{cause:?}") };
    why
}

/// Changes what the log is said to have said.
fn with_log(annotations: &Annotations, change: impl FnOnce(&mut Value)) -> Annotations {
    let mut bundle: Value = serde_json::from_str(&annotations[BUNDLE]).unwrap();
    change(&mut bundle);
    with(annotations, BUNDLE, &bundle.to_string())
}

fn with(annotations: &Annotations, name: &str, text: &str) -> Annotations {
    let mut changed = annotations.clone();
    changed.insert(name.to_owned(), text.to_owned());
    changed
}

fn without(annotations: &Annotations, name: &str) -> Annotations {
    let mut changed = annotations.clone();
    assert!(changed.remove(name).is_some());
    changed
}

#[test]
fn what_an_identity_signed_is_trusted_by_who_it_is() {
    let deployment = Deployment::new();
    let (signing, payload) = (Signing::new(SIGNATURE_PREDICATE, task()), simple_payload(task()));
    let signed = deployment.sign_simple(&signing, &payload);
    let grounds = Grounds::Identity { identity: WORKFLOW.to_owned(), issuer: ISSUER.to_owned() };
    let trusted = TrustDecision::Trusted { rule: "ci".to_owned(), grounds };
    assert_eq!(decide(&deployment, &payload, signed.clone()), trusted);
    // The authorities come from the trusted root, whatever stands beside it.
    assert_eq!(decide(&deployment, &payload, without(&signed, "dev.sigstore.cosign/chain")), trusted);

    let layers = [(payload.as_slice(), signed.clone())];
    let other = "https://ci.test/team/other";
    let UntrustedCause::WrongIdentity { found: Some(found), .. } =
        cause(decide_as(&deployment, (other, ISSUER), &layers, task()))
    else {
        panic!("another identity")
    };
    assert!(found.contains(other) && found.contains(WORKFLOW), "{found}");
    let issuer = cause(decide_as(&deployment, (WORKFLOW, "https://other.test"), &layers, task()));
    assert!(
        matches!(issuer, UntrustedCause::WrongIdentity { found: Some(found), .. } if found.contains(ISSUER))
    );

    // One of a key beside it says nothing of who signed, and hides nothing.
    let by_key = BTreeMap::from([(SIGNATURE.to_owned(), signed[SIGNATURE].clone())]);
    let wrong = cause(decide(&deployment, &payload, by_key.clone()));
    assert!(matches!(wrong, UntrustedCause::WrongIdentity { found: None, .. }), "{wrong:?}");
    let both = [(payload.as_slice(), by_key), (payload.as_slice(), signed)];
    assert!(is_trusted(&decide_as(&deployment, (WORKFLOW, ISSUER), &both, task())));
}

#[test]
fn many_are_read() {
    let deployment = Deployment::new();
    let payload = simple_payload(task());
    let mut others: Vec<(&[u8], Annotations)> =
        (0..31).map(|_| (payload.as_slice(), deployment.sign_simple(&other_signing(), &payload))).collect();
    let own = deployment.sign_simple(&Signing::new(SIGNATURE_PREDICATE, task()), &payload);
    // As large as those that Fulcio issues.
    let padded = format!("{}{}", "x".repeat(12 << 10), "\n");
    for (_, annotations) in &mut others {
        annotations.insert("dev.sigstore.cosign/chain".to_owned(), padded.clone());
    }
    others.push((&payload, own));
    assert!(is_trusted(&decide_as(&deployment, (WORKFLOW, ISSUER), &others, task())));
}

fn other_signing() -> Signing {
    let signing = Signing::new(SIGNATURE_PREDICATE, task());
    Signing { issuer: "https://other.test".to_owned(), ..signing }
}

#[test]
fn each_change_has_its_own_reason() {
    let deployment = Deployment::new();
    let (signing, payload) = (Signing::new(SIGNATURE_PREDICATE, task()), simple_payload(task()));
    let signed = deployment.sign_simple(&signing, &payload);
    let by = |signer: &Deployment, signing: &Signing| signer.sign_simple(signing, &payload);
    let another = by(&deployment, &signing);
    let late = Signing { logged_after: -60, ..signing.clone() };
    let swapped = Signing { logged: Some(b"another payload".to_vec()), ..signing.clone() };
    let body = |change: fn(&mut Value)| {
        with_log(&signed, |log| {
            let text = STANDARD.decode(log["Payload"]["body"].as_str().unwrap()).unwrap();
            let mut body: Value = serde_json::from_slice(&text).unwrap();
            change(&mut body);
            log["Payload"]["body"] = STANDARD.encode(body.to_string()).into();
        })
    };
    let promise = "its signed entry timestamp is not that of a log of the trusted root";
    for (case, annotations, reason) in [
        ("another signature", with(&signed, SIGNATURE, &another[SIGNATURE]), "does not fit the payload"),
        (
            "another certificate",
            with(&signed, CERTIFICATE, &another[CERTIFICATE]),
            "does not fit the payload",
        ),
        (
            "a foreign authority",
            by(&deployment.with_other_authority(), &signing),
            "no authority of the trusted root signed it",
        ),
        (
            "a foreign certificate log",
            by(&deployment.with_other_certificate_log(), &signing),
            "no certificate transparency log of the trusted root",
        ),
        ("a foreign log", by(&deployment.with_other_log(), &signing), promise),
        ("logged before its certificate", by(&deployment, &late), "while its certificate was not valid"),
        ("another payload in the log", by(&deployment, &swapped), "it was signed for another artifact"),
        ("another entry", with(&signed, BUNDLE, &another[BUNDLE]), "about another signature, certificate"),
        ("another time", with_log(&signed, |log| log["Payload"]["integratedTime"] = 1.into()), promise),
        ("another place", with_log(&signed, |log| log["Payload"]["logIndex"] = 2.into()), promise),
        ("another body", body(|body| body["spec"]["more"] = 1.into()), promise),
        ("no promise", with_log(&signed, |log| log["SignedEntryTimestamp"] = "".into()), promise),
        ("no log", without(&signed, BUNDLE), "no transparency log has it"),
        ("a damaged log entry", with(&signed, BUNDLE, "{}"), "what its transparency log said of it"),
        ("a damaged certificate", with(&signed, CERTIFICATE, "-----"), "its certificate cannot be read"),
        (
            "a damaged timestamp",
            with(&signed, "dev.sigstore.cosign/rfc3161timestamp", "{}"),
            "its timestamp cannot be read",
        ),
        (
            "a foreign timestamp",
            with(&signed, "dev.sigstore.cosign/rfc3161timestamp", r#"{"SignedRFC3161Timestamp":"MAA="}"#),
            "a timestamp is of no authority of the trusted root",
        ),
    ] {
        let why = why(decide(&deployment, &payload, annotations));
        assert!(why.contains(reason), "{case}: {why}");
    }
    let changed = [payload.as_slice(), b" "].concat();
    assert!(why(decide(&deployment, &changed, signed.clone())).contains("does not fit the payload"));
    assert!(is_trusted(&decide(&deployment, &payload, signed)));
}

#[test]
fn it_counts_for_what_its_payload_names_and_for_nothing_else() {
    let deployment = Deployment::new();
    let signing = Signing::new(SIGNATURE_PREDICATE, task());
    // The tag is anybody's word: what was signed for one is put to another.
    let payload = simple_payload(task());
    let signed = deployment.sign_simple(&signing, &payload);
    let other = Digest::of(b"another");
    let moved = decide_as(&deployment, (WORKFLOW, ISSUER), &[(&payload, signed)], other);
    assert_eq!(why(moved), "it was made for another artifact");
    // Whatever else an identity signed is no signature of an artifact.
    let mut named: Value = serde_json::from_slice(&simple_payload(task())).unwrap();
    named["critical"]["type"] = "something else".into();
    for payload in [named.to_string().into_bytes(), b"text".to_vec()] {
        let signed = deployment.sign_simple(&signing, &payload);
        assert_eq!(why(decide(&deployment, &payload, signed)), "its payload is none of a cosign signature");
    }
    // A damaged one hides no sound one.
    let payload = simple_payload(task());
    let signed = deployment.sign_simple(&signing, &payload);
    let layers = [(payload.as_slice(), without(&signed, BUNDLE)), (payload.as_slice(), signed)];
    assert!(is_trusted(&decide_as(&deployment, (WORKFLOW, ISSUER), &layers, task())));
}
