//! What stands behind `wasi:http` and `wasi:sockets`: the host resolves names,
//! checks where they lead, makes connections and TLS sessions, and observes
//! every byte.
//!
//! One [`Network`] serves the process; each TaskRun has a [`Session`] of its
//! own, so no connection is ever shared between two of them.

mod attempt;
mod body;
mod connect;
mod connections;
mod credential;
mod exchange;
mod meter;
mod open;
mod resolve;
mod retry;
mod session;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;

use connect::DialError;
pub(crate) use connections::Connections;
pub use credential::Credential;
pub(crate) use open::Open;
pub use resolve::{Resolver, Resolving, SystemResolver};
pub(crate) use session::{NetworkError, Session, SessionRequest, Timeouts};

/// How this machine reaches others.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// PEM files with certificates to trust beside those of the system.
    pub ca_files: Vec<PathBuf>,
    /// The proxy for `https`, as a URL; it may name a user.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub no_proxy: Option<String>,
    /// Whether the proxy resolves names. Then it decides where they lead, and
    /// the host checks only addresses that are written as such.
    pub proxy_resolves: bool,
    /// Names with addresses of their own, as in `/etc/hosts`.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// How often an idempotent request is tried again.
    pub retries: u32,
    /// How long to wait before the second try; twice as long before each next.
    pub backoff: Duration,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            https_proxy: None,
            no_proxy: None,
            proxy_resolves: false,
            hosts: BTreeMap::new(),
            retries: 3,
            backoff: Duration::from_millis(250),
        }
    }
}

/// The network of this process.
pub struct Network {
    settings: NetworkSettings,
    resolver: Box<dyn Resolver>,
    proxy: Option<Matcher>,
    /// Reading the system's certificates takes milliseconds that most runs
    /// need not wait for.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Network {
    /// A network that resolves names as the system does.
    #[must_use]
    pub fn new(settings: NetworkSettings) -> Self {
        let resolver = SystemResolver::new(settings.hosts.clone());
        Self::with_resolver(settings, Box::new(resolver))
    }

    /// A network with another way to resolve names.
    #[must_use]
    pub fn with_resolver(settings: NetworkSettings, resolver: Box<dyn Resolver>) -> Self {
        let proxy = settings.https_proxy.as_ref().map(|proxy| {
            let no = settings.no_proxy.clone().unwrap_or_default();
            Matcher::builder().https(proxy.clone()).no(no).build()
        });
        Self { settings, resolver, proxy, tls: OnceLock::new() }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| tls::configuration(&self.settings.ca_files).map(Arc::new)).clone()
    }
}
