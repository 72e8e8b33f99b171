//! Every registry that a reference can mean, and the layout that its task is
//! read from: the embedded one, a layout in a directory, or, for a registry over
//! HTTP, the layout that keeps what was pulled. What is vendored in a repository
//! goes before what was pulled, and either before asking a registry.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cofferdam_registry::{
    Attestation, Digest, Layout, LayoutError, Location, Progress, Reference, Remote, RemoteError,
    RemoteSettings, is_there,
};
use futures_util::stream::{self, StreamExt};
use tokio::runtime::Runtime;

use super::ResolveError;
use super::lock::{Lock, LockError, Pin};

/// Where vendored tasks are, beside the pins.
pub const VENDOR: &str = "vendor";

/// So many artifacts are pulled at once.
const AT_ONCE: usize = 8;

/// What a tag without a pin leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// The registry is asked, and the answer pinned.
    #[default]
    Resolve,
    /// The registry is asked also where there is a pin already.
    Update,
    /// It is refused.
    Locked,
}

/// What a repository pins a tag to.
#[derive(Debug)]
pub struct TagPin {
    /// The file that says so.
    pub file: PathBuf,
    /// The digest.
    pub digest: Digest,
    /// What the registry has under the tag now.
    pub now: Result<Digest, ResolveError>,
}

/// What is known of a task without its code, for as long as this lives.
pub(super) struct StagedHead {
    pub(super) layout: Layout,
    pub(super) reference: Reference,
    _directory: tempfile::TempDir,
}

/// A reference, and what came of asking a registry for it.
pub(super) type Asked = (Reference, Result<Digest, RemoteError>);

/// The registries of one machine and one repository.
pub struct Registries {
    embedded: PathBuf,
    pulled: PathBuf,
    settings: RemoteSettings,
    pinning: Pinning,
    lock: RefCell<Lock>,
    remotes: RefCell<HashMap<String, Rc<Remote>>>,
    runtime: OnceCell<Runtime>,
    found: RefCell<Vec<(Layout, Reference)>>,
    /// What was found in layouts in directories: it has no pin and no copy.
    in_layouts: RefCell<BTreeSet<String>>,
    layouts: RefCell<HashMap<PathBuf, Layout>>,
    /// What was pulled ahead, until it is asked for.
    ahead: RefCell<HashMap<Reference, Result<Digest, RemoteError>>>,
    progress: Box<Progress<'static>>,
}

impl Registries {
    /// The embedded registry and the layout for what is pulled, both in
    /// directories of the user; nothing is pinned.
    #[must_use]
    pub fn new(embedded: &Path, pulled: &Path, settings: RemoteSettings) -> Self {
        Self {
            embedded: embedded.to_owned(),
            pulled: pulled.to_owned(),
            settings,
            pinning: Pinning::default(),
            lock: RefCell::default(),
            remotes: RefCell::default(),
            runtime: OnceCell::new(),
            found: RefCell::default(),
            in_layouts: RefCell::default(),
            layouts: RefCell::default(),
            ahead: RefCell::default(),
            progress: Box::new(|_| {}),
        }
    }

    /// With the pins of a repository.
    #[must_use]
    pub fn with_lock(self, lock: Lock, pinning: Pinning) -> Self {
        Self { lock: RefCell::new(lock), pinning, ..self }
    }

    /// Told how far each blob has come.
    #[must_use]
    pub fn with_progress(self, progress: Box<Progress<'static>>) -> Self {
        Self { progress, ..self }
    }

    /// The embedded registry's directory.
    #[must_use]
    pub fn embedded(&self) -> &Path {
        &self.embedded
    }

    /// Whether a registry over HTTP was asked for anything.
    #[must_use]
    pub fn went_out(&self) -> bool {
        self.runtime.get().is_some()
    }

    /// The pins, with those that were added.
    #[must_use]
    pub fn pins(&self) -> BTreeMap<String, Pin> {
        self.lock.borrow().pins().clone()
    }

    /// The pins that something that was found has.
    #[must_use]
    pub fn used_pins(&self) -> BTreeSet<String> {
        self.lock.borrow().used()
    }

    /// Writes the pins, where some were added.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn save_pins(&self) -> Result<(), LockError> {
        self.new_pins().map_or(Ok(()), |mut pins| pins.save())
    }

    /// The pins, where some were added that are to be written. There are none any
    /// more after that.
    #[must_use]
    pub fn new_pins(&self) -> Option<Lock> {
        let changed = self.pinning != Pinning::Locked && self.lock.borrow().is_changed();
        changed.then(|| self.lock.take())
    }

    /// Where the pins are kept.
    #[must_use]
    pub fn lock_directory(&self) -> Option<PathBuf> {
        self.lock.borrow().directory().map(Path::to_owned)
    }

    /// What was found of registries over HTTP, each with the layout that has it.
    #[must_use]
    pub fn found(&self) -> Vec<(Layout, Reference)> {
        self.found.borrow().clone()
    }

    /// What was found in layouts in directories, each by its whole path.
    #[must_use]
    pub fn in_layouts(&self) -> BTreeSet<String> {
        self.in_layouts.borrow().clone()
    }

    /// The layout that has what a reference means, and the reference by the one
    /// name of its registry, with its digest where a registry over HTTP or a pin
    /// decided it.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn find(&self, written: &Reference) -> Result<(Layout, Reference), ResolveError> {
        let reference = written.canonical(&self.embedded)?;
        match &reference.location {
            Location::Embedded if !is_there(&self.embedded) => Err(ResolveError::NoTasks),
            Location::Embedded => Ok((self.layout(&self.embedded)?, reference)),
            Location::Layout(path) => {
                let layout = self.layout(path)?;
                self.in_layouts.borrow_mut().insert(reference.to_string());
                Ok((layout, reference))
            }
            Location::Remote(host) => {
                let found = self.find_remote(host, &reference)?;
                self.found.borrow_mut().push(found.clone());
                Ok(found)
            }
        }
    }

    /// Notes who signed what a tag was pinned to. Where nobody who is trusted
    /// here did, what others noted stays.
    ///
    /// # Errors
    /// [`ResolveError::OtherSigner`] where somebody else was noted.
    pub fn note_signer(
        &self,
        reference: &Reference,
        digest: Digest,
        signer: Option<&str>,
    ) -> Result<(), ResolveError> {
        let (Location::Remote(_), Some(name), Some(signer)) =
            (&reference.location, pin_name(reference), signer)
        else {
            return Ok(());
        };
        let mut lock = self.lock.borrow_mut();
        let Some(pin) = lock.get(&name).filter(|pin| pin.digest == digest) else { return Ok(()) };
        match pin.signed_by.clone() {
            Some(noted) if noted == signer => {}
            Some(noted) if self.pinning != Pinning::Update => {
                return Err(ResolveError::OtherSigner { name, noted, found: signer.to_owned() });
            }
            Some(_) | None => lock.set(&name, Pin { digest, signed_by: Some(signer.to_owned()) }),
        }
        Ok(())
    }

    fn find_remote(&self, host: &str, reference: &Reference) -> Result<(Layout, Reference), ResolveError> {
        let name = pin_name(reference);
        let pin = self.pin(reference);
        let digest = match (reference.digest.or(pin), &name) {
            (Some(digest), _) => Some(digest),
            (None, Some(name)) if self.pinning == Pinning::Locked => {
                return Err(ResolveError::NotLocked { name: name.clone() });
            }
            (None, _) => None,
        };
        if let Some(digest) = digest {
            let pinned = reference.pinned(digest);
            for root in self.kept().into_iter().filter(|root| is_there(root)) {
                let found = self.layout(&root).and_then(|layout| layout.resolve(&pinned).map(|_| layout));
                match found {
                    Ok(layout) => return Ok((layout, pinned)),
                    Err(LayoutError::NotFound { .. }) => {}
                    // A copy is made anew; what is vendored is the repository's.
                    Err(error) if root == self.pulled => {
                        tracing::warn!("{} is pulled again: {error}", pinned.name);
                    }
                    Err(source) => return Err(ResolveError::Vendored { source }),
                }
            }
            return match self.pull(host, &pinned) {
                Ok((layout, _)) => Ok((layout, pinned)),
                Err(ResolveError::Remote(RemoteError::NotFound { .. })) if pin == Some(digest) => {
                    Err(ResolveError::PinGone { name: name.unwrap_or_default(), digest })
                }
                Err(error) => Err(error),
            };
        }
        let (layout, digest) = self.pull(host, reference)?;
        if let Some(name) = name {
            let mut lock = self.lock.borrow_mut();
            // Who was noted stays, as long as it is the same.
            let noted = lock.get(&name).filter(|pin| pin.digest == digest).cloned();
            lock.set(&name, noted.unwrap_or(Pin { digest, signed_by: None }));
        }
        Ok((layout, reference.pinned(digest)))
    }

    /// Pulls what is kept of a registry over HTTP once more, where it is damaged;
    /// nothing where it is no such copy.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn heal(&self, layout: &Layout, reference: &Reference) -> Result<Option<Layout>, ResolveError> {
        match &reference.location {
            Location::Remote(host) if layout.root() == self.pulled => Ok(Some(self.pull(host, reference)?.0)),
            Location::Remote(_) | Location::Embedded | Location::Layout(_) => Ok(None),
        }
    }

    /// What a registry over HTTP tells of a task whose code is not here; nothing
    /// where it is, or is no such registry's.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub(super) fn head(&self, written: &Reference) -> Result<Option<StagedHead>, ResolveError> {
        let reference = written.canonical(&self.embedded)?;
        let Location::Remote(host) = &reference.location else { return Ok(None) };
        let asked = match reference.digest.or_else(|| self.pin(&reference)) {
            Some(digest) => reference.pinned(digest),
            None => reference.clone(),
        };
        if asked.digest.is_some() && self.is_kept(&asked) {
            return Ok(None);
        }
        let directory =
            tempfile::tempdir().map_err(|error| RemoteError::Client { why: error.to_string() })?;
        let layout = Layout::open_or_create(directory.path())?;
        let remote = self.remote(host)?;
        let digest = self.runtime()?.block_on(remote.pull_head(&asked, &layout))?;
        Ok(Some(StagedHead { layout, reference: reference.pinned(digest), _directory: directory }))
    }

    /// What is attached to an artifact of a layout beside its signatures. A run has
    /// no use for it, so it is kept nowhere: a registry over HTTP is asked each
    /// time, and where it does not answer, nothing is known of it.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub(super) fn attestations(
        &self,
        (layout, reference): (&Layout, &Reference),
        digest: Digest,
    ) -> Result<Vec<Attestation>, ResolveError> {
        let Location::Remote(host) = &reference.location else { return Ok(layout.attestations(digest)?) };
        let staging = tempfile::tempdir().map_err(|error| RemoteError::Client { why: error.to_string() })?;
        let layout = Layout::open_or_create(staging.path())?;
        let remote = self.remote(host)?;
        if let Err(error) =
            self.runtime()?.block_on(remote.pull_attestations(&reference.name, digest, &layout))
        {
            tracing::warn!("what is attached to {} is not known: {error}", reference.name);
        }
        Ok(layout.attestations(digest)?)
    }

    /// What the tag of a reference is pinned to.
    fn pin(&self, reference: &Reference) -> Option<Digest> {
        let name = pin_name(reference).filter(|_| self.pinning != Pinning::Update)?;
        self.lock.borrow().get(&name).map(|pin| pin.digest)
    }

    /// What the repository pins a tag to, and what that stands for now; nothing
    /// where it is no tag of a registry over HTTP, or has no pin.
    #[must_use]
    pub fn tag_pin(&self, written: &Reference) -> Option<TagPin> {
        let reference = written.canonical(&self.embedded).ok()?;
        let Location::Remote(host) = &reference.location else { return None };
        let name = pin_name(&reference).filter(|_| reference.digest.is_none())?;
        let (file, digest) = {
            let lock = self.lock.borrow();
            (lock.file()?.to_owned(), lock.pins().get(&name)?.digest)
        };
        let ask = || Ok(self.runtime()?.block_on(self.remote(host)?.resolve(&reference))?);
        Some(TagPin { file, digest, now: ask() })
    }

    /// Every tag of a repository in a registry over HTTP, each with what it stands
    /// for or why that is not known.
    ///
    /// # Errors
    /// [`ResolveError`], where the tags cannot be had.
    pub fn tags(&self, host: &str, name: &str) -> Result<Vec<Asked>, ResolveError> {
        let remote = self.remote(host)?;
        let runtime = self.runtime()?;
        let mut tags = runtime.block_on(remote.tags(name))?;
        // Those hold signatures.
        tags.retain(|tag| !tag.starts_with("sha256-"));
        let location = Location::Remote(host.to_owned());
        let references = tags.into_iter().map(|tag| Reference {
            location: location.clone(),
            name: name.to_owned(),
            tag: Some(tag),
            digest: None,
        });
        let asked = references.map(|reference| {
            let remote = &remote;
            async move {
                let digest = remote.resolve(&reference).await;
                (reference, digest)
            }
        });
        Ok(runtime.block_on(stream::iter(asked).buffered(AT_ONCE).collect()))
    }

    /// Pulls side by side what some references mean and is not here. What goes
    /// wrong is said when it is asked for.
    pub fn pull_ahead(&self, written: &[Reference]) {
        let wanted: HashMap<Reference, String> = written.iter().filter_map(|r| self.missing(r)).collect();
        // One alone is as fast when it is asked for.
        if wanted.len() < 2 {
            return;
        }
        let Ok(layout) = Layout::open_or_create(&self.pulled) else { return };
        let remotes = wanted.into_iter().filter_map(|(reference, host)| {
            // A registry that cannot be opened is told of when it is asked.
            Some((self.remote(&host).ok()?, reference))
        });
        let remotes: Vec<_> = remotes.collect();
        let Ok(runtime) = self.runtime() else { return };
        let pulls = remotes.iter().map(|(remote, reference)| {
            let layout = &layout;
            async move { (reference.clone(), remote.pull(reference, layout, &*self.progress).await) }
        });
        let pulled = runtime.block_on(stream::iter(pulls).buffer_unordered(AT_ONCE).collect::<Vec<_>>());
        self.ahead.borrow_mut().extend(pulled);
    }

    /// What a reference asks for, and the host to ask, where it has to be pulled.
    fn missing(&self, written: &Reference) -> Option<(Reference, String)> {
        let reference = written.canonical(&self.embedded).ok()?;
        let Location::Remote(host) = &reference.location else { return None };
        let host = host.clone();
        match reference.digest.or_else(|| self.pin(&reference)) {
            Some(digest) => {
                let pinned = reference.pinned(digest);
                (!self.is_kept(&pinned)).then_some((pinned, host))
            }
            None if self.pinning == Pinning::Locked => None,
            None => Some((reference, host)),
        }
    }

    /// Whether what is vendored, or was pulled, has an artifact.
    fn is_kept(&self, pinned: &Reference) -> bool {
        self.kept().iter().any(|root| self.layout(root).is_ok_and(|layout| layout.resolve(pinned).is_ok()))
    }

    fn pull(&self, host: &str, reference: &Reference) -> Result<(Layout, Digest), ResolveError> {
        let layout = Layout::open_or_create(&self.pulled)?;
        if let Some(pulled) = self.ahead.borrow_mut().remove(reference) {
            return Ok((layout, pulled?));
        }
        let remote = self.remote(host)?;
        let digest = self.runtime()?.block_on(remote.pull(reference, &layout, &*self.progress))?;
        Ok((layout, digest))
    }

    /// A layout that exists, opened once.
    fn layout(&self, root: &Path) -> Result<Layout, LayoutError> {
        if let Some(open) = self.layouts.borrow().get(root) {
            return Ok(open.clone());
        }
        let layout = Layout::open(root)?;
        self.layouts.borrow_mut().insert(root.to_owned(), layout.clone());
        Ok(layout)
    }

    /// The layouts that keep what came from registries over HTTP.
    fn kept(&self) -> Vec<PathBuf> {
        let vendored = self.lock.borrow().directory().map(|directory| directory.join(VENDOR));
        vendored.into_iter().chain([self.pulled.clone()]).collect()
    }

    fn remote(&self, host: &str) -> Result<Rc<Remote>, ResolveError> {
        if let Some(found) = self.remotes.borrow().get(host) {
            return Ok(Rc::clone(found));
        }
        let made = Rc::new(self.runtime()?.block_on(Remote::open(host, &self.settings))?);
        self.remotes.borrow_mut().insert(host.to_owned(), Rc::clone(&made));
        Ok(made)
    }

    fn runtime(&self) -> Result<&Runtime, ResolveError> {
        if let Some(found) = self.runtime.get() {
            return Ok(found);
        }
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let built = built.map_err(|error| RemoteError::Client { why: error.to_string() })?;
        Ok(self.runtime.get_or_init(|| built))
    }
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Registries");
        shown.field("embedded", &self.embedded).field("pulled", &self.pulled).finish_non_exhaustive()
    }
}

/// What a reference with a tag is called in `lock.yaml`.
fn pin_name(reference: &Reference) -> Option<String> {
    reference.tag.as_ref()?;
    Some(Reference { digest: None, ..reference.clone() }.to_string())
}
