//! One request to a registry, and where it may lead.
//!
//! A registry may send a request elsewhere, and its blobs often lie on other
//! hosts. So redirects are followed here and not by the client: only to https,
//! only to public addresses (also by what their names resolve to), and never
//! with the login for the registry. A registry on this machine or in a private
//! network may send to itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cofferdam_manifest::{AddressKind, Host};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Method, Response, StatusCode, Url};

use super::error::RemoteError;
use super::settings::{RemoteSettings, is_loopback};
use crate::tls_roots::trust_files;

/// Hops of one request.
const MAX_HOPS: usize = 5;
/// No byte for so long, and the connection is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// A registry on this machine answers sooner, or does not speak TLS.
const PROBE: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(10);
pub(super) const USER_AGENT: &str = concat!("cofferdam/", env!("CARGO_PKG_VERSION"));

/// The client of one registry.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    host: String,
    plain: bool,
}

/// What is sent to a registry.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) media_type: &'a str,
    /// The first and the last byte of a piece.
    pub(super) range: Option<(usize, usize)>,
    pub(super) body: Bytes,
}

/// What a request carries.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    pub(super) accept: &'a str,
    pub(super) authorization: Option<HeaderValue>,
    /// The first byte that is wanted.
    pub(super) from: u64,
    /// Whether the answer's headers are enough.
    pub(super) head: bool,
}

impl Transport {
    /// Without TLS only where that was configured, or where a registry on this
    /// machine does not answer with it.
    pub(super) async fn open(host: &str, settings: &RemoteSettings) -> Result<Self, RemoteError> {
        let transport = Self::new(host, settings)?;
        if transport.plain || !is_loopback(host) {
            return Ok(transport);
        }
        let probe = transport.client.get(transport.url("")?).timeout(PROBE);
        // A certificate that is refused is an answer in TLS, too.
        let plain = probe.send().await.is_err_and(|error| is_no_tls(&error));
        Ok(Self { plain, ..transport })
    }

    fn new(host: &str, settings: &RemoteSettings) -> Result<Self, RemoteError> {
        let client = |error: &dyn std::fmt::Display| RemoteError::Client { why: error.to_string() };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(CheckedResolver { named: named(host) }))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(USER_AGENT);
        if is_loopback(host) {
            builder = builder.no_proxy();
        }
        let builder = trust_files(builder, &settings.ca_files).map_err(|why| RemoteError::Client { why })?;
        let client = builder.build().map_err(|error| client(&error))?;
        Ok(Self { client, host: host.to_owned(), plain: settings.is_plain(host) })
    }

    /// The registry, with its port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// A URL of the registry's API.
    pub(super) fn url(&self, path: &str) -> Result<Url, RemoteError> {
        let scheme = if self.plain { "http" } else { "https" };
        let text = format!("{scheme}://{}/v2/{path}", self.host);
        Url::parse(&text).map_err(|error| RemoteError::Client { why: format!("{text}: {error}") })
    }

    /// Asks once, and follows where the registry sends. Any status is an answer.
    pub(super) async fn get(&self, url: Url, ask: &Ask<'_>) -> Result<Response, RemoteError> {
        let mut at = url;
        for _ in 0..=MAX_HOPS {
            let method = if ask.head { Method::HEAD } else { Method::GET };
            let mut request = self.client.request(method, at.clone());
            if !ask.accept.is_empty() {
                request = request.header(ACCEPT, ask.accept);
            }
            if ask.from > 0 {
                request = request.header(RANGE, format!("bytes={}-", ask.from));
            }
            // Whoever the registry sends to is not told the login for it.
            if let Some(authorization) = ask.authorization.as_ref().filter(|_| self.is_own(&at)) {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let refuse = |to: String, why| RemoteError::Redirected { from: shown(&at), to, why };
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let next = at.join(to).map_err(|_| refuse(cut(to), "that is no URL"))?;
            if let Some(why) = self.refusal(&next) {
                return Err(refuse(shown(&next), why));
            }
            at = next;
        }
        Err(RemoteError::Redirected {
            from: shown(&at),
            to: "yet another URL".to_owned(),
            why: "it has sent on often enough",
        })
    }

    /// Sends something once. Where the registry sends it on, it does not go: it
    /// would carry what is uploaded to a place that nobody named.
    pub(super) async fn send(&self, sending: Sending<'_>) -> Result<Response, RemoteError> {
        let url = sending.url;
        if let Some(why) = self.refusal(&url) {
            return Err(RemoteError::Redirected { from: self.host.clone(), to: shown(&url), why });
        }
        let mut request = self.client.request(sending.method, url.clone()).body(sending.body);
        if !sending.media_type.is_empty() {
            request = request.header(CONTENT_TYPE, sending.media_type);
        }
        if let Some((first, last)) = sending.range {
            request = request.header(CONTENT_RANGE, format!("{first}-{last}"));
        }
        if let Some(authorization) = sending.authorization.filter(|_| self.is_own(&url)) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if is_redirect(response.status()) {
            let why = "what is uploaded is not sent on";
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            return Err(RemoteError::Redirected { from: shown(&url), to: cut(to), why });
        }
        Ok(response)
    }

    /// Why the registry may not send a request somewhere.
    pub(super) fn refusal(&self, to: &Url) -> Option<&'static str> {
        if self.is_own(to) {
            return None;
        }
        if to.scheme() != "https" {
            return Some("that is not https");
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Some("a user stands in it");
        }
        match to.host_str().unwrap_or_default().parse() {
            Ok(Host::Address(address)) if !is_public(address) => Some("that is not a public address"),
            Ok(Host::Name(name)) if name == "localhost" => Some("that is this machine"),
            Ok(Host::Address(_) | Host::Name(_)) => None,
            Err(_) => Some("that is no host"),
        }
    }

    /// Why a token server may not be somewhere. One on this machine may serve a
    /// registry on this machine.
    pub(super) fn refusal_of_realm(&self, realm: &Url) -> Option<&'static str> {
        let own = realm.host_str().is_some_and(|host| host == super::settings::without_port(&self.host));
        if own && self.plain && realm.scheme() == "http" { None } else { self.refusal(realm) }
    }

    /// Whether a URL is the registry itself, and as safe as it was asked to be.
    fn is_own(&self, url: &Url) -> bool {
        let scheme = if self.plain { "http" } else { "https" };
        let own = Url::parse(&format!("{scheme}://{}/", self.host));
        own.is_ok_and(|own| own.origin() == url.origin())
    }

    /// Nobody answers, or not to the end.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> RemoteError {
        let why = innermost(error);
        // Nobody is at home, or there is no such house: waiting changes neither.
        let refused = is_loopback(&self.host) && why.contains("Connection refused");
        let unknown = why.contains("failed to lookup address");
        let again = !(error.is_connect() && (refused || unknown));
        RemoteError::Unreachable { host: self.host.clone(), why, again }
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

/// Names that lead to other than public addresses are resolved for the registry
/// and the proxy alone, which the user named.
struct CheckedResolver {
    named: Vec<String>,
}

/// The names that the user chose: the registry's, and those of proxies.
fn named(host: &str) -> Vec<String> {
    let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let host_of = |name: &str| {
        let text = std::env::var(name).ok()?;
        let url = Url::parse(&text).or_else(|_| Url::parse(&format!("http://{text}"))).ok()?;
        url.host_str().map(str::to_owned)
    };
    let own = super::settings::without_port(host).to_owned();
    std::iter::once(own).chain(proxies.iter().filter_map(|name| host_of(name))).collect()
}

/// Whether a handshake failed because the other side does not speak TLS at all.
fn is_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return matches!(found, rustls::Error::InvalidMessage(_));
    }
    // What is inside such an error is not its source.
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inside.is_some_and(|inside| is_no_tls(inside)) || error.source().is_some_and(is_no_tls)
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let own = self.named.iter().any(|own| own.eq_ignore_ascii_case(name.as_str()));
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if !own && let Some(address) = found.iter().find(|address| !is_public(address.ip())) {
                let noun = AddressKind::of(address.ip()).noun();
                return Err(format!("`{name}` leads to {}, {noun}", address.ip()).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    AddressKind::of(address) == AddressKind::Public
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A URL for people: without a user, and without a query, where signatures of
/// storage providers stand.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    cut(&format!("{}://{host}{port}{}", url.scheme(), url.path()))
}

/// Foreign words for people: printable, and few.
pub(super) fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What really happened: the outer errors only say that a request was sent.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    cut(&at.to_string())
}
