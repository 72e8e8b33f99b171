//! HTTP requests: which rule allows one, which rules two lists have in common,
//! and the rule to add when none fits. Decides from the request alone; where
//! its host turns out to be is `address`'s business.

use cofferdam_manifest::{Host, HostPattern, Method, NetworkRule, PathPrefix, Scheme, TcpRule};
use http::Uri;

/// A request before it is sent, as far as rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) path: String,
}

impl Target {
    /// Reads a request's URL.
    ///
    /// # Errors
    /// What cannot be granted in any rule, in words.
    pub(crate) fn of(uri: &Uri) -> Result<Self, String> {
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            Some(_) | None => return Err("a URL begins with https:// or http://".to_owned()),
        };
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("the URL names a user before its host, which hides where it goes".to_owned());
        }
        let host = authority.host().parse::<Host>().map_err(|error| error.to_string())?;
        let port = match authority.as_str().rsplit_once(':') {
            // The rest of an IPv6 address in brackets is no port.
            Some((_, port)) if !port.ends_with(']') => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or("the URL's port is no number from 1 to 65535")?,
            Some(_) | None => scheme.default_port(),
        };
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        if climbs(path) {
            return Err("its path has a `..`, which a server might follow out of what is granted".to_owned());
        }
        Ok(Self { scheme, host, port, path: path.to_owned() })
    }
}

/// How often a path is decoded: no server does it more often.
const MAX_DECODED: usize = 5;

/// Whether any server could see a dot segment in a path, however often it
/// decodes it.
fn climbs(path: &str) -> bool {
    let mut path = path.as_bytes().to_vec();
    for _ in 0..MAX_DECODED {
        // Some servers take what follows a `;` for a parameter of the segment.
        let climbing = |segment: &[u8]| {
            let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            matches!(name, b"." | b"..")
        };
        if path.split(|byte| matches!(byte, b'/' | b'\\')).any(climbing) {
            return true;
        }
        // Overlong forms of a dot are no UTF-8, and some servers read them.
        if std::str::from_utf8(&path).is_err() {
            return true;
        }
        let decoded = percent_decode(&path);
        if decoded == path {
            return false;
        }
        path = decoded;
    }
    true
}

fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| hex::decode(hex).ok());
        match hex.as_deref() {
            Some([byte]) => {
                decoded.push(*byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// Finds the rule that allows a request: the place of the first that fits.
///
/// # Errors
/// Why none does.
pub(crate) fn find_rule<'r>(
    rules: impl IntoIterator<Item = &'r NetworkRule>,
    target: &Target,
    method: &str,
) -> Result<usize, String> {
    let mut nearest = (0, "no rule names the host".to_owned());
    for (index, rule) in rules.into_iter().enumerate() {
        match misfit(rule, target, method) {
            None => return Ok(index),
            Some(miss) if miss.0 > nearest.0 => nearest = miss,
            Some(_) => {}
        }
    }
    Err(nearest.1)
}

/// The place of the rule that a request was allowed by, as it was recorded.
#[must_use]
pub fn rule_of(rules: &[NetworkRule], method: &str, url: &str) -> Option<usize> {
    find_rule(rules, &Target::of(&url.parse().ok()?).ok()?, method).ok()
}

/// How far a rule fits, and the first part of it that does not.
fn misfit(rule: &NetworkRule, target: &Target, method: &str) -> Option<(u8, String)> {
    if !rule.host.matches(&target.host) {
        return Some((0, "no rule names the host".to_owned()));
    }
    if rule.scheme != target.scheme {
        return Some((1, format!("the rule for this host is for {} only", rule.scheme.as_str())));
    }
    if rule.effective_port() != target.port {
        return Some((2, format!("the rule for this host is for port {} only", rule.effective_port())));
    }
    if !rule.path.matches(&target.path) {
        return Some((3, format!("the rule for this host is for paths below `{}` only", rule.path)));
    }
    let methods = rule.effective_methods();
    if !methods.iter().any(|granted| granted.as_str() == method) {
        let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
        return Some((4, format!("the rule for this host is for {} only", methods.join(", "))));
    }
    None
}

/// The YAML of a rule that would allow a request.
pub(crate) fn rule_for(target: &Target, method: &str) -> Option<String> {
    let method = Method::parse(method)?;
    let port = (target.port != target.scheme.default_port()).then_some(target.port);
    let mut rule = NetworkRule::of(HostPattern::Exact(target.host.clone()));
    (rule.scheme, rule.port) = (target.scheme, port);
    if !matches!(method, Method::Get | Method::Head) {
        rule.methods = vec![method];
    }
    Some(network_yaml(&rule))
}

/// A rule as it is written in a manifest or a pipeline.
pub(crate) fn network_yaml(rule: &NetworkRule) -> String {
    flow(&serde_json::to_value(rule).unwrap_or_default())
}

/// As [`network_yaml`].
pub(crate) fn tcp_yaml(rule: &TcpRule) -> String {
    flow(&serde_json::to_value(rule).unwrap_or_default())
}

/// YAML's flow style, quoted only where a plain scalar would not do.
fn flow(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
            let bare =
                text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(plain);
            if bare { text.clone() } else { value.to_string() }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What a rule that a task asks for and one that the pipeline grants both allow.
/// Their secrets must be the same one, or the requests go out without. Which
/// addresses its own network has, the pipeline says alone.
pub(crate) fn intersect_network(asked: &NetworkRule, allowed: &NetworkRule) -> Option<NetworkRule> {
    let same_way = asked.scheme == allowed.scheme && asked.effective_port() == allowed.effective_port();
    let host = asked.host.intersect(&allowed.host).filter(|_| same_way)?;
    let path: PathPrefix = asked.path.intersect(&allowed.path)?;
    let mut methods: Vec<Method> = asked.effective_methods().to_vec();
    methods.retain(|method| allowed.effective_methods().contains(method));
    if methods.is_empty() {
        return None;
    }
    let addresses = allowed.addresses.clone();
    let secret = asked.secret.clone().filter(|secret| allowed.secret.as_ref() == Some(secret));
    Some(NetworkRule { host, scheme: asked.scheme, port: asked.port, methods, path, addresses, secret })
}

/// As [`intersect_network`].
pub(crate) fn intersect_tcp(asked: &TcpRule, allowed: &TcpRule) -> Option<TcpRule> {
    let host = asked.host.intersect(&allowed.host).filter(|_| asked.port == allowed.port)?;
    Some(TcpRule { host, port: asked.port, addresses: allowed.addresses.clone() })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use serde_json::json;

    fn rule(json: serde_json::Value) -> NetworkRule {
        serde_json::from_value(json).unwrap()
    }

    fn target(url: &str) -> Result<Target, String> {
        Target::of(&url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?)
    }

    #[test]
    fn a_request_is_allowed_only_where_every_part_of_a_rule_fits() {
        let rules = [
            rule(json!({ "host": "*.example.org", "path": "/simple/" })),
            rule(json!({ "host": "api.example.org", "port": 8443, "methods": ["POST"] })),
            rule(json!({ "host": "127.0.0.1", "scheme": "http", "port": 8080 })),
        ];
        for (method, url, allowed) in [
            ("GET", "https://a.example.org/simple/x", true),
            ("GET", "https://A.EXAMPLE.org:443/simple/", true),
            ("GET", "https://a.example.org/simple", false),
            ("GET", "https://a.example.org/other", false),
            ("GET", "https://example.org/simple/", false),
            ("POST", "https://a.example.org/simple/x", false),
            ("GET", "http://a.example.org/simple/x", false),
            ("GET", "http://a.example.org:443/simple/x", false),
            ("GET", "https://a.example.org:444/simple/x", false),
            ("POST", "https://api.example.org:8443/", true),
            ("GET", "https://api.example.org:8443/", false),
            ("GET", "http://127.0.0.1:8080/", true),
            ("GET", "http://127.0.0.1:8081/", false),
            ("TRACE", "http://127.0.0.1:8080/", false),
            ("CONNECT", "http://127.0.0.1:8080/", false),
        ] {
            let found = find_rule(&rules, &target(url).unwrap(), method);
            assert_eq!(found.is_ok(), allowed, "{method} {url}: {found:?}");
        }
    }

    #[test]
    fn a_url_that_could_mean_another_place_is_refused() {
        for url in [
            "https://a.example.org@evil.test/",
            "https://a.example.org:443@evil.test/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://a.example.org/simple/../admin",
            "https://a.example.org/simple/%2e%2e/admin",
            "https://a.example.org/simple/.%2E/admin",
            "https://a.example.org/simple/%252e%252e/admin",
            "https://a.example.org/simple/..%2fadmin",
            "https://a.example.org/simple/..%5cadmin",
            "https://a.example.org/simple/..;/admin",
            "https://a.example.org/simple/%2e%2e;x/admin",
            "https://a.example.org/simple/%c0%ae%c0%ae/admin",
            "https://a.example.org/%2525252525252525252e",
            "https://a.example.org:0/",
            "https://a.example.org:99999/",
            "ftp://a.example.org/",
            "/no-host",
        ] {
            assert!(target(url).is_err(), "{url}");
        }
        assert_eq!(target("https://[::ffff:127.0.0.1]/").unwrap().host.to_string(), "127.0.0.1");
        assert!(target("https://r.example.org/@scope%2fname/-/name-1.0.0.tgz").is_ok());
    }

    #[test]
    fn two_rules_have_in_common_what_both_allow() {
        let asked = rule(json!({
            "host": "*.example.org", "methods": ["GET", "POST"], "path": "/a/", "addresses": ["10.0.0.0/8"],
            "secret": { "name": "token", "as": "bearer" },
        }));
        let both = |allowed: serde_json::Value| intersect_network(&asked, &rule(allowed));
        let common =
            both(json!({ "host": "x.example.org", "methods": ["POST", "PUT"], "path": "/a/b" })).unwrap();
        assert_eq!(
            serde_json::to_value(common).unwrap(),
            json!({ "host": "x.example.org", "methods": ["POST"], "path": "/a/b" })
        );
        assert_eq!(both(json!({ "host": "other.test" })), None);
        assert_eq!(both(json!({ "host": "*.example.org", "port": 8443 })), None);
        assert_eq!(both(json!({ "host": "*.example.org", "scheme": "http" })), None);
        assert_eq!(both(json!({ "host": "*.example.org", "methods": ["PUT"] })), None);
        assert_eq!(both(json!({ "host": "*.example.org", "path": "/b" })), None);
        assert_eq!(intersect_network(&asked, &asked), Some(asked.clone()));
        let other = json!({ "host": "*.example.org", "secret": { "name": "other", "as": "bearer" } });
        assert_eq!(both(other).unwrap().secret, None);
    }

    #[test]
    fn the_rule_to_add_can_be_pasted() {
        let yaml = rule_for(&target("http://[::1]:8080/x").unwrap(), "POST").unwrap();
        assert_eq!(yaml, r#"{ host: "[::1]", scheme: http, port: 8080, methods: [POST] }"#);
        assert_eq!(
            rule_for(&target("https://a.example.org/").unwrap(), "GET").unwrap(),
            "{ host: a.example.org }"
        );
    }
}
