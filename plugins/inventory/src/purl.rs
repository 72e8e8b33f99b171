//! Package URLs (purl-spec, "How to build a purl string"): written here, never
//! read. Every byte outside the spec's allowed set is percent-encoded, so no
//! name can add a component of its own.

use std::fmt::Write;

/// One package URL being put together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purl<'a> {
    /// `cargo`, `npm` or `pypi`.
    pub(crate) kind: &'static str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
    /// One is all the formats here need.
    pub(crate) qualifier: Option<(&'static str, &'a str)>,
}

impl Purl<'_> {
    /// The canonical string.
    pub(crate) fn build(&self) -> String {
        let mut out = format!("pkg:{}/", self.kind);
        if let Some(namespace) = self.namespace {
            encode(namespace, &mut out);
            out.push('/');
        }
        encode(self.name, &mut out);
        if let Some(version) = self.version {
            out.push('@');
            encode(version, &mut out);
        }
        if let Some((key, value)) = self.qualifier {
            let _ = write!(out, "?{key}=");
            encode(value, &mut out);
        }
        out
    }
}

/// Percent-encodes all but the spec's alphanumerics, punctuation and the colon.
fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// The name of a Python package as indexes compare it (PEP 503, "Normalized
/// Names"), which purl-spec asks for too.
pub(crate) fn python_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Purl<'_> =
        Purl { kind: "npm", namespace: None, name: "foobar", version: Some("12.3.1"), qualifier: None };

    #[test]
    fn the_examples_of_the_specification_come_out() {
        assert_eq!(PLAIN.build(), "pkg:npm/foobar@12.3.1");
        let scoped = Purl { namespace: Some("@angular"), name: "animation", ..PLAIN };
        assert_eq!(scoped.build(), "pkg:npm/%40angular/animation@12.3.1");
        let cargo = Purl { kind: "cargo", name: "rand", version: Some("0.7.2"), ..PLAIN };
        assert_eq!(cargo.build(), "pkg:cargo/rand@0.7.2");
        let pypi = Purl { kind: "pypi", name: "django-allauth", version: Some("12.23"), ..PLAIN };
        assert_eq!(pypi.build(), "pkg:pypi/django-allauth@12.23");
        let git = "git+https://git.example.test/dxtr/bitwarderl@cc55108da32";
        let generic = Purl {
            kind: "generic",
            name: "bitwarderl",
            version: None,
            qualifier: Some(("vcs_url", git)),
            ..PLAIN
        };
        assert_eq!(
            generic.build(),
            "pkg:generic/bitwarderl?vcs_url=git%2Bhttps:%2F%2Fgit.example.test%2Fdxtr%2Fbitwarderl%40cc55108da32"
        );
    }

    #[test]
    fn a_name_cannot_add_components() {
        let hostile = Purl { name: "a/b?c=d#e@1", version: Some("1+2 3%é"), ..PLAIN };
        assert_eq!(hostile.build(), "pkg:npm/a%2Fb%3Fc%3Dd%23e%401@1%2B2%203%25%C3%A9");
    }

    #[test]
    fn python_names_are_compared_as_indexes_do() {
        for name in ["friendly-bard", "Friendly-Bard", "friendly.bard", "FrIeNdLy-._.-bArD"] {
            assert_eq!(python_name(name), "friendly-bard");
        }
    }
}
