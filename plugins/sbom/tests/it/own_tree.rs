//! The task on the lock file of the repository it is part of.

use std::path::Path;

use serde_json::Value;

use crate::trees::{bom, run, tree};

#[test]
fn every_package_of_this_repository_is_a_component() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let text = std::fs::read_to_string(path).unwrap();
    let packages = text.lines().filter(|line| *line == "[[package]]").count();
    let tree = tree(&[("Cargo.lock", &text)]);
    let run = run(tree.path());
    assert_eq!(run.result("components"), Some(&packages.to_string().as_str().into()));
    let bom = bom(&run);
    let components = bom.get("components").and_then(Value::as_array).unwrap();
    let pinned = components.iter().filter(|item| item.get("hashes").is_some()).count();
    assert_eq!(pinned, text.lines().filter(|line| line.starts_with("checksum = ")).count());
}
