//! What the task writes is what CycloneDX 1.6 defines, byte for byte the same
//! each time.

use cofferdam_inventory::{Described, Inventory, LockKind, Origin, render};
use cofferdam_sdk::Value as TaskValue;
use jsonschema::{Draft, Registry, Validator};
use serde_json::Value;

use crate::trees::{CARGO, NPM, bom, bytes, harbour, run, tree};

fn problems(document: &Value) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let registry = Registry::new()
        .draft(Draft::Draft7)
        .add(
            "http://cyclonedx.org/schema/spdx.schema.json",
            parse(include_str!("../schema/spdx.schema.json")),
        )
        .unwrap()
        .add(
            "http://cyclonedx.org/schema/jsf-0.82.schema.json",
            parse(include_str!("../schema/jsf-0.82.schema.json")),
        )
        .unwrap()
        .prepare()
        .unwrap();
    let validator: Validator = jsonschema::options()
        .with_draft(Draft::Draft7)
        .with_registry(&registry)
        .should_validate_formats(true)
        .build(&parse(include_str!("../schema/bom-1.6.schema.json")))
        .unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_validator_notices_a_wrong_document() {
    let mut document = bom(&run(harbour().path()));
    document.as_object_mut().unwrap().insert("serialNumber".to_owned(), Value::from("urn:uuid:x"));
    assert_eq!(problems(&document).len(), 1);
}

#[test]
fn the_sbom_of_every_kind_of_lock_file_is_valid_and_stable() {
    let tree = harbour();
    let first = run(tree.path());
    assert_eq!(problems(&bom(&first)), Vec::<String>::new());
    assert_eq!(bom(&first).get("version"), Some(&Value::from(1)));
    assert_eq!(bytes(&first), bytes(&run(tree.path())));
    insta::assert_snapshot!(String::from_utf8(bytes(&first)).unwrap());
}

#[test]
fn the_sbom_of_something_that_was_made_is_valid() {
    let subject = Described { name: "task", version: "0.1.0", sha256: &"0a".repeat(32) };
    let origin = Origin { tool: ("cofferdam", "0.1.0"), phase: "build", subject: Some(subject) };
    let files = [(LockKind::Cargo, CARGO), (LockKind::Npm, NPM), (LockKind::Requirements, "a==1\n")];
    for (kind, text) in files {
        let mut inventory = Inventory::default();
        inventory.add("lock", kind.parse(text, "lock").unwrap());
        let bom: Value = serde_json::from_slice(&render(&inventory, &origin)).unwrap();
        assert_eq!(problems(&bom), Vec::<String>::new(), "{kind:?}");
        assert_eq!(bom.pointer("/metadata/component/name"), Some(&"task".into()));
    }
}

#[test]
fn the_sbom_never_holds_a_credential() {
    let text = String::from_utf8(bytes(&run(harbour().path()))).unwrap();
    assert!(!text.contains("secret") && !text.contains("index-url"));
}

#[test]
fn hostile_names_still_give_a_valid_document() {
    let name = "\\u202e\\\"\\u0000/../@ <script>";
    let cargo = format!(
        "[[package]]\nname = \"{}\"\nversion = \"1 %\"\nsource = \"git+https://t:k@h.example.test/a b?x#y z\"\n",
        name.replace("\\u0000", "\\u0001")
    );
    let npm = format!(
        r#"{{"lockfileVersion":3,"packages":{{"node_modules/{name}":{{"version":"{name}","resolved":"https://h.example.test/{name}%"}},
           "node_modules/@/x":{{}},"{name}":{{"name":"","version":""}}}}}}"#
    );
    let tree = tree(&[("Cargo.lock", &cargo), ("package-lock.json", &npm)]);
    let run = run(tree.path());
    assert_eq!(run.outcome.as_ref().err(), None);
    assert_eq!(problems(&bom(&run)), Vec::<String>::new());
}

#[test]
fn a_tree_without_lock_files_gives_an_empty_valid_document() {
    let tree = tree(&[("README.md", "nothing")]);
    let run = run(tree.path());
    assert_eq!(run.result("components"), Some(&TaskValue::from("0")));
    assert_eq!(run.result("lockfiles"), Some(&TaskValue::Texts(Vec::new())));
    assert_eq!(problems(&bom(&run)), Vec::<String>::new());
    assert_eq!(run.lines.first().map(|line| line.level), Some(cofferdam_sdk::Level::Warn));
}

#[test]
fn the_serial_number_is_a_uuid_of_the_content() {
    let one = tree(&[("Cargo.lock", CARGO)]);
    let other = tree(&[("Cargo.lock", &CARGO.replace("harbour\"", "port\""))]);
    let serial = |source: &std::path::Path| {
        bom(&run(source)).get("serialNumber").and_then(Value::as_str).unwrap().to_owned()
    };
    assert_eq!(serial(one.path()), serial(one.path()));
    assert_ne!(serial(one.path()), serial(other.path()));
    let text = serial(one.path());
    assert_eq!((text.len(), text.get(23..24)), (45, Some("8")));
    assert!(matches!(text.get(28..29), Some("8" | "9" | "a" | "b")), "{text}");
}
