//! Signatures of an identity as cosign attached them before there were bundles:
//! what a bundle has inside stands in annotations beside the signature (cosign,
//! `specs/SIGNATURE_SPEC.md`, "Properties"). They become the bundle that says the
//! same, so that one verifier judges both.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_types::DerCertificate;

use crate::digest::Digest;

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const LOG_BUNDLE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// The one version of bundles for which the promise of a log is enough: cosign
/// kept no inclusion proof.
const BUNDLE_0_1: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

/// What a log said when it took the signature.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogBundle {
    signed_entry_timestamp: String,
    payload: LogPayload,
}

/// What the log has promised to keep, and what its timestamp signs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPayload {
    body: String,
    integrated_time: i64,
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct SignedTimestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

/// The bundle of a signature over these bytes, or why there is none. Nothing where
/// no certificate says who signed. Nothing is verified.
pub(crate) fn bundle(
    annotations: &BTreeMap<String, String>,
    payload: &[u8],
    signature: &[u8],
) -> Option<Result<Vec<u8>, &'static str>> {
    // The certificates above it, which are there as well, come from the trusted
    // root instead, as for any other bundle.
    let certificate = annotations.get(CERTIFICATE)?;
    let made = || {
        let certificate =
            DerCertificate::from_pem(certificate).map_err(|_| "its certificate cannot be read")?;
        let log = annotations.get(LOG_BUNDLE).ok_or("no transparency log has it")?;
        let entry = entry(log).ok_or("what its transparency log said of it cannot be read")?;
        let timestamps = match annotations.get(TIMESTAMP) {
            None => json!([]),
            Some(text) => {
                let read = serde_json::from_str::<SignedTimestamp>(text);
                json!([{ "signedTimestamp": read.map_err(|_| "its timestamp cannot be read")?.token }])
            }
        };
        let digest = STANDARD.encode(Digest::of(payload).as_bytes());
        let bundle = json!({
            "mediaType": BUNDLE_0_1,
            "verificationMaterial": {
                "x509CertificateChain": {
                    "certificates": [{ "rawBytes": STANDARD.encode(certificate.as_bytes()) }],
                },
                "tlogEntries": [entry],
                "timestampVerificationData": { "rfc3161Timestamps": timestamps },
            },
            "messageSignature": {
                "messageDigest": { "algorithm": "SHA2_256", "digest": digest },
                "signature": STANDARD.encode(signature),
            },
        });
        Ok(bundle.to_string().into_bytes())
    };
    Some(made())
}

/// The entry of a log in the form that bundles have.
fn entry(text: &str) -> Option<Value> {
    let LogBundle { signed_entry_timestamp, payload } = serde_json::from_str(text).ok()?;
    let Entry { api_version, kind } = serde_json::from_slice(&STANDARD.decode(&payload.body).ok()?).ok()?;
    let log = hex::decode(&payload.log_id).ok()?;
    Some(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(log) },
        "kindVersion": { "kind": kind, "version": api_version },
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": signed_entry_timestamp },
        "canonicalizedBody": payload.body,
    }))
}
