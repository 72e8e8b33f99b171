//! Finds tasks in registries and files, and asks the trust rules about them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cofferdam_manifest::Manifest;
use cofferdam_registry::{
    Bundles, Candidate, Digest, EMBEDDED_HOST, Explanation, Layout, LayoutError, Location, MAX_COMPONENT,
    Reference, TaskHead, TrustDecision, TrustLevels, canonical, read_plain,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::registries::Registries;
use super::resolve::{PipelineText, ResolveError, ResolvedTask, Resolver};
use crate::component::Component;
use crate::event::TaskIdentity;
use crate::model::{PipelinePlace, PipelineRef, TaskPlace, TaskRef};

/// Finds tasks in registries and in files. Each is read, verified and decided on
/// once.
#[derive(Debug)]
pub struct RegistryResolver {
    pub(super) registries: Registries,
    pub(super) trust: TrustLevels,
    pub(super) now: Timestamp,
    require_trusted: bool,
    known: RefCell<HashMap<(TaskRef, PathBuf), ResolvedTask>>,
    /// A tag means one pipeline in all of a plan, and is verified once.
    known_pipelines: RefCell<HashMap<(PipelineRef, PathBuf), PipelineText>>,
}

impl RegistryResolver {
    /// For some registries, under some trust rules at a time. With
    /// `require_trusted`, a task that is not trusted is refused.
    #[must_use]
    pub fn new(registries: Registries, trust: TrustLevels, now: Timestamp, require_trusted: bool) -> Self {
        let (known, known_pipelines) = Default::default();
        Self { registries, trust, now, require_trusted, known, known_pipelines }
    }

    /// Finds a task by its reference, which decides nothing but where to look:
    /// the rules are asked about what is found there.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn pull(&self, written: &Reference) -> Result<ResolvedTask, ResolveError> {
        let (reference, component, digest, trust) =
            self.judge(written, |candidate| self.trust.decide(candidate, self.now))?;
        self.registries.note_signer(&reference, digest, trust.signer().as_deref())?;
        // Recorded with the version that was signed, not with a tag that moves.
        let tag = Some(component.manifest.metadata.version.clone());
        let reference = Reference { tag, digest: Some(digest), ..reference }.to_string();
        Ok(ResolvedTask::new(reference, digest, component, trust))
    }

    /// Finds a task or a pipeline, and tells what came of every rule.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn explain(&self, written: &Reference) -> Result<Explanation, ResolveError> {
        let explain = |candidate: &Candidate<'_>| self.trust.explain(candidate, self.now);
        let (layout, reference) = self.registries.find(written)?;
        match layout.bundle_head(&reference)? {
            Some(head) => {
                let version = head.version.as_deref();
                self.judge_pipeline(written, (&layout, &reference), (head.digest, version), explain)
            }
            None => Ok(self.judge(written, explain)?.3),
        }
    }

    /// What a registry has under a reference; what was pulled and is damaged is
    /// pulled once more.
    pub(super) fn take<T>(
        &self,
        written: &Reference,
        read: impl Fn(&Layout, &Reference) -> Result<T, LayoutError>,
    ) -> Result<(Layout, Reference, T), ResolveError> {
        let (layout, reference) = self.registries.find(written)?;
        match read(&layout, &reference) {
            Ok(found) => Ok((layout, reference, found)),
            Err(error @ (LayoutError::OtherKind { .. } | LayoutError::NotFound { .. })) => Err(error.into()),
            Err(error) => {
                let Some(layout) = self.registries.heal(&layout, &reference)? else {
                    return Err(error.into());
                };
                tracing::warn!(
                    "what was pulled of {} was damaged, and is pulled again: {error}",
                    reference.name
                );
                let found = read(&layout, &reference)?;
                Ok((layout, reference, found))
            }
        }
    }

    /// The signatures beside what was found. Where one that was pulled is damaged,
    /// they are pulled once more; one that still cannot be read is left out.
    pub(super) fn signatures(
        &self,
        layout: &Layout,
        reference: &Reference,
        digest: Digest,
    ) -> Result<Bundles, ResolveError> {
        let mut bundles = layout.bundles(digest)?;
        if bundles.damaged.is_some()
            && let Ok(Some(healed)) = self.registries.heal(layout, &reference.pinned(digest))
        {
            bundles = healed.bundles(digest)?;
        }
        if let Some(why) = &bundles.damaged {
            tracing::warn!("a signature beside {} is left out: {why}", reference.name);
        }
        Ok(bundles)
    }

    /// Finds a task, and has it judged.
    fn judge<T>(
        &self,
        written: &Reference,
        judge: impl FnOnce(&Candidate<'_>) -> T,
    ) -> Result<(Reference, Component, Digest, T), ResolveError> {
        let (layout, reference, pulled) = self.take(written, Layout::pull)?;
        let bundles = self.signatures(&layout, &reference, pulled.head.digest)?;
        let component = Component::read(&reference.to_string(), pulled.component)?;
        // Whoever decides by what the registry tells must not be told another thing.
        if !tells_the_truth(&pulled.head, &component) {
            return Err(ResolveError::OtherContract { name: reference.name });
        }
        let judged = (&pulled.head, &component.manifest);
        let judged = self.judge_manifest(written, &reference, judged, &bundles, judge)?;
        Ok((reference, component, pulled.head.digest, judged))
    }

    /// Has a task judged by what its manifest says.
    pub(super) fn judge_manifest<T>(
        &self,
        written: &Reference,
        reference: &Reference,
        (head, manifest): (&TaskHead, &Manifest),
        bundles: &Bundles,
        judge: impl FnOnce(&Candidate<'_>) -> T,
    ) -> Result<T, ResolveError> {
        let metadata = &manifest.metadata;
        if metadata.name.as_str() != reference.task_name() {
            let (name, found) = (reference.name.clone(), metadata.name.to_string());
            return Err(ResolveError::Renamed { name, found });
        }
        let uri = reference.version_uri(&metadata.version);
        let spellings = [
            reference.written_uri(),
            written.written_uri(),
            written.version_uri(&metadata.version),
            embedded_uri(manifest),
        ];
        let (digest, component) = (head.digest, head.component_digest);
        Ok(judge(&Candidate { uri: &uri, spellings: &spellings, digest, component, bundles }))
    }

    /// Whether what was decided lets it run.
    pub(super) fn admit(&self, trust: &TrustDecision) -> Result<(), ResolveError> {
        match trust {
            TrustDecision::Denied { rule, message } => {
                Err(ResolveError::Denied { rule: rule.clone(), message: message.clone() })
            }
            TrustDecision::Untrusted { cause } if self.require_trusted => {
                Err(ResolveError::NotTrusted { cause: cause.to_string() })
            }
            TrustDecision::Untrusted { .. } | TrustDecision::Trusted { .. } => Ok(()),
        }
    }

    /// The registries, with what was learnt about them.
    #[must_use]
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// The time around now in which the trust rules decide as they do now: from
    /// one moment on, until another; nothing where there is no such moment.
    #[must_use]
    pub fn steady(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let past = self.trust.turns().filter(|turn| *turn <= self.now).max();
        (past, self.trust.turns().filter(|turn| *turn > self.now).min())
    }

    /// Reads a task from a file.
    fn read(&self, path: &str, base: &Path) -> Result<ResolvedTask, ResolveError> {
        let unreadable =
            |error: std::io::Error| ResolveError::File { path: path.to_owned(), why: error.to_string() };
        let file = canonical(&base.join(path)).map_err(unreadable)?;
        let bytes = read_plain(&file, MAX_COMPONENT).map_err(unreadable)?;
        self.unsigned(path, &file, bytes)
    }

    /// A task that is or was in a file. Nothing is signed there, so it is
    /// untrusted.
    fn unsigned(&self, path: &str, file: &Path, bytes: Vec<u8>) -> Result<ResolvedTask, ResolveError> {
        let digest = Digest::of(&bytes);
        let component = Component::read(path, bytes)?;
        let written = format!("file:{path}");
        let reference = format!("{written}@{digest}");
        let (uri, spellings) =
            (format!("file:{}", file.display()), [written, embedded_uri(&component.manifest)]);
        let bundles = Bundles::default();
        let candidate =
            Candidate { uri: &uri, spellings: &spellings, digest, component: digest, bundles: &bundles };
        let trust = self.trust.decide(&candidate, self.now);
        Ok(ResolvedTask::new(reference, digest, component, trust))
    }

    /// Finds a task; with a pin, the one of that digest, whatever its name
    /// stands for by now.
    fn find(&self, task: &TaskRef, base: &Path, pin: Option<Digest>) -> Result<ResolvedTask, ResolveError> {
        let pinned =
            |reference: Reference| pin.map_or_else(|| reference.clone(), |pin| reference.pinned(pin));
        match task.place().map_err(ResolveError::task)? {
            TaskPlace::Embedded { name, version } => self.pull(&pinned(Reference::embedded(name, version)?)),
            TaskPlace::Bundle { reference: bundle, name } => {
                let reference = Reference::parse(bundle, base)?;
                let mut found = self.pull(&pinned(reference.clone()))?;
                if let Some(name) = name.filter(|name| **name != found.identity.name) {
                    let (name, found) = (name.to_owned(), found.identity.name.clone());
                    return Err(ResolveError::Renamed { name, found });
                }
                if let Location::Layout(_) = reference.location {
                    let version = Some(found.identity.version.clone());
                    let pinned = Reference { tag: version, digest: Some(found.identity.digest), ..reference };
                    let reference = as_written(bundle, pinned).to_string();
                    found.identity =
                        TaskIdentity { reference, ..TaskIdentity::clone(&found.identity) }.into();
                }
                Ok(found)
            }
            TaskPlace::File(path) => self.read(path, base),
        }
    }

    /// Finds a task that was found before, by the digest it had; `component`
    /// gives the bytes of one that was in a file.
    pub(super) fn resolve_pinned(
        &self,
        (task, base): (&TaskRef, &Path),
        pin: Digest,
        component: impl FnOnce() -> Result<Vec<u8>, ResolveError>,
    ) -> Result<ResolvedTask, ResolveError> {
        self.once(task, base, || match &task.component {
            Some(path) => {
                let file = base.join(path);
                let file = file.canonicalize().unwrap_or(file);
                self.unsigned(path, &file, component()?)
            }
            None => self.find(task, base, Some(pin)),
        })
    }

    /// Finds a task, unless it was found already, and decides whether it may run.
    fn once(
        &self,
        task: &TaskRef,
        base: &Path,
        find: impl FnOnce() -> Result<ResolvedTask, ResolveError>,
    ) -> Result<ResolvedTask, ResolveError> {
        let key = (task.clone(), base.to_owned());
        if let Some(found) = self.known.borrow().get(&key) {
            return Ok(found.clone());
        }
        let found = find()?;
        self.admit(&found.identity.trust)?;
        self.known.borrow_mut().insert(key, found.clone());
        Ok(found)
    }
}

/// What a task is called by its own manifest, wherever it lies: a deny rule for
/// the embedded registry means every copy.
fn embedded_uri(manifest: &Manifest) -> String {
    let metadata = &manifest.metadata;
    format!("oci://{EMBEDDED_HOST}/{}:{}", metadata.name, metadata.version)
}

impl Resolver for RegistryResolver {
    fn expect(&self, tasks: &[&TaskRef], pipelines: &[&PipelineRef], base: &Path) {
        let tasks = tasks.iter().filter_map(|task| match task.place() {
            Ok(TaskPlace::Bundle { reference, .. }) => Some(reference),
            Ok(TaskPlace::Embedded { .. } | TaskPlace::File(_)) | Err(_) => None,
        });
        let pipelines = pipelines.iter().filter_map(|pipeline| match pipeline.place() {
            Ok(PipelinePlace::Bundle { reference, .. }) => Some(reference),
            Ok(PipelinePlace::File(_)) | Err(_) => None,
        });
        let written = tasks.chain(pipelines).filter_map(|text| Reference::parse(text, base).ok());
        self.registries.pull_ahead(&written.collect::<Vec<_>>());
    }

    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        self.once(task, base, || self.find(task, base, None))
    }

    fn pipeline(&self, pipeline: &PipelineRef, base: &Path) -> Result<PipelineText, ResolveError> {
        let key = (pipeline.clone(), base.to_owned());
        if let Some(found) = self.known_pipelines.borrow().get(&key) {
            return Ok(found.clone());
        }
        let found = self.find_pipeline(pipeline, base, None)?;
        self.known_pipelines.borrow_mut().insert(key, found.clone());
        Ok(found)
    }
}

/// Whether what stands beside the code is what stands in it.
fn tells_the_truth(head: &TaskHead, component: &Component) -> bool {
    match head.contract.as_ref().map(Manifest::deserialize) {
        None => true,
        Some(Ok(manifest)) => manifest == component.manifest && head.imports == component.imports,
        Some(Err(_)) => false,
    }
}

/// A layout by its path as it was written: where that is on this machine is
/// nobody's business.
pub(super) fn as_written(text: &str, reference: Reference) -> Reference {
    let path = text.strip_prefix("oci:").and_then(|rest| rest.split_once(':')).map(|(path, _)| path);
    match (&reference.location, path) {
        (Location::Layout(_), Some(path)) => {
            Reference { location: Location::Layout(path.into()), ..reference }
        }
        _ => reference,
    }
}
