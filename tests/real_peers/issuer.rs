//! What a deployment of Sigstore needs beside its servers: an issuer of identity
//! tokens, and a certificate transparency log that signs what Fulcio is about to
//! issue, but keeps nothing.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};

use crate::harness::sigstore::{der, first_inside, header, sha256};
use crate::harness::{Received, Server, reply};

/// What a precertificate has and the certificate has not: RFC 6962, section 3.1.
const POISON: [u8; 21] = [
    0x30, 0x13, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x03, 0x01, 0x01, 0xff,
    0x04, 0x02, 0x05, 0x00,
];

/// An issuer of identity tokens and a certificate transparency log at one URL,
/// each with a key on P-256.
pub(super) struct Issuer {
    server: Server,
    key: KeyPair,
    ct_public: Vec<u8>,
}

impl Issuer {
    pub(super) fn start() -> Self {
        let (key, ct) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (jwk, ct_public) = (jwk(&key), ct.subject_public_key_info());
        let server = Server::plain(move |received, out| {
            let here = format!("http://{}", received.header("host").unwrap());
            let (status, answer) = match received.target.as_str() {
                "/.well-known/openid-configuration" => (200, discovery(&here)),
                "/keys" => (200, json!({ "keys": [jwk] })),
                "/ct/v1/add-pre-chain" => (200, timestamp(&ct, received)),
                _ => (404, json!({})),
            };
            reply(out, status, &[("content-type", "application/json")], answer.to_string())
        });
        Self { server, key, ct_public }
    }

    /// Its name in tokens and certificates, which is where it is.
    pub(super) fn url(&self) -> String {
        self.server.url("")
    }

    /// The public key of the certificate transparency log, in DER.
    pub(super) fn ct_public(&self) -> &[u8] {
        &self.ct_public
    }

    /// A token for somebody with this address, for ten minutes.
    pub(super) fn token(&self, email: &str) -> String {
        let claims = json!({
            "iss": self.url(), "aud": "sigstore", "sub": hex::encode(sha256(email.as_bytes())),
            "email": email, "email_verified": true, "iat": now(), "nbf": now(), "exp": now() + 600,
        });
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": key_id(&self.key) });
        let text = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = fixed(&self.key.sign(text.as_bytes()).unwrap());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn discovery(url: &str) -> Value {
    json!({
        "issuer": url,
        "jwks_uri": format!("{url}/keys"),
        "authorization_endpoint": format!("{url}/auth"),
        "token_endpoint": format!("{url}/token"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
}

fn key_id(key: &KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(sha256(&key.subject_public_key_info()))
}

/// RFC 7517. The point is uncompressed: four, then both coordinates.
fn jwk(key: &KeyPair) -> Value {
    let (x, y) = key.der_bytes()[1..].split_at(32);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key_id(key),
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    })
}

/// An ECDSA signature as JWS has it, of 64 bytes, from the one in DER.
fn fixed(signature: &[u8]) -> Vec<u8> {
    let mut rest = &signature[header(signature).0..];
    let mut both = Vec::new();
    while !rest.is_empty() {
        let (start, size) = header(rest);
        let (number, after) = rest[start..].split_at(size);
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        both.extend(std::iter::repeat_n(0, 32 - digits.len()));
        both.extend(digits);
        rest = after;
    }
    both
}

/// The signed timestamp of a precertificate: RFC 6962, section 3.2.
fn timestamp(key: &KeyPair, received: &Received) -> Value {
    let request: Value = serde_json::from_slice(&received.body).unwrap();
    let chain = |at: usize| STANDARD.decode(request["chain"][at].as_str().unwrap()).unwrap();
    let (precertificate, authority) = (chain(0), chain(1));
    let to_be_signed = without(first_inside(&precertificate), &POISON);
    let stamp = now() * 1000;
    let size = u32::try_from(to_be_signed.len()).unwrap().to_be_bytes();
    let signed = [
        &[0, 0],
        &stamp.to_be_bytes()[..],
        &[0, 1],
        &sha256(public_key(&authority)),
        &size[1..],
        &to_be_signed,
        &[0, 0],
    ]
    .concat();
    let signature = key.sign(&signed).unwrap();
    let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
    // SHA-256 and ECDSA, as TLS numbers them.
    let signature = [&[4, 3], &length[..], &signature].concat();
    json!({
        "sct_version": 0, "id": STANDARD.encode(sha256(&key.subject_public_key_info())),
        "timestamp": stamp, "extensions": "", "signature": STANDARD.encode(signature),
    })
}

/// A DER value without one that is somewhere inside it.
fn without(value: &[u8], part: &[u8]) -> Vec<u8> {
    if !value.windows(part.len()).any(|window| window == part) {
        return value.to_vec();
    }
    assert_eq!(value[0] & 0x20, 0x20, "what it stands in has no values inside");
    let mut rest = &value[header(value).0..];
    let mut content = Vec::new();
    while !rest.is_empty() {
        let (start, size) = header(rest);
        let (child, after) = rest.split_at(start + size);
        if child != part {
            content.extend(without(child, part));
        }
        rest = after;
    }
    der(value[0], &content)
}

/// The public key of a certificate: the seventh part of what is signed, after
/// version, serial number, algorithm, issuer, validity and subject.
fn public_key(certificate: &[u8]) -> &[u8] {
    let signed = first_inside(certificate);
    let mut rest = &signed[header(signed).0..];
    for _ in 0..6 {
        let (start, size) = header(rest);
        rest = &rest[start + size..];
    }
    let (start, size) = header(rest);
    &rest[..start + size]
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
