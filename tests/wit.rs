//! The contract of tasks is published as a package of WIT, as other tools fetch
//! it: `real_peers` has one of those fetch it.

use std::fs;

use cofferdam_registry::{PublicKey, SIGNATURE_PREDICATE};
use serde_json::{Value, json};

use crate::harness::{TestRegistry, World, reply, repository};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Where the package is in a registry, below `team`.
const REPOSITORY: &str = "team/cofferdam/task";

fn publish(world: &World, host: &str, more: &[&str]) -> Value {
    let args = ["wit", "publish", "--to", &format!("{host}/team"), "--format", "json"];
    serde_json::from_str(&world.run(&[&args[..], more].concat()).ok().out).unwrap()
}

/// The version that the WIT itself has.
pub(crate) fn version() -> String {
    let text = fs::read_to_string(repository().join("wit/task.wit")).unwrap();
    let line = text.lines().next().unwrap();
    line.strip_prefix("package cofferdam:task@").unwrap().trim_end_matches(';').to_owned()
}

#[test]
fn the_contract_is_an_artifact_under_its_version_alone() {
    let (registry, world, version) = (TestRegistry::plain(), World::with(&[]), version());
    let published = publish(&world, &registry.host(), &["--sign"]);
    assert_eq!(published["package"], format!("cofferdam:task@{version}"));
    assert_eq!(published["reference"], format!("{}/{REPOSITORY}:{version}", registry.host()));
    let manifest = registry.manifest(REPOSITORY, &version);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let [layer] = manifest["layers"].as_array().unwrap().as_slice() else { panic!("{manifest:#}") };
    assert_eq!(layer["mediaType"], "application/wasm");
    assert_eq!(layer["digest"], published["wit"]);
    assert_eq!(layer["annotations"]["org.opencontainers.image.title"], "task.wasm");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], version);
    let config: Value = serde_json::from_slice(&registry.blob(REPOSITORY, &manifest["config"])).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"], json!([published["wit"]]));
    let own = ["log", "task", "types"].map(|own| format!("cofferdam:task/{own}@{version}"));
    let exports = [&own[..], &["run".to_owned()]].concat();
    assert_eq!(config["component"], json!({ "exports": exports, "imports": [] }));
    assert_eq!(config.get("dev.cofferdam.task"), None);
    let key = PublicKey::load(&world.home().join("keys/cofferdam.pub")).unwrap();
    assert_eq!(published["signedBy"], key.id());
    registry.forget_bundles(REPOSITORY, SIGNATURE_PREDICATE);
    // It is no task, and is called what it is.
    let reference = published["reference"].as_str().unwrap();
    world.run(&["task", "inspect", reference]).refused(3, "registry/no-contract", "").says("WIT is none");
    let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ bundle: '{reference}' }} }}\n"));
    world.run(&["plan", &pipeline]).refused(3, "component/wit", ".cofferdam/test.yaml:");
    // Nobody asks for the latest one: what it is changes.
    let host = registry.host();
    let tags = world.run(&["task", "list", &format!("{host}/{REPOSITORY}")]);
    assert_eq!(tags.status, 1, "what is no task is said to be none: {tags:?}");
    assert!(tags.out.starts_with(&format!("task:{version}\n")), "{tags:?}");
    assert_eq!(tags.out.matches("  problem ").count(), 1, "{tags:?}");
    assert!(tags.out.contains("is a package of WIT, and no task"), "{tags:?}");
}

#[test]
fn a_version_that_is_there_never_changes() {
    let (registry, world, version) = (TestRegistry::plain(), World::with(&[]), version());
    let first = publish(&world, &registry.host(), &[]);
    // The same again, and signed: it is what is there.
    let again = publish(&world, &registry.host(), &["--sign"]);
    assert_eq!((&first["digest"], &first["wit"]), (&again["digest"], &again["wit"]));
    let mut other = registry.manifest(REPOSITORY, &version);
    other["annotations"]["changed"] = "yes".into();
    let other = registry.put(REPOSITORY, &version, MANIFEST, &other);
    let sent = registry.server.received().len();
    let to = format!("{}/team", registry.host());
    let refused = world.run(&["wit", "publish", "--to", &to, "--sign"]);
    refused.refused(3, "registry/version-taken", &other).says("give what changed a new version");
    let sent = &registry.server.received()[sent..];
    assert!(sent.iter().all(|one| ["GET", "HEAD"].contains(&one.method.as_str())), "{sent:#?}");
    // Where it is not known what is there, nothing goes.
    registry.fails(move |received, out| {
        let asked = received.target.ends_with(&format!("/manifests/{version}"));
        if asked {
            reply(out, 418, &[], Vec::new())?;
        }
        Ok(asked)
    });
    world.run(&["wit", "publish", "--to", &to]).refused(1, "registry/answer", "418");
}

#[test]
fn it_goes_to_registries_alone() {
    let world = World::with(&[]);
    world.run(&["wit", "publish", "--to", "oci:layout"]).refused(2, "usage/invalid", "oci:layout");
    world.run(&["wit", "publish", "--to", "layout"]).refused(2, "usage/invalid", "layout");
    world.run(&["wit", "publish"]).says("--to <HOST/PATH>");
    assert!(!world.project().join("layout").exists());
}
