//! What is known of a task that was built here: its SBOM and its provenance. It is
//! kept by the digest of the component, for when that is published from its file.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use cofferdam_inventory::{Described, Inventory, Lock, LockKind, Origin, render};
use cofferdam_registry::{Digest, SBOM_PREDICATE};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use super::home::Home;
use super::signers::Claim;
use crate::component::Component;
use crate::provenance::{BuildSource, PREDICATE_TYPE, TaskBuild, task_build_provenance};
use crate::source::{Checkout, GitState};

/// Larger lock files are not read.
const MAX_LOCK: u64 = 32 << 20;
/// Larger records are not read.
const MAX_RECORD: u64 = 64 << 20;
/// Of so many builds the evidence is kept; the oldest goes first.
const KEPT: usize = 64;

/// What built a component, as the tool was called.
#[derive(Debug)]
pub(crate) struct ToolRun {
    pub(crate) language: &'static str,
    pub(crate) command: Vec<String>,
    /// What the user has set and changes what is built, by its digest.
    pub(crate) environment: BTreeMap<String, Digest>,
    /// What the command names and is no source of the task's.
    pub(crate) files: BTreeMap<String, Digest>,
    /// Where the lock file is, or should be.
    pub(crate) lock_file: PathBuf,
    pub(crate) lock_kind: LockKind,
    /// Name and version of what was built, where the lock file has others, too.
    pub(crate) package: Option<(String, String)>,
}

/// What was there before a build.
#[derive(Debug)]
pub(crate) struct Before {
    git: Option<GitState>,
    started: Timestamp,
}

/// What is known of a task that was built here.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    build: TaskBuild,
    /// The SBOM, or why there is none.
    sbom: Result<Value, String>,
}

impl Before {
    /// Looks at a directory in which something is about to be built.
    pub(crate) fn look(directory: &Path) -> Self {
        Self { git: git_state(directory), started: Timestamp::now() }
    }

    /// What is known once it was built.
    pub(crate) fn evidence(
        self,
        directory: &Path,
        run: ToolRun,
        component: &Component,
    ) -> Result<Evidence, Failure> {
        let after = git_state(directory);
        let own_name = directory.canonicalize().ok();
        let own_name = own_name.as_deref().and_then(Path::file_name).map(PathBuf::from).unwrap_or_default();
        let place = after.as_ref().map_or(own_name, |git| git.below.clone());
        let place = if place.as_os_str().is_empty() { ".".into() } else { place };
        let mut files = run.files.clone();
        let sbom = read_lock(&run).and_then(|text| sbom(&run, text, component, &mut files));
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Failure::io("name", directory, &error.into()))?;
        let build = TaskBuild {
            id: hex::encode(id),
            component: component.digest,
            directory: place.display().to_string(),
            language: run.language.to_owned(),
            command: run.command,
            environment: run.environment,
            source: source(self.git, after),
            files,
            started: self.started,
            finished: Timestamp::now(),
        };
        Ok(Evidence { build, sbom })
    }
}

/// What git says; nothing where it says nothing that can be understood.
fn git_state(directory: &Path) -> Option<GitState> {
    let found = Checkout::discover(directory, true);
    found.inspect_err(|error| tracing::warn!("the source is not named: {error}")).ok()?.git_state()
}

/// A commit only where it was one before and after: tools may write anywhere.
fn source(before: Option<GitState>, after: Option<GitState>) -> BuildSource {
    match (before, after) {
        (Some(before), Some(after)) if before == after && !after.changed => {
            BuildSource::Commit { commit: after.commit, remote: after.remote }
        }
        (Some(_), _) | (_, Some(_)) => BuildSource::Changed,
        (None, None) => BuildSource::Unknown,
    }
}

fn lock_name(run: &ToolRun) -> String {
    run.lock_file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_lock(run: &ToolRun) -> Result<String, String> {
    if run.lock_file.is_symlink() {
        return Err(format!("{} is a link, which is not followed", lock_name(run)));
    }
    read_text(&run.lock_file).map_err(|why| {
        if run.lock_kind == LockKind::Npm && !run.lock_file.exists() {
            return "there is no package-lock.json; `npm install` writes one".to_owned();
        }
        format!("{} {why}", lock_name(run))
    })
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = super::read_file(path, MAX_LOCK).map_err(|_| "cannot be read".to_owned())?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

/// The SBOM of a component, made from the text of its lock file. What is read is
/// noted by its digest.
fn sbom(
    run: &ToolRun,
    text: String,
    component: &Component,
    read: &mut BTreeMap<String, Digest>,
) -> Result<Value, String> {
    let name = lock_name(run);
    read.insert(name.clone(), Digest::of(text.as_bytes()));
    let parse = |text: &str, path: &str| run.lock_kind.parse(text, path).map_err(|fault| fault.at(path));
    let mut lock = parse(&text, &name)?;
    if let Some((package, version)) = &run.package {
        let root = lock.local(package, version);
        let root = root.ok_or_else(|| format!("{name} does not have the package {package} {version}"))?;
        lock = lock.needed_by(root);
    }
    let mut inventory = Inventory::default();
    let mut pending = VecDeque::from([(name, lock)]);
    while let Some((path, lock)) = pending.pop_front() {
        pending.extend(included(run, &lock, read, &parse)?);
        inventory.add(&path, lock);
    }
    let metadata = &component.manifest.metadata;
    let sha256 = component.digest.to_hex();
    let subject = Described { name: metadata.name.as_str(), version: &metadata.version, sha256: &sha256 };
    let tool = ("cofferdam", env!("CARGO_PKG_VERSION"));
    let bom = render(&inventory, &Origin { tool, phase: "build", subject: Some(subject) });
    serde_json::from_slice(&bom).map_err(|error| error.to_string())
}

type Included = VecDeque<(String, Lock)>;

/// The files that a lock file includes and that were not read yet.
fn included(
    run: &ToolRun,
    lock: &Lock,
    read: &mut BTreeMap<String, Digest>,
    parse: &dyn Fn(&str, &str) -> Result<Lock, String>,
) -> Result<Included, String> {
    let directory = run.lock_file.parent().unwrap_or(Path::new("."));
    let mut found = Included::new();
    for include in &lock.includes {
        let path = &include.path;
        if read.contains_key(path) {
            continue;
        }
        let file = inside(directory, path).ok_or_else(|| format!("{path} is not in the task's directory"))?;
        let text = read_text(&file).map_err(|why| format!("{path} {why}"))?;
        read.insert(path.clone(), Digest::of(text.as_bytes()));
        found.push_back((path.clone(), parse(&text, path)?));
    }
    Ok(found)
}

/// A file of a directory, wherever links lead: what is quoted or listed of one
/// outside of it would be published.
fn inside(directory: &Path, path: &str) -> Option<PathBuf> {
    let (directory, file) = (directory.canonicalize().ok()?, directory.join(path).canonicalize().ok()?);
    file.starts_with(&directory).then_some(file)
}

impl Evidence {
    /// Keeps it, for when the component is published from its file.
    pub(crate) fn keep(&self, home: &Home) -> Result<(), Failure> {
        let directory = home.builds();
        let refused = |error| Failure::io("write", &directory, &error);
        std::fs::create_dir_all(&directory).map_err(refused)?;
        // Strings, numbers and maps with string keys always serialise.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        super::write_file(&record(home, self.build.component), &bytes)?;
        let mut records: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(&directory)
            .map_err(refused)?
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        records.sort();
        let more = records.len().saturating_sub(KEPT);
        for (_, path) in records.into_iter().take(more) {
            // Another build may have removed it.
            let _ = std::fs::remove_file(path);
        }
        Ok(())
    }

    /// What was kept of a component, if it was built here.
    pub(crate) fn kept(home: &Home, component: Digest) -> Option<Self> {
        let bytes = super::read_file(&record(home, component), MAX_RECORD).ok()?;
        let found: Self = serde_json::from_slice(&bytes).ok()?;
        (found.build.component == component).then_some(found)
    }

    /// What can be claimed of the task, and what of it not, and why.
    pub(crate) fn claims(self) -> (Vec<Claim>, Vec<String>) {
        let mut missing = Vec::new();
        let provenance = task_build_provenance(&self.build, env!("CARGO_PKG_VERSION"));
        // Strings, numbers and maps with string keys always serialise.
        let predicate = serde_json::to_value(&provenance).unwrap_or_default();
        let mut claims = vec![Claim { predicate_type: PREDICATE_TYPE, predicate }];
        match self.sbom {
            Ok(predicate) => claims.insert(0, Claim { predicate_type: SBOM_PREDICATE, predicate }),
            Err(why) => missing.push(format!("no SBOM: {why}")),
        }
        match &self.build.source {
            BuildSource::Commit { .. } => {}
            BuildSource::Changed => missing.push(
                "the provenance names no commit: the source has changes that are not committed".to_owned(),
            ),
            BuildSource::Unknown => {
                missing.push(
                    "the provenance names no commit: the source is no git checkout that can be read"
                        .to_owned(),
                );
            }
        }
        (claims, missing)
    }
}

fn record(home: &Home, component: Digest) -> PathBuf {
    home.builds().join(format!("{}.json", component.to_hex()))
}
