//! Takes manifests and blobs out of a registry. Nothing larger than said is
//! read, and nothing is kept whose digest is another.

use std::collections::BTreeSet;

use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::{Response, StatusCode, Url};

use super::auth::Access;
use super::error::RemoteError;
use super::retry::{Attempt, is_passing, retry_after, retrying};
use super::transport::{Ask, cut, shown};
use super::{Moved, Progress, Remote};
use crate::digest::Digest;
use crate::document::{DOCKER_MANIFEST_TYPE, Descriptor, INDEX_TYPE, MANIFEST_TYPE};
use crate::layout::{Incoming, Layout, MAX_DOCUMENT};
use crate::reference::is_tag;

/// Error bodies of registries are short JSON.
const MAX_MESSAGE: u64 = 64 << 10;

/// Tags that are read of one repository, in pages of this many.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 100;

/// Distribution-spec, "Listing Tags".
#[derive(serde::Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

/// A manifest or index, byte by byte as it came.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Digest,
    pub(super) media_type: String,
}

impl Remote {
    /// The document under a tag or a digest, of at most 4 MiB.
    pub(super) async fn document(&self, repository: &str, name: &str) -> Result<Raw, RemoteError> {
        let url = self.transport.url(&format!("{repository}/manifests/{name}"))?;
        let accept = format!("{MANIFEST_TYPE}, {INDEX_TYPE}, {DOCKER_MANIFEST_TYPE}");
        let pinned: Option<Digest> = name.parse().ok();
        retrying(|| async {
            let answer = self.ask(repository, &url, &accept, 0).await?;
            let claimed = answer.headers().get("docker-content-digest").cloned();
            let kind =
                answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let media_type = kind.split(';').next().unwrap_or_default().trim().to_owned();
            let bytes = self.body(answer, MAX_DOCUMENT).await?;
            let found = Digest::of(&bytes);
            let claimed = claimed.and_then(|claimed| claimed.to_str().ok()?.parse::<Digest>().ok());
            // One that says another digest than it gives is not asked what else it says.
            if let Some(expected) = pinned.or(claimed).filter(|expected| *expected != found) {
                let url = shown(&url);
                return Err(Attempt::Never(RemoteError::DigestMismatch { url, expected, found }));
            }
            Ok(Raw { bytes, digest: found, media_type })
        })
        .await
    }

    /// Every tag of a repository. What is no tag is left out: it would reach a
    /// terminal.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, RemoteError> {
        let mut tags: BTreeSet<String> = BTreeSet::new();
        let mut last = String::new();
        for _ in 0..MAX_PAGES {
            let mut url = self.transport.url(&format!("{repository}/tags/list"))?;
            url.query_pairs_mut().append_pair("n", &PAGE.to_string());
            if !last.is_empty() {
                url.query_pairs_mut().append_pair("last", &last);
            }
            let bytes = retrying(|| async {
                let answer = self.ask(repository, &url, "application/json", 0).await?;
                self.body(answer, MAX_DOCUMENT).await
            })
            .await?;
            let page: TagList = serde_json::from_slice(&bytes).map_err(|_| RemoteError::Unsound {
                url: shown(&url),
                why: "it is no list of tags".to_owned(),
            })?;
            let page = page.tags.unwrap_or_default();
            let (before, end) = (tags.len(), page.last().cloned());
            tags.extend(page.into_iter().filter(|tag| is_tag(tag)));
            // Some give fewer than they are asked for, some everything each time.
            match end {
                Some(end) if tags.len() > before => last = end,
                Some(_) | None => return Ok(tags.into_iter().collect()),
            }
        }
        let why = format!("they are more than {}", PAGE * MAX_PAGES);
        Err(RemoteError::Unsound { url: format!("the tags of {repository}"), why })
    }

    /// Takes a blob into a layout, unless it is there. An attempt that breaks off
    /// is gone on with, also by a later run.
    pub(super) async fn blob(
        &self,
        repository: &str,
        blob: &Descriptor,
        layout: &Layout,
        progress: &Progress<'_>,
    ) -> Result<(), RemoteError> {
        let url = self.transport.url(&format!("{repository}/blobs/{}", blob.digest))?;
        let Some(incoming) = layout.take_in(blob)? else { return Ok(()) };
        let incoming = tokio::sync::Mutex::new(incoming);
        retrying(|| async {
            let mut incoming = incoming.lock().await;
            self.rest(repository, &url, blob, &mut incoming, progress).await
        })
        .await?;
        match incoming.into_inner().finish()? {
            Ok(()) => Ok(()),
            Err(found) => {
                let (url, expected) = (shown(&url), blob.digest);
                Err(RemoteError::DigestMismatch { url, expected, found })
            }
        }
    }

    /// One attempt to get what is missing of a blob.
    async fn rest(
        &self,
        repository: &str,
        url: &Url,
        blob: &Descriptor,
        incoming: &mut Incoming,
        progress: &Progress<'_>,
    ) -> Result<(), Attempt> {
        if incoming.written() == blob.size {
            return Ok(());
        }
        let mut answer = self.ask(repository, url, "", incoming.written()).await?;
        // A registry that knows no ranges begins at the beginning.
        if answer.status() != StatusCode::PARTIAL_CONTENT || !begins_at(&answer, incoming.written()) {
            incoming.restart().map_err(RemoteError::from)?;
            if answer.status() == StatusCode::PARTIAL_CONTENT {
                answer = self.ask(repository, url, "", 0).await?;
            }
        }
        let total = blob.size;
        loop {
            let chunk = answer.chunk().await.map_err(|error| self.transport.unreachable(&error))?;
            let Some(chunk) = chunk else { break };
            if !incoming.add(&chunk).map_err(RemoteError::from)? {
                let why = format!("it is larger than the {total} bytes that its descriptor says");
                incoming.restart().map_err(RemoteError::from)?;
                return Err(Attempt::Never(RemoteError::Unsound { url: shown(url), why }));
            }
            progress(Moved { blob: blob.digest, done: incoming.written(), total });
        }
        if incoming.written() < total {
            let why = format!("it ended after {} of {total} bytes", incoming.written());
            let host = self.transport.host().to_owned();
            return Err(Attempt::Again(RemoteError::Unreachable { host, why, again: true }, None));
        }
        Ok(())
    }

    /// Asks for something in a repository; only an answer that has it is one.
    pub(super) async fn ask(
        &self,
        repository: &str,
        url: &Url,
        accept: &str,
        from: u64,
    ) -> Result<Response, Attempt> {
        let authorization = self.authorization(repository, Access::Pull).await?;
        let ask = Ask { accept, authorization: authorization.header(), from, head: false };
        let answer = self.transport.get(url.clone(), &ask).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.failure(repository, answer, Access::Pull).await)
    }

    /// What an answer that has nothing means.
    pub(super) async fn failure(&self, repository: &str, answer: Response, access: Access) -> Attempt {
        let (status, url) = (answer.status().as_u16(), shown(answer.url()));
        let wait = retry_after(answer.headers());
        let text = self.body(answer, MAX_MESSAGE).await.unwrap_or_default();
        let message = words(&text);
        let host = self.transport.host().to_owned();
        match status {
            401 | 403 => {
                // A token that has run out is not kept for the next attempt.
                let had = self.forget(repository, access).await;
                let repository = repository.to_owned();
                let why = if message.is_empty() { "it gives no access".to_owned() } else { message };
                let error = RemoteError::Unauthorized { host, repository, why };
                if had && status == 401 { Attempt::Again(error, None) } else { Attempt::Never(error) }
            }
            404 => {
                let path = url.split_once(&format!("/{repository}/")).map_or(url.as_str(), |(_, path)| path);
                let what = match path.split_once('/') {
                    Some(("manifests", digest)) if digest.contains(':') => format!("artifact {digest}"),
                    Some(("manifests", tag)) => format!("tag `{tag}`"),
                    Some(("blobs", digest)) => format!("blob {digest}"),
                    Some(_) | None => "tags".to_owned(),
                };
                let repository = repository.to_owned();
                Attempt::Never(RemoteError::NotFound { host, repository, what })
            }
            _ if is_passing(status) => Attempt::Again(RemoteError::Answer { url, status, message }, wait),
            _ => Attempt::Never(RemoteError::Answer { url, status, message }),
        }
    }

    /// A body of at most `max` bytes.
    pub(super) async fn body(&self, mut answer: Response, max: u64) -> Result<Vec<u8>, Attempt> {
        let too_large = |url: &Url| {
            let why = format!("its answer is larger than {max} bytes");
            Attempt::Never(RemoteError::Unsound { url: shown(url), why })
        };
        let url = answer.url().clone();
        if answer.content_length().is_some_and(|length| length > max) {
            return Err(too_large(&url));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.transport.unreachable(&error))? {
            if (bytes.len() + chunk.len()) as u64 > max {
                return Err(too_large(&url));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

/// Whether a partial answer begins where it was asked to.
fn begins_at(answer: &Response, from: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    first.is_some_and(|first| first.parse() == Ok(from))
}

/// The registry's own words: distribution-spec, "Error Codes".
fn words(body: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<OciEnvelope>(body) else { return String::new() };
    let all: Vec<String> =
        answer.errors.iter().map(|one| format!("{} {}", code(&one.code), one.message)).collect();
    cut(&all.join("; "))
}

/// A code as the specification writes it.
fn code(code: &OciErrorCode) -> String {
    serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
}
