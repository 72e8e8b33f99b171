//! What a key has attested of a task, as cosign finds and verifies it.

use std::fs;

use cofferdam_registry::SBOM_PREDICATE;
use serde_json::Value;

use super::registries::RealRegistry;
use super::run;
use crate::attestations::{PROVENANCE, author, publish};
use crate::harness::{Done, World};

#[test]
#[ignore = "needs Go: make test-peers"]
fn what_a_key_attests_cosign_verifies() {
    let other = World::with(&[]);
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let (world, to) = (author(), format!("{}/team", registry.host));
        publish(&world, &["tasks/noop", "--sign", "--to", &to]);
        for (name, from) in [("own.pub", &world), ("other.pub", &other)] {
            let key = fs::read(from.home().join("keys/cofferdam.pub")).unwrap();
            world.write(name, key);
        }
        let reference = format!("{to}/noop:0.1.0");
        let verify = |key: &str, kind: &str| -> Done {
            // What a key has signed is in no log.
            let args = ["verify-attestation", "--insecure-ignore-tlog", "--key", key, "--type", kind];
            run(&world, "cosign", &[&args[..], &[&reference]].concat())
        };
        for (kind, field) in [(SBOM_PREDICATE, "bomFormat"), (PROVENANCE, "buildDefinition")] {
            let verified = verify("own.pub", kind).ok();
            let envelope: Value = serde_json::from_str(verified.out.lines().next().unwrap()).unwrap();
            let statement = decoded(&envelope["payload"]);
            assert_eq!(statement["predicateType"], kind, "{statement:#}");
            assert!(statement["predicate"].get(field).is_some(), "{statement:#}");
            let refused = verify("other.pub", kind);
            assert!(refused.status != 0 && refused.err.contains("signature"), "{refused:?}");
        }
        // Nothing of another kind was attested.
        let none = verify("own.pub", "https://spdx.dev/Document");
        assert!(none.status != 0 && none.err.contains("predicate"), "{none:?}");
    }
}

/// JSON in base64.
fn decoded(text: &Value) -> Value {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    serde_json::from_slice(&engine.decode(text.as_str().unwrap()).unwrap()).unwrap()
}
