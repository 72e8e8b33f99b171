//! The contract of tasks, as `wkg` fetches it.

use std::fs;

use cofferdam_registry::Digest;
use serde_json::Value;

use super::registries::RealRegistry;
use super::run;
use crate::harness::{Done, World, repository};
use crate::wit::version;

/// A registry with the contract in it, and somebody who has its address.
struct Published {
    _registry: RealRegistry,
    world: World,
    reference: String,
    wit: String,
}

impl Published {
    fn to(registry: RealRegistry) -> Self {
        let (world, host) = (World::with(&[]), &registry.host);
        let to = format!("{host}/wit");
        let published = world.run(&["wit", "publish", "--to", &to, "--sign", "--format", "json"]).ok();
        let published: Value = serde_json::from_str(&published.out).unwrap();
        world.write(
            "registries.toml",
            format!(
                "[namespace_registries]\ncofferdam = {{ registry = {host:?}, metadata = {{ preferredProtocol = \
                 \"oci\", oci = {{ registry = {host:?}, namespacePrefix = \"wit/\" }} }} }}\n\n\
                 [registry.{host:?}.oci]\nprotocol = \"http\"\n"
            ),
        );
        let text = |name: &str| published[name].as_str().unwrap().to_owned();
        let (reference, wit) = (text("reference"), text("wit"));
        Self { _registry: registry, world, reference, wit }
    }

    fn wkg(&self, args: &[&str]) -> Done {
        let cache = self.world.path("cache").display().to_string();
        run(&self.world, "wkg", &[args, &["--config", "registries.toml", "--cache", &cache]].concat())
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.world.project().join(name)).unwrap()
    }
}

#[test]
#[ignore = "takes long to build: make test-peers"]
fn wkg_fetches_the_contract_and_builds_upon_it() {
    for registry in [RealRegistry::with_referrers(), RealRegistry::without_referrers()] {
        let published = Published::to(registry);
        let version = version();
        // By its version, and the newest there is: byte by byte what was published.
        for (package, file) in
            [(format!("cofferdam:task@{version}"), "./one.wasm"), ("cofferdam:task".to_owned(), "./two.wasm")]
        {
            published.wkg(&["get", &package, "--format", "wasm", "--output", file]).ok();
            assert_eq!(Digest::of(&published.read(file)).to_string(), published.wit, "{package}");
        }
        // As text it has every line of ours.
        published.wkg(&["get", "cofferdam:task", "--format", "wit", "--output", "./task.wit"]).ok();
        let text = String::from_utf8(published.read("task.wit")).unwrap();
        for name in ["log", "task", "types"] {
            let ours = fs::read_to_string(repository().join(format!("wit/{name}.wit"))).unwrap();
            for line in ours.lines().map(|line| line.trim().trim_end_matches(',')) {
                assert!(text.contains(line), "{line}\n{text}");
            }
        }
        // Another package includes the world, and becomes one with it.
        let world = format!(
            "package team:tasks@1.0.0;\n\nworld check {{ include cofferdam:task/task@{version}; }}\n"
        );
        published.world.write("wit/check.wit", world);
        published.wkg(&["fetch"]).ok();
        published.wkg(&["build", "--output", "./check.wasm"]).ok();
        assert!(published.read("check.wasm").starts_with(b"\0asm\x0d"));
        let missing =
            published.wkg(&["get", "cofferdam:task@99.0.0", "--format", "wasm", "--output", "./no.wasm"]);
        assert_ne!(missing.status, 0, "{missing:?}");
    }
}

#[test]
#[ignore = "needs Go: make test-peers"]
fn cosign_verifies_who_published_the_contract() {
    let published = Published::to(RealRegistry::with_referrers());
    let verify = |from: &World| {
        let key = from.home().join("keys/cofferdam.pub").display().to_string();
        let args = ["verify", "--insecure-ignore-tlog", "--key", &key, &published.reference];
        run(&published.world, "cosign", &args)
    };
    verify(&published.world).ok();
    let other = verify(&World::with(&[]));
    assert!(other.status != 0 && other.err.contains("signature"), "{other:?}");
}
