//! A layout with manifests under the tags that cosign gives to signatures.

use std::fs;

use cofferdam_registry::{Candidate, Digest, Layout, Trust, TrustDecision};
use jiff::Timestamp;
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

pub(crate) struct Tagged {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) layout: Layout,
}

impl Tagged {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(&directory.path().join("registry")).unwrap();
        Self { directory, layout }
    }

    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.layout.root().join("blobs/sha256").join(digest.to_hex()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Lists layers, each with its annotations, under a tag.
    pub(crate) fn tag(&self, tag: &str, media_type: &str, layers: &[(&[u8], Value)]) {
        let layer = |(bytes, annotations): &(&[u8], Value)| {
            let mut layer = self.put(media_type, bytes);
            layer["annotations"] = annotations.clone();
            layer
        };
        let layers: Vec<Value> = layers.iter().map(layer).collect();
        let config = self.put("application/vnd.oci.image.config.v1+json", b"{}");
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let mut entry = self.put(MANIFEST, manifest.to_string().as_bytes());
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let path = self.layout.root().join("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        index["manifests"].as_array_mut().unwrap().push(entry);
        fs::write(&path, index.to_string()).unwrap();
    }

    /// What a file of trust says of a manifest.
    pub(crate) fn decide(&self, trust: &str, subject: Digest) -> TrustDecision {
        let trust = Trust::parse(trust, self.directory.path()).unwrap();
        let bundles = self.layout.bundles(subject).unwrap();
        let candidate = Candidate {
            uri: "oci://registry.test/echo:0.1.0",
            spellings: &[],
            digest: subject,
            component: Digest::of(b"component"),
            bundles: &bundles,
        };
        trust.decide(&candidate, Timestamp::now())
    }
}

pub(crate) fn is_trusted(decision: &TrustDecision) -> bool {
    matches!(decision, TrustDecision::Trusted { .. })
}
