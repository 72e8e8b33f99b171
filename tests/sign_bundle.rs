//! Signing with an identity: `sign-bundle`, as the sigstore-conformance client
//! protocol calls it, and `task publish --keyless`.

use std::fs;

use cofferdam_registry::Digest;
use serde_json::{Value, json};

use crate::harness::keyless_services::{KeylessServices, SIGNER, token};
use crate::harness::sigstore::{Deployment, ISSUER};
use crate::harness::{Done, Task, World, done, task_file};

struct Signing {
    world: World,
    services: KeylessServices,
    deployment: Deployment,
}

impl Signing {
    fn new() -> Self {
        let (world, deployment) = (World::empty(), Deployment::new());
        let services = KeylessServices::start(deployment.clone());
        world.write("app", "the artifact");
        world.write("root.json", deployment.trusted_root().to_string());
        world.write("config.json", services.signing_config().to_string());
        Self { world, services, deployment }
    }

    /// In the order of the protocol.
    fn sign(&self, token: &str, file: &str) -> Done {
        let mut args = vec!["sign-bundle", "--identity-token", token, "--bundle", "out.json"];
        args.extend(["--trusted-root", "root.json", "--signing-config", "config.json", file]);
        self.world.run(&args)
    }

    fn verify(&self, who: &str, issuer: &str, artifact: &str) -> Done {
        let args = ["verify-bundle", "--bundle", "out.json", "--certificate-identity", who];
        let more = ["--certificate-oidc-issuer", issuer, "--trusted-root", "root.json", artifact];
        self.world.run(&[&args[..], &more].concat())
    }

    fn has_bundle(&self) -> bool {
        let names = fs::read_dir(self.world.project()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.starts_with(".tmp")), "{names:?}");
        names.iter().any(|name| name == "out.json")
    }
}

#[test]
fn a_file_is_signed_as_the_client_protocol_says() {
    let signing = Signing::new();
    let done = signing.sign(&token(SIGNER, ISSUER), "app").ok();
    assert!(done.out.contains(SIGNER) && done.out.contains("against the trusted root"), "{done:?}");
    signing.verify(SIGNER, ISSUER, "app").ok();
    assert_eq!(signing.verify(SIGNER, ISSUER, "root.json").status, 1);
    assert_eq!(signing.services.asked(), ["/api/v2/signingCert", "/api/v1/log/entries"]);
}

#[test]
fn a_statement_is_signed_as_it_is() {
    let signing = Signing::new();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "app", "digest": { "sha256": Digest::of(b"the artifact").to_hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": { "a": 1 },
    });
    signing.world.write("statement.json", format!("{statement:#}"));
    let args =
        ["sign-bundle", "--in-toto", "--identity-token", &token(SIGNER, ISSUER), "--bundle", "out.json"];
    let more = ["--trusted-root", "root.json", "--signing-config", "config.json"];
    let sign = |file| signing.world.run(&[&args[..], &more, &[file]].concat());
    sign("statement.json").ok();
    let verified = signing.verify(SIGNER, ISSUER, "app").ok();
    assert!(verified.out.contains("https://slsa.dev/provenance/v1"), "{verified:?}");

    let asked = signing.services.asked().len();
    sign("app").refused(3, "sign/statement", "");
    let mut other = statement.clone();
    other["subject"][0]["digest"] = json!({ "sha512": "00" });
    signing.world.write("statement.json", other.to_string());
    sign("statement.json").refused(3, "sign/statement", "SHA-256");
    other["_type"] = "https://in-toto.io/Statement/v0.1".into();
    signing.world.write("statement.json", other.to_string());
    sign("statement.json").refused(3, "sign/statement", "v0.1");
    assert_eq!(signing.services.asked().len(), asked, "somebody was asked to sign it");
}

#[test]
fn what_a_service_gives_is_not_believed() {
    let signing = Signing::new();
    for other in [signing.deployment.with_other_authority(), signing.deployment.with_other_certificate_log()]
    {
        signing.world.write("root.json", other.trusted_root().to_string());
        signing.sign(&token(SIGNER, ISSUER), "app").refused(4, "sign/unsound", "");
        assert!(!signing.has_bundle());
    }
    signing.world.write("root.json", "{}");
    let asked = signing.services.asked().len();
    signing.sign(&token(SIGNER, ISSUER), "app").refused(3, "bundle/trusted-root", "root.json");
    assert_eq!(signing.services.asked().len(), asked);
}

#[test]
fn a_token_is_shown_to_nobody_else() {
    let signing = Signing::new();
    let refused = token("nobody@example.test", ISSUER);
    let done = signing.sign(&refused, "app").refused(1, "sign/service", "the certificate authority");
    let signature = refused.rsplit('.').next().unwrap();
    assert!(!format!("{done:?}").contains(signature), "{done:?}");
    assert!(!signing.has_bundle());

    for bad in ["", "a.b.c", "not a token"] {
        let done = signing.sign(bad, "app").refused(3, "sign/token", "");
        assert!(bad.len() < 4 || !done.err.contains(bad), "{done:?}");
    }
    // Nowhere without TLS but on this machine; never to what is no service.
    let mut config = signing.services.signing_config();
    for url in ["http://fulcio.test", "ftp://127.0.0.1/", "https://me:secret@fulcio.test"] {
        config["caUrls"][0]["url"] = url.into();
        signing.world.write("config.json", config.to_string());
        signing.sign(&token(SIGNER, ISSUER), "app").refused(4, "sign/insecure-url", "");
    }
    config["mediaType"] = "application/json".into();
    for text in ["", "{}", &config.to_string()] {
        signing.world.write("config.json", text);
        signing.sign(&token(SIGNER, ISSUER), "app").refused(3, "sign/signing-config", "config.json");
    }
    assert_eq!(signing.services.asked().len(), 1);
}

#[test]
fn the_token_comes_from_where_it_is_safe() {
    let signing = Signing::new();
    let sign = |more: &[&str], variables: &[(&str, &str)]| {
        let args = ["sign-bundle", "--bundle", "out.json", "--signing-config", "config.json"];
        let more = [more, &["--trusted-root", "root.json", "app"]].concat();
        let mut command = signing.world.command(&[&args[..], &more].concat());
        for name in ["SIGSTORE_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
            command.env_remove(name);
        }
        done(command.envs(variables.iter().copied()))
    };
    sign(&[], &[]).refused(3, "sign/no-token", "").says("--identity-token-file");
    signing.world.write("token", format!("{}\n", token(SIGNER, ISSUER)));
    sign(&["--identity-token-file", "token"], &[]).ok();
    signing.verify(SIGNER, ISSUER, "app").ok();
    let own = token("gitlab@example.test", "https://jobs.test");
    sign(&[], &[("SIGSTORE_ID_TOKEN", &own)]).ok();
    signing.verify("gitlab@example.test", "https://jobs.test", "app").ok();

    let url = signing.services.0.url("/job?version=1");
    let job =
        |bearer| [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", bearer)];
    sign(&[], &job("of the job")).ok();
    signing.verify("job@example.test", "https://jobs.test", "app").ok();
    let refused = sign(&[], &job("of-another-job")).refused(1, "sign/service", "id-token: write");
    assert!(!refused.err.contains("of-another-job") && !refused.err.contains("version=1"), "{refused:?}");

    let shown = sign(&["--device-flow"], &[]).ok();
    assert!(shown.err.contains("ABCD-EFGH") && shown.err.contains("/device"), "{shown:?}");
    signing.verify("terminal@example.test", "https://login.test", "app").ok();
    sign(&["--device-flow", "--oidc-client-id", "other"], &[]).refused(1, "sign/service", "login");
}

#[test]
fn a_task_is_published_with_an_identity() {
    let signing = Signing::new();
    fs::create_dir_all(signing.world.home()).unwrap();
    let own =
        |name: &str, value: Value| fs::write(signing.world.home().join(name), value.to_string()).unwrap();
    own("trusted_root.json", signing.deployment.trusted_root());
    own("signing_config.json", signing.services.signing_config());
    signing.world.write("token", token(SIGNER, ISSUER));
    let task = task_file(Task::Test("echo")).display().to_string();
    let args = ["task", "publish", &task, "--identity-token-file", "token"];
    signing.world.run(&args).refused(2, "usage/invalid", "").says("--keyless");
    let published = signing.world.run(&[&args[..], &["--keyless"]].concat()).ok();
    assert!(published.out.contains(SIGNER), "{published:?}");

    let trust = ["trust", "add", "team", "oci://cofferdam.local/*", "--subject", SIGNER, "--issuer", ISSUER];
    signing.world.run(&trust).ok();
    let explained = signing.world.run(&["trust", "explain", "echo"]).ok();
    assert!(explained.out.contains(SIGNER), "{explained:?}");
}
