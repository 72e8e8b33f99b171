//! What whoever builds a task has set for the compiler is attested by its digest:
//! there may be paths and secrets in it, and the attestation is for everybody.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cofferdam_registry::{Digest, Layout};
use serde_json::{Value, json};

use crate::attestations::{PROVENANCE, attested, of_kind};
use crate::authoring_c;
use crate::harness::{World, bare_component, done};

const SECRET: &str = "hunter2";

/// The provenance of a task that was published, and everything that was said of it.
fn provenance(world: &World, layout: &str, published: &Value) -> (Value, String) {
    let layout = Layout::open(&world.project().join(layout)).unwrap();
    let attested = attested(world, &layout, published);
    (of_kind(&attested, PROVENANCE).clone(), format!("{attested:?} {published}"))
}

#[test]
fn flags_for_rust_are_attested_by_their_digest_alone() {
    let world = World::with(&[]);
    let task =
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: noop, version: 0.1.0 }\nspec: {}\n";
    world.write("noop/task.yaml", task);
    let manifest = world.write("noop/Cargo.toml", "").canonicalize().unwrap();
    // A cargo that knows the result already.
    let component = world.project().join("noop/noop.wasm");
    fs::copy(bare_component("noop"), &component).unwrap();
    let package = json!({ "name": "noop", "version": "0.1.0", "manifest_path": manifest });
    let project = json!({ "workspace_root": manifest.parent().unwrap(), "packages": [package] });
    let built = json!({ "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [component] });
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = metadata ]; then echo '{project}'; else echo '{built}'\n\
         printf %s \"$CARGO_ENCODED_RUSTFLAGS\" > {}; fi\n",
        world.path("given").display()
    );
    let cargo = world.write("cargo", script);
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    for (variable, value) in [
        ("RUSTFLAGS", format!("-L /home/alice --cfg key=\"{SECRET}\"")),
        ("CARGO_ENCODED_RUSTFLAGS", format!("-L\x1f/home/alice\x1f--cfg\x1fkey=\"{SECRET}\"")),
    ] {
        let mut command =
            world.command(&["task", "publish", "noop", "--sign", "--to", "oci:all", "--format", "json"]);
        command.env("CARGO", &cargo).env(variable, value);
        let published: Value = serde_json::from_str(&done(&mut command).ok().out).unwrap();
        let given = fs::read_to_string(world.path("given")).unwrap();
        assert!(given.starts_with(&format!("-L\x1f/home/alice\x1f--cfg\x1fkey=\"{SECRET}\"\x1f")), "{given}");
        let (provenance, all) = provenance(&world, "all", &published);
        let digest = Digest::of(format!("-L /home/alice --cfg key=\"{SECRET}\"").as_bytes());
        let environment = &provenance["buildDefinition"]["externalParameters"]["environment"];
        assert_eq!(*environment, json!({ "RUSTFLAGS": digest }), "{variable}");
        assert!(!all.contains(SECRET) && !all.contains("alice"), "{variable}: {all}");
    }
}

#[test]
fn flags_for_c_are_attested_by_their_digest_alone() {
    let Some(author) = authoring_c::author() else { return };
    author.run(&["setup"]).ok();
    let publish = |layout: &str| {
        let to = format!("oci:{layout}");
        let args = ["task", "publish", "count-lines", "--sign", "--to", &to, "--format", "json"];
        let published = serde_json::from_str(&author.run(&args).ok().out).unwrap();
        provenance(&author.world, layout, &published)
    };
    let named = |provenance: &Value| {
        let dependencies = provenance["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
        dependencies.iter().find(|one| one["name"] == "compile_flags.txt").cloned()
    };
    let flags = format!("-Icofferdam\n-I/home/alice\n-DKEY=\"{SECRET}\"\n");
    author.world.write("count-lines/compile_flags.txt", &flags);
    let (provenance, all) = publish("with");
    let command = provenance["buildDefinition"]["externalParameters"]["command"].as_array().unwrap();
    assert!(command.contains(&"@compile_flags.txt".into()), "{command:?}");
    let digest = Digest::of(flags.as_bytes()).to_hex();
    let flags = json!({ "name": "compile_flags.txt", "digest": { "sha256": digest } });
    assert_eq!(named(&provenance), Some(flags));
    assert!(!all.contains(SECRET) && !all.contains("alice"), "{all}");
    // Without flags there is nothing to name.
    fs::remove_file(author.directory().join("compile_flags.txt")).unwrap();
    assert_eq!(named(&publish("without").0), None);
}
