//! Source trees to run the task on, and the SBOM it makes of them.

use std::fs;
use std::path::Path;

use cofferdam_sbom::Contract;
use cofferdam_sdk::harness::{Harness, Run};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const CARGO: &str = include_str!("../fixtures/cargo.txt");
pub(crate) const NPM: &str = include_str!("../fixtures/npm.json");
const PIP: &str = include_str!("../fixtures/pip.txt");
const PIP_BASE: &str = include_str!("../fixtures/pip-base.txt");

/// A tree of these files.
pub(crate) fn tree(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// A tree with a lock file of every kind.
pub(crate) fn harbour() -> TempDir {
    tree(&[
        ("Cargo.lock", CARGO),
        ("web/package-lock.json", NPM),
        ("web/node_modules/left/package-lock.json", "not read"),
        ("tools/requirements.txt", PIP),
        ("shared/base.txt", PIP_BASE),
    ])
}

pub(crate) fn run(source: &Path) -> Run {
    Harness::<Contract>::new().input("source", source).run()
}

pub(crate) fn bytes(run: &Run) -> Vec<u8> {
    fs::read(run.output("sbom").join("bom.cdx.json")).unwrap()
}

pub(crate) fn bom(run: &Run) -> Value {
    serde_json::from_slice(&bytes(run)).unwrap()
}

/// The members of a list of the document, by one of their fields.
pub(crate) fn by<'a>(bom: &'a Value, list: &str, field: &str, value: &str) -> &'a Value {
    let found = bom.get(list).and_then(Value::as_array).into_iter().flatten();
    found.into_iter().find(|item| item.get(field).and_then(Value::as_str) == Some(value)).unwrap()
}
