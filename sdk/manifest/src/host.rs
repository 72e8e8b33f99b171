//! Hosts and paths of network rules, parsed into forms that have one spelling.
//!
//! A name that some resolver would read as an address (`2130706433`, `0x7f.1`)
//! is refused here as in requests: it would be an address by another name.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is not a host: {rule}")]
pub struct InvalidHost {
    host: String,
    rule: &'static str,
}

/// A path that cannot be a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path: write one like `/simple/`, without `..`, `%`, `?`, `#` and spaces")]
pub struct InvalidPath(String);

/// One host: a name in lower case, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name, without a final dot.
    Name(String),
    /// An address; one that maps IPv4 into IPv6 is the IPv4 one.
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = InvalidHost;

    /// Reads a host as it stands in a URL.
    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let refuse = |rule| InvalidHost { host: text.chars().take(80).collect(), rule };
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| refuse("its `[` has no `]`"))?;
            let address = inner.parse::<Ipv6Addr>();
            let address = address.map_err(|_| refuse("what stands in `[]` is not an IPv6 address"))?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        match fault_of_name(&name) {
            None => Ok(Self::Name(name)),
            Some(rule) => Err(refuse(rule)),
        }
    }
}

/// What is wrong with a DNS name (RFC 1123, section 2.1; RFC 1035, section 2.3.4).
fn fault_of_name(name: &str) -> Option<&'static str> {
    if !name.is_ascii() {
        return Some("write an international name in its ASCII form, which begins with `xn--`");
    }
    if name.is_empty() || name.len() > 253 {
        return Some("a name has 1 to 253 characters");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(plain)
    };
    if !name.split('.').all(label) {
        return Some("its labels are letters, digits, `-` and `_`, without scheme, port, user or path");
    }
    // The WHATWG URL standard, "ends in a number": resolvers read these as IPv4.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    numeric.then_some("it can be read as an address; write the address in full")
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// One host, or every host below a suffix (`*.example.org`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// This host.
    Exact(Host),
    /// Every name that ends in a dot and this suffix. Never the suffix itself,
    /// never an address.
    Below(String),
}

impl HostPattern {
    /// Whether a host is meant.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Exact(own), host) => own == host,
            (Self::Below(suffix), Host::Name(name)) => is_below(name, suffix),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// The hosts that both patterns mean, if there are any.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(host), pattern) | (pattern, Self::Exact(host)) => {
                pattern.matches(host).then(|| Self::Exact(host.clone()))
            }
            (Self::Below(a), Self::Below(b)) if a == b || is_below(a, b) => Some(Self::Below(a.clone())),
            (Self::Below(a), Self::Below(b)) => is_below(b, a).then(|| Self::Below(b.clone())),
        }
    }

    /// Whether it means more than one host.
    #[must_use]
    pub fn is_suffix(&self) -> bool {
        matches!(self, Self::Below(_))
    }

    /// Whether it means this machine and nothing else.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Exact(Host::Name(name)) => name == "localhost",
            Self::Exact(Host::Address(address)) => address.is_loopback(),
            Self::Below(_) => false,
        }
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let refuse = |rule| InvalidHost { host: text.chars().take(80).collect(), rule };
        let Some(suffix) = text.strip_prefix("*.") else {
            // A pattern is written by people, who write IPv6 without brackets.
            if let Ok(address) = text.parse::<Ipv6Addr>() {
                return Ok(Self::Exact(Host::Address(IpAddr::V6(address).to_canonical())));
            }
            if text.ends_with('.') {
                return Err(refuse("leave out the final dot"));
            }
            if text.contains('*') {
                return Err(refuse("`*` stands only at the beginning, as in `*.example.org`"));
            }
            return text.parse().map(Self::Exact);
        };
        match suffix.parse()? {
            Host::Name(name) if name.contains('.') => Ok(Self::Below(name)),
            Host::Name(_) => Err(refuse("a suffix has at least two labels, as in `*.example.org`")),
            Host::Address(_) => Err(refuse("an address has no suffix; write a range into `addresses`")),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => host.fmt(f),
            Self::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

impl JsonSchema for HostPattern {
    fn schema_name() -> Cow<'static, str> {
        "HostPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 255})
    }
}

/// What paths begin with: whole segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPrefix(String);

impl PathPrefix {
    /// The path as text; it begins with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every path begins with it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == "/"
    }

    /// Whether a path begins with it, at the end of a segment: `/v2` fits
    /// `/v2/x` and not `/v2x`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        path.strip_prefix(self.0.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.0.ends_with('/'))
    }

    /// The paths that begin with both, if there are any.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.matches(&other.0) {
            return Some(other.clone());
        }
        other.matches(&self.0).then(|| self.clone())
    }
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl TryFrom<String> for PathPrefix {
    type Error = InvalidPath;

    fn try_from(path: String) -> Result<Self, InvalidPath> {
        let plain = |c: char| c.is_ascii_graphic() && !"%?#\\\"<>^`{|}".contains(c);
        let sound = path.starts_with('/')
            && path.len() <= 1024
            && path.chars().all(plain)
            && !path.split('/').any(|segment| matches!(segment, "." | ".."));
        if sound { Ok(Self(path)) } else { Err(InvalidPath(path.chars().take(80).collect())) }
    }
}

impl From<PathPrefix> for String {
    fn from(path: PathPrefix) -> Self {
        path.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for PathPrefix {
    fn schema_name() -> Cow<'static, str> {
        "PathPrefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^/", "maxLength": 1024})
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_means_what_it_says_and_nothing_near_it() {
        for (of, host, means) in [
            ("example.org", "example.org", true),
            ("example.org", "EXAMPLE.org.", true),
            ("example.org", "example.org.evil.test", false),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "evilexample.org", false),
            ("*.example.org", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "[::ffff:127.0.0.1]", true),
            ("::1", "[::1]", true),
            ("::1", "[0:0::1]", true),
        ] {
            assert_eq!(pattern(of).matches(&host.parse().unwrap()), means, "{of} {host}");
        }
    }

    #[test]
    fn an_address_by_another_name_is_no_host() {
        for text in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "a.0",
            "256.1.1.1",
            "1.2.3.4.5",
            "[::1",
            "[::1%lo]",
            "user@example.org",
            "example.org:443",
            "exa mple.org",
            "ex\u{e4}mple.org",
            "a..b",
            ".a",
            "-a.org",
            "",
            "a/b",
            "a\\b",
            "a#b",
            "a?b",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_that_would_mean_too_much_is_refused() {
        for text in
            ["*", "*.", "*.org", "*.*.org", "a.*.org", "*a.example.org", "*.127.0.0.1", "example.org."]
        {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let path = |text: &str| PathPrefix::try_from(text.to_owned()).unwrap();
        for (prefix, of, fits) in [
            ("/", "/anything", true),
            ("/v2", "/v2", true),
            ("/v2", "/v2/x", true),
            ("/v2", "/v2x", false),
            ("/v2/", "/v2", false),
            ("/v2/", "/v2/x", true),
        ] {
            assert_eq!(path(prefix).matches(of), fits, "{prefix} {of}");
        }
        assert_eq!(path("/v2").intersect(&path("/v2/x")), Some(path("/v2/x")));
        assert_eq!(path("/v2").intersect(&path("/v3")), None);
        for text in ["", "v2", "/a/../b", "/%2e%2e", "/a?b", "/a b", "/a\\b"] {
            assert!(PathPrefix::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_intersection_means_exactly_what_both_mean(
            a in "(\\*\\.)?([ab]\\.){0,2}x\\.org",
            b in "(\\*\\.)?([ab]\\.){0,2}x\\.org",
            host in "([ab]\\.){0,3}x\\.org",
        ) {
            let (a, b, host) = (pattern(&a), pattern(&b), host.parse::<Host>().unwrap());
            let both = a.matches(&host) && b.matches(&host);
            prop_assert_eq!(a.intersect(&b).is_some_and(|c| c.matches(&host)), both);
        }

        #[test]
        fn a_pattern_survives_being_written(text in "(\\*\\.)?[a-z0-9._:-]{1,20}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                // An IPv6 address is written with brackets, and read without.
                let written = pattern.to_string().replace(['[', ']'], "");
                prop_assert_eq!(written.parse::<HostPattern>().unwrap(), pattern);
            }
        }
    }
}
