//! A registry over HTTP(S): the OCI distribution-spec.
//!
//! What comes out of one goes into a layout, and is read from there like
//! everything else: so a task is verified the same way wherever it came from,
//! and a run needs no network for what was pulled before. What goes into one
//! comes out of a layout.
//!
//! The requests are made here, not by `oci-client`: a registry may be anybody's,
//! so its redirects, upload locations, sizes and token servers are looked at
//! before they are followed.

mod auth;
mod download;
mod error;
mod mount;
mod referrers;
mod retry;
mod settings;
mod transport;
mod upload;

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use auth::{Access, Authorization, authorize};
use transport::Transport;

use crate::artifact::MAX_COMPONENT;
use crate::digest::Digest;
use crate::document::{DOCKER_MANIFEST_TYPE, Descriptor, MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, MAX_DOCUMENT};
use crate::pipeline_bundle::{self, MAX_RESOURCES};
use crate::reference::Reference;

pub use error::RemoteError;
pub use settings::{FindLogin, Login, RemoteSettings};

/// Tasks have one layer, bundles of pipelines a few.
const MAX_LAYERS: usize = MAX_RESOURCES;

/// How far a blob has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which one.
    pub blob: Digest,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Is told how far each blob has come.
pub type Progress<'a> = dyn Fn(Moved) + Send + Sync + 'a;

/// One registry over HTTP(S).
#[derive(Debug)]
pub struct Remote {
    transport: Transport,
    settings: RemoteSettings,
    known: Mutex<HashMap<(String, Access), Authorization>>,
}

impl Remote {
    /// For the registry of a host, with its port where it has one. One on this
    /// machine is asked whether it speaks TLS; no other is asked anything.
    ///
    /// # Errors
    /// [`RemoteError::Client`] when a file of certificates cannot be read.
    pub async fn open(host: &str, settings: &RemoteSettings) -> Result<Self, RemoteError> {
        let transport = Transport::open(host, settings).await?;
        Ok(Self { transport, settings: settings.clone(), known: Mutex::default() })
    }

    /// The digest a reference stands for now.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn resolve(&self, reference: &Reference) -> Result<Digest, RemoteError> {
        match reference.digest {
            Some(digest) => Ok(digest),
            None => Ok(self.document(&reference.name, &name_of(reference)).await?.digest),
        }
    }

    /// Takes an artifact and everything that is attached to it into a layout,
    /// under the reference's name there, and says its digest.
    ///
    /// # Errors
    /// [`RemoteError`]; the layout then has parts of it, and no name for them.
    pub async fn pull(
        &self,
        reference: &Reference,
        layout: &Layout,
        progress: &Progress<'_>,
    ) -> Result<Digest, RemoteError> {
        let raw = self.document(&reference.name, &name_of(reference)).await?;
        let manifest = self.artifact(reference, &raw)?;
        try_join_all(
            blobs(&manifest).into_iter().map(|blob| self.blob(&reference.name, blob, layout, progress)),
        )
        .await?;
        self.pull_signatures(&reference.name, raw.digest, layout).await?;
        // The name comes last: whoever finds it finds everything.
        let names: Vec<String> = reference.ref_name().into_iter().collect();
        Ok(layout.keep(&raw.bytes, (&raw.media_type, manifest.artifact_type.as_deref()), &names)?)
    }

    /// Takes what is known of a task without its code into a layout, and its
    /// signatures; says its digest.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn pull_head(&self, reference: &Reference, layout: &Layout) -> Result<Digest, RemoteError> {
        let raw = self.document(&reference.name, &name_of(reference)).await?;
        let manifest = self.artifact(reference, &raw)?;
        self.blob(&reference.name, &manifest.config, layout, &|_| {}).await?;
        self.pull_signatures(&reference.name, raw.digest, layout).await?;
        Ok(layout.keep(&raw.bytes, (&raw.media_type, manifest.artifact_type.as_deref()), &[])?)
    }

    /// Asks the registry whether it takes the login. False where it wants none for
    /// that, so that nobody knows.
    ///
    /// # Errors
    /// [`RemoteError::Unauthorized`] where it does not.
    pub async fn check_login(&self) -> Result<bool, RemoteError> {
        let authorization = authorize(&self.transport, self.login()?, &[("", Access::Pull)]).await?;
        let ask = transport::Ask { authorization: authorization.header(), ..Default::default() };
        let answer = self.transport.get(self.transport.url("")?, &ask).await?;
        match answer.status().as_u16() {
            401 | 403 => {
                Err(auth::refused(&self.transport, "its content", "it does not take this user and password"))
            }
            _ => Ok(ask.authorization.is_some()),
        }
    }

    /// The manifest of an artifact whose parts are not larger than they may be.
    fn artifact(&self, reference: &Reference, raw: &download::Raw) -> Result<Manifest, RemoteError> {
        let unsound = |why: String| RemoteError::Unsound { url: reference.to_string(), why };
        let kind = raw.media_type.as_str();
        let manifest: Manifest = serde_json::from_slice(&raw.bytes).map_err(|error| {
            unsound(format!(
                "it is no manifest of an artifact: at {}:{} stands what does not belong there",
                error.line(),
                error.column()
            ))
        })?;
        // Tekton's own program writes bundles with Docker's media type.
        let is_artifact =
            kind == MANIFEST_TYPE || (kind == DOCKER_MANIFEST_TYPE && pipeline_bundle::is_bundle(&manifest));
        if manifest.media_type.as_deref().unwrap_or(kind) != kind || !is_artifact {
            return Err(unsound(format!("it is {}, and no manifest of an artifact", transport::cut(kind))));
        }
        let sizes = || manifest.layers.iter().map(|layer| layer.size);
        if manifest.layers.len() > MAX_LAYERS
            || manifest.config.size > MAX_DOCUMENT
            || sizes().try_fold(0_u64, u64::checked_add).is_none_or(|all| all > MAX_COMPONENT)
        {
            return Err(unsound(format!("it claims more than the {MAX_COMPONENT} bytes that are read")));
        }
        Ok(manifest)
    }

    fn login(&self) -> Result<Option<Login>, RemoteError> {
        let host = self.transport.host();
        (self.settings.login)(host).map_err(|why| RemoteError::Login { host: host.to_owned(), why })
    }

    /// What requests about a repository carry; found out once.
    async fn authorization(&self, repository: &str, access: Access) -> Result<Authorization, RemoteError> {
        let key = (repository.to_owned(), access);
        let mut known = self.known.lock().await;
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let found = authorize(&self.transport, self.login()?, &[(repository, access)]).await?;
        known.insert(key, found.clone());
        Ok(found)
    }

    /// Forgets a token; says whether there was one.
    async fn forget(&self, repository: &str, access: Access) -> bool {
        let found = self.known.lock().await.remove(&(repository.to_owned(), access));
        matches!(found, Some(Authorization::Bearer(_)))
    }
}

/// What the API calls a version: its digest, or else its tag.
fn name_of(reference: &Reference) -> String {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    }
}

/// The parts of a manifest that are blobs, each once.
fn blobs(manifest: &Manifest) -> Vec<&Descriptor> {
    let mut seen = HashSet::new();
    let all = std::iter::once(&manifest.config).chain(&manifest.layers);
    all.filter(|blob| seen.insert(blob.digest)).collect()
}
