//! How the services of a deployment are asked: with TLS unless they are on this
//! machine, no redirects, answers of bounded size.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::error::{SigningError, words};
use crate::tls_roots::trust_files;

const CONNECT: Duration = Duration::from_secs(10);
/// From the first byte that is sent to the last that is read.
const WHOLE: Duration = Duration::from_secs(60);
/// Larger answers of an issuer are not read.
const MAX_ANSWER: usize = 1 << 20;

/// Checks the URL of a service.
pub(super) fn service_url(text: &str) -> Result<Url, SigningError> {
    let insecure = || SigningError::Insecure { url: words(text, &[]) };
    let url = Url::parse(text).map_err(|_| insecure())?;
    // What stands before an `@` would be sent along, and could be taken for the host.
    let plain = url.username().is_empty() && url.password().is_none();
    let allowed = url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url));
    if plain && allowed && url.has_host() { Ok(url) } else { Err(insecure()) }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A client for some services, which trusts the system's certificates and those
/// in `ca_files`.
pub(super) fn client(services: &[&Url], ca_files: &[PathBuf]) -> Result<Client, SigningError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")));
    // A proxy does not reach this machine.
    if services.iter().all(|url| is_this_machine(url)) {
        builder = builder.no_proxy();
    }
    let builder = trust_files(builder, ca_files).map_err(SigningError::Client)?;
    builder.build().map_err(|error| SigningError::Client(error.to_string()))
}

/// What an issuer answers, and whether it is what was asked for.
pub(super) async fn json<T: DeserializeOwned>(
    request: RequestBuilder,
    service: &'static str,
    secrets: &[&str],
) -> Result<(bool, T), SigningError> {
    let failed = |why: &str| SigningError::Service { service, why: words(why, secrets) };
    // The URL may have what only the job may know in its query.
    let unreachable = |error: reqwest::Error| failed(&error.without_url().to_string());
    let mut answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(failed("its answer is larger than 1 MiB"));
        }
        body.extend_from_slice(&piece);
    }
    let value = serde_json::from_slice(&body);
    Ok((status.is_success(), value.map_err(|_| failed(&format!("its answer is not understood: {status}")))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        let allowed =
            ["https://fulcio.test", "http://127.0.0.1:5555/x", "http://[::1]:1", "http://localhost"];
        for url in allowed {
            assert!(service_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://fulcio.test",
            "http://127.0.0.1.test",
            "http://localhost.test",
            "http://127.0.0.1@fulcio.test",
            "https://me@fulcio.test",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "",
        ] {
            assert!(service_url(url).is_err(), "{url}");
        }
    }
}
