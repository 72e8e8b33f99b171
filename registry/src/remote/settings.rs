//! How registries over HTTP are reached, as the caller sets it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cofferdam_manifest::{AddressKind, Host};

/// Who a registry is told we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password, or a token in its place.
        password: String,
    },
    /// A token that is exchanged for others (OAuth 2's refresh token).
    Identity(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Login::Basic",
            Self::Identity(_) => "Login::Identity",
        })
    }
}

/// Finds the login for a host; `None` where there is none. The error says what
/// is wrong with the one there is.
pub type FindLogin = dyn Fn(&str) -> Result<Option<Login>, String> + Send + Sync;

/// How registries over HTTP are reached.
#[derive(Clone)]
pub struct RemoteSettings {
    /// Files of certificates that are trusted beside the system's, in PEM.
    pub ca_files: Vec<PathBuf>,
    /// Hosts, with their ports, that are spoken to without TLS. Those of this
    /// machine are so, too, unless they answer with it.
    pub plain_http: Vec<String>,
    /// Where logins are.
    pub login: Arc<FindLogin>,
}

impl RemoteSettings {
    /// Whether a host is spoken to without TLS.
    pub(super) fn is_plain(&self, host: &str) -> bool {
        self.plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(host))
    }
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self { ca_files: Vec::new(), plain_http: Vec::new(), login: Arc::new(|_| Ok(None)) }
    }
}

impl fmt::Debug for RemoteSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RemoteSettings");
        shown.field("ca_files", &self.ca_files).field("plain_http", &self.plain_http).finish_non_exhaustive()
    }
}

/// Whether a host, with or without a port, is this machine by its very name.
pub(super) fn is_loopback(host: &str) -> bool {
    match without_port(host).parse() {
        Ok(Host::Name(name)) => name == "localhost",
        Ok(Host::Address(address)) => AddressKind::of(address) == AddressKind::Loopback,
        Err(_) => false,
    }
}

pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}
