//! The services of a [`Deployment`] on this machine, over HTTP: a certificate
//! authority in the shape of Fulcio, a log in the shape of Rekor v1, and an
//! issuer at which somebody logs in with a code. They judge no token: that is
//! for real ones.

use std::io::{self, Write};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SignatureAlgorithm};
use serde_json::{Value, json};

use super::server::{Received, Server, reply};
use super::sigstore::{Deployment, dsse_body};

pub(crate) const SIGNER: &str = "dev@example.test";
/// The one who logs in.
const LOGGED_IN: &str = "terminal@example.test";

/// A token that nobody signed.
pub(crate) fn token(email: &str, issuer: &str) -> String {
    let (from, until) = (now() - 60, now() + 600);
    let claims = json!({
        "iss": issuer, "sub": email, "aud": "sigstore", "email": email, "email_verified": true,
        "iat": from, "exp": until,
    });
    let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
    let header = json!({ "alg": "none", "typ": "JWT" });
    let signature = encode("a signature of it".to_owned());
    format!("{}.{}.{signature}", encode(header.to_string()), encode(claims.to_string()))
}

/// The services, and what they were asked.
pub(crate) struct KeylessServices(pub(crate) Server);

impl KeylessServices {
    pub(crate) fn start(deployment: Deployment) -> Self {
        Self(Server::plain(move |received, out| answer(&deployment, received, out)))
    }

    /// The text of `signing_config.json`.
    pub(crate) fn signing_config(&self) -> Value {
        let service = |path: &str| {
            json!([{
                "url": self.0.url(path),
                "majorApiVersion": 1,
                "operator": "cofferdam-test",
                "validFor": { "start": "2020-01-01T00:00:00Z" },
            }])
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(""),
            "oidcUrls": service(""),
            "rekorTlogUrls": service(""),
            "rekorTlogConfig": { "selector": "ANY" },
        })
    }

    /// What was asked, by path.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.received().into_iter().map(|received| received.target).collect()
    }
}

fn answer(deployment: &Deployment, received: &Received, out: &mut dyn Write) -> io::Result<()> {
    let here = format!("http://{}", received.header("host").unwrap());
    let body = || serde_json::from_slice::<Value>(&received.body).unwrap();
    let form = String::from_utf8_lossy(&received.body);
    let (status, answer) = match received.target.as_str() {
        "/api/v2/signingCert" => certificate(deployment, received, &body()),
        "/api/v1/log/entries" => (201, entry(deployment, &body())),
        "/.well-known/openid-configuration" => {
            let (begin, token) = (format!("{here}/device/code"), format!("{here}/token"));
            (200, json!({ "device_authorization_endpoint": begin, "token_endpoint": token }))
        }
        "/device/code"
            if form.contains("client_id=sigstore&") && form.contains("code_challenge_method=S256") =>
        {
            let place = format!("{here}/device");
            let code = json!({
                "device_code": "the device", "user_code": "ABCD-EFGH", "verification_uri": place,
                "expires_in": 300, "interval": 1,
            });
            (200, code)
        }
        "/token" if form.contains("device_code=the+device") && form.contains("code_verifier=") => {
            (200, json!({ "id_token": token(LOGGED_IN, "https://login.test") }))
        }
        "/job?version=1&audience=sigstore"
            if received.header("authorization") == Some("Bearer of the job") =>
        {
            (200, json!({ "value": token("job@example.test", "https://jobs.test") }))
        }
        _ => (404, json!({ "error": "not_found" })),
    };
    // The name of an entry, where one was made.
    reply(out, status, &[("content-type", "application/json"), ("etag", &entry_name())], answer.to_string())
}

/// A public key for ECDSA P-256.
struct Point(Vec<u8>);

impl Point {
    /// The one that stands somewhere in this DER: 65 bytes after those that say
    /// which curve it is on, and that there are so many.
    fn in_der(der: &[u8]) -> Self {
        let before = [0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00];
        let start = der.windows(before.len()).position(|window| window == before).unwrap() + before.len();
        Self(der[start..start + 65].to_vec())
    }
}

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

fn certificate(deployment: &Deployment, received: &Received, request: &Value) -> (u16, Value) {
    // In the body, or, with a request for a certificate, in a header.
    let bearer = received.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let token = request["credentials"]["oidcIdentityToken"].as_str().or(bearer).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let (email, issuer) = (claims["email"].as_str().unwrap(), claims["iss"].as_str().unwrap());
    if email.starts_with("nobody@") {
        // As some servers do, it repeats what it was sent.
        return (403, json!({ "code": 16, "message": format!("no identity in {token}") }));
    }
    let pem = match request["publicKeyRequest"]["publicKey"]["content"].as_str() {
        Some(key) => key.to_owned(),
        None => {
            let request = STANDARD.decode(request["certificateSigningRequest"].as_str().unwrap()).unwrap();
            String::from_utf8(request).unwrap()
        }
    };
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = Point::in_der(&STANDARD.decode(lines).unwrap());
    let subject = SanType::Rfc822Name(email.try_into().unwrap());
    let leaf = deployment.certificate(&key, &subject, issuer, now() - 300);
    (
        200,
        json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": [leaf.pem(), deployment.ca.0.pem()] } } }),
    )
}

/// A certificate in the one form that a log keeps it in: PEM as Go writes it.
fn canonical(pem: &Value) -> String {
    let text = String::from_utf8(STANDARD.decode(pem.as_str().unwrap()).unwrap()).unwrap();
    STANDARD.encode(format!("{}\n", text.replace("\r\n", "\n").trim_end()))
}

fn entry(deployment: &Deployment, request: &Value) -> Value {
    let body = if request["kind"] == "dsse" {
        let proposed = &request["spec"]["proposedContent"];
        let text = proposed["envelope"].as_str().unwrap();
        let envelope: Value = serde_json::from_str(text).unwrap();
        let payload = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
        let signature = envelope["signatures"][0]["sig"].as_str().unwrap();
        dsse_body(text, &payload, signature, &canonical(&proposed["verifiers"][0]))
    } else {
        let mut request = request.clone();
        let key = &mut request["spec"]["signature"]["publicKey"]["content"];
        *key = canonical(key).into();
        request.to_string()
    };
    let entry = deployment.entry(body.as_bytes(), i64::try_from(now()).unwrap() - 1);
    let hex = |text: &Value| hex::encode(STANDARD.decode(text.as_str().unwrap()).unwrap());
    let number = |text: &Value| text.as_str().unwrap().parse::<u64>().unwrap();
    let proof = &entry["inclusionProof"];
    json!({ entry_name(): {
        "body": entry["canonicalizedBody"],
        "integratedTime": number(&entry["integratedTime"]),
        "logID": hex(&entry["logId"]["keyId"]),
        "logIndex": number(&entry["logIndex"]),
        "verification": {
            "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "inclusionProof": {
                "logIndex": number(&proof["logIndex"]),
                "rootHash": hex(&proof["rootHash"]),
                "treeSize": number(&proof["treeSize"]),
                "hashes": [hex(&proof["hashes"][0])],
                "checkpoint": proof["checkpoint"]["envelope"],
            },
        },
    } })
}

/// A log names an entry by the hash of its leaf; nobody here asks for it again.
fn entry_name() -> String {
    "2a".repeat(32)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}
