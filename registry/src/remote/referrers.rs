//! What is attached to an artifact: through the referrers API, or, where a
//! registry has none, through the index under the fallback tag
//! (distribution-spec, "Listing Referrers" and "Referrers Tag Schema").

use super::download::Raw;
use super::retry::Attempt;
use super::transport::{cut, shown};
use super::{Remote, RemoteError, blobs, retry};
use crate::artifact::{MAX_SIGNATURE, MAX_SIGNATURE_MANIFEST, MAX_SIGNATURES};
use crate::bundle::BUNDLE_TYPE;
use crate::digest::Digest;
use crate::document::{Descriptor, INDEX_TYPE, Index, Manifest};
use crate::layout::{Layout, MAX_DOCUMENT};

/// What a registry knows about who refers to an artifact.
#[derive(Debug)]
pub(super) struct Referrers {
    pub(super) index: Index,
    /// Whether the registry lists them itself.
    pub(super) by_api: bool,
}

/// The tag that holds the list where the registry does not.
pub(super) fn fallback_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.to_hex())
}

impl Remote {
    /// Takes the signatures of an artifact into a layout. Whose they are is not
    /// asked here: whoever reads them from the layout sees to that. One that
    /// cannot be had is left out, and said; a list that cannot be had is an
    /// error, for without it a signed task would look unsigned.
    pub(super) async fn pull_attached(
        &self,
        repository: &str,
        subject: Digest,
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let found = self.referrers(repository, subject).await?;
        let bundles =
            found.index.manifests.iter().filter(|d| d.artifact_type.as_deref() == Some(BUNDLE_TYPE));
        for descriptor in bundles.take(MAX_SIGNATURES) {
            match self.attached(repository, subject, descriptor, layout).await {
                Ok(()) => {}
                Err(error @ (RemoteError::Unreachable { .. } | RemoteError::Layout(_))) => return Err(error),
                Err(error) => tracing::warn!("a signature of {subject} is left out: {error}"),
            }
        }
        Ok(())
    }

    async fn attached(
        &self,
        repository: &str,
        subject: Digest,
        descriptor: &Descriptor,
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let raw = self.document(repository, &descriptor.digest.to_string()).await?;
        let unsound =
            |why: &str| RemoteError::Unsound { url: descriptor.digest.to_string(), why: why.to_owned() };
        let manifest: Manifest =
            serde_json::from_slice(&raw.bytes).map_err(|_| unsound("it is no manifest of an artifact"))?;
        if raw.bytes.len() as u64 > MAX_SIGNATURE_MANIFEST
            || blobs(&manifest).any(|blob| blob.size > MAX_SIGNATURE)
        {
            return Err(unsound("it is larger than a signature is"));
        }
        if manifest.layers.len() > 1 {
            return Err(unsound("a signature has one layer"));
        }
        // The list is the registry's word; the manifest's own is what counts.
        if manifest.subject.as_ref().is_none_or(|own| own.digest != subject) {
            return Err(unsound("it belongs to another artifact"));
        }
        for blob in blobs(&manifest) {
            self.blob(repository, blob, layout, &|_| {}).await?;
        }
        layout.keep(&raw.bytes, manifest.artifact_type.as_deref().or(Some(BUNDLE_TYPE)), &[])?;
        Ok(())
    }

    /// Who refers to an artifact, by the registry's word.
    pub(super) async fn referrers(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Referrers, RemoteError> {
        let url = self.transport.url(&format!("{repository}/referrers/{subject}"))?;
        let by_api = retry::retrying(|| async {
            match self.ask(repository, &url, INDEX_TYPE, 0).await {
                Ok(answer) => Ok(Some(self.body(answer, MAX_DOCUMENT).await?)),
                // The specification's way to say that there is no such API.
                Err(Attempt::Never(RemoteError::NotFound { .. })) => Ok(None),
                // Older registries refuse the path itself.
                Err(Attempt::Never(RemoteError::Answer { status: 400 | 405, .. })) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await?;
        if let Some(bytes) = by_api {
            let index = serde_json::from_slice(&bytes).map_err(|_| RemoteError::Unsound {
                url: shown(&url),
                why: "it is no index of referrers".to_owned(),
            })?;
            return Ok(Referrers { index, by_api: true });
        }
        let index = self.fallback_index(repository, subject).await?;
        Ok(Referrers { index: index.unwrap_or_else(Index::empty), by_api: false })
    }

    /// The index under the fallback tag, where there is one.
    pub(super) async fn fallback_index(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Option<Index>, RemoteError> {
        match self.document(repository, &fallback_tag(subject)).await {
            Ok(Raw { bytes, media_type, .. }) if media_type == INDEX_TYPE => {
                let index = serde_json::from_slice(&bytes);
                index.map(Some).map_err(|_| RemoteError::Unsound {
                    url: format!("{repository}:{}", fallback_tag(subject)),
                    why: "it is no index of referrers".to_owned(),
                })
            }
            Ok(Raw { media_type, .. }) => Err(RemoteError::Unsound {
                url: format!("{repository}:{}", fallback_tag(subject)),
                why: format!("it is {}, and no index of referrers", cut(&media_type)),
            }),
            Err(RemoteError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
