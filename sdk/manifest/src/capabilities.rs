//! What a task asks for beyond its inputs and outputs, and what a pipeline
//! grants: the same rules, written the same way. Asking grants nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::AddressRange;
use crate::host::{HostPattern, PathPrefix};
use crate::name::Identifier;

/// Rules of one kind that a manifest or a pipeline can have: each is held
/// against every request.
const MAX_RULES: usize = 256;

/// What a task asks for. Asking grants nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Hosts to reach over HTTP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<NetworkRule>,
    /// Services to reach over a raw TCP connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRule>,
    /// Native tools to run; this version runs none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<ExecAsk>,
    /// The real time instead of the run's fixed time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<RealOnly>,
    /// Real randomness instead of numbers seeded from the inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<RealOnly>,
}

/// Requests to one host, or to the hosts below one suffix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkRule {
    /// A host name, `*.` and a suffix of at least two labels, or an address.
    pub host: HostPattern,
    /// `https`, or `http` where that is said.
    #[serde(default, skip_serializing_if = "Scheme::is_default")]
    pub scheme: Scheme,
    /// The port; left out, that of the scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// HTTP methods; left out, `GET` and `HEAD`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// What paths begin with, ending at a `/`; left out, every path.
    #[serde(default, skip_serializing_if = "PathPrefix::is_default")]
    pub path: PathPrefix,
    /// Addresses that are not public and that the host may have, as
    /// `10.0.0.0/8`. Without one that fits, such an address is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressRange>,
    /// A secret the host adds to each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretAsk>,
}

/// One service behind a raw TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpRule {
    /// A host name or an address.
    pub host: HostPattern,
    /// The port.
    pub port: u16,
    /// Addresses that are not public and that the host may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressRange>,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Over TLS.
    #[default]
    Https,
    /// In the clear.
    Http,
}

/// An HTTP method that can be granted. `CONNECT` would be a tunnel past every
/// rule, and `TRACE` an echo of what the host adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Reads headers.
    Head,
    /// Asks what is possible.
    Options,
    /// Does anything.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// A secret, by name: the task never sees its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretAsk {
    /// The name it is stored under.
    pub name: Identifier,
    /// How the host adds it.
    #[serde(rename = "as")]
    pub usage: SecretUse,
    /// The header, for `as: header`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// How the host adds a secret to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretUse {
    /// `Authorization: Bearer VALUE`.
    Bearer,
    /// `Authorization: Basic`, of a value that is `user:password`.
    Basic,
    /// A header of its own, which `header` names.
    Header,
}

/// One native tool a task asks to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecAsk {
    /// The tool's name.
    pub tool: String,
}

/// Asks for the real thing; leaving the key out asks for the fixed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RealOnly {
    /// Not reproducible, and recorded as such.
    Real,
}

impl Capabilities {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is well-formed and still cannot be meant: JSON pointer and message.
    #[must_use]
    pub fn contradictions(&self) -> Vec<(String, String)> {
        contradictions(&self.network, &self.tcp)
    }
}

/// What cannot be meant in rules of a manifest or a pipeline: JSON pointer and
/// message.
#[must_use]
pub fn contradictions(network: &[NetworkRule], tcp: &[TcpRule]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (list, count) in [("network", network.len()), ("tcp", tcp.len())] {
        if count > MAX_RULES {
            found.push((format!("/{list}/{MAX_RULES}"), format!("there are at most {MAX_RULES} rules")));
        }
    }
    for (index, rule) in network.iter().enumerate() {
        found.extend(rule.contradiction().map(|(below, why)| (format!("/network/{index}/{below}"), why)));
    }
    for (index, rule) in tcp.iter().enumerate() {
        if rule.host.is_suffix() {
            let why = format!("`{}` is not one host: a raw connection goes to one", rule.host);
            found.push((format!("/tcp/{index}/host"), why));
        }
        if rule.port == 0 {
            found.push((format!("/tcp/{index}/port"), "a port is a number from 1 to 65535".to_owned()));
        }
    }
    found
}

impl NetworkRule {
    /// A rule for a host that says nothing else.
    #[must_use]
    pub fn of(host: HostPattern) -> Self {
        Self {
            host,
            scheme: Scheme::Https,
            port: None,
            methods: Vec::new(),
            path: PathPrefix::default(),
            addresses: Vec::new(),
            secret: None,
        }
    }

    /// The port, whether it is written or not.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// The methods, whether they are written or not.
    #[must_use]
    pub fn effective_methods(&self) -> &[Method] {
        if self.methods.is_empty() { &[Method::Get, Method::Head] } else { &self.methods }
    }

    fn contradiction(&self) -> Option<(&'static str, String)> {
        if self.port == Some(0) {
            return Some(("port", "a port is a number from 1 to 65535".to_owned()));
        }
        let secret = self.secret.as_ref()?;
        match (secret.usage, &secret.header) {
            _ if self.scheme == Scheme::Http && !self.host.is_loopback() => {
                Some(("secret", "a secret is never sent over `http`, where others can read it".to_owned()))
            }
            (SecretUse::Header, None) => {
                Some(("secret", "`as: header` needs the header's name: `header: X-Token`".to_owned()))
            }
            (SecretUse::Header, Some(name)) if !may_carry_secret(name) => {
                Some(("secret", format!("`{name}` is not a header that can carry a secret")))
            }
            (SecretUse::Bearer | SecretUse::Basic, Some(_)) => {
                Some(("secret", "`header` goes with `as: header`".to_owned()))
            }
            (SecretUse::Bearer | SecretUse::Basic, None) | (SecretUse::Header, Some(_)) => None,
        }
    }
}

/// Whether a header is a token (RFC 9110, section 5.1) and means nothing to the
/// transport.
fn may_carry_secret(name: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "host",
        "connection",
        "content-length",
        "content-type",
        "transfer-encoding",
        "upgrade",
        "te",
        "trailer",
        "keep-alive",
        "accept-encoding",
        "range",
        "expect",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(token)
        && !name.to_ascii_lowercase().starts_with("proxy-")
        && !OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other))
}

impl Scheme {
    fn is_default(&self) -> bool {
        *self == Self::Https
    }

    /// The scheme as it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port of a URL that names none.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl Method {
    /// The method as it stands in a request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method of a request, if it is one that can be granted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Get, Self::Head, Self::Options, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.as_str() == text)
    }

    /// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        match self {
            Self::Get | Self::Head | Self::Options | Self::Put | Self::Delete => true,
            Self::Post | Self::Patch => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn contradiction(json: serde_json::Value) -> Option<String> {
        let rule: NetworkRule = serde_json::from_value(json).unwrap();
        contradictions(&[rule], &[]).into_iter().next().map(|(place, why)| format!("{place}: {why}"))
    }

    #[test]
    fn a_secret_travels_in_a_header_of_its_own_and_never_in_the_clear() {
        use serde_json::json;
        let with = |scheme: &str, host: &str, secret: serde_json::Value| {
            contradiction(json!({ "host": host, "scheme": scheme, "secret": secret }))
        };
        let bearer = json!({ "name": "token", "as": "bearer" });
        assert_eq!(with("https", "a.example.org", bearer.clone()), None);
        assert_eq!(with("http", "127.0.0.1", bearer.clone()), None);
        assert!(with("http", "a.example.org", bearer).unwrap().contains("never sent over `http`"));
        let header = |name: &str| json!({ "name": "token", "as": "header", "header": name });
        assert_eq!(with("https", "a.example.org", header("X-Token")), None);
        for name in ["Host", "content-length", "Proxy-Authorization", "a b", "", "x\r\ny"] {
            assert!(with("https", "a.example.org", header(name)).is_some(), "{name}");
        }
        assert!(with("https", "a.example.org", json!({ "name": "token", "as": "header" })).is_some());
    }

    #[test]
    fn a_raw_connection_goes_to_one_host() {
        let rule: TcpRule =
            serde_json::from_value(serde_json::json!({ "host": "*.example.org", "port": 0 })).unwrap();
        assert_eq!(contradictions(&[], &[rule]).len(), 2);
    }
}
