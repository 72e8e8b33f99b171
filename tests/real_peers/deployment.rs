//! A whole Sigstore deployment on this machine: Fulcio, Rekor v2 and a timestamp
//! authority as they are deployed, with an issuer of identity tokens.

use std::fs;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData as _,
};
use serde_json::{Value, json};

use super::issuer::Issuer;
use super::{Service, free_port, peer};
use crate::harness::World;
use crate::harness::sigstore::sha256;

/// Rekor's name in checkpoints; verifiers expect the host of its URL.
const LOG: &str = "127.0.0.1";
const ORGANIZATION: &str = "cofferdam-test";

/// The timestamp authority shows its metrics on one fixed port.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The services, gone when it is dropped, and a user who knows them: with
/// `trusted_root.json` and `signing_config.json` in the home.
pub(super) struct Deployment {
    _services: [Service; 3],
    pub(super) issuer: Issuer,
    pub(super) world: World,
    _alone: MutexGuard<'static, ()>,
}

/// A chain, in PEM and each certificate in DER, and the key of its first.
struct Chain {
    pem: String,
    certificates: Vec<Vec<u8>>,
    key: String,
}

impl Deployment {
    pub(super) fn start() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (world, issuer) = (World::with(&[]), Issuer::start());
        let directory = world.path("deployment");
        fs::create_dir(&directory).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        let (ca, tsa) = (authority(), timestamper());
        let log = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        for (name, chain) in [("ca", &ca), ("tsa", &tsa)] {
            write(&format!("{name}.pem"), &chain.pem);
            write(&format!("{name}.key"), &chain.key);
        }
        write("log.key", &log.serialize_pem());
        let ct = STANDARD.encode(issuer.ct_public());
        write("ct.pub", &format!("-----BEGIN PUBLIC KEY-----\n{ct}\n-----END PUBLIC KEY-----\n"));
        let url = issuer.url();
        let known = json!({ "IssuerURL": url, "ClientID": "sigstore", "Type": "email" });
        write("fulcio.json", &json!({ "OIDCIssuers": { (url.clone()): known } }).to_string());

        let serve = |name: &str, port: u16, args: &[String]| {
            let mut command = Command::new(peer(name));
            command.arg("serve").args(args).current_dir(&directory);
            command.env_clear().env("HOME", &directory);
            Service::told(&mut command, port)
        };
        let [fulcio, fulcio_rpc, rekor, rekor_rpc, stamps] = [(); 5].map(|()| free_port());
        let all = |fixed: &str, more: &[String]| -> Vec<String> {
            fixed.split_whitespace().map(str::to_owned).chain(more.iter().cloned()).collect()
        };
        let services = [
            serve(
                "fulcio",
                fulcio,
                &all(
                    "--host=127.0.0.1 --grpc-host=127.0.0.1 --metrics-port=0 --config-path=fulcio.json \
                 --legacy-unix-domain-socket=fulcio.socket --ca=fileca --fileca-cert=ca.pem --fileca-key=ca.key \
                 --fileca-key-passwd=none --fileca-watch=false --ct-log-public-key-path=ct.pub",
                    &[
                        format!("--port={fulcio}"),
                        format!("--grpc-port={fulcio_rpc}"),
                        format!("--ct-log-url={url}"),
                    ],
                ),
            ),
            serve(
                "rekor-server",
                rekor,
                &all(
                    "--http-address=127.0.0.1 --grpc-address=127.0.0.1 --http-metrics-port=0 --storage-dir=log \
                 --signer-filepath=log.key --batch-max-age=50ms --checkpoint-interval=200ms",
                    &[
                        format!("--hostname={LOG}"),
                        format!("--http-port={rekor}"),
                        format!("--grpc-port={rekor_rpc}"),
                    ],
                ),
            ),
            serve(
                "timestamp-server",
                stamps,
                &all(
                    "--host=127.0.0.1 --disable-ntp-monitoring --timestamp-signer=file \
                 --file-signer-key-path=tsa.key --certificate-chain-path=tsa.pem",
                    &[format!("--port={stamps}")],
                ),
            ),
        ];
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let (ca_url, log_url) = (at(fulcio), at(rekor));
        let tsa_url = format!("{}/api/v1/timestamp", at(stamps));
        let root = trusted_root(&[(&ca_url, &ca), (&tsa_url, &tsa)], (&log_url, &log), &issuer);
        let config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(&ca_url, 1), "oidcUrls": service(&url, 1),
            "rekorTlogUrls": service(&log_url, 2), "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": service(&tsa_url, 1), "tsaConfig": { "selector": "ANY" },
        });
        for (name, value) in [("trusted_root.json", root), ("signing_config.json", config)] {
            fs::write(world.home().join(name), value.to_string()).unwrap();
        }
        let deployment = Self { _services: services, issuer, world, _alone: alone };
        // cosign leaves the index of an entry out where it is zero.
        deployment.world.write("first", "the first entry");
        deployment.sign_first();
        deployment
    }

    fn sign_first(&self) {
        let token = self.issuer.token("first@example.test");
        let [root, config] = self.files();
        let args = ["sign-bundle", "--identity-token", &token, "--bundle", "first.json"];
        self.world
            .run(&[&args[..], &["--trusted-root", &root, "--signing-config", &config, "first"]].concat())
            .ok();
    }

    /// The paths of the trusted root and of the signing config.
    pub(super) fn files(&self) -> [String; 2] {
        ["trusted_root.json", "signing_config.json"]
            .map(|name| self.world.home().join(name).display().to_string())
    }
}

fn service(url: &str, version: u32) -> Value {
    json!([{
        "url": url, "majorApiVersion": version, "operator": ORGANIZATION,
        "validFor": { "start": "2020-01-01T00:00:00Z" },
    }])
}

fn trusted_root(
    [ca, tsa]: &[(&String, &Chain); 2],
    (log_url, log): (&str, &KeyPair),
    issuer: &Issuer,
) -> Value {
    let valid = json!({ "start": "2020-01-01T00:00:00Z" });
    let authority = |(url, chain): &(&String, &Chain)| {
        let raw = |der: &Vec<u8>| json!({ "rawBytes": STANDARD.encode(der) });
        let chain: Vec<Value> = chain.certificates.iter().map(raw).collect();
        json!([{
            "subject": { "organization": ORGANIZATION, "commonName": "root" }, "uri": url,
            "certChain": { "certificates": chain }, "validFor": valid,
        }])
    };
    let log_of = |url: &str, key: &[u8], details: &str, id: [u8; 32]| {
        json!([{
            "baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": { "keyId": STANDARD.encode(id) },
            "publicKey": { "rawBytes": STANDARD.encode(key), "keyDetails": details, "validFor": valid },
        }])
    };
    // How a signed note names an Ed25519 key.
    let note = [LOG.as_bytes(), b"\n\x01", log.der_bytes()].concat();
    let ct = issuer.ct_public();
    json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": log_of(log_url, &log.subject_public_key_info(), "PKIX_ED25519", sha256(&note)),
        "ctlogs": log_of(&issuer.url(), ct, "PKIX_ECDSA_P256_SHA_256", sha256(ct)),
        "certificateAuthorities": authority(ca),
        "timestampAuthorities": authority(tsa),
    })
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, ORGANIZATION);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

fn root(name: &str, below: u8) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn chain(params: &CertificateParams, root: &CertifiedIssuer<'static, KeyPair>) -> Chain {
    let key = KeyPair::generate().unwrap();
    let first = params.signed_by(&key, root).unwrap();
    Chain {
        pem: first.pem() + &root.pem(),
        certificates: vec![first.der().to_vec(), root.der().to_vec()],
        key: key.serialize_pem(),
    }
}

/// The intermediate authority that Fulcio signs with.
fn authority() -> Chain {
    let mut params = named("certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    chain(&params, &root("certificate root", 1))
}

/// The timestamp authority: RFC 3161, section 2.3, wants its one purpose critical.
fn timestamper() -> Chain {
    let mut params = named("timestamp authority");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let purpose = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], purpose.to_vec());
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    chain(&params, &root("timestamp root", 0))
}
