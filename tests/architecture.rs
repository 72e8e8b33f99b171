//! The shape of the code: who may import whom, how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::repository;

/// The modules of the host, each above all that it may import.
const LAYERS: &[&str] = &[
    "cli",
    "report",
    "provenance",
    "engine",
    "sandbox",
    "network",
    "plan",
    "capability",
    "source",
    "component",
    "event",
    "store",
    "secret",
    "tekton",
    "model",
];
const MAX_LINES: usize = 600;

fn files(below: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![repository().join(below)];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                pending.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(repository()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{below}");
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    ["host", "sdk", "registry", "plugins", "tests"].iter().flat_map(|part| files(part, "rs")).collect()
}

/// The layer a file of the host belongs to.
fn layer(path: &Path) -> Option<&str> {
    let name = path.strip_prefix("host/src").ok()?.components().next()?.as_os_str().to_str()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (!["lib", "main"].contains(&name)).then_some(name)
}

#[test]
fn a_layer_imports_only_what_stands_below_it() {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut wrong = Vec::new();
    for (path, text) in files("host/src", "rs") {
        let Some(layer) = layer(&path) else { continue };
        let own = rank(layer).unwrap_or_else(|| panic!("{}: `{layer}` is in no layer", path.display()));
        for after in text.split("crate::").skip(1) {
            let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name != layer && rank(&name).is_some_and(|used| used < own) {
                wrong.push(format!("{}: {layer} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_sandbox_names_the_runtime() {
    let named: Vec<PathBuf> = files("host/src", "rs")
        .into_iter()
        .filter(|(path, text)| layer(path) != Some("sandbox") && text.contains("wasmtime::"))
        .map(|(path, _)| path)
        .collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn the_parts_depend_on_each_other_only_as_designed() {
    let manifest = |part: &str| fs::read_to_string(repository().join(part).join("Cargo.toml")).unwrap();
    let ours = |part: &str| -> BTreeSet<String> {
        let text = manifest(part);
        let names = text.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        names.filter(|name| name.starts_with("cofferdam-")).map(str::to_owned).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(ours("sdk/manifest"), set(&[]));
    assert_eq!(ours("sdk"), set(&["cofferdam-sdk-macros"]));
    assert_eq!(ours("registry"), set(&["cofferdam-manifest"]));
    for plugin in ["plugins/sbom", "plugins/unicode-check", "plugins/report"] {
        // What is read of lock files is the same whoever asks.
        let reads = plugin == "plugins/sbom";
        let more =
            if reads { set(&["cofferdam-inventory", "cofferdam-sdk"]) } else { set(&["cofferdam-sdk"]) };
        assert_eq!(ours(plugin), more, "{plugin} shares more than the contract");
    }
    assert_eq!(ours("plugins/inventory"), set(&[]));
    assert!(!manifest("registry").contains("wasmtime"), "a verifier needs no runtime");
}

/// What planning looks at decides whether a run is known, so all of it is looked
/// at where it is noted; the others write, or ask a registry.
#[test]
fn what_decides_a_plan_is_read_only_where_it_is_noted() {
    const LOOKS: [&str; 14] = [
        "open_named(",
        "File::options(",
        "fs::metadata(",
        "try_exists(",
        "read_link(",
        "fs::read(",
        "fs::read_to_string(",
        "File::open(",
        "read_dir(",
        ".exists()",
        ".is_file()",
        ".is_dir()",
        ".canonicalize()",
        ".symlink_metadata()",
    ];
    let allowed = BTreeMap::from([
        ("registry/src/plain_file.rs", "it notes"),
        ("registry/src/layout.rs", "whether a layout is to be made"),
        ("registry/src/held.rs", "holds a directory to write"),
        ("registry/src/layout/incoming.rs", "what comes from a registry"),
        ("registry/src/layout/listing.rs", "whether an index that was read is the same"),
        ("registry/src/key_file.rs", "keys that sign"),
        ("registry/src/tls_roots.rs", "whom to believe that it is a registry"),
        ("host/src/plan/registry.rs", "for who plans again what was recorded"),
    ]);
    let mut looking = BTreeSet::new();
    for (path, text) in files("host/src/plan", "rs").into_iter().chain(files("registry/src", "rs")) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if LOOKS.iter().any(|look| code.contains(look)) {
            looking.insert(path.to_str().unwrap().to_owned());
        }
    }
    let allowed: BTreeSet<String> = allowed.keys().map(|path| (*path).to_owned()).collect();
    assert_eq!(looking, allowed);
}

#[test]
fn no_file_is_too_long_or_without_a_purpose() {
    let unclear = ["util", "utils", "common", "helper", "helpers", "manager", "imp", "misc", "data"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not say what it is for", path.display()));
        }
        if unclear.contains(&path.file_stem().unwrap().to_str().unwrap()) {
            wrong.push(format!("{} has a name that says nothing", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether a string of the source is an error's code, such as `plan/cycle`.
fn is_code(text: &str) -> bool {
    const KINDS: &[&str] = &[
        "bug",
        "bundle",
        "component",
        "document",
        "engine",
        "io",
        "journal",
        "key",
        "lint",
        "plan",
        "provenance",
        "registry",
        "sandbox",
        "secret",
        "source",
        "store",
        "test",
        "trust",
        "usage",
    ];
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    text.split_once('/').is_some_and(|(kind, rest)| KINDS.contains(&kind) && word(rest))
}

#[test]
fn every_error_has_a_code_of_its_own_that_the_book_explains() {
    let book = fs::read_to_string(repository().join("docs/errors.md")).unwrap();
    let explained: BTreeSet<&str> = book.split('`').filter(|text| is_code(text)).collect();
    let mut used = BTreeSet::new();
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in ["host", "registry", "sdk"].iter().flat_map(|part| files(part, "rs")) {
        used.extend(text.split('"').filter(|text| is_code(text)).map(str::to_owned));
        for after in text.split("code(\"").skip(1) {
            let code = after.split('"').next().unwrap_or_default().to_owned();
            declared.entry(code).or_default().push(path.display().to_string());
        }
    }
    for (code, places) in &declared {
        assert_eq!(places.len(), 1, "{code} is declared by {places:?}");
    }
    let used: BTreeSet<&str> = used.iter().map(String::as_str).collect();
    assert!(used.len() > 40, "{used:?}");
    let difference: Vec<&&str> = used.symmetric_difference(&explained).collect();
    assert!(difference.is_empty(), "docs/errors.md explains other codes than there are: {difference:?}");
}
