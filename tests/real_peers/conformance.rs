//! The registry that faults are injected into is a registry like others: the
//! distribution-spec's own program finds nothing wrong with it.

use super::command;
use crate::harness::{TestRegistry, World, done};

fn conforms(registry: &TestRegistry, has_referrers: bool) {
    let world = World::empty();
    let mut command = command(&world, "conformance", &[]);
    command.env("OCI_REGISTRY", registry.host()).env("OCI_TLS", "disabled");
    command.env("OCI_API_REFERRER", has_referrers.to_string());
    command.env("OCI_API_BLOBS_DIGEST_HEADER", "true").env("OCI_API_MANIFESTS_DIGEST_HEADER", "true");
    command.env("OCI_API_BLOBS_UPLOAD_CANCEL", "true");
    // Cofferdam names things by SHA-256 alone, and no other digest is served to it.
    command.env("OCI_DATA_SHA512", "false");
    let report = done(&mut command).ok().out;
    let failed: Vec<&str> = report
        .lines()
        .skip_while(|line| !line.starts_with("Test results"))
        .take_while(|line| !line.starts_with("Configuration:"))
        .filter(|line| line.ends_with(": FAIL") || line.ends_with(": Error"))
        .collect();
    assert!(report.contains("OCI Conformance Result: Pass"), "{failed:#?}\n{report}");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn the_registry_of_the_tests_conforms() {
    conforms(&TestRegistry::plain(), true);
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn without_referrers_it_conforms_otherwise() {
    conforms(&TestRegistry::plain().without_referrers(), false);
}
