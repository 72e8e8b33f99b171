//! Reads `package-lock.json`, versions 2 and 3: its `packages`, one entry per
//! directory. Version 1 is refused by name, since it does not say what is
//! installed where.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::fault::{Fault, line_of};
use crate::integrity;
use crate::lock::{Flag, LONGEST_VERSION, Lock, MOST_PACKAGES, Package};
use crate::npm_tree::{self, NpmTree};
use crate::purl::Purl;
use crate::url;

const REMEDY: &str = "write the file anew with `npm install --package-lock-only --lockfile-version 3`";

/// The objects of a file: each package has one, and some for what it needs.
const MOST_OBJECTS: usize = 5 * MOST_PACKAGES;

/// The longest path of an entry: what operating systems take.
const LONGEST_PATH: usize = 4096;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "lockfileVersion")]
    version: Option<u64>,
    name: Option<String>,
    // Kept as text, so that a fault knows its line.
    #[serde(borrow, default)]
    packages: BTreeMap<String, &'a RawValue>,
}

/// One value of `packages`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Entry {
    name: Option<String>,
    version: Option<String>,
    pub(crate) resolved: Option<String>,
    integrity: Option<String>,
    pub(crate) link: bool,
    dev: bool,
    optional: bool,
    dev_optional: bool,
    in_bundle: bool,
    pub(crate) dependencies: BTreeMap<String, IgnoredAny>,
    pub(crate) dev_dependencies: BTreeMap<String, IgnoredAny>,
    pub(crate) optional_dependencies: BTreeMap<String, IgnoredAny>,
    pub(crate) peer_dependencies: BTreeMap<String, IgnoredAny>,
}

/// Reads the file's packages and their graph.
pub(crate) fn parse(text: &str) -> Result<Lock, Fault> {
    if text.matches('{').count() > MOST_OBJECTS {
        return Err(Fault::whole(format!("more than {MOST_OBJECTS} objects"), REMEDY));
    }
    let not_a_lock = |error: &serde_json::Error, before: usize| {
        Fault::new(error.line() + before, format!("not a package-lock.json: {error}"), REMEDY)
    };
    let document: Document<'_> = serde_json::from_str(text).map_err(|error| not_a_lock(&error, 0))?;
    check_version(document.version)?;
    if document.packages.len() > MOST_PACKAGES {
        return Err(Fault::whole(format!("more than {MOST_PACKAGES} packages"), REMEDY));
    }
    let mut entries = BTreeMap::new();
    for (path, raw) in &document.packages {
        // Counted only where it is told: counting reads the file from its start.
        let line = || line_of(text, offset(text, raw));
        let entry: Entry =
            serde_json::from_str(raw.get()).map_err(|error| not_a_lock(&error, line().saturating_sub(1)))?;
        check(path, &entry).map_err(|problem| Fault::new(line(), problem, REMEDY))?;
        entries.insert(path.as_str(), entry);
    }
    let mut packages = Vec::new();
    let mut indices = BTreeMap::new();
    for (path, entry) in entries.iter().filter(|(_, entry)| !entry.link) {
        indices.insert(*path, packages.len());
        packages.push(package(path, entry, document.name.as_deref()));
    }
    let tree = NpmTree { entries: &entries, indices: &indices };
    let mut notices = Vec::new();
    for (path, index) in &indices {
        let needs = tree.needs(path, &mut notices);
        if let Some(package) = packages.get_mut(*index) {
            package.needs = Some(needs);
        }
    }
    Ok(Lock { packages, root: indices.get("").copied(), notices, ..Lock::default() })
}

fn check_version(version: Option<u64>) -> Result<(), Fault> {
    let message = match version {
        Some(2 | 3) => return Ok(()),
        Some(1) => "lockfileVersion 1; versions 2 and 3 are read".to_owned(),
        Some(other) => format!("lockfileVersion {other}; versions 2 and 3 are read"),
        None => "no lockfileVersion; versions 2 and 3 are read".to_owned(),
    };
    Err(Fault::whole(message, REMEDY))
}

/// Where a raw value starts: it borrows from the text it was read from.
fn offset(text: &str, raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// What is wrong with an entry, apart from its shape.
fn check(path: &str, entry: &Entry) -> Result<(), String> {
    if path.len() > LONGEST_PATH {
        return Err(format!("an entry has a path of {} bytes, more than {LONGEST_PATH}", path.len()));
    }
    if entry.version.as_deref().is_some_and(|version| version.len() > LONGEST_VERSION) {
        return Err(format!("`{path}` has a version of more than {LONGEST_VERSION} bytes"));
    }
    if npm_tree::installed_name(path) == Some("") {
        return Err(format!("`{path}` names no package"));
    }
    if entry.integrity.as_deref().is_some_and(|text| integrity::parse(text).is_none()) {
        return Err(format!("`{path}` has an integrity that is not `algorithm-base64`"));
    }
    Ok(())
}

fn package(path: &str, entry: &Entry, document_name: Option<&str>) -> Package {
    let full = entry.name.as_deref().filter(|name| !name.is_empty());
    let full = match npm_tree::installed_name(path) {
        // An alias: installed under one name, published under another.
        Some(installed) => full.unwrap_or(installed),
        None if path.is_empty() => full.or(document_name.filter(|name| !name.is_empty())).unwrap_or("root"),
        None => full.or(path.rsplit('/').next()).unwrap_or(path),
    };
    let (group, name) = split_scope(full);
    let version = entry.version.as_deref().filter(|version| !version.is_empty());
    let purl = purl(path, entry, Purl { kind: "npm", namespace: group, name, version, qualifier: None });
    Package {
        key: if path.is_empty() { ".".to_owned() } else { path.to_owned() },
        group: group.map(str::to_owned),
        name: name.to_owned(),
        version: version.map(str::to_owned),
        flags: flags(path, entry, purl.is_none()),
        purl,
        digests: entry.integrity.as_deref().and_then(integrity::parse).into_iter().flatten().collect(),
        distribution: entry.resolved.as_deref().and_then(url::web_address),
        needs: None,
    }
}

fn split_scope(full: &str) -> (Option<&str>, &str) {
    match full.split_once('/') {
        Some((scope, name)) if scope.len() > 1 && scope.starts_with('@') && !name.is_empty() => {
            (Some(scope), name)
        }
        Some(_) | None => (None, full),
    }
}

fn flags(path: &str, entry: &Entry, local: bool) -> BTreeSet<Flag> {
    [
        (Flag::Local, local),
        (Flag::Application, path.is_empty()),
        (Flag::Development, entry.dev || entry.dev_optional),
        (Flag::Optional, entry.optional || entry.dev_optional),
        (Flag::Bundled, entry.in_bundle),
    ]
    .into_iter()
    .filter_map(|(flag, holds)| holds.then_some(flag))
    .collect()
}

/// The root, a workspace and a local archive get none: no registry holds them.
/// The name keeps its case, against purl-spec: npm has allowed no capitals for
/// years, so a name that has some is an old one of its own (`JSONStream` is not
/// `jsonstream`).
fn purl(path: &str, entry: &Entry, plain: Purl<'_>) -> Option<String> {
    npm_tree::installed_name(path)?;
    let Some(resolved) = entry.resolved.as_deref() else { return Some(plain.build()) };
    if resolved.starts_with("git") {
        let address = url::repository(resolved);
        return Some(Purl { qualifier: Some(("vcs_url", &address)), ..plain }.build());
    }
    let address = url::web_address(resolved)?;
    // Registries serve `<name>/-/<file>`; an archive elsewhere is not theirs.
    let qualifier = (!address.contains("/-/")).then_some(("download_url", address.as_str()));
    Some(Purl { qualifier, ..plain }.build())
}
