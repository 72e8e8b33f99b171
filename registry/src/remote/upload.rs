//! Puts artifacts, and what is attached to them, into a registry.

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::header::LOCATION;
use reqwest::{Method, Url};

use super::auth::Access;
use super::mount::Mounts;
use super::referrers::fallback_tag;
use super::retry::{Attempt, retrying};
use super::transport::{Ask, Sending, shown};
use super::{Remote, RemoteError, blobs};
use crate::bundle::BUNDLE_TYPE;
use crate::digest::Digest;
use crate::document::{Descriptor, INDEX_TYPE, Index, MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, MAX_DOCUMENT, encode};

/// So much of a blob goes in one request.
const PIECE: usize = 8 << 20;
const OCTETS: &str = "application/octet-stream";
/// Attachments of others that are added to a list.
const MAX_OTHERS: usize = 64;
/// Writers of one index that get in each other's way.
const MAX_ROUNDS: usize = 20;

impl Remote {
    /// Puts an artifact of a layout, and every signature that the layout has of
    /// it, into a repository, under its digest. What the registry has is not sent
    /// again, nor what it has in another repository from which `pulled`, the
    /// layout that keeps what came over HTTP, has it.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn push(
        &self,
        layout: &Layout,
        digest: Digest,
        repository: &str,
        pulled: Option<&Layout>,
    ) -> Result<(), RemoteError> {
        let entry = layout.find("", Some(digest))?;
        let bytes = layout.read(&entry, MAX_DOCUMENT)?;
        let manifest = layout.manifest(&entry, MAX_DOCUMENT)?;
        let mounts = pulled.map_or_else(Mounts::new, |pulled| self.mounts(pulled, &manifest, repository));
        self.push_blobs(layout, &manifest, repository, &mounts).await?;
        self.put_manifest(repository, &digest.to_string(), &bytes, MANIFEST_TYPE).await?;
        self.push_attached(layout, digest, repository).await
    }

    /// Moves tags to an artifact of a layout that was pushed.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn tag(
        &self,
        layout: &Layout,
        digest: Digest,
        repository: &str,
        tags: &[String],
    ) -> Result<(), RemoteError> {
        let bytes = layout.read(&layout.find("", Some(digest))?, MAX_DOCUMENT)?;
        for tag in tags {
            self.put_manifest(repository, tag, &bytes, MANIFEST_TYPE).await?;
        }
        Ok(())
    }

    async fn push_attached(
        &self,
        layout: &Layout,
        subject: Digest,
        repository: &str,
    ) -> Result<(), RemoteError> {
        let attached = layout.attached(subject)?;
        for (descriptor, manifest) in &attached {
            let bytes = layout.read(descriptor, MAX_DOCUMENT)?;
            self.push_blobs(layout, manifest, repository, &Mounts::new()).await?;
            self.put_manifest(repository, &descriptor.digest.to_string(), &bytes, MANIFEST_TYPE).await?;
        }
        if attached.is_empty() || self.referrers(repository, subject).await?.by_api {
            return Ok(());
        }
        let own: Vec<Descriptor> =
            attached.into_iter().map(|(descriptor, manifest)| listed(descriptor, &manifest)).collect();
        self.list_attached(layout, repository, subject, &own).await
    }

    /// Writes the index under the fallback tag. The registry cannot change it in
    /// one step, so writers may overwrite each other. Each attachment therefore
    /// has a tag of its own, put before the index is written, and every writer
    /// looks at those tags again afterwards: whoever writes last has seen them
    /// all, or writes once more.
    async fn list_attached(
        &self,
        layout: &Layout,
        repository: &str,
        subject: Digest,
        own: &[Descriptor],
    ) -> Result<(), RemoteError> {
        let prefix = format!("{}.", fallback_tag(subject));
        for descriptor in own {
            let bytes = layout.read(descriptor, MAX_DOCUMENT)?;
            let tag = format!("{prefix}{}", descriptor.digest.short());
            self.put_manifest(repository, &tag, &bytes, MANIFEST_TYPE).await?;
        }
        for _ in 0..MAX_ROUNDS {
            let mut index = self.fallback_index(repository, subject).await?.unwrap_or_else(Index::empty);
            let before = index.manifests.len();
            let mut wanted = own.to_vec();
            for tag in
                self.tags(repository).await?.iter().filter(|tag| tag.starts_with(&prefix)).take(MAX_OTHERS)
            {
                let short = tag.strip_prefix(&prefix).unwrap_or_default();
                if !wanted.iter().chain(&index.manifests).any(|d| d.digest.short() == short) {
                    wanted.extend(self.tagged(repository, tag, subject).await?);
                }
            }
            for descriptor in wanted {
                if !index.manifests.iter().any(|listed| listed.digest == descriptor.digest) {
                    index.manifests.push(descriptor);
                }
            }
            if index.manifests.len() == before {
                return Ok(());
            }
            self.put_manifest(repository, &fallback_tag(subject), &encode(&index), INDEX_TYPE).await?;
        }
        let url = format!("{repository}:{}", fallback_tag(subject));
        Err(RemoteError::Unsound {
            url,
            why: "the list of signatures does not keep what is written".to_owned(),
        })
    }

    /// An attachment that another writer has put under its tag.
    async fn tagged(
        &self,
        repository: &str,
        tag: &str,
        subject: Digest,
    ) -> Result<Option<Descriptor>, RemoteError> {
        let raw = match self.document(repository, tag).await {
            Ok(raw) => raw,
            Err(RemoteError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&raw.bytes) else { return Ok(None) };
        let is_its = manifest.subject.as_ref().is_some_and(|own| own.digest == subject);
        let descriptor = Descriptor::new(MANIFEST_TYPE, raw.digest, raw.bytes.len() as u64);
        Ok(is_its.then(|| listed(descriptor, &manifest)))
    }

    async fn push_blobs(
        &self,
        layout: &Layout,
        manifest: &Manifest,
        repository: &str,
        mounts: &Mounts,
    ) -> Result<(), RemoteError> {
        let push = |blob| self.push_blob(layout, blob, repository, mounts);
        try_join_all(blobs(manifest).into_iter().map(push)).await.map(drop)
    }

    async fn push_blob(
        &self,
        layout: &Layout,
        blob: &Descriptor,
        repository: &str,
        mounts: &Mounts,
    ) -> Result<(), RemoteError> {
        if self.has_blob(repository, blob.digest).await? {
            return Ok(());
        }
        if let Some(from) = mounts.get(&blob.digest) {
            match self.mount(repository, blob.digest, from).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // It may not be read any more by whoever may write here.
                Err(error) => tracing::debug!(?error, from, "a blob is sent, for it cannot be mounted"),
            }
        }
        let bytes = Bytes::from(layout.read(blob, blob.size)?);
        retrying(|| self.upload(repository, blob.digest, &bytes)).await
    }

    /// One attempt to upload a blob: distribution-spec, "Pushing a blob in chunks",
    /// for one that fits into a piece "POST then PUT".
    async fn upload(&self, repository: &str, digest: Digest, blob: &Bytes) -> Result<(), Attempt> {
        let begin = self.transport.url(&format!("{repository}/blobs/uploads/"))?;
        let mut at = self.put(repository, (Method::POST, begin), ("", None, Bytes::new())).await?;
        let mut first = 0;
        while blob.len() - first > PIECE {
            let piece = blob.slice(first..first + PIECE);
            let last = first + PIECE - 1;
            at = self.put(repository, (Method::PATCH, at), (OCTETS, Some((first, last)), piece)).await?;
            first += PIECE;
        }
        at.query_pairs_mut().append_pair("digest", &digest.to_string());
        self.put(repository, (Method::PUT, at), (OCTETS, None, blob.slice(first..))).await.map(drop)
    }

    /// Sends one piece of something; gives where the next goes.
    async fn put(
        &self,
        repository: &str,
        (method, url): (Method, Url),
        (media_type, range, body): (&str, Option<(usize, usize)>, Bytes),
    ) -> Result<Url, Attempt> {
        let authorization = self.authorization(repository, Access::Push).await?.header();
        let begun = url.clone();
        let answer =
            self.transport.send(Sending { method, url, authorization, media_type, range, body }).await?;
        if !answer.status().is_success() {
            return Err(self.failure(repository, answer, Access::Push).await);
        }
        let next = answer.headers().get(LOCATION).and_then(|next| next.to_str().ok());
        begun.join(next.unwrap_or_default()).map_err(|_| {
            let why = "it says no URL to go on with".to_owned();
            Attempt::Never(RemoteError::Unsound { url: shown(&begun), why })
        })
    }

    pub(super) async fn has_blob(&self, repository: &str, digest: Digest) -> Result<bool, RemoteError> {
        let url = self.transport.url(&format!("{repository}/blobs/{digest}"))?;
        retrying(|| async {
            let authorization = self.authorization(repository, Access::Push).await?;
            let ask = Ask { authorization: authorization.header(), head: true, ..Ask::default() };
            let answer = self.transport.get(url.clone(), &ask).await?;
            match answer.status().as_u16() {
                200..=299 => Ok(true),
                404 => Ok(false),
                _ => Err(self.failure(repository, answer, Access::Push).await),
            }
        })
        .await
    }

    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        name: &str,
        bytes: &[u8],
        media_type: &'static str,
    ) -> Result<(), RemoteError> {
        let url = self.transport.url(&format!("{repository}/manifests/{name}"))?;
        let bytes = Bytes::copy_from_slice(bytes);
        retrying(|| async {
            let sent =
                self.put(repository, (Method::PUT, url.clone()), (media_type, None, bytes.clone())).await;
            match sent {
                Ok(_) => Ok(()),
                // What two writers put at once, a registry may see a moment later.
                Err(Attempt::Never(error @ RemoteError::Answer { status: 400, .. }))
                    if error.to_string().contains("BLOB_UNKNOWN") =>
                {
                    Err(Attempt::Again(error, None))
                }
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// How an attachment stands in a list of referrers.
fn listed(descriptor: Descriptor, manifest: &Manifest) -> Descriptor {
    let artifact_type = manifest.artifact_type.clone().or_else(|| Some(BUNDLE_TYPE.to_owned()));
    Descriptor { artifact_type, annotations: manifest.annotations.clone(), ..descriptor }
}
