//! What a plan was made from, kept so that the same plan can be made again when
//! files and registries have changed: the text of every pipeline, what each
//! `taskRef` stood for, the params as they were given.
//!
//! It names directories of this machine, so it is a blob of the store: the
//! journal has its digest alone, and nothing that is signed has more.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::resolve::{PipelineText, ResolveError, ResolvedTask, Resolver};
use super::{PlanRequest, Registries, RegistryResolver};
use crate::component::Component;
use crate::event::Source;
use crate::model::{PipelineRef, TaskRef};
use crate::store::{Store, StoreError};

/// What a plan was made from, and the source of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRecord {
    /// The file, as it was named.
    pub file: String,
    /// The directory that references in it are relative to.
    pub base: PathBuf,
    /// Its text.
    pub text: Digest,
    /// Params from whoever ran it.
    pub given: BTreeMap<String, Value>,
    /// Whether a task that is not trusted was refused.
    pub require_trusted: bool,
    /// Where the source came from.
    pub source: Option<Source>,
    pipelines: Vec<PipelineRecord>,
    tasks: Vec<TaskRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PipelineRecord {
    reference: PipelineRef,
    base: PathBuf,
    name: String,
    file: PathBuf,
    below: PathBuf,
    text: Digest,
    /// What is signed, for one out of a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskRecord {
    task: TaskRef,
    base: PathBuf,
    /// What is signed: for one from a file, the component.
    digest: Digest,
    component: Digest,
}

/// A record, and the contents that must be kept with it.
#[derive(Debug)]
pub struct Draft {
    record: PlanRecord,
    texts: Vec<String>,
    components: Vec<Arc<Component>>,
}

/// Finds tasks in registries and files, and notes what was found.
#[derive(Debug)]
pub struct RecordingResolver {
    inner: RegistryResolver,
    seen: RefCell<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    known_pipelines: HashSet<(PipelineRef, PathBuf)>,
    known_tasks: HashSet<(TaskRef, PathBuf)>,
    pipelines: Vec<PipelineRecord>,
    tasks: Vec<TaskRecord>,
    texts: Vec<String>,
    components: Vec<Arc<Component>>,
}

impl RecordingResolver {
    /// Notes what another resolver finds.
    #[must_use]
    pub fn new(inner: RegistryResolver) -> Self {
        Self { inner, seen: RefCell::default() }
    }

    /// The registries, with what was learnt about them.
    #[must_use]
    pub fn registries(&self) -> &Registries {
        self.inner.registries()
    }

    /// As [`RegistryResolver::steady`].
    #[must_use]
    pub fn steady(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        self.inner.steady()
    }

    /// What a plan was made from.
    #[must_use]
    pub fn into_draft(self, request: &PlanRequest<'_>, require_trusted: bool) -> Draft {
        let Seen { pipelines, tasks, mut texts, components, .. } = self.seen.into_inner();
        texts.push(request.text.to_owned());
        let record = PlanRecord {
            file: request.file.to_owned(),
            base: request.base.to_owned(),
            text: Digest::of(request.text.as_bytes()),
            given: request.given.clone(),
            require_trusted,
            source: None,
            pipelines,
            tasks,
        };
        Draft { record, texts, components }
    }
}

impl Resolver for RecordingResolver {
    fn expect(&self, tasks: &[&TaskRef], pipelines: &[&PipelineRef], base: &Path) {
        self.inner.expect(tasks, pipelines, base);
    }

    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        let found = self.inner.resolve(task, base)?;
        let mut seen = self.seen.borrow_mut();
        if seen.known_tasks.insert((task.clone(), base.to_owned())) {
            let (digest, component) = (found.identity.digest, found.identity.component);
            seen.tasks.push(TaskRecord { task: task.clone(), base: base.to_owned(), digest, component });
            // A registry keeps what was published; a file is gone with the next build.
            if task.component.is_some() {
                seen.components.push(Arc::clone(&found.component));
            }
        }
        Ok(found)
    }

    fn pipeline(&self, pipeline: &PipelineRef, base: &Path) -> Result<PipelineText, ResolveError> {
        let found = self.inner.pipeline(pipeline, base)?;
        let mut seen = self.seen.borrow_mut();
        if seen.known_pipelines.insert((pipeline.clone(), base.to_owned())) {
            seen.pipelines.push(PipelineRecord {
                reference: pipeline.clone(),
                base: base.to_owned(),
                name: found.name.clone(),
                file: found.file.clone(),
                below: found.base.clone(),
                text: Digest::of(found.text.as_bytes()),
                bundle: found.identity.as_ref().map(|identity| identity.digest),
            });
            seen.texts.push(found.text.clone());
        }
        Ok(found)
    }
}

impl Draft {
    /// Keeps everything in the store, with where the source came from; gives the
    /// digest of the record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&self, store: &Store, source: Option<&Source>) -> Result<Digest, StoreError> {
        for text in &self.texts {
            store.put(text.as_bytes())?;
        }
        for component in &self.components {
            store.put(&component.bytes)?;
        }
        let record = PlanRecord { source: source.cloned(), ..self.record.clone() };
        // Fails for a directory whose name is not UTF-8, which is then not kept.
        store.put(&serde_json::to_vec(&record).unwrap_or_default())
    }
}

impl From<PlanRecord> for Draft {
    /// What is in the store already.
    fn from(record: PlanRecord) -> Self {
        Self { record, texts: Vec::new(), components: Vec::new() }
    }
}

/// Finds what was found before: each task by its digest, each pipeline in the
/// store. Trust is asked anew.
#[derive(Debug)]
pub struct RecordedResolver<'a> {
    registry: RegistryResolver,
    store: &'a Store,
    record: &'a PlanRecord,
}

impl<'a> RecordedResolver<'a> {
    /// For a record whose contents are in a store.
    #[must_use]
    pub fn new(registry: RegistryResolver, store: &'a Store, record: &'a PlanRecord) -> Self {
        Self { registry, store, record }
    }

    fn text(&self, digest: Digest) -> Result<String, ResolveError> {
        let bytes = self.store.read(digest)?;
        String::from_utf8(bytes).map_err(|_| ResolveError::Unrecorded { what: digest.to_string() })
    }

    /// The text of the file itself.
    ///
    /// # Errors
    /// [`ResolveError`], where it is no longer in the store.
    pub fn root_text(&self) -> Result<String, ResolveError> {
        self.text(self.record.text)
    }
}

impl Resolver for RecordedResolver<'_> {
    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        let mut tasks = self.record.tasks.iter();
        let found = tasks.find(|found| found.task == *task && found.base == base);
        let pin = found.ok_or_else(|| ResolveError::Unrecorded { what: format!("{task:?}") })?;
        self.registry.resolve_pinned((task, base), pin.digest, || Ok(self.store.read(pin.component)?))
    }

    fn pipeline(&self, pipeline: &PipelineRef, base: &Path) -> Result<PipelineText, ResolveError> {
        let mut pipelines = self.record.pipelines.iter();
        let found = pipelines.find(|found| found.reference == *pipeline && found.base == base);
        let found = found.ok_or_else(|| ResolveError::Unrecorded { what: format!("{pipeline:?}") })?;
        // Whether one out of a registry is trusted is asked anew.
        if let Some(pin) = found.bundle {
            return self.registry.pipeline_pinned(pipeline, base, pin);
        }
        let PipelineRecord { name, file, below, text, .. } = found.clone();
        Ok(PipelineText { name, file, base: below, text: self.text(text)?, identity: None })
    }
}
