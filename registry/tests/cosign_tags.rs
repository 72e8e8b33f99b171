//! Signatures under the tags of older versions of cosign.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod cause;
mod tagged;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cause::cause;
use cofferdam_registry::{
    Digest, Layout, SIGNATURE_PREDICATE, SigningKey, TrustDecision, UntrustedCause, sign,
};
use serde_json::{Value, json};
use tagged::{SIMPLE, Tagged, is_trusted};

const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// What cosign signed.
const SIGNED: &str = "24d74069776168b3c289611322dad86cacf2b5e0690255e0e65b9c0fc2093af2";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

struct World {
    tagged: Tagged,
    subject: Digest,
}

impl World {
    fn new() -> Self {
        let tagged = Tagged::new();
        fs::copy(fixture("cosign-key/cosign.pub"), tagged.directory.path().join("signer.pub")).unwrap();
        Self { tagged, subject: Digest::from_hex(SIGNED).unwrap() }
    }

    /// Lists one layer under a tag.
    fn tag(&self, tag: &str, media_type: &str, layer: &[u8], signature: Option<&str>) {
        let annotations =
            signature.map_or(json!({}), |text| json!({ "dev.cosignproject.cosign/signature": text }));
        self.tagged.tag(tag, media_type, &[(layer, annotations)]);
    }

    fn decide(&self, subject: Digest) -> TrustDecision {
        let text = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    team:\n      \
                    - { pattern: \"*\", signing_key: signer.pub }\n";
        self.tagged.decide(text, subject)
    }
}

/// An index lists what it likes, and as often as it likes, before anyone is
/// trusted: no more of it is read than could count.
#[test]
fn no_index_makes_the_host_read_without_end() {
    let world = World::new();
    let tag = format!("sha256-{SIGNED}.sig");
    // No signature is in it, and it is as large as one may be.
    let padding = json!({ "padding": "x".repeat(1_000_000) });
    world.tagged.tag(&tag, "application/octet-stream", &[(b"none", padding)]);
    let path = world.tagged.layout.root().join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let again = index["manifests"][0].clone();
    index["manifests"].as_array_mut().unwrap().extend(vec![again; 10_000]);
    fs::write(&path, index.to_string()).unwrap();
    // The same one again says nothing new, and what is sound counts beside it.
    let payload = fs::read(fixture("cosign-tags/payload.json")).unwrap();
    let signature = fs::read_to_string(fixture("cosign-tags/signature")).unwrap();
    world.tag(&tag, SIMPLE, &payload, Some(&signature));
    assert!(is_trusted(&world.decide(world.subject)));

    let world = World::new();
    for number in 0..9 {
        let padding = json!({ "padding": format!("{number}{}", "x".repeat(1_000_000)) });
        world.tagged.tag(&tag, "application/octet-stream", &[(b"none", padding)]);
    }
    world.tag(&tag, SIMPLE, &payload, Some(&signature));
    assert!(matches!(cause(world.decide(world.subject)), UntrustedCause::BadSignature { .. }));
}

#[test]
fn what_cosign_signed_is_trusted_and_nothing_else() {
    let payload = fs::read(fixture("cosign-tags/payload.json")).unwrap();
    let signature = fs::read_to_string(fixture("cosign-tags/signature")).unwrap();
    for tag in [format!("sha256-{SIGNED}.sig"), format!("tasks/echo:sha256-{SIGNED}.sig")] {
        let world = World::new();
        assert!(matches!(cause(world.decide(world.subject)), UntrustedCause::Unsigned { .. }));
        world.tag(&tag, SIMPLE, &payload, Some(&signature));
        assert!(is_trusted(&world.decide(world.subject)), "{tag}");
        assert!(world.tagged.layout.names().unwrap().is_empty(), "a signature is no task");
    }

    let world = World::new();
    world.tag(&format!("sha256-{SIGNED}.sig"), SIMPLE, &[&payload[..], b" "].concat(), Some(&signature));
    assert!(matches!(cause(world.decide(world.subject)), UntrustedCause::WrongKey { .. }));

    // The tag is anybody's word: what was signed for one is put to another.
    let world = World::new();
    let other = Digest::of(b"another");
    world.tag(&format!("sha256-{}.sig", other.to_hex()), SIMPLE, &payload, Some(&signature));
    assert!(matches!(cause(world.decide(other)), UntrustedCause::BadSignature { .. }));

    for bad in [None, Some("?")] {
        let world = World::new();
        world.tag(&format!("sha256-{SIGNED}.sig"), SIMPLE, &payload, bad);
        assert!(matches!(cause(world.decide(world.subject)), UntrustedCause::BadSignature { .. }));
        // A damaged one hides no sound one.
        world.tag(&format!("b:sha256-{SIGNED}.sig"), SIMPLE, &payload, Some(&signature));
        assert!(is_trusted(&world.decide(world.subject)));
    }
}

#[test]
fn an_envelope_under_the_other_tag_counts_as_what_it_claims() {
    for (predicate, trusted) in [(SIGNATURE_PREDICATE, true), ("https://slsa.dev/provenance/v1", false)] {
        let world = World::new();
        let key = SigningKey::generate(&world.tagged.directory.path().join("own.key")).unwrap();
        fs::copy(
            world.tagged.directory.path().join("own.pub"),
            world.tagged.directory.path().join("signer.pub"),
        )
        .unwrap();
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "echo", "digest": { "sha256": SIGNED } }],
            "predicateType": predicate,
            "predicate": {},
        });
        let bundle = sign(statement.to_string().as_bytes(), &key).unwrap();
        let bundle: Value = serde_json::from_str(&bundle).unwrap();
        // As cosign writes it, with the name of no key.
        let mut envelope = bundle["dsseEnvelope"].clone();
        envelope["signatures"][0]["keyid"] = "".into();
        world.tag(&format!("sha256-{SIGNED}.att"), ENVELOPE, envelope.to_string().as_bytes(), Some(""));
        assert_eq!(is_trusted(&world.decide(world.subject)), trusted, "{predicate}");

        let payload = envelope["payload"].as_str().unwrap().to_owned();
        let mut changed = STANDARD.decode(payload).unwrap();
        changed.push(b' ');
        envelope["payload"] = STANDARD.encode(changed).into();
        let world = World { subject: world.subject, ..World::new() };
        world.tag(&format!("sha256-{SIGNED}.att"), ENVELOPE, envelope.to_string().as_bytes(), None);
        assert!(!is_trusted(&world.decide(world.subject)));
    }
}

#[test]
fn a_copy_of_a_layout_has_them_too() {
    let world = World::new();
    let payload = fs::read(fixture("cosign-tags/payload.json")).unwrap();
    let signature = fs::read_to_string(fixture("cosign-tags/signature")).unwrap();
    // Any manifest may stand for the task.
    let digest = {
        world.tag("echo:0.1.0", "application/wasm", b"component", None);
        world.tagged.layout.names().unwrap()[0].1
    };
    world.tag(&format!("sha256-{}.sig", digest.to_hex()), SIMPLE, &payload, Some(&signature));
    let copy = Layout::open_or_create(&world.tagged.directory.path().join("copy")).unwrap();
    copy.copy_from(&world.tagged.layout, digest, Some("echo:0.1.0".to_owned())).unwrap();
    let (original, copied) = (world.tagged.layout.bundles(digest).unwrap(), copy.bundles(digest).unwrap());
    assert_eq!(copied.simple.len(), 1);
    assert_eq!(copied.simple, original.simple);
}
