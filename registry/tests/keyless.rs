//! Keyless bundles: the right one verifies, and each thing that can be wrong
//! with one is refused for its own reason.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

#[path = "../../tests/harness/sigstore.rs"]
mod sigstore;

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::{
    Algorithm, Artifact, Digest, Identity, KeylessError, SigningKey, TrustedRoot, TrustedRootError, Verified,
    claims_log, sign, verify_unlogged,
};
use miette::Diagnostic as _;
use rcgen::SanType;
use serde_json::{Value, json};
use sigstore::{Deployment, ISSUER, Signing, WORKFLOW};

const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const APP: &[u8] = b"the artifact";

fn signing() -> Signing {
    Signing::new(PREDICATE, Digest::of(APP))
}

fn root(deployment: &Deployment) -> TrustedRoot {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), deployment.trusted_root().to_string()).unwrap();
    TrustedRoot::load(file.path()).unwrap()
}

fn check(deployment: &Deployment, bundle: &Value) -> Result<Verified, KeylessError> {
    check_as(deployment, bundle, (WORKFLOW, ISSUER), APP)
}

fn check_as(
    deployment: &Deployment,
    bundle: &Value,
    (subject, issuer): (&str, &str),
    artifact: &[u8],
) -> Result<Verified, KeylessError> {
    let identity = Identity::new(subject, issuer)?;
    let mut artifact = Artifact::Digest(Digest::of(artifact));
    root(deployment).verify(bundle.to_string().as_bytes(), &identity, &mut artifact, Some(PREDICATE))
}

#[track_caller]
fn refused(result: Result<Verified, KeylessError>, code: &str) {
    match result {
        Ok(verified) => panic!("{code}: it verified: {verified:?}"),
        Err(error) => assert_eq!(error.code().unwrap().to_string(), code, "{error}"),
    }
}

/// Changes the last byte of a base64 text.
fn flip(value: &mut Value) {
    let mut bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    *value = STANDARD.encode(bytes).into();
}

#[test]
fn the_right_bundle_verifies_as_a_digest_and_as_a_file() {
    let deployment = Deployment::new();
    let bundle = deployment.sign(&signing());
    let verified = check(&deployment, &bundle).unwrap();
    assert!(verified.logged && verified.signed_at.is_some());
    assert_eq!(verified.predicate_type.as_deref(), Some(PREDICATE));

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), APP).unwrap();
    let identity = Identity::new(WORKFLOW, ISSUER).unwrap();
    let mut artifact = Artifact::File(fs::File::open(file.path()).unwrap());
    let text = bundle.to_string();
    assert_eq!(root(&deployment).verify(text.as_bytes(), &identity, &mut artifact, None).unwrap(), verified);
}

#[test]
fn every_change_of_a_bundle_is_refused_for_its_own_reason() {
    let deployment = Deployment::new();
    let sound = deployment.sign(&signing());
    check(&deployment, &sound).unwrap();
    let entry = "/verificationMaterial/tlogEntries/0";
    let changed = |path: &str, code: &str, change: &dyn Fn(&mut Value)| {
        let mut bundle = sound.clone();
        change(bundle.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")));
        refused(check(&deployment, &bundle), code);
    };
    changed("/verificationMaterial/certificate/rawBytes", "bundle/certificate", &flip);
    changed(&format!("{entry}/inclusionPromise/signedEntryTimestamp"), "bundle/inclusion-promise", &flip);
    changed(&format!("{entry}/integratedTime"), "bundle/inclusion-promise", &|time| {
        let seconds: i64 = time.as_str().unwrap().parse().unwrap();
        *time = (seconds + 1).to_string().into();
    });
    changed(&format!("{entry}/canonicalizedBody"), "bundle/inclusion-promise", &flip);
    changed(&format!("{entry}/inclusionProof/hashes/0"), "bundle/inclusion-proof", &flip);
    changed(&format!("{entry}/inclusionProof/checkpoint/envelope"), "bundle/checkpoint", &|note| {
        let text = note.as_str().unwrap().trim_end().to_owned();
        let (before, signature) = text.rsplit_once(' ').unwrap();
        let mut signature = signature.into();
        flip(&mut signature);
        *note = format!("{before} {}\n", signature.as_str().unwrap()).into();
    });
    changed("/dsseEnvelope/signatures/0/sig", "bundle/changed", &flip);
    changed("/dsseEnvelope/payload", "bundle/changed", &|payload| {
        let text = String::from_utf8(STANDARD.decode(payload.as_str().unwrap()).unwrap()).unwrap();
        *payload = STANDARD.encode(text.replace("\"app\"", "\"apq\"")).into();
    });
    let no = |key: &'static str| {
        move |value: &mut Value| {
            value.as_object_mut().unwrap().remove(key).unwrap();
        }
    };
    changed(entry, "bundle/inclusion-proof", &no("inclusionProof"));
    changed(entry, "bundle/timestamp", &no("inclusionPromise"));
    changed("/verificationMaterial/tlogEntries", "bundle/inclusion-proof", &|entries| *entries = json!([]));
    changed("/verificationMaterial", "bundle/timestamp", &|material| {
        let token = STANDARD.encode(b"no timestamp");
        material["timestampVerificationData"] =
            json!({ "rfc3161Timestamps": [{ "signedTimestamp": token }] });
    });
    changed("/dsseEnvelope/signatures", "bundle/malformed", &|list| {
        let one = list[0].clone();
        list.as_array_mut().unwrap().push(one);
    });
}

#[test]
fn nobody_outside_the_trusted_root_counts() {
    let deployment = Deployment::new();
    let foreign = |signer: &Deployment, code| refused(check(&deployment, &signer.sign(&signing())), code);
    foreign(&deployment.with_other_authority(), "bundle/certificate");
    foreign(&deployment.with_other_certificate_log(), "bundle/certificate-log");
    foreign(&Deployment::new(), "bundle/inclusion-promise");
}

#[test]
fn a_signature_counts_only_within_the_time_of_its_certificate() {
    let deployment = Deployment::new();
    let at = |logged_after| deployment.sign(&Signing { logged_after, ..signing() });
    check(&deployment, &at(1)).unwrap();
    refused(check(&deployment, &at(-60)), "bundle/certificate-time");
    refused(check(&deployment, &at(100_000)), "bundle/log-time");
}

#[test]
fn a_log_entry_about_something_else_does_not_count() {
    let deployment = Deployment::new();
    let bundle = deployment.sign(&Signing { logged: Some(b"{}".to_vec()), ..signing() });
    refused(check(&deployment, &bundle), "bundle/log-entry");
}

#[test]
fn who_signed_is_held_to_the_letter() {
    let deployment = Deployment::new();
    let bundle = deployment.sign(&signing());
    let as_whom = |who| check_as(&deployment, &bundle, who, APP);
    as_whom((WORKFLOW, ISSUER)).unwrap();
    let (shorter, star) = (WORKFLOW.replace("main", "mai"), WORKFLOW.replace("main", "*"));
    refused(as_whom((&shorter, ISSUER)), "bundle/wrong-identity");
    refused(as_whom((&star, ISSUER)), "bundle/wrong-identity");
    refused(as_whom((WORKFLOW, "https://issuer.test/")), "bundle/wrong-issuer");
    for nobody in ["", "*", "somebody", "://", "@", "a b@c.test"] {
        refused(as_whom((nobody, ISSUER)), "bundle/identity");
    }
    refused(as_whom((WORKFLOW, "")), "bundle/identity");

    // An address that looks like a workflow is none, and the other way round.
    let email = |name: &str| {
        let subject = SanType::Rfc822Name(name.try_into().unwrap());
        deployment.sign(&Signing { subject, ..signing() })
    };
    check_as(&deployment, &email("dev@example.test"), ("dev@example.test", ISSUER), APP).unwrap();
    refused(check(&deployment, &email(WORKFLOW)), "bundle/wrong-identity");
}

#[test]
fn the_statement_is_of_this_artifact_version_and_kind() {
    let deployment = Deployment::new();
    let bundle = deployment.sign(&signing());
    refused(check_as(&deployment, &bundle, (WORKFLOW, ISSUER), b"another"), "bundle/wrong-subject");
    let with = |key: &str, value: Value| {
        let mut signing = signing();
        signing.statement[key] = value;
        deployment.sign(&signing)
    };
    let old = with("_type", "https://in-toto.io/Statement/v0.1".into());
    refused(check(&deployment, &old), "bundle/statement");
    refused(check(&deployment, &with("predicateType", "https://other.test/v1".into())), "bundle/statement");
    refused(check(&deployment, &with("subject", json!([]))), "bundle/malformed");
}

#[test]
fn a_key_alone_is_verified_and_said_to_be_less() {
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(&directory.path().join("a.key")).unwrap();
    let other = SigningKey::generate(&directory.path().join("b.key")).unwrap();
    let bundle = sign(signing().statement.to_string().as_bytes(), &key).unwrap();
    let bundle = bundle.as_bytes();
    assert!(!claims_log(bundle).unwrap());
    let of = |artifact: &[u8]| Artifact::Digest(Digest::of(artifact));
    let verified = verify_unlogged(bundle, key.public(), &mut of(APP), Some(PREDICATE)).unwrap();
    assert!(!verified.logged && verified.signed_at.is_none());
    let check = |key: &SigningKey, artifact: &[u8], kind| {
        verify_unlogged(bundle, key.public(), &mut of(artifact), Some(kind))
    };
    refused(check(&other, APP, PREDICATE), "bundle/wrong-key");
    refused(check(&key, b"another", PREDICATE), "bundle/wrong-subject");
    refused(check(&key, APP, "https://other.test/v1"), "bundle/statement");

    // A key answers for no certificate, and no certificate for a key.
    let deployment = Deployment::new();
    let keyless = deployment.sign(&signing()).to_string();
    assert!(claims_log(keyless.as_bytes()).unwrap());
    refused(verify_unlogged(keyless.as_bytes(), key.public(), &mut of(APP), None), "bundle/malformed");
    let logged = root(&deployment).verify_logged(keyless.as_bytes(), key.public(), &mut of(APP), None);
    refused(logged, "bundle/malformed");
    let identity = Identity::new(WORKFLOW, ISSUER).unwrap();
    refused(root(&deployment).verify(bundle, &identity, &mut of(APP), None), "bundle/malformed");
}

#[test]
fn ed25519_signs_statements_and_files() {
    use aws_lc_rs::signature::Ed25519KeyPair;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.key");
    let key = SigningKey::generate_as(&path, Algorithm::Ed25519, None).unwrap();
    let bundle = sign(signing().statement.to_string().as_bytes(), &key).unwrap();
    let digest = || Artifact::Digest(Digest::of(APP));
    verify_unlogged(bundle.as_bytes(), key.public(), &mut digest(), Some(PREDICATE)).unwrap();
    let other = SigningKey::generate(&directory.path().join("b.key")).unwrap();
    refused(verify_unlogged(bundle.as_bytes(), other.public(), &mut digest(), None), "bundle/wrong-key");

    // A file itself, by what OpenSSL and cosign would make of the same key.
    let block = pem::parse(fs::read(&path).unwrap()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(block.contents()).unwrap();
    let message = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": key.public().id() } },
        "messageSignature": {
            "messageDigest": { "algorithm": "SHA2_256", "digest": STANDARD.encode(Digest::of(APP).as_bytes()) },
            "signature": STANDARD.encode(pair.sign(APP)),
        },
    });
    let check = |content: &[u8]| {
        let file = directory.path().join("app");
        fs::write(&file, content).unwrap();
        let mut file = Artifact::File(fs::File::open(&file).unwrap());
        verify_unlogged(message.to_string().as_bytes(), key.public(), &mut file, None)
    };
    assert_eq!(check(APP).unwrap().predicate_type, None);
    refused(check(b"another"), "bundle/wrong-subject");
    refused(
        verify_unlogged(message.to_string().as_bytes(), key.public(), &mut digest(), None),
        "bundle/malformed",
    );
    let mut changed = message.clone();
    changed["messageSignature"]["signature"] = STANDARD.encode(pair.sign(b"another")).into();
    let mut file = Artifact::File(fs::File::open(directory.path().join("app")).unwrap());
    fs::write(directory.path().join("app"), APP).unwrap();
    refused(verify_unlogged(changed.to_string().as_bytes(), key.public(), &mut file, None), "bundle/changed");
}

#[test]
fn a_trusted_root_that_is_none_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trusted_root.json");
    assert!(matches!(TrustedRoot::load(&path), Err(TrustedRootError::Missing { .. })));
    assert!(matches!(TrustedRoot::load(directory.path()), Err(TrustedRootError::Io { .. })));
    let mut document = Deployment::new().trusted_root();
    for text in ["", "{}", &document.to_string().replace("trustedroot+json", "other+json")] {
        fs::write(&path, text).unwrap();
        assert!(matches!(TrustedRoot::load(&path), Err(TrustedRootError::Invalid { .. })), "{text}");
    }
    document["tlogs"][0]["publicKey"]["rawBytes"] = "AAAA".into();
    fs::write(&path, document.to_string()).unwrap();
    assert!(matches!(TrustedRoot::load(&path), Err(TrustedRootError::Invalid { .. })));
}
