//! A blob that a registry has in one repository is put into another one of it
//! without being sent.

use std::collections::HashMap;

use bytes::Bytes;
use reqwest::{Method, StatusCode};

use super::Remote;
use super::auth::{Access, authorize};
use super::retry::Attempt;
use super::transport::Sending;
use crate::digest::Digest;
use crate::document::Manifest;
use crate::layout::{Layout, MAX_DOCUMENT};

/// For a blob, a repository to take it from.
pub(super) type Mounts = HashMap<Digest, String>;

impl Remote {
    /// Other repositories of this registry that had the layers of a manifest when
    /// they were pulled from there.
    pub(super) fn mounts(&self, pulled: &Layout, manifest: &Manifest, repository: &str) -> Mounts {
        let host = format!("{}/", self.transport.host());
        let mut mounts = Mounts::new();
        for (name, digest) in pulled.names().unwrap_or_default() {
            let other = name.strip_prefix(&host).and_then(|name| Some(name.rsplit_once(':')?.0));
            let Some(other) = other.filter(|other| *other != repository) else { continue };
            // What cannot be read is no help, and nothing worse.
            let Ok(entry) = pulled.find("", Some(digest)) else { continue };
            let Ok(found) = pulled.manifest(&entry, MAX_DOCUMENT) else { continue };
            let is_wanted = |digest| manifest.layers.iter().any(|own| own.digest == digest);
            let layers = found.layers.iter().map(|layer| layer.digest).filter(|digest| is_wanted(*digest));
            mounts.extend(layers.map(|digest| (digest, other.to_owned())));
        }
        mounts
    }

    /// Asks the registry to take a blob from another of its repositories:
    /// distribution-spec, "Mounting a blob from another repository". Says whether it
    /// is there then.
    pub(super) async fn mount(&self, repository: &str, digest: Digest, from: &str) -> Result<bool, Attempt> {
        let mut url = self.transport.url(&format!("{repository}/blobs/uploads/"))?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        // Beside the right to write here, a token must have that to read there.
        let scopes = [(repository, Access::Push), (from, Access::Pull)];
        let authorization = authorize(&self.transport, self.login()?, &scopes).await?.header();
        let sending = Sending {
            method: Method::POST,
            url,
            authorization,
            media_type: "",
            range: None,
            body: Bytes::new(),
        };
        let answer = self.transport.send(sending).await?;
        // Any other answer begins an upload, or refuses.
        Ok(answer.status() == StatusCode::CREATED && self.has_blob(repository, digest).await?)
    }
}
