//! A task from publishing to the decision on it, and every way that goes wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod cause;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cause::cause;
use cofferdam_registry::{
    Bundles, Candidate, Digest, Grounds, Layout, LayoutError, NamedKey, Reference, SigningKey, TaskArtifact,
    Trust, TrustDecision, UntrustedCause,
};
use jiff::Timestamp;

struct World {
    directory: tempfile::TempDir,
    layout: Layout,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(&directory.path().join("registry")).unwrap();
        let key = SigningKey::generate(&directory.path().join("keys/test.key")).unwrap();
        Self { directory, layout, key }
    }

    fn publish(&self, component: &[u8]) -> Digest {
        let task = TaskArtifact { name: "sbom", version: "0.1.0", component, ..TaskArtifact::default() };
        self.layout.publish(&task).unwrap()
    }

    fn trust(&self, rules: &str) -> Trust {
        let text = format!("apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n{rules}");
        Trust::parse(&text, self.directory.path()).unwrap()
    }

    fn decide(&self, trust: &Trust, digest: Digest) -> TrustDecision {
        let bundles = self.layout.bundles(digest).unwrap();
        decide(trust, digest, &bundles)
    }
}

const ALLOW: &str =
    "  allow:\n    ours:\n      - {pattern: 'oci://cofferdam.local/*', signing_key: keys/test.pub}\n";

fn sbom() -> Reference {
    Reference::parse("sbom:0.1.0", Path::new("/")).unwrap()
}

/// Decides on version 0.1.0 of `sbom`, named by its tag.
fn decide(trust: &Trust, digest: Digest, bundles: &Bundles) -> TrustDecision {
    let (uri, component) = (sbom().version_uri("0.1.0"), Digest::of(b"component"));
    let candidate = Candidate { uri: &uri, spellings: &[], digest, component, bundles };
    trust.decide(&candidate, Timestamp::UNIX_EPOCH)
}

#[test]
fn a_signed_task_that_a_rule_names_is_trusted() {
    let world = World::new();
    let digest = world.publish(b"component");
    assert_eq!(world.publish(b"component"), digest, "publishing twice changes nothing");
    assert!(world.layout.sign(&sbom(), &world.key).unwrap());
    assert!(!world.layout.sign(&sbom(), &world.key).unwrap(), "signing twice changes nothing");
    assert_eq!(world.layout.bundles(digest).unwrap().sound.len(), 1);
    let decision = world.decide(&world.trust(ALLOW), digest);
    assert_eq!(
        decision,
        TrustDecision::Trusted {
            rule: "ours".into(),
            grounds: Grounds::Key { key: world.key.public().id() }
        }
    );
    let pulled = world.layout.pull(&sbom()).unwrap();
    assert_eq!((pulled.component.as_slice(), pulled.head.digest), (b"component".as_slice(), digest));
}

#[test]
fn each_missing_condition_has_its_own_cause() {
    let world = World::new();
    let digest = world.publish(b"component");
    let trust = world.trust(ALLOW);
    assert_eq!(cause(world.decide(&world.trust("  {}\n"), digest)), UntrustedCause::NoRule);
    assert_eq!(cause(world.decide(&trust, digest)), UntrustedCause::Unsigned { rule: "ours".into() });

    let other = SigningKey::generate(&world.directory.path().join("keys/other.key")).unwrap();
    world.layout.sign(&sbom(), &other).unwrap();
    let found = Some(NamedKey::Key(other.public().id()));
    assert_eq!(cause(world.decide(&trust, digest)), UntrustedCause::WrongKey { rule: "ours".into(), found });

    let later = ALLOW.replace("test.pub}", "test.pub, effective_on: '2099-01-01'}");
    let not_yet = UntrustedCause::NotYetEffective { rule: "ours".into() };
    assert_eq!(cause(world.decide(&world.trust(&later), digest)), not_yet);
}

#[test]
fn deny_wins_over_allow() {
    let world = World::new();
    let digest = world.publish(b"component");
    world.layout.sign(&sbom(), &world.key).unwrap();
    let deny = format!("{ALLOW}  deny:\n    old:\n      - {{pattern: '*:0.1.0', message: leaks}}\n");
    let decision = world.decide(&world.trust(&deny), digest);
    assert_eq!(decision, TrustDecision::Denied { rule: "old".into(), message: Some("leaks".into()) });
}

#[test]
fn no_spelling_gets_around_a_rule() {
    let world = World::new();
    let digest = world.publish(b"component");
    world.layout.sign(&sbom(), &world.key).unwrap();
    let bundles = world.layout.bundles(digest).unwrap();
    let decide = |trust: &Trust, reference: &str, version: &str| {
        let reference = Reference::parse(reference, Path::new("/")).unwrap();
        let (uri, spellings) = (reference.version_uri(version), [reference.written_uri()]);
        let component = Digest::of(b"component");
        let candidate = Candidate { uri: &uri, spellings: &spellings, digest, component, bundles: &bundles };
        trust.decide(&candidate, Timestamp::UNIX_EPOCH)
    };
    let deny = world.trust(&format!("{ALLOW}  deny:\n    old: [{{ pattern: '*/sbom:0.0.*' }}]\n"));
    for reference in ["sbom:0.0.9", "sbom", "sbom:1.0.0", &format!("sbom@{digest}")] {
        let decision = decide(&deny, reference, "0.0.9");
        assert!(matches!(decision, TrustDecision::Denied { .. }), "{reference}: {decision:?}");
    }
    // A tag that was moved to an older version does not make it a newer one.
    let allow = world.trust(&ALLOW.replace("local/*", "local/sbom:1.*"));
    assert_eq!(cause(decide(&allow, "sbom:1.0.0", "0.9.0")), UntrustedCause::NoRule);
    assert!(matches!(decide(&allow, "sbom", "1.0.0"), TrustDecision::Trusted { .. }));
}

#[test]
fn a_signature_does_not_move_to_another_artifact() {
    let world = World::new();
    let first = world.publish(b"good");
    world.layout.sign(&sbom(), &world.key).unwrap();
    let stolen = world.layout.bundles(first).unwrap();
    let second = world.publish(b"evil");
    let trust = world.trust(ALLOW);
    let decision = decide(&trust, second, &stolen);
    assert!(
        matches!(cause(decision), UntrustedCause::BadSignature { why: Some(why), .. } if why.contains("another artifact"))
    );
    assert_eq!(cause(world.decide(&trust, second)), UntrustedCause::Unsigned { rule: "ours".into() });
}

#[test]
fn a_changed_signature_is_told_from_a_foreign_one() {
    let world = World::new();
    let digest = world.publish(b"component");
    world.layout.sign(&sbom(), &world.key).unwrap();
    let bundle = world.layout.bundles(digest).unwrap().sound.remove(0);
    let text = String::from_utf8(bundle).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let payload = value.pointer_mut("/dsseEnvelope/payload").unwrap();
    let signed = String::from_utf8(STANDARD.decode(payload.as_str().unwrap()).unwrap()).unwrap();
    assert!(signed.contains("sbom"));
    *payload = STANDARD.encode(signed.replace("sbom", "sbox")).into();
    let changed = value.to_string().into_bytes();
    let trust = world.trust(ALLOW);
    let decision = decide(&trust, digest, &Bundles { sound: vec![changed], ..Bundles::default() });
    assert!(
        matches!(cause(decision), UntrustedCause::BadSignature { why: Some(why), .. } if why.contains("changed"))
    );
}

#[test]
fn a_changed_byte_is_never_read() {
    let world = World::new();
    let digest = world.publish(b"component");
    let component = Digest::of(b"component").to_hex();
    let blobs = world.layout.root().join("blobs/sha256");
    fs::write(blobs.join(&component), b"cOmponent").unwrap();
    assert!(matches!(world.layout.pull(&sbom()), Err(LayoutError::DigestMismatch { .. })));
    fs::write(blobs.join(&component), b"longer component").unwrap();
    assert!(matches!(world.layout.pull(&sbom()), Err(LayoutError::Corrupt { .. })));
    fs::remove_file(blobs.join(&component)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", blobs.join(&component)).unwrap();
    assert!(matches!(world.layout.pull(&sbom()), Err(LayoutError::Corrupt { .. })));
    fs::remove_file(blobs.join(&component)).unwrap();
    assert_eq!(world.publish(b"component"), digest, "publishing again heals");
    world.layout.pull(&sbom()).unwrap();
}

#[test]
fn a_layout_that_is_none_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let corrupt = |r: Result<Layout, LayoutError>| matches!(r, Err(LayoutError::Corrupt { .. }));
    assert!(matches!(Layout::open(directory.path()), Err(LayoutError::NoLayout { .. })));
    let layout = Layout::open_or_create(directory.path()).unwrap();
    assert!(matches!(layout.pull(&sbom()), Err(LayoutError::NotFound { .. })));
    fs::write(directory.path().join("index.json"), b"{").unwrap();
    assert!(matches!(layout.pull(&sbom()), Err(LayoutError::Corrupt { .. })));
    fs::write(directory.path().join("oci-layout"), br#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(corrupt(Layout::open(directory.path())));
}

#[test]
fn concurrent_publishers_lose_nothing() {
    let world = World::new();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let layout = &world.layout;
            scope.spawn(move || {
                let name = format!("task-{n}");
                let component = name.clone().into_bytes();
                let task = TaskArtifact {
                    name: &name,
                    version: "1",
                    component: &component,
                    ..TaskArtifact::default()
                };
                layout.publish(&task).unwrap();
            });
        }
    });
    assert_eq!(world.layout.names().unwrap().len(), 16);
}
