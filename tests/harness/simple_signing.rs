//! Signatures as cosign attached them before there were bundles, by the identities
//! of a [`Deployment`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::Digest;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::json;

use super::sigstore::{Deployment, Signing};

/// What cosign signs of a manifest, where it makes no Statement.
pub(crate) fn simple_payload(manifest: Digest) -> Vec<u8> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": "registry.test/team/noop" },
            "image": { "docker-manifest-digest": manifest.to_string() },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    payload.to_string().into_bytes()
}

impl Deployment {
    pub(crate) fn with_other_log(&self) -> Self {
        let mut other = self.clone();
        other.log = Arc::new(KeyPair::generate().unwrap());
        other
    }

    /// A signature as cosign attached it before there were bundles: over a payload
    /// that names a manifest. Gives the annotations beside the payload.
    pub(crate) fn sign_simple(&self, signing: &Signing, payload: &[u8]) -> BTreeMap<String, String> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 300;
        let key = KeyPair::generate().unwrap();
        let leaf = self.certificate(&key, &signing.subject, &signing.issuer, since);
        let signature = STANDARD.encode(key.sign(payload).unwrap());
        let logged = Digest::of(signing.logged.as_deref().unwrap_or(payload)).to_hex();
        // Keys in the order of the canonical form.
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": logged } },
                "signature": { "content": signature, "publicKey": { "content": STANDARD.encode(leaf.pem()) } },
            },
        });
        let time = i64::try_from(since).unwrap() + signing.logged_after;
        let entry = self.entry(body.to_string().as_bytes(), time);
        let log = STANDARD.decode(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
        let bundle = json!({
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": time,
                "logIndex": 1,
                "logID": Digest::from_bytes(log.try_into().unwrap()).to_hex(),
            },
        });
        [
            ("dev.cosignproject.cosign/signature", signature),
            ("dev.sigstore.cosign/certificate", leaf.pem()),
            ("dev.sigstore.cosign/chain", self.ca.0.pem()),
            ("dev.sigstore.cosign/bundle", bundle.to_string()),
        ]
        .map(|(name, text)| (name.to_owned(), text))
        .into()
    }
}
