//! Reads a CycloneDX document: any version's JSON, whoever made it, and only
//! the parts that a report shows.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::input::Malformed;
use crate::relation::{Graph, Relation};

/// What the SBOM says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sbom {
    /// What the source tree is, where the SBOM knows.
    pub(crate) subject: Option<String>,
    /// In the document's order.
    pub(crate) components: Vec<Component>,
    pub(crate) lock_files: BTreeSet<String>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) purl: Option<String>,
    pub(crate) relation: Relation,
    pub(crate) pin: Pin,
    pub(crate) is_conflicting: bool,
}

/// What makes sure that a component's content is the one that was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    Digest,
    /// The commit it is taken from.
    Commit,
    /// The digest of the package that it is shipped inside.
    Parent,
    /// Nothing is downloaded: it is part of the source tree.
    Own,
    Missing,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    bom_format: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Entry>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    component: Option<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "bom-ref", default)]
    reference: Option<String>,
    #[serde(default)]
    group: String,
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    purl: Option<String>,
    #[serde(default)]
    hashes: Vec<Hash>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Hash {
    content: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Property {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// Reads the document.
pub(crate) fn parse(bytes: &[u8]) -> Result<Sbom, Malformed> {
    let document: Document = serde_json::from_slice(bytes)?;
    if document.bom_format != "CycloneDX" {
        return Err(Malformed::Other(format!("bomFormat is `{}`, not `CycloneDX`", document.bom_format)));
    }
    let subject = document.metadata.component.as_ref();
    let entries = subject.into_iter().chain(&document.components);
    let own: BTreeSet<&str> = entries
        .clone()
        .filter(|entry| {
            entry.is("cofferdam:local") || subject.is_some_and(|subject| std::ptr::eq(subject, *entry))
        })
        .filter_map(|entry| entry.reference.as_deref())
        .collect();
    let edges = document.dependencies.iter().map(|dependency| {
        (dependency.reference.as_str(), dependency.depends_on.iter().map(String::as_str).collect())
    });
    let graph = Graph::new(edges, &own);
    let lock_files =
        entries.flat_map(|entry| entry.values("cofferdam:lockfile")).map(str::to_owned).collect();
    Ok(Sbom {
        subject: subject
            .map(|entry| format!("{} {}", entry.full_name(), entry.version).trim_end().to_owned()),
        components: document.components.iter().map(|entry| entry.component(&graph)).collect(),
        lock_files,
    })
}

impl Entry {
    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.properties.iter().filter(move |property| property.name == name).map(|property| &*property.value)
    }

    fn is(&self, property: &str) -> bool {
        self.values(property).any(|value| value == "true")
    }

    fn full_name(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{}/{}", self.group, self.name) }
    }

    fn component(&self, graph: &Graph<'_>) -> Component {
        Component {
            name: self.full_name(),
            version: self.version.clone(),
            purl: self.purl.clone(),
            relation: self.reference.as_deref().map_or(Relation::Unknown, |name| graph.relation(name)),
            pin: self.pin(),
            is_conflicting: self.is("cofferdam:digest-conflict"),
        }
    }

    fn pin(&self) -> Pin {
        let from_commit =
            self.purl.as_deref().is_some_and(|purl| purl.contains(['?', '&']) && purl.contains("vcs_url="));
        if self.hashes.iter().any(|hash| !hash.content.is_empty()) {
            Pin::Digest
        } else if self.is("cofferdam:local") {
            Pin::Own
        } else if from_commit {
            Pin::Commit
        } else if self.is("cdx:npm:package:bundled") {
            Pin::Parent
        } else {
            Pin::Missing
        }
    }
}

impl Pin {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "yes",
            Self::Commit => "by commit",
            Self::Parent => "by parent",
            Self::Own => "own source",
            Self::Missing => "missing",
        }
    }
}

impl Component {
    /// What the purl names as its type, such as `cargo`.
    pub(crate) fn ecosystem(&self) -> &str {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
        let kind = self.purl.as_deref().and_then(|purl| purl.strip_prefix("pkg:")?.split('/').next());
        match kind.filter(|kind| !kind.is_empty() && kind.bytes().all(allowed)) {
            Some(kind) => kind,
            None if self.pin == Pin::Own => "local",
            None => "other",
        }
    }

    /// Whether something is downloaded that nothing pins.
    pub(crate) fn is_unpinned(&self) -> bool {
        self.pin == Pin::Missing
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn the_parts_that_a_report_shows_are_read() {
        let text = r#"{ "bomFormat": "CycloneDX", "specVersion": "1.6",
          "metadata": { "component": { "bom-ref": "app", "type": "application", "name": "app", "version": "1" } },
          "components": [
            { "bom-ref": "a", "type": "library", "group": "@s", "name": "a", "version": "2", "purl": "pkg:npm/%40s/a@2",
              "hashes": [{ "alg": "SHA-256", "content": "00" }],
              "properties": [{ "name": "cofferdam:lockfile", "value": "package-lock.json" }] },
            { "type": "library", "name": "b" } ],
          "dependencies": [{ "ref": "app", "dependsOn": ["a"] }] }"#;
        let sbom = parse(text.as_bytes()).unwrap();
        assert_eq!(sbom.subject.as_deref(), Some("app 1"));
        assert_eq!(sbom.lock_files.len(), 1);
        let a = sbom.components.first().unwrap();
        assert_eq!((a.name.as_str(), a.ecosystem(), a.relation), ("@s/a", "npm", Relation::Direct));
        let b = sbom.components.last().unwrap();
        assert_eq!((b.ecosystem(), b.relation, b.is_unpinned()), ("other", Relation::Unknown, true));
    }

    #[test]
    fn another_document_is_refused() {
        assert!(matches!(parse(b"{}"), Err(Malformed::Json(_))));
        assert!(matches!(parse(br#"{"bomFormat":"SPDX"}"#), Err(Malformed::Other(_))));
        assert!(matches!(parse(b"\xff"), Err(Malformed::Json(_))));
    }
}
