//! Finds tasks in registries and files, and asks the trust rules about them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_registry::{Candidate, Digest, Layout, Location, Reference, Trust, TrustDecision};
use jiff::Timestamp;

use super::resolve::{ResolveError, ResolvedTask, Resolver};
use crate::component::Component;
use crate::model::TaskRef;

/// Finds tasks in the embedded registry, in other layouts and in files. Each is
/// read, verified and decided on once.
#[derive(Debug)]
pub struct RegistryResolver {
    embedded: PathBuf,
    trust: Trust,
    now: Timestamp,
    require_trusted: bool,
    known: RefCell<HashMap<String, ResolvedTask>>,
}

impl RegistryResolver {
    /// For the layout in `embedded`, under some trust rules at a time. With
    /// `require_trusted`, a task that is not trusted is refused.
    #[must_use]
    pub fn new(embedded: &Path, trust: Trust, now: Timestamp, require_trusted: bool) -> Self {
        Self { embedded: embedded.to_owned(), trust, now, require_trusted, known: RefCell::default() }
    }

    /// Finds a task by its reference.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn pull(&self, reference: &Reference) -> Result<ResolvedTask, ResolveError> {
        let root = match &reference.location {
            Location::Embedded => &self.embedded,
            Location::Layout(path) => path,
        };
        let layout = Layout::open(root)?;
        let pulled = layout.pull(reference)?;
        let bundles = layout.bundles(pulled.digest)?;
        let component = Component::read(&reference.to_string(), pulled.component)?;
        let metadata = &component.manifest.metadata;
        if metadata.name.as_str() != reference.name {
            let (name, found) = (reference.name.clone(), metadata.name.to_string());
            return Err(ResolveError::Renamed { name, found });
        }
        let (uri, written) = (reference.version_uri(&metadata.version), reference.written_uri());
        let (digest, bundles) = (pulled.digest, bundles.as_slice());
        let trust = self.trust.decide(&Candidate { uri: &uri, written: &written, digest, bundles }, self.now);
        let reference = reference.pinned(pulled.digest).to_string();
        Ok(ResolvedTask { reference, digest: pulled.digest, component: Arc::new(component), trust })
    }

    /// Reads a task from a file. Nothing is signed there, so it is untrusted.
    fn read(&self, path: &str, base: &Path) -> Result<ResolvedTask, ResolveError> {
        let unreadable =
            |error: std::io::Error| ResolveError::File { path: path.to_owned(), why: error.to_string() };
        let bytes = std::fs::read(base.join(path)).map_err(unreadable)?;
        let digest = Digest::of(&bytes);
        let component = Component::read(path, bytes)?;
        let uri = format!("file:{path}");
        let trust =
            self.trust.decide(&Candidate { uri: &uri, written: &uri, digest, bundles: &[] }, self.now);
        Ok(ResolvedTask {
            reference: format!("{uri}@{digest}"),
            digest,
            component: Arc::new(component),
            trust,
        })
    }

    fn find(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        match (&task.name, &task.bundle, &task.component) {
            (Some(name), None, None) => {
                let tag = task.version.as_deref().unwrap_or("latest");
                self.pull(&Reference::parse(&format!("{name}:{tag}"), base)?)
            }
            (None, Some(bundle), None) if task.version.is_none() => {
                self.pull(&Reference::parse(bundle, base)?)
            }
            (None, None, Some(path)) if task.version.is_none() => self.read(path, base),
            _ => Err(ResolveError::Ambiguous),
        }
    }
}

impl Resolver for RegistryResolver {
    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        let key = format!("{:?} {}", task, base.display());
        if let Some(found) = self.known.borrow().get(&key) {
            return Ok(found.clone());
        }
        let found = self.find(task, base)?;
        match &found.trust {
            TrustDecision::Denied { rule, message } => {
                return Err(ResolveError::Denied { rule: rule.clone(), message: message.clone() });
            }
            TrustDecision::Untrusted { cause } if self.require_trusted => {
                return Err(ResolveError::NotTrusted { cause: cause.to_string() });
            }
            TrustDecision::Untrusted { .. } | TrustDecision::Trusted { .. } => {}
        }
        self.known.borrow_mut().insert(key, found.clone());
        Ok(found)
    }
}
