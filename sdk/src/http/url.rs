//! Just enough of URLs to follow a redirect. What a URL may be, the host says.
//! Source: RFC 3986, section 5.2.

use std::fmt;

use super::Error;

/// An absolute URL without its fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    scheme: String,
    authority: String,
    path: String,
    /// With its `?`.
    query: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("`{text}` is not a URL: it begins with https:// or http://"));
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "https" | "http") {
            return Err(invalid());
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (path, query) = path_and_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        let [authority, path, query] = [authority, path, query].map(str::to_owned);
        Ok(Self { scheme, authority, path, query })
    }

    #[cfg(target_family = "wasm")]
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    #[cfg(target_family = "wasm")]
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    #[cfg(target_family = "wasm")]
    pub(super) fn path_with_query(&self) -> String {
        format!("{}{}", self.path, self.query)
    }

    /// Who answers: scheme, host and port as they are written.
    pub(super) fn origin(&self) -> (&str, String) {
        (&self.scheme, self.authority.to_ascii_lowercase())
    }

    /// Where a reference leads that was found here.
    pub(super) fn join(&self, reference: &str) -> Result<Self, Error> {
        let before = reference.split(['/', '?', '#']).next().unwrap_or_default();
        if before.contains(':') {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme));
        }
        let (path, query) = path_and_query(reference);
        let path = match (path.is_empty(), path.starts_with('/')) {
            (true, _) => self.path.clone(),
            (false, true) => without_dots(path),
            (false, false) => {
                let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
                without_dots(&format!("{folder}/{path}"))
            }
        };
        let same = path == self.path && query.is_empty() && !reference.contains('/');
        let query = if same { self.query.clone() } else { query.to_owned() };
        Ok(Self { path, query, ..self.clone() })
    }
}

fn path_and_query(text: &str) -> (&str, &str) {
    let text = text.split('#').next().unwrap_or_default();
    text.find('?').map_or((text, ""), |at| text.split_at(at))
}

/// Removes `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}{}", self.scheme, self.authority, self.path, self.query)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_reference_leads_where_the_rfc_says() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        // RFC 3986, sections 5.4.1 and 5.4.2.
        for (reference, target) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("./g/.", "http://a/b/c/g/"),
            ("g/../h", "http://a/b/c/h"),
            ("HTTPS://Other.test:8443/x?y#z", "https://Other.test:8443/x?y"),
            ("https://other.test?y", "https://other.test/?y"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), target, "{reference}");
        }
        for reference in ["ftp://x/", "file:/etc/passwd", "javascript:x", "data:,x"] {
            assert!(base.join(reference).is_err(), "{reference}");
        }
        let parsed = Url::parse("https://user@a:1/x").unwrap();
        assert_eq!(parsed.origin(), ("https", "user@a:1".to_owned()));
        assert!(Url::parse("a.example.org/x").is_err());
    }
}
