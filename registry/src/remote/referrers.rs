//! What is attached to an artifact: through the referrers API, or, where a
//! registry has none, through the index under the fallback tag
//! (distribution-spec, "Listing Referrers" and "Referrers Tag Schema").

use http::header::LINK;
use reqwest::{Response, Url};

use super::download::Raw;
use super::retry::Attempt;
use super::transport::{cut, shown};
use super::{Remote, RemoteError, blobs, retry};
use crate::artifact::{MAX_SIGNATURE, MAX_SIGNATURE_MANIFEST, MAX_SIGNATURES};
use crate::attestation::{
    MAX_ATTESTATION, MAX_ATTESTATIONS, MAX_TOGETHER, PREDICATE_TYPE, is_kind_of_signature,
};
use crate::bundle::BUNDLE_TYPE;
use crate::cosign_tags::{self, MAX_TAGGED_MANIFEST};
use crate::digest::Digest;
use crate::document::{Descriptor, EMPTY_TYPE, INDEX_TYPE, Index, MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, MAX_DOCUMENT};

/// Pages of one list.
const MAX_PAGES: usize = 16;

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

/// What is taken of all that refers to an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Signatures,
    Attestations,
}

impl Wanted {
    /// Whether it is one of these, by the kind of claim that it names.
    fn is(self, predicate_type: Option<&str>) -> bool {
        is_kind_of_signature(predicate_type) == (self == Self::Signatures)
    }

    fn most_bytes(self) -> u64 {
        match self {
            Self::Signatures => MAX_SIGNATURE,
            Self::Attestations => MAX_ATTESTATION,
        }
    }

    /// Of all that are attached to one artifact. Signatures are few, and none that
    /// counts must be left out.
    fn most_bytes_together(self) -> u64 {
        match self {
            Self::Signatures => u64::MAX,
            Self::Attestations => MAX_TOGETHER,
        }
    }
}

impl Remote {
    /// Takes the signatures of an artifact into a layout. Whose they are is not
    /// asked here: whoever reads them from the layout sees to that. One that
    /// cannot be had is left out, and said; a list that cannot be had is an
    /// error, for without it a signed task would look unsigned.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn pull_signatures(
        &self,
        repository: &str,
        subject: Digest,
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let bundles = self.bundles(repository, subject, Wanted::Signatures).await?;
        // Among more, anybody's could hide the one that counts.
        if bundles.len() > MAX_SIGNATURES {
            let url = format!("{repository}/referrers/{subject}");
            let why = format!("it lists more than {MAX_SIGNATURES} signatures");
            return Err(RemoteError::Unsound { url, why });
        }
        self.pull_bundles((repository, subject, &bundles), Wanted::Signatures, layout).await?;
        for tag in cosign_tags::tags(subject) {
            match self.old_signatures(repository, &tag, layout).await {
                Ok(()) | Err(RemoteError::NotFound { .. }) => {}
                Err(error @ (RemoteError::Unsound { .. } | RemoteError::DigestMismatch { .. })) => {
                    tracing::warn!("{tag} is left out: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes the attestations of an artifact into a layout: what is attached to it
    /// and is no signature. Nothing depends on one that cannot be had.
    ///
    /// # Errors
    /// [`RemoteError`], when the list cannot be had.
    pub async fn pull_attestations(
        &self,
        repository: &str,
        subject: Digest,
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let mut bundles = self.bundles(repository, subject, Wanted::Attestations).await?;
        bundles.truncate(MAX_ATTESTATIONS);
        self.pull_bundles((repository, subject, &bundles), Wanted::Attestations, layout).await
    }

    /// What a registry lists and may be a bundle of the kind that is wanted.
    async fn bundles(
        &self,
        repository: &str,
        subject: Digest,
        wanted: Wanted,
    ) -> Result<Vec<Descriptor>, RemoteError> {
        let listed = self.referrers(repository, subject).await?.index.manifests.into_iter();
        let listed = listed.filter(|d| may_be_bundle(d.artifact_type.as_deref()));
        // Where the list does not say which it is, the manifest does.
        let kind =
            |d: &Descriptor| d.annotations.get(PREDICATE_TYPE).is_none_or(|kind| wanted.is(Some(kind)));
        Ok(listed.filter(kind).collect())
    }

    async fn pull_bundles(
        &self,
        (repository, subject, bundles): (&str, Digest, &[Descriptor]),
        wanted: Wanted,
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let mut left = wanted.most_bytes_together();
        for descriptor in bundles {
            match self.attached((repository, subject), descriptor, (wanted, &mut left), layout).await {
                Ok(()) => {}
                Err(
                    error @ (RemoteError::NotFound { .. }
                    | RemoteError::Unsound { .. }
                    | RemoteError::DigestMismatch { .. }),
                ) => tracing::warn!("what is attached to {subject} is left out: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what cosign put under a tag before there were referrers.
    async fn old_signatures(&self, repository: &str, tag: &str, layout: &Layout) -> Result<(), RemoteError> {
        let raw = self.document(repository, tag).await?;
        let unsound = |why: &str| RemoteError::Unsound { url: tag.to_owned(), why: why.to_owned() };
        let manifest: Manifest =
            serde_json::from_slice(&raw.bytes).map_err(|_| unsound("it is no manifest of an artifact"))?;
        if raw.bytes.len() as u64 > MAX_TAGGED_MANIFEST
            || manifest.layers.len() > MAX_SIGNATURES
            || blobs(&manifest).iter().any(|blob| blob.size > MAX_SIGNATURE)
        {
            return Err(unsound("it is larger than signatures are"));
        }
        for blob in blobs(&manifest) {
            self.blob(repository, blob, layout, &|_| {}).await?;
        }
        layout.keep(&raw.bytes, (MANIFEST_TYPE, None), &[tag.to_owned()])?;
        Ok(())
    }

    /// Takes one bundle, of at most so many bytes, which are then fewer.
    async fn attached(
        &self,
        (repository, subject): (&str, Digest),
        descriptor: &Descriptor,
        (wanted, left): (Wanted, &mut u64),
        layout: &Layout,
    ) -> Result<(), RemoteError> {
        let raw = self.document(repository, &descriptor.digest.to_string()).await?;
        let unsound =
            |why: &str| RemoteError::Unsound { url: descriptor.digest.to_string(), why: why.to_owned() };
        let manifest: Manifest =
            serde_json::from_slice(&raw.bytes).map_err(|_| unsound("it is no manifest of an artifact"))?;
        let is_listed = descriptor.artifact_type.as_deref() == Some(BUNDLE_TYPE);
        if !is_listed && manifest.artifact_type.as_deref() != Some(BUNDLE_TYPE) {
            return Ok(());
        }
        if !wanted.is(manifest.annotations.get(PREDICATE_TYPE).map(String::as_str)) {
            return Ok(());
        }
        if raw.bytes.len() as u64 > MAX_SIGNATURE_MANIFEST
            || blobs(&manifest).iter().any(|blob| blob.size > wanted.most_bytes())
        {
            return Err(unsound("it is larger than it may be"));
        }
        if manifest.layers.len() > 1 {
            return Err(unsound("a signature has one layer"));
        }
        if manifest.config.size > MAX_SIGNATURE {
            return Err(unsound("its config is larger than an empty one"));
        }
        // The list is the registry's word; the manifest's own is what counts.
        if manifest.subject.as_ref().is_none_or(|own| own.digest != subject) {
            return Err(unsound("it belongs to another artifact"));
        }
        // One that is listed again counts again: it costs a request each time.
        let size = blobs(&manifest).iter().map(|blob| blob.size).sum();
        let rest = left.checked_sub(size);
        // Also where what comes is not what it should be.
        *left = rest.ok_or_else(|| unsound("with those before it, it is more than is read"))?;
        for blob in blobs(&manifest) {
            self.blob(repository, blob, layout, &|_| {}).await?;
        }
        let kind = manifest.artifact_type.as_deref().or(Some(BUNDLE_TYPE));
        layout.keep(&raw.bytes, (MANIFEST_TYPE, kind), &[])?;
        Ok(())
    }

    /// Who refers to an artifact, by the registry's word.
    pub(super) async fn referrers(
        &self,
        repository: &str,
        subject: Digest,
    ) -> Result<Referrers, RemoteError> {
        let mut url = self.transport.url(&format!("{repository}/referrers/{subject}"))?;
        let mut all = Index::empty();
        for page in 0..MAX_PAGES {
            let Some((index, next)) = self.page(repository, &url).await? else {
                if page == 0 {
                    break;
                }
                return Err(RemoteError::Unsound { url: shown(&url), why: "the list breaks off".to_owned() });
            };
            all.manifests.extend(index.manifests);
            match next {
                None => return Ok(Referrers { index: all, by_api: true }),
                Some(next) => url = next,
            }
            if page + 1 == MAX_PAGES {
                let why = format!("it has more than {MAX_PAGES} pages");
                return Err(RemoteError::Unsound { url: shown(&url), why });
            }
        }
        let index = self.fallback_index(repository, subject).await?;
        Ok(Referrers { index: index.unwrap_or_else(Index::empty), by_api: false })
    }

    /// One page of the registry's own list, and where the next is; nothing where
    /// it keeps no such list.
    async fn page(&self, repository: &str, url: &Url) -> Result<Option<(Index, Option<Url>)>, RemoteError> {
        let page = retry::retrying(|| async {
            match self.ask(repository, url, INDEX_TYPE, 0).await {
                Ok(answer) => {
                    let next = next_page(&answer);
                    Ok(Some((self.body(answer, MAX_DOCUMENT).await?, next)))
                }
                // The specification's way to say that there is no such API.
                Err(Attempt::Never(RemoteError::NotFound { .. })) => Ok(None),
                // Older registries refuse the path itself.
                Err(Attempt::Never(RemoteError::Answer { status: 400 | 405, .. })) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await?;
        let Some((bytes, next)) = page else { return Ok(None) };
        let unsound = |why: &str| RemoteError::Unsound { url: shown(url), why: why.to_owned() };
        let index = serde_json::from_slice(&bytes).map_err(|_| unsound("it is no index of referrers"))?;
        let next = match next {
            None => None,
            Some(next) => {
                let next = url.join(&next).map_err(|_| unsound("its next page is no URL"))?;
                if next.origin() != url.origin() {
                    return Err(unsound("its next page is somewhere else"));
                }
                Some(next)
            }
        };
        Ok(Some((index, next)))
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

/// Whether what a registry lists with this type may be a bundle. Some registries
/// give the type of an artifact's config, which says nothing, or none at all: what
/// such an artifact is, only its manifest says.
fn may_be_bundle(listed: Option<&str>) -> bool {
    listed.is_none_or(|kind| kind == BUNDLE_TYPE || kind == EMPTY_TYPE)
}

/// Where the next page is: RFC 8288, `Link: <URL>; rel="next"`.
fn next_page(answer: &Response) -> Option<String> {
    let link = answer.headers().get(LINK)?.to_str().ok()?;
    let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| url.to_owned())
}
