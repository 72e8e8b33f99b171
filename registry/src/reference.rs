//! How a task in a registry is named, and which names mean the same.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cofferdam_manifest::Host;

use crate::digest::Digest;
use crate::layout::{LayoutError, absent};
use crate::plain_file::canonical;

/// The host part that stands for the layout Cofferdam itself publishes to.
pub const EMBEDDED_HOST: &str = "cofferdam.local";

/// The tag of what was published last.
const LATEST: &str = "latest";

/// A text that names no task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("`{text}` does not name a task: {why}")]
#[diagnostic(
    code("registry/invalid-reference"),
    help("write NAME, NAME:TAG, NAME@sha256:.., HOST/PATH/NAME:TAG, or oci:PATH:NAME:TAG")
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
    /// A registry over HTTP, by its host, with the port where it has one.
    Remote(String),
}

/// A task in a registry, by tag or by digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Where the repository is.
    pub location: Location,
    /// The repository's name there; in a registry over HTTP, with its path.
    pub name: String,
    /// The tag; `latest` where neither tag nor digest was written.
    pub tag: Option<String>,
    /// The digest of the manifest; when present it decides, and the tag is only a label.
    pub digest: Option<Digest>,
}

impl Reference {
    /// A task of the embedded registry; without a tag, the newest.
    ///
    /// # Errors
    /// [`InvalidReference`] when name or tag is none.
    pub fn embedded(name: &str, tag: Option<&str>) -> Result<Self, InvalidReference> {
        let text = || tag.map_or_else(|| name.to_owned(), |tag| format!("{name}:{tag}"));
        let tag = Some(tag.unwrap_or(LATEST).to_owned());
        Self::checked(Location::Embedded, name.to_owned(), tag, None)
            .map_err(|why| InvalidReference { text: text(), why })
    }

    fn checked(
        location: Location,
        name: String,
        tag: Option<String>,
        digest: Option<Digest>,
    ) -> Result<Self, &'static str> {
        let sound = match &location {
            Location::Embedded | Location::Layout(_) => is_repository(&name),
            Location::Remote(_) => name.len() <= 255 && name.split('/').all(is_repository),
        };
        if !sound {
            return Err("a name has lower-case letters, digits, `.`, `_` and `-`");
        }
        if !tag.as_deref().is_none_or(is_tag) {
            return Err("a tag has letters, digits, `.`, `_` and `-`, at most 128");
        }
        Ok(Self { location, name, tag, digest })
    }

    /// Reads `NAME[:TAG][@sha256:..]`, the same after `cofferdam.local/` or
    /// `oci://cofferdam.local/`, `HOST/PATH/NAME[:TAG][@sha256:..]` of a registry
    /// over HTTP, also after `oci://`, or `oci:PATH:NAME[:TAG][@sha256:..]`. A
    /// relative path is taken from `base`. A host without a dot and without a
    /// port is one only after `oci://`, or as `localhost`.
    ///
    /// # Errors
    /// [`InvalidReference`].
    pub fn parse(text: &str, base: &Path) -> Result<Self, InvalidReference> {
        let refuse = |why| InvalidReference { text: text.to_owned(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| refuse("what follows `@` is not a sha256 digest"))?))
            }
            None => (text, None),
        };
        // `oci://` is a host, as in the URIs of trust rules, and never a path.
        let (host, rest) = match rest.strip_prefix("oci://") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (location, rest) = match rest.strip_prefix("oci:").filter(|_| !host) {
            Some(rest) => {
                let (path, rest) = rest.split_once(':').ok_or_else(|| refuse("`oci:PATH` needs `:NAME`"))?;
                if path.is_empty() {
                    return Err(refuse("the path after `oci:` is empty"));
                }
                (Location::Layout(base.join(path)), rest)
            }
            None => match rest.split_once('/') {
                None if host => return Err(refuse("after `oci://HOST` comes `/NAME`")),
                None => (Location::Embedded, rest),
                Some((EMBEDDED_HOST, rest)) => (Location::Embedded, rest),
                Some((registry, rest)) => {
                    if !host && registry != "localhost" && !registry.contains(['.', ':']) {
                        return Err(refuse("what stands before the first `/` is no host of a registry"));
                    }
                    (Location::Remote(registry_host(registry).map_err(refuse)?), rest)
                }
            },
        };
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag.to_owned())),
            None => (rest, None),
        };
        let tag = if tag.is_none() && digest.is_none() { Some(LATEST.to_owned()) } else { tag };
        Self::checked(location, name.to_owned(), tag, digest).map_err(refuse)
    }

    /// The last part of the name: what the task is called, wherever it lies.
    #[must_use]
    pub fn task_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The same task by the one name of its registry: a path without links,
    /// `.` and `..`, and the embedded registry by its host. `embedded` is the
    /// directory of that one.
    ///
    /// # Errors
    /// [`LayoutError`] where the path leads to no layout.
    pub fn canonical(&self, embedded: &Path) -> Result<Self, LayoutError> {
        let Location::Layout(path) = &self.location else { return Ok(self.clone()) };
        let found = canonical(path).and_then(|found| Ok((found.metadata()?, found)));
        let (metadata, found) = found.map_err(absent(path, path))?;
        let is = |other: std::fs::Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
        if canonical(embedded).and_then(|path| path.metadata()).is_ok_and(is) {
            return Ok(Self { location: Location::Embedded, ..self.clone() });
        }
        // With a colon in it, the path of one registry and a name could be read
        // as another's.
        if found.to_str().is_none_or(|text| text.contains(':')) {
            let why = "the path of a layout is UTF-8 without `:`".to_owned();
            return Err(LayoutError::Corrupt { path: found, why });
        }
        Ok(Self { location: Location::Layout(found), ..self.clone() })
    }

    /// The name a tag has inside a layout's index. In a layout that keeps what
    /// came from registries over HTTP, their host belongs to it.
    #[must_use]
    pub fn ref_name(&self) -> Option<String> {
        let host = match &self.location {
            Location::Embedded | Location::Layout(_) => String::new(),
            Location::Remote(host) => format!("{host}/"),
        };
        self.tag.as_ref().map(|tag| format!("{host}{}:{tag}", self.name))
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
            Location::Remote(host) => format!("oci://{host}/{}{tag}", self.name),
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
            Location::Remote(host) => write!(f, "{host}/{}", self.name)?,
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

/// A host with its port, in the one form that names are compared in.
fn registry_host(text: &str) -> Result<String, &'static str> {
    let text = text.to_ascii_lowercase();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, Some(port)),
        _ => (text.as_str(), None),
    };
    if port.is_some_and(|port| {
        port.parse::<u16>().map_or(true, |number| number == 0 || number.to_string() != port)
    }) {
        return Err("a port is a number from 1 to 65535");
    }
    if port == Some("443") {
        // Rules would have to name it both ways.
        return Err("443 is the port of every registry: leave it out");
    }
    match host.parse::<Host>() {
        // A port would make another registry of the one that has none.
        Ok(Host::Name(name)) if name == EMBEDDED_HOST => Err("the embedded registry has no port"),
        Ok(parsed) if parsed.to_string() == host => Ok(text),
        Ok(_) | Err(_) => Err("what stands before the first `/` is no host"),
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
            (
                "oci://cofferdam.local/sbom:0.1.0",
                "cofferdam.local/sbom:0.1.0".to_owned(),
                "oci://cofferdam.local/sbom:0.1.0",
            ),
            ("oci:reg:sbom:1", "oci:/base/reg:sbom:1".to_owned(), "oci:/base/reg:sbom:1"),
            (
                "quay.io/org/tasks/sbom:1",
                "quay.io/org/tasks/sbom:1".to_owned(),
                "oci://quay.io/org/tasks/sbom:1",
            ),
            (
                "oci://localhost:5000/sbom",
                "localhost:5000/sbom:latest".to_owned(),
                "oci://localhost:5000/sbom:latest",
            ),
            ("oci://registry/sbom:1", "registry/sbom:1".to_owned(), "oci://registry/sbom:1"),
            ("Registry.Example/a:1", "registry.example/a:1".to_owned(), "oci://registry.example/a:1"),
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
        for bad in [
            "",
            ":x",
            "A",
            "a:",
            "a@sha256:1",
            "oci:x",
            "oci::a",
            "quay/a/b:1",
            "quay.io/:1",
            "quay.io//a",
            "quay.io/A",
            "quay.io/a/../b",
            "quay.io:0/a",
            "quay.io:x/a",
            "u@quay.io/a",
            "quay.io:443/a",
            "quay.io:443:1/a",
            "qu%61y.io/a",
            "0x7f.1/a",
            "../a",
            "a:b:c",
            "a\nb",
            "oci://sbom:1",
            "oci://cofferdam.local:80/sbom:1",
            "oci://cofferdam.local/a/sbom:1",
            "oci:///base/reg:sbom:1",
            "oci://oci:/base/reg:sbom:1",
        ] {
            assert!(Reference::parse(bad, Path::new("/")).is_err(), "{bad}");
        }
    }
}
