//! How a task in a registry is named.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The host part that stands for the layout Cofferdam itself publishes to.
pub const EMBEDDED_HOST: &str = "cofferdam.local";

/// A text that names no task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("`{text}` does not name a task: {why}")]
#[diagnostic(
    code("registry/invalid-reference"),
    help("write NAME, NAME:TAG, NAME@sha256:.., or oci:PATH:NAME:TAG")
)]
pub struct InvalidReference {
    text: String,
    why: &'static str,
}

/// Where the repository is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// The layout this installation publishes to.
    Embedded,
    /// Another OCI image layout, in a directory.
    Layout(PathBuf),
}

/// A task in a registry, by tag or by digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Where the repository is.
    pub location: Location,
    /// The repository's name there.
    pub name: String,
    /// The tag; `latest` where neither tag nor digest was written.
    pub tag: Option<String>,
    /// The digest of the manifest; when present it decides, and the tag is only a label.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Reads `NAME[:TAG][@sha256:..]`, the same after `cofferdam.local/`, or
    /// `oci:PATH:NAME[:TAG][@sha256:..]`. A relative path is taken from `base`.
    ///
    /// # Errors
    /// [`InvalidReference`], also for registries over HTTP.
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidReference> {
        let refuse = |why| InvalidReference { text: text.to_owned(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| refuse("what follows `@` is not a sha256 digest"))?))
            }
            None => (text, None),
        };
        let (location, rest) = match rest.strip_prefix("oci:") {
            Some(rest) => {
                let (path, rest) = rest.split_once(':').ok_or_else(|| refuse("`oci:PATH` needs `:NAME`"))?;
                if path.is_empty() {
                    return Err(refuse("the path after `oci:` is empty"));
                }
                (Location::Layout(base.join(path)), rest)
            }
            None => {
                let rest = rest.strip_prefix(EMBEDDED_HOST).and_then(|r| r.strip_prefix('/')).unwrap_or(rest);
                if rest.contains('/') {
                    return Err(refuse("registries over HTTP are not read by this version"));
                }
                (Location::Embedded, rest)
            }
        };
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (rest, None),
        };
        if !is_repository(name) {
            return Err(refuse("a name has lower-case letters, digits, `.`, `_` and `-`"));
        }
        if !tag.as_deref().is_none_or(is_tag) {
            return Err(refuse("a tag has letters, digits, `.`, `_` and `-`, at most 128"));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { location, name: name.to_owned(), tag, digest })
    }

    /// The name a tag has inside a layout's index.
    #[must_use]
    pub fn ref_name(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name))
    }

    /// The URI of a version of this task, which trust rules are held against:
    /// `oci://HOST/NAME:VERSION`. The version comes from the signed manifest: a
    /// tag can be moved by whoever can write to the registry.
    #[must_use]
    pub fn version_uri(&self, version: &str) -> String {
        self.uri(Some(version))
    }

    /// The URI as it was written, with the tag if there is one.
    #[must_use]
    pub fn written_uri(&self) -> String {
        self.uri(self.tag.as_deref())
    }

    fn uri(&self, tag: Option<&str>) -> String {
        let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        match &self.location {
            Location::Embedded => format!("oci://{EMBEDDED_HOST}/{}{tag}", self.name),
            Location::Layout(path) => format!("oci:{}:{}{tag}", path.display(), self.name),
        }
    }

    /// The same reference, pinned to a digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::Embedded => write!(f, "{EMBEDDED_HOST}/{}", self.name)?,
            Location::Layout(path) => write!(f, "oci:{}:{}", path.display(), self.name)?,
        }
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn is_repository(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 128
        && edge(name.chars().next())
        && edge(name.chars().next_back())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// The tag rule of the OCI distribution-spec, "Pulling manifests".
pub(crate) fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn references_are_read_and_printed_alike() {
        let digest = Digest::of(b"x");
        for (text, printed, uri) in [
            ("sbom", "cofferdam.local/sbom:latest".to_owned(), "oci://cofferdam.local/sbom:latest"),
            (
                "cofferdam.local/sbom:0.1.0",
                "cofferdam.local/sbom:0.1.0".to_owned(),
                "oci://cofferdam.local/sbom:0.1.0",
            ),
            ("oci:reg:sbom:1", "oci:/base/reg:sbom:1".to_owned(), "oci:/base/reg:sbom:1"),
            (
                &format!("sbom@{digest}"),
                format!("cofferdam.local/sbom@{digest}"),
                "oci://cofferdam.local/sbom",
            ),
        ] {
            let reference = Reference::parse(text, Path::new("/base")).unwrap();
            assert_eq!(reference.to_string(), printed);
            assert_eq!(reference.written_uri(), uri);
        }
        for bad in
            ["", ":x", "A", "a:", "a@sha256:1", "oci:x", "oci::a", "quay.io/a/b:1", "../a", "a:b:c", "a\nb"]
        {
            assert!(Reference::parse(bad, Path::new("/")).is_err(), "{bad}");
        }
    }
}
