//! Signatures that mislead: what they say of themselves, how many and how large
//! they are, and damage beside them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod world;

use std::fs;

use cofferdam_registry::{
    BUNDLE_TYPE, BundleError, Bundles, Candidate, Digest, Layout, LayoutError, NamedKey, Reference,
    SigningKey, Trust, TrustDecision, UntrustedCause, claimed_key, sign, verify,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use world::{World, sbom};

const BOAST: &str = "REDHAT-RELEASE-KEY-2 (verified by Fulcio)";

impl World {
    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.layout.root().join("blobs/sha256").join(digest.to_hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn change_index(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let path = self.layout.root().join("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(index["manifests"].as_array_mut().unwrap());
        fs::write(&path, index.to_string()).unwrap();
    }

    /// Attaches layers to the task as nobody but an attacker would.
    fn attach(&self, layers: &[Value]) {
        let config = self.put("application/vnd.oci.empty.v1+json", b"{}");
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let subject = json!({ "mediaType": media_type, "digest": self.digest, "size": 1 });
        let manifest = json!({
            "schemaVersion": 2, "config": config, "layers": layers, "subject": subject,
        });
        let mut entry = self.put(media_type, manifest.to_string().as_bytes());
        entry["artifactType"] = BUNDLE_TYPE.into();
        self.change_index(|entries| entries.push(entry));
    }

    fn bundles(&self) -> Bundles {
        self.layout.bundles(self.digest).unwrap()
    }

    fn decide(&self, rules: &str) -> TrustDecision {
        let text = format!("apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n{rules}");
        let trust = Trust::parse(&text, self.directory.path()).unwrap();
        let (digest, component, bundles) = (self.digest, Digest::of(b"component"), self.bundles());
        let uri = "oci://cofferdam.local/sbom:0.1.0";
        let candidate = Candidate { uri, spellings: &[], digest, component, bundles: &bundles };
        trust.decide(&candidate, Timestamp::UNIX_EPOCH)
    }

    fn cause(&self) -> UntrustedCause {
        match self.decide(ALLOW) {
            TrustDecision::Untrusted { cause } => cause,
            TrustDecision::Trusted { .. } | TrustDecision::Denied { .. } => panic!("it is not untrusted"),
        }
    }
}

const ALLOW: &str =
    "  allow:\n    ours:\n      - {pattern: 'oci://cofferdam.local/*', signing_key: keys/test.pub}\n";

fn with_hint(bundle: &[u8], hint: &str) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(bundle).unwrap();
    bundle["verificationMaterial"]["publicKey"]["hint"] = hint.into();
    bundle.to_string().into_bytes()
}

#[test]
fn a_hint_counts_only_when_it_could_be_a_key() {
    let world = World::new();
    let other = SigningKey::generate(&world.directory.path().join("other.key")).unwrap();
    let bundle = sign(b"{}", &other).unwrap().into_bytes();
    let id = other.public().id();
    let spaced = format!("{id}\n");
    let long = "A".repeat(1 << 20);
    let boast_of_44 = "REDHAT RELEASE KEY 2, verified by Fulcio now";
    assert_eq!((boast_of_44.len(), claimed_key(&bundle)), (44, Some(id.clone())));
    for hint in ["", BOAST, boast_of_44, &id[..43], &spaced, &long] {
        let bundle = with_hint(&bundle, hint);
        assert_eq!(claimed_key(&bundle), None);
        let error = verify(&bundle, world.key.public()).unwrap_err();
        assert!(matches!(&error, BundleError::WrongKey { found: NamedKey::Nothing, .. }), "{error}");
        assert!(error.to_string().ends_with("it names no key"), "{error}");
    }
    let garbled = with_hint(&bundle, &id).strip_suffix(b"}").unwrap().to_vec();
    let other_type = String::from_utf8(bundle).unwrap().replace(BUNDLE_TYPE, BOAST);
    for bundle in [garbled, other_type.into_bytes()] {
        let error = verify(&bundle, world.key.public()).unwrap_err();
        assert!(!error.to_string().contains("REDHAT"), "{error}");
    }
}

#[test]
fn a_decision_is_recorded_without_what_is_not_verified() {
    let world = World::new();
    let other = SigningKey::generate(&world.directory.path().join("other.key")).unwrap();
    world.layout.sign(&sbom(), &other).unwrap();
    let (rule, id) = ("ours".to_owned(), other.public().id());
    let wrong = world.cause();
    assert_eq!(
        wrong,
        UntrustedCause::WrongKey { rule: rule.clone(), found: Some(NamedKey::Key(id.clone())) }
    );
    assert_eq!(wrong.to_string(), format!("it names key {id}, which the rule `ours` does not name"));
    let bad = UntrustedCause::BadSignature { rule: rule.clone(), why: Some(BOAST.to_owned()) };
    for (cause, recorded, again) in [
        (
            wrong,
            r#"{"cause":"wrongKey","rule":"ours"}"#,
            UntrustedCause::WrongKey { rule: rule.clone(), found: None },
        ),
        (
            bad,
            r#"{"cause":"badSignature","rule":"ours"}"#,
            UntrustedCause::BadSignature { rule: rule.clone(), why: None },
        ),
    ] {
        assert_eq!(serde_json::to_string(&cause).unwrap(), recorded);
        assert_eq!(serde_json::from_str::<UntrustedCause>(recorded).unwrap(), again);
        assert_eq!(serde_json::to_string(&again).unwrap(), recorded);
        assert!(!again.to_string().contains("names no key"), "it is not known any more: {again}");
    }
}

#[test]
fn a_damaged_signature_hides_no_sound_one() {
    let world = World::new();
    let large = vec![b' '; (1 << 20) + 1];
    for layer in [b"no bundle".as_slice(), b"{}", &large] {
        world.attach(&[world.put(BUNDLE_TYPE, layer)]);
    }
    assert_eq!(world.bundles().sound.len(), 2, "the large one is not read");
    let bad = |cause| matches!(cause, UntrustedCause::BadSignature { why: Some(_), .. });
    assert!(bad(world.cause()));
    assert!(world.layout.sign(&sbom(), &world.key).unwrap());
    world.change_index(|entries| {
        // The sound one, with a wrong size and before itself.
        let mut sound = entries.last().unwrap().clone();
        sound["size"] = 7.into();
        entries.insert(0, sound);
    });
    assert!(matches!(world.decide(ALLOW), TrustDecision::Trusted { .. }));
    assert!(world.bundles().damaged.is_some(), "it is noted");
    assert!(!world.layout.sign(&sbom(), &world.key).unwrap(), "it is signed already");

    world.change_index(|entries| entries.retain(|entry| entry["artifactType"].is_null()));
    world.attach(&[json!({ "mediaType": BUNDLE_TYPE, "digest": Digest::of(b"lost"), "size": 4 })]);
    assert!(bad(world.cause()));
}

#[test]
fn signatures_are_counted_and_bounded() {
    let world = World::new();
    let layers: Vec<Value> =
        (0..100).map(|n| world.put(BUNDLE_TYPE, format!("bundle {n}").as_bytes())).collect();
    for _ in 0..3 {
        world.attach(&layers[..10]);
        world.attach(&layers[..11]);
    }
    assert_eq!(world.bundles().sound.len(), 11, "each is read once");
    world.attach(&layers);
    let bundles = world.bundles();
    assert_eq!(bundles.sound.len(), 64);
    assert!(bundles.damaged.unwrap().contains("more than 64"));
}

#[test]
fn a_layer_is_not_larger_than_a_component_may_be() {
    let world = World::new();
    world.change_index(|entries| {
        let digest = entries[0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        let text = fs::read(world.layout.root().join("blobs/sha256").join(digest)).unwrap();
        let mut manifest: Value = serde_json::from_slice(&text).unwrap();
        manifest["layers"][0]["size"] = ((256_u64 << 20) + 1).into();
        let changed =
            world.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        for entry in entries {
            entry["digest"] = changed["digest"].clone();
            entry["size"] = changed["size"].clone();
        }
    });
    let refused = world.layout.pull(&sbom());
    assert!(
        matches!(&refused, Err(LayoutError::Corrupt { why, .. }) if why.contains("not read")),
        "{refused:?}"
    );
}

#[test]
fn deny_rules_hold_against_digests() {
    let world = World::new();
    world.layout.sign(&sbom(), &world.key).unwrap();
    let (manifest, component) = (world.digest, Digest::of(b"component"));
    let denied = |pattern: &str| {
        let rules = format!("{ALLOW}  deny:\n    old: [{{ pattern: '{pattern}' }}]\n");
        matches!(world.decide(&rules), TrustDecision::Denied { .. })
    };
    for digest in [manifest, component] {
        assert!(denied(&digest.to_string()));
        assert!(denied(&format!("sha256:{}", digest.to_hex().to_uppercase())));
        assert!(denied(&format!("*@{digest}")));
        assert!(denied(&format!("oci://cofferdam.local/sbom:0.1.0@{digest}")));
        assert!(!denied(&format!("oci://cofferdam.local/report:*@{digest}")));
    }
    assert!(!denied(&Digest::of(b"other").to_string()));
    // A pattern for versions does not fit a digest by chance.
    for digit in "0123456789abcdef".chars() {
        assert_eq!(denied(&format!("*:{digit}*")), digit == '0', "{digit}");
    }
}

#[test]
fn the_path_of_a_registry_has_one_spelling() {
    let world = World::new();
    let root = world.layout.root().canonicalize().unwrap();
    let base = world.directory.path();
    let link = base.join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let elsewhere = base.join("elsewhere");
    for path in ["registry", "./registry", "keys/..//registry/.", "link"] {
        let reference = Reference::parse(&format!("oci:{path}:sbom:0.1.0"), base).unwrap();
        let outside = reference.canonical(&elsewhere).unwrap();
        assert_eq!(outside.version_uri("1"), format!("oci:{}:sbom:1", root.display()));
        for embedded in [&root, &link] {
            let inside = reference.canonical(embedded).unwrap();
            assert_eq!(inside.version_uri("1"), "oci://cofferdam.local/sbom:1");
        }
    }
    Layout::open_or_create(&base.join("a:sbom:1")).unwrap();
    std::os::unix::fs::symlink(base.join("a:sbom:1"), base.join("colon")).unwrap();
    let canonical = |path: &str| {
        let reference = Reference::parse(&format!("oci:{path}:sbom"), base).unwrap();
        reference.canonical(&elsewhere)
    };
    assert!(matches!(canonical("gone"), Err(LayoutError::NoLayout { .. })));
    assert!(matches!(canonical("colon"), Err(LayoutError::Corrupt { .. })));
}
