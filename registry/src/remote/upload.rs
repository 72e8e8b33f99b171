//! Puts artifacts, and what is attached to them, into a registry.

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::HeaderValue;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::{Client, Reference as ClientReference, RegistryOperation};

use super::auth::{Access, refused};
use super::referrers::fallback_tag;
use super::retry::{Attempt, is_passing, retrying};
use super::transport::{Ask, USER_AGENT, cut, innermost};
use super::{Remote, RemoteError, blobs};
use crate::bundle::BUNDLE_TYPE;
use crate::digest::Digest;
use crate::document::{Descriptor, INDEX_TYPE, Index, MANIFEST_TYPE, Manifest};
use crate::layout::{Layout, MAX_DOCUMENT, encode};

/// Writers of one index that get in each other's way.
const MAX_ROUNDS: usize = 20;

impl Remote {
    /// Puts an artifact of a layout, and every signature that the layout has of
    /// it, into a repository, and moves the tags to it. What the registry has is
    /// not sent again.
    ///
    /// # Errors
    /// [`RemoteError`]; the tags move only after everything else is there.
    pub async fn push(
        &self,
        layout: &Layout,
        digest: Digest,
        repository: &str,
        tags: &[String],
    ) -> Result<(), RemoteError> {
        let client = self.client(repository).await?;
        let entry = layout.find("", Some(digest))?;
        let bytes = layout.read(&entry, MAX_DOCUMENT)?;
        self.push_blobs(&client, layout, &layout.manifest(&entry, MAX_DOCUMENT)?, repository).await?;
        self.put_manifest(&client, repository, &digest.to_string(), &bytes, MANIFEST_TYPE).await?;
        self.push_attached(&client, layout, digest, repository).await?;
        for tag in tags {
            self.put_manifest(&client, repository, tag, &bytes, MANIFEST_TYPE).await?;
        }
        Ok(())
    }

    async fn push_attached(
        &self,
        client: &Client,
        layout: &Layout,
        subject: Digest,
        repository: &str,
    ) -> Result<(), RemoteError> {
        let attached = layout.attached(subject)?;
        for (descriptor, manifest) in &attached {
            let bytes = layout.read(descriptor, MAX_DOCUMENT)?;
            self.push_blobs(client, layout, manifest, repository).await?;
            self.put_manifest(client, repository, &descriptor.digest.to_string(), &bytes, MANIFEST_TYPE)
                .await?;
        }
        if attached.is_empty() || self.referrers(repository, subject).await?.by_api {
            return Ok(());
        }
        let own: Vec<Descriptor> =
            attached.into_iter().map(|(descriptor, manifest)| listed(descriptor, &manifest)).collect();
        self.list_attached(client, layout, repository, subject, &own).await
    }

    /// Writes the index under the fallback tag. The registry cannot change it in
    /// one step, so writers may overwrite each other. Each attachment therefore
    /// has a tag of its own, put before the index is written, and every writer
    /// looks at those tags again afterwards: whoever writes last has seen them
    /// all, or writes once more.
    async fn list_attached(
        &self,
        client: &Client,
        layout: &Layout,
        repository: &str,
        subject: Digest,
        own: &[Descriptor],
    ) -> Result<(), RemoteError> {
        let prefix = format!("{}.", fallback_tag(subject));
        for descriptor in own {
            let bytes = layout.read(descriptor, MAX_DOCUMENT)?;
            let tag = format!("{prefix}{}", descriptor.digest.short());
            self.put_manifest(client, repository, &tag, &bytes, MANIFEST_TYPE).await?;
        }
        for _ in 0..MAX_ROUNDS {
            let mut index = self.fallback_index(repository, subject).await?.unwrap_or_else(Index::empty);
            let before = index.manifests.len();
            let mut wanted = own.to_vec();
            for tag in self.list_tags(repository).await?.iter().filter(|tag| tag.starts_with(&prefix)) {
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
            self.put_manifest(client, repository, &fallback_tag(subject), &encode(&index), INDEX_TYPE)
                .await?;
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
        client: &Client,
        layout: &Layout,
        manifest: &Manifest,
        repository: &str,
    ) -> Result<(), RemoteError> {
        try_join_all(blobs(manifest).map(|blob| self.push_blob(client, layout, blob, repository))).await?;
        Ok(())
    }

    async fn push_blob(
        &self,
        client: &Client,
        layout: &Layout,
        blob: &Descriptor,
        repository: &str,
    ) -> Result<(), RemoteError> {
        if self.has_blob(repository, blob.digest).await? {
            return Ok(());
        }
        let bytes = Bytes::from(layout.read(blob, blob.size)?);
        let image = self.image(repository, &blob.digest.to_string());
        let digest = blob.digest.to_string();
        retrying(|| async {
            let pushed = client.push_blob(&image, bytes.clone(), &digest).await;
            pushed.map(drop).map_err(|error| self.refusal(repository, &error))
        })
        .await
    }

    async fn has_blob(&self, repository: &str, digest: Digest) -> Result<bool, RemoteError> {
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
        client: &Client,
        repository: &str,
        name: &str,
        bytes: &[u8],
        media_type: &'static str,
    ) -> Result<(), RemoteError> {
        let image = self.image(repository, name);
        let bytes = Bytes::copy_from_slice(bytes);
        retrying(|| async {
            let kind = HeaderValue::from_static(media_type);
            let pushed = client.push_manifest_raw(&image, bytes.clone(), kind).await;
            pushed.map(drop).map_err(|error| self.refusal(repository, &error))
        })
        .await
    }

    async fn client(&self, repository: &str) -> Result<Client, RemoteError> {
        self.client_for(repository, Access::Push).await
    }

    /// A client that carries what the registry wants for this repository, and so
    /// asks no token server itself.
    async fn client_for(&self, repository: &str, access: Access) -> Result<Client, RemoteError> {
        let authorization = self.authorization(repository, access).await?;
        let host = self.transport.host();
        let mut certificates = Vec::new();
        for file in &self.settings.ca_files {
            let why = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
            let data = std::fs::read(file).map_err(|error| RemoteError::Client { why: why(error) })?;
            certificates.push(Certificate { encoding: CertificateEncoding::Pem, data });
        }
        let plain = if self.transport.is_plain() { vec![host.to_owned()] } else { Vec::new() };
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(plain),
            extra_root_certificates: certificates,
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let client =
            Client::try_from(config).map_err(|error| RemoteError::Client { why: innermost(&error) })?;
        let operation = match access {
            Access::Pull => RegistryOperation::Pull,
            Access::Push => RegistryOperation::Push,
        };
        let image = self.image(repository, "latest");
        let told = client.auth(&image, &authorization.for_client(), operation).await;
        told.map_err(|error| match self.refusal(repository, &error) {
            Attempt::Again(error, _) | Attempt::Never(error) => error,
        })?;
        Ok(client)
    }

    fn image(&self, repository: &str, name: &str) -> ClientReference {
        let (host, repository) = (self.transport.host().to_owned(), repository.to_owned());
        if name.contains(':') {
            ClientReference::with_digest(host, repository, name.to_owned())
        } else {
            ClientReference::with_tag(host, repository, name.to_owned())
        }
    }

    /// What the client's error means.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the others none goes better the next time")]
    fn refusal(&self, repository: &str, error: &OciDistributionError) -> Attempt {
        let answer = |url: &str, status: u16, message: &str| RemoteError::Answer {
            url: cut(url),
            status,
            message: cut(message),
        };
        match error {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => {
                Attempt::Never(refused(&self.transport, repository, "it may not be written with this login"))
            }
            // What two writers put at once, a registry may see a moment later.
            OciDistributionError::ServerError { code, url, message }
                if is_passing(*code) || message.contains("BLOB_UNKNOWN") =>
            {
                Attempt::Again(answer(url, *code, message), None)
            }
            OciDistributionError::ServerError { code, url, message } => {
                Attempt::Never(answer(url, *code, message))
            }
            OciDistributionError::RequestError(error) => {
                Attempt::Again(self.transport.unreachable(error), None)
            }
            OciDistributionError::RegistryError { url, envelope } => {
                let words: Vec<String> =
                    envelope.errors.iter().map(|one| format!("{:?} {}", one.code, one.message)).collect();
                Attempt::Again(answer(url, 0, &words.join("; ")), None)
            }
            other => Attempt::Never(answer(self.transport.host(), 0, &innermost(other))),
        }
    }
}

/// How an attachment stands in a list of referrers.
fn listed(descriptor: Descriptor, manifest: &Manifest) -> Descriptor {
    let artifact_type = manifest.artifact_type.clone().or_else(|| Some(BUNDLE_TYPE.to_owned()));
    Descriptor { artifact_type, annotations: manifest.annotations.clone(), ..descriptor }
}
