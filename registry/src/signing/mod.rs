//! Signing with an identity: a certificate authority puts it into a certificate
//! for a key that lives for one signature, a timestamp authority says when, and
//! a transparency log keeps it. Which services those are, a file in the format
//! of Sigstore's `signing_config.json` says; nothing else is asked.

mod device_flow;
mod error;
mod http;
mod token;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Client;
use sigstore_sign::rekor::RekorApiVersion;
use sigstore_sign::trust_root::SigningConfig;
use sigstore_sign::{ConfigError, Error, Service, Signer, SigningContext, SigningServices as Services};
use url::Url;

use crate::digest::Digest;
use crate::keyless::{Artifact, subject_digest};
use crate::plain_file::read_named;

pub use device_flow::DeviceLogin;
pub use error::SigningError;
pub use token::IdentityToken;

/// The name of the file in the configuration directory.
pub const SIGNING_CONFIG: &str = "signing_config.json";
/// The public one has some 2 KiB.
const MAX_CONFIG: u64 = 1 << 20;

/// The services that take part in a signature.
pub struct SigningServices {
    services: Services,
    /// Who says who somebody is that logs in.
    issuer: Option<Url>,
    client: Client,
}

impl fmt::Debug for SigningServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningServices").field("services", &self.services).finish_non_exhaustive()
    }
}

impl SigningServices {
    /// Reads a signing config, version 0.2, and chooses from it. `ca_files` are
    /// certificates to trust beside the system's.
    ///
    /// # Errors
    /// [`SigningError`], naming the file or the URL.
    pub fn load(path: &Path, ca_files: &[PathBuf]) -> Result<Self, SigningError> {
        let bytes = read_named(path, MAX_CONFIG).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                SigningError::NoConfig { path }
            } else {
                SigningError::ConfigIo { path, source }
            }
        })?;
        let unfit = |why: String| SigningError::Config { path: path.to_owned(), why };
        let text = std::str::from_utf8(&bytes).map_err(|_| unfit("it is not UTF-8".to_owned()))?;
        let config = SigningConfig::from_json(text).map_err(|error| unfit(error.to_string()))?;
        if !config.media_type.starts_with("application/vnd.dev.sigstore.signingconfig.v0.2+json") {
            return Err(unfit("its media type is another".to_owned()));
        }
        let services = choose(&config).map_err(|error| unfit(error.to_string()))?;
        services.validate().map_err(|error| unfit(error.to_string()))?;

        let chosen = [Some(services.fulcio_url()), Some(services.rekor_url()), services.tsa_url()];
        let mut urls = chosen.into_iter().flatten().map(http::service_url).collect::<Result<Vec<_>, _>>()?;
        let issuer = config.oidc_url().map(|issuer| http::service_url(&issuer.url)).transpose()?;
        urls.extend(issuer.clone());
        let client = http::client(&urls.iter().collect::<Vec<_>>(), ca_files)?;
        Ok(Self { services, issuer, client })
    }

    /// Signs a file and gives the bundle's JSON.
    ///
    /// # Errors
    /// [`SigningError`]: which service did not do its part.
    pub async fn sign_file(&self, token: &IdentityToken, file: &File) -> Result<String, SigningError> {
        let bundle = self.signer(token).sign_reader(file).await;
        let bundle = bundle.map_err(|error| SigningError::of(error, token))?;
        bundle
            .to_json()
            .map_err(|error| SigningError::Service { service: "the signer", why: error.to_string() })
    }

    /// Signs the bytes of an in-toto Statement v1 as they are, and gives the
    /// bundle's JSON.
    ///
    /// # Errors
    /// As [`Self::sign_file`].
    pub async fn sign_statement(
        &self,
        token: &IdentityToken,
        statement: &[u8],
    ) -> Result<String, SigningError> {
        statement_subject(statement)?;
        let bundle = self.signer(token).sign_raw_statement(statement).await;
        let bundle = bundle.map_err(|error| SigningError::of(error, token))?;
        bundle
            .to_json()
            .map_err(|error| SigningError::Service { service: "the signer", why: error.to_string() })
    }

    fn signer(&self, token: &IdentityToken) -> Signer {
        let context = SigningContext::new(self.services.clone()).with_http_client(self.client.clone());
        context.signer(token.0.clone())
    }
}

/// The first artifact that a Statement v1 is about.
///
/// # Errors
/// [`SigningError::Statement`] when it is none, or names no artifact by SHA-256.
pub fn statement_subject(statement: &[u8]) -> Result<Artifact, SigningError> {
    let digest: Option<Digest> = subject_digest(statement)?;
    let missing = || SigningError::Statement("no subject has a SHA-256 digest".to_owned());
    Ok(Artifact::Digest(digest.ok_or_else(missing)?))
}

/// The newest service of each kind; without a timestamp authority where there is
/// none and the log says the time itself.
fn choose(config: &SigningConfig) -> Result<Services, Error> {
    match Services::from_signing_config(config) {
        Err(Error::Config(ConfigError::MissingService(Service::Tsa))) if config.tsa_urls.is_empty() => {
            let missing = |service| Error::from(ConfigError::MissingService(service));
            let fulcio = config.fulcio_url().ok_or_else(|| missing(Service::Fulcio))?;
            let version = RekorApiVersion::V1;
            let rekor = config.rekor_url(Some(version.major())).ok_or_else(|| missing(Service::Tsa))?;
            Ok(Services::new(&fulcio.url, &rekor.url))
        }
        other => other,
    }
}
