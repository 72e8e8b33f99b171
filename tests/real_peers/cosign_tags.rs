//! What cosign puts under the tags it used before there were referrers, with the
//! services that these signatures are from: a log that promises to keep them.

use std::fs;

use serde_json::Value;

use super::registries::RealRegistry;
use super::run;
use crate::harness::World;
use crate::harness::keyless_services::{KeylessServices, SIGNER, token};
use crate::harness::sigstore::{Deployment, ISSUER};
use crate::registry_signatures::{publish, refused, run_trusted, truster};

#[test]
#[ignore = "needs Go: make test-peers"]
fn what_cosign_signs_under_its_old_tag_we_verify() {
    let deployment = Deployment::new();
    let services = KeylessServices::start(deployment.clone());
    let url = services.0.url("");
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let (host, world) = (&registry.host, World::with(&[]));
        world.write("root.json", deployment.trusted_root().to_string());
        world.write("token", token(SIGNER, ISSUER));
        let published = publish(&world, host, &[]);
        let digest = published["digest"].as_str().unwrap();
        let pinned = format!("{host}/team/noop@{digest}");
        let sign = ["sign", "--yes", "--new-bundle-format=false", "--identity-token", "token"];
        // It takes no signing config for this form.
        let (config, at) = (["--use-signing-config=false", "--fulcio-url", &url], ["--rekor-url", &url]);
        let all = [&sign[..], &config, &at, &["--trusted-root", "root.json", &pinned]].concat();
        run(&world, "cosign", &all).ok();
        let tag = format!("{host}/team/noop:{}.sig", digest.replace(':', "-"));
        let manifest: Value =
            serde_json::from_str(&run(&world, "crane", &["manifest", &tag]).ok().out).unwrap();
        let said = manifest["layers"][0]["annotations"].as_object().unwrap();
        assert!(said.contains_key("dev.sigstore.cosign/certificate"), "{manifest:#}");

        run_trusted(&truster(&deployment, host, &["--subject", SIGNER, "--issuer", ISSUER]), host).ok();
        let other = ["--subject", "other@example.test", "--issuer", ISSUER];
        refused(run_trusted(&truster(&deployment, host, &other), host)).says(SIGNER);
        let foreign = deployment.with_other_log();
        let user = truster(&foreign, host, &["--subject", SIGNER, "--issuer", ISSUER]);
        refused(run_trusted(&user, host)).says("its signed entry timestamp is not that of a log");
        // So it stays where it is vendored.
        let user = truster(&deployment, host, &["--subject", SIGNER, "--issuer", ISSUER]);
        run_trusted(&user, host).ok();
        user.run(&["vendor", ".cofferdam/test.yaml"]).ok();
        let _ = fs::remove_dir_all(user.home().join("pulled"));
        user.run(&["run", "--quiet", "--locked", "--require-trusted", ".cofferdam/test.yaml"]).ok();
    }
}
