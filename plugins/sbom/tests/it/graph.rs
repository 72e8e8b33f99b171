//! The dependency graph: every reference exists, and each look-up gives what
//! Cargo and Node would give.

use std::collections::BTreeSet;

use cofferdam_sdk::Value as TaskValue;
use serde_json::Value;

use crate::trees::{CARGO, bom, by, harbour, run, tree};

fn needs(bom: &Value, reference: &str) -> Vec<String> {
    let entry = by(bom, "dependencies", "ref", reference);
    let needs = entry.get("dependsOn").and_then(Value::as_array).into_iter().flatten();
    needs.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn property<'a>(component: &'a Value, name: &str) -> Vec<&'a str> {
    let properties = component.get("properties").and_then(Value::as_array).into_iter().flatten();
    properties
        .filter(|property| property.get("name").and_then(Value::as_str) == Some(name))
        .filter_map(|property| property.get("value").and_then(Value::as_str))
        .collect()
}

#[test]
fn every_reference_exists_once_and_lists_are_sorted() {
    let bom = bom(&run(harbour().path()));
    let list = |name: &str| bom.get(name).and_then(Value::as_array).unwrap().iter();
    let root = bom.pointer("/metadata/component/bom-ref").and_then(Value::as_str).unwrap();
    let refs: Vec<&str> = list("components")
        .filter_map(|item| item.get("bom-ref").and_then(Value::as_str))
        .chain([root])
        .collect();
    let unique: BTreeSet<&str> = refs.iter().copied().collect();
    assert_eq!(unique.len(), refs.len());
    let named: Vec<&str> =
        list("dependencies").filter_map(|item| item.get("ref").and_then(Value::as_str)).collect();
    assert!(named.is_sorted() && named.iter().all(|name| unique.contains(name)));
    for name in named {
        let needs = needs(&bom, name);
        assert!(needs.is_sorted() && needs.iter().all(|need| unique.contains(need.as_str())), "{name}");
    }
}

#[test]
fn a_nested_package_wins_over_the_one_above_and_links_lead_to_workspaces() {
    let bom = bom(&run(harbour().path()));
    let git = "pkg:npm/right@2.5.0?vcs_url=git%2Bssh:%2F%2Fgit%40git.example.test%2Fharbour%2Fright.git%4089abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(needs(&bom, "pkg:npm/checker@5.2.0"), ["pkg:npm/inner@1.0.0", git]);
    let archive = "pkg:npm/right@1.0.1?download_url=https:%2F%2Ffiles.example.test%2Fright-1.0.1.tgz";
    assert_eq!(needs(&bom, "pkg:npm/left@1.3.0"), [archive]);
    assert_eq!(
        needs(&bom, "web/package-lock.json#packages/map"),
        ["pkg:npm/checker@5.2.0", "pkg:npm/left@1.3.0", "pkg:npm/right@3.0.0"]
    );
    assert_eq!(
        needs(&bom, "web/package-lock.json#."),
        ["pkg:npm/checker@5.2.0", "pkg:npm/left@1.3.0", "pkg:npm/real-name@3.1.0"]
    );
}

#[test]
fn development_optional_and_bundled_packages_are_marked() {
    let bom = bom(&run(harbour().path()));
    let checker = by(&bom, "components", "purl", "pkg:npm/checker@5.2.0");
    assert_eq!(property(checker, "cdx:npm:package:development"), ["true"]);
    assert_eq!(checker.get("scope"), None);
    let inner = by(&bom, "components", "name", "inner");
    assert_eq!(property(inner, "cdx:npm:package:bundled"), ["true"]);
    let optional = by(&bom, "components", "version", "1.0.1");
    assert_eq!(optional.get("scope").and_then(Value::as_str), Some("optional"));
}

#[test]
fn a_development_package_that_is_needed_elsewhere_is_not_one() {
    let lock = |dev: bool| {
        format!(
            r#"{{"lockfileVersion":2,"packages":{{"node_modules/a":{{"version":"1.0.0","dev":{dev},"optional":true}}}}}}"#
        )
    };
    let tree = tree(&[("x/package-lock.json", &lock(true)), ("y/package-lock.json", &lock(false))]);
    let bom = bom(&run(tree.path()));
    let a = by(&bom, "components", "name", "a");
    assert_eq!(property(a, "cdx:npm:package:development"), Vec::<&str>::new());
    assert_eq!(property(a, "cofferdam:lockfile"), ["x/package-lock.json", "y/package-lock.json"]);
    assert_eq!(a.get("scope").and_then(Value::as_str), Some("optional"));
}

#[test]
fn python_packages_are_listed_and_claim_no_graph() {
    let bom = bom(&run(harbour().path()));
    let flask = by(&bom, "components", "purl", "pkg:pypi/flask@3.0.3");
    assert_eq!(flask.get("hashes").and_then(Value::as_array).map(Vec::len), Some(2));
    let included = by(&bom, "components", "purl", "pkg:pypi/typing-extensions@4.12.2");
    assert_eq!(property(included, "cofferdam:lockfile"), ["shared/base.txt"]);
    let listed = bom.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    assert!(
        listed.filter_map(|item| item.get("ref").and_then(Value::as_str)).all(|name| !name.contains("pypi"))
    );
}

#[test]
fn the_results_name_the_lock_files_and_count_the_components() {
    let run = run(harbour().path());
    let files = ["Cargo.lock", "tools/requirements.txt", "web/package-lock.json", "shared/base.txt"];
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(run.result("lockfiles"), Some(&TaskValue::Texts(files)));
    let count = bom(&run).get("components").and_then(Value::as_array).map(Vec::len).unwrap().to_string();
    assert_eq!(run.result("components"), Some(&TaskValue::from(count)));
}

#[test]
fn digests_that_differ_are_marked_and_warned_about() {
    let other = CARGO.replace("4a5f13b8", "00000000");
    let tree = tree(&[("a/Cargo.lock", CARGO), ("b/Cargo.lock", &other)]);
    let run = run(tree.path());
    let bom = bom(&run);
    let itoa = by(&bom, "components", "name", "itoa");
    assert_eq!(property(itoa, "cofferdam:digest-conflict"), ["true"]);
    assert!(run.lines.iter().any(|line| line.message.contains("different digests")));
}
