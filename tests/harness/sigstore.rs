//! A Sigstore deployment of a test's own, without a network: a certificate
//! authority, a certificate transparency log, a transparency log in the shape
//! of Rekor v1, the trusted root that names them, and keyless bundles.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::Digest;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    SigningKey as _,
};
use serde_json::{Value, json};

pub(crate) const WORKFLOW: &str = "https://ci.test/team/app/.ci/release.yml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://issuer.test";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The services. A clone with one of them exchanged is an attacker's.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(super) ca: Arc<(CertifiedIssuer<'static, KeyPair>, Vec<u8>)>,
    ct: Arc<KeyPair>,
    pub(super) log: Arc<KeyPair>,
}

/// What is signed, by whom, and how it is logged.
#[derive(Clone)]
pub(crate) struct Signing {
    pub(crate) subject: SanType,
    pub(crate) issuer: String,
    pub(crate) statement: Value,
    /// Seconds from the certificate's beginning, which was five minutes ago; it
    /// is valid for ten.
    pub(crate) logged_after: i64,
    /// The payload that the log entry is about, where it is another.
    pub(crate) logged: Option<Vec<u8>>,
}

impl Signing {
    pub(crate) fn new(predicate_type: &str, subject: Digest) -> Self {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "app", "digest": { "sha256": subject.to_hex() } }],
            "predicateType": predicate_type,
            "predicate": {},
        });
        Self {
            subject: SanType::URI(WORKFLOW.try_into().unwrap()),
            issuer: ISSUER.to_owned(),
            statement,
            logged_after: 60,
            logged: None,
        }
    }
}

impl Deployment {
    pub(crate) fn new() -> Self {
        Self { ca: authority(), ct: Arc::new(key()), log: Arc::new(key()) }
    }

    pub(crate) fn with_other_authority(&self) -> Self {
        Self { ca: authority(), ..self.clone() }
    }

    pub(crate) fn with_other_certificate_log(&self) -> Self {
        Self { ct: Arc::new(key()), ..self.clone() }
    }

    /// The text of `trusted_root.json`.
    pub(crate) fn trusted_root(&self) -> Value {
        let valid = json!({ "start": "2020-01-01T00:00:00Z" });
        let log = |url: &str, key: &KeyPair| {
            let spki = key.subject_public_key_info();
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(&spki),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": valid,
                },
                "logId": { "keyId": STANDARD.encode(sha256(&spki)) },
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("https://rekor.test", &self.log)],
            "certificateAuthorities": [{
                "subject": { "organization": "cofferdam-test", "commonName": "test authority" },
                "uri": "https://fulcio.test",
                "certChain": { "certificates": [{ "rawBytes": STANDARD.encode(self.ca.0.der().as_ref()) }] },
                "validFor": valid,
            }],
            "ctlogs": [log("https://ct.test", &self.ct)],
            "timestampAuthorities": [],
        })
    }

    /// A keyless bundle.
    pub(crate) fn sign(&self, signing: &Signing) -> Value {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 300;
        let key = key();
        let leaf = self.certificate(&key, &signing.subject, &signing.issuer, since);
        let payload = signing.statement.to_string().into_bytes();
        let mut signed =
            format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
        signed.extend(&payload);
        let signature = STANDARD.encode(key.sign(&signed).unwrap());
        // Keys in the order of the canonical form, here and below.
        let envelope = json!({
            "payload": STANDARD.encode(&payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "sig": signature }],
        });
        let logged = signing.logged.as_deref().unwrap_or(&payload);
        let verifier = STANDARD.encode(leaf.pem());
        let body = dsse_body(&envelope.to_string(), logged, &signature, &verifier);
        let time = i64::try_from(since).unwrap() + signing.logged_after;
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": { "rawBytes": STANDARD.encode(leaf.der()) },
                "tlogEntries": [self.entry(body.as_bytes(), time)],
            },
            "dsseEnvelope": envelope,
        })
    }

    /// The second entry of a log of two: RFC 6962, section 2.1.
    pub(super) fn entry(&self, body: &[u8], time: i64) -> Value {
        let log = sha256(&self.log.subject_public_key_info());
        let sign = |text: &str| self.log.sign(text.as_bytes()).unwrap();
        let promised = json!({
            "body": STANDARD.encode(body),
            "integratedTime": time,
            "logID": Digest::from_bytes(log).to_hex(),
            "logIndex": 1,
        });
        let sibling = sha256(b"\0the first entry");
        let leaf = sha256(&[b"\0", body].concat());
        let root = STANDARD.encode(sha256(&[&[1], sibling.as_slice(), &leaf].concat()));
        let note = format!("rekor.test - 1\n2\n{root}\n");
        let signature = [&log[..4], &sign(&note)].concat();
        let checkpoint = format!("{note}\n\u{2014} rekor.test {}\n", STANDARD.encode(signature));
        json!({
            "logIndex": "1",
            "logId": { "keyId": STANDARD.encode(log) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": time.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(sign(&promised.to_string())) },
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": root,
                "treeSize": "2",
                "hashes": [STANDARD.encode(sibling)],
                "checkpoint": { "envelope": checkpoint },
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    /// A certificate as Fulcio issues it: with a timestamp of the certificate
    /// transparency log inside, over itself without that (RFC 6962, section 3.2).
    pub(super) fn certificate(
        &self,
        key: &impl PublicKeyData,
        subject: &SanType,
        issuer: &str,
        since: u64,
    ) -> Certificate {
        let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&[0x2a; 16]));
        (params.not_before, params.not_after) = (at(since), at(since + 600));
        params.subject_alt_names = vec![subject.clone()];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.use_authority_key_identifier_extension = true;
        let (old, new) = ([1, 3, 6, 1, 4, 1, 57264, 1, 1], [1, 3, 6, 1, 4, 1, 57264, 1, 8]);
        let issuer = issuer.as_bytes();
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&old, issuer.to_vec()),
            CustomExtension::from_oid_content(&new, der(0x0c, issuer)),
        ];
        let bare = params.signed_by(key, &self.ca.0).unwrap();
        let to_be_signed = first_inside(bare.der());

        let stamp = (since * 1000).to_be_bytes();
        let size = u32::try_from(to_be_signed.len()).unwrap().to_be_bytes();
        let ca = sha256(&self.ca.1);
        let signed = [&[0, 0], &stamp[..], &[0, 1], &ca, &size[1..], to_be_signed, &[0, 0]].concat();
        let signature = self.ct.sign(&signed).unwrap();
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let log = sha256(&self.ct.subject_public_key_info());
        let timestamp = [&[0], &log[..], &stamp, &[0, 0, 4, 3], &length(&signature), &signature].concat();
        let one = [&length(&timestamp)[..], &timestamp].concat();
        let list = [&length(&one)[..], &one].concat();
        let oid = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, der(0x04, &list)));
        params.signed_by(key, &self.ca.0).unwrap()
    }
}

/// What the log keeps of an envelope, in the canonical form.
pub(super) fn dsse_body(envelope: &str, payload: &[u8], signature: &str, verifier: &str) -> String {
    let hash = |bytes: &[u8]| json!({ "algorithm": "sha256", "value": Digest::of(bytes).to_hex() });
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": hash(envelope.as_bytes()),
            "payloadHash": hash(payload),
            "signatures": [{ "signature": signature, "verifier": verifier }],
        },
    });
    body.to_string()
}

fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn authority() -> Arc<(CertifiedIssuer<'static, KeyPair>, Vec<u8>)> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "cofferdam-test");
    params.distinguished_name.push(DnType::CommonName, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = key();
    let spki = key.subject_public_key_info();
    Arc::new((CertifiedIssuer::self_signed(params, key).unwrap(), spki))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    *Digest::of(bytes).as_bytes()
}

/// A DER value of less than 64 KiB.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match size {
        [0, low] if low < 0x80 => vec![tag, low],
        [0, low] => vec![tag, 0x81, low],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [header.as_slice(), content].concat()
}

/// The first DER value inside another: of a certificate, what is signed.
pub(crate) fn first_inside(outer: &[u8]) -> &[u8] {
    let (_, inside) = outer.split_at(header(outer).0);
    let (start, size) = header(inside);
    &inside[..start + size]
}

/// How long the header of a DER value is, and its content.
pub(crate) fn header(value: &[u8]) -> (usize, usize) {
    let first = usize::from(value[1]);
    if first < 0x80 {
        return (2, first);
    }
    let bytes = &value[2..2 + (first & 0x7f)];
    (2 + bytes.len(), bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)))
}
