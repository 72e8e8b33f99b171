//! SLSA provenance v1 as types: <https://slsa.dev/spec/v1.2/build-provenance>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The predicate's type.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// How an artifact came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance<D = Vec<ResourceDescriptor>, E = Value, I = Value, B = BuilderDescription> {
    /// What went in.
    pub build_definition: BuildDefinition<D, E, I>,
    /// This one execution.
    pub run_details: RunDetails<B>,
}

/// What went in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition<D = Vec<ResourceDescriptor>, E = Value, I = Value> {
    /// How to read the rest: a URI with documentation.
    pub build_type: String,
    /// Everything under the control of whoever started it, complete.
    pub external_parameters: E,
    /// What the builder decided.
    pub internal_parameters: I,
    /// What was used, by digest.
    pub resolved_dependencies: D,
}

/// One execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails<B = BuilderDescription> {
    /// Who ran it.
    pub builder: B,
    /// When, and under which name.
    pub metadata: Metadata,
    /// What else came out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<ResourceDescriptor>,
}

/// Who ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuilderDescription {
    /// The trust domain: a URI.
    pub id: String,
    /// Versions of the builder's parts.
    pub version: BTreeMap<String, String>,
}

/// When it ran, and under which name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Unique for each execution.
    pub invocation_id: String,
    /// RFC 3339 in UTC.
    pub started_on: String,
    /// RFC 3339 in UTC.
    pub finished_on: String,
}

/// Something by name, place, digest or content: in-toto, `resource_descriptor.md`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceDescriptor {
    /// What it is here.
    pub name: String,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Algorithm and hex digits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// The type of `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
}

impl ResourceDescriptor {
    pub(crate) fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(crate) fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = Some(uri.into());
        self
    }

    pub(crate) fn digest(mut self, algorithm: &str, hex: impl Into<String>) -> Self {
        self.digest.insert(algorithm.to_owned(), hex.into());
        self
    }

    pub(crate) fn json(mut self, content: &impl Serialize) -> Self {
        use base64::Engine as _;
        // Strings, numbers and maps with string keys always serialise.
        let bytes = serde_json::to_vec(content).unwrap_or_default();
        self.media_type = Some("application/json".to_owned());
        self.content = Some(base64::engine::general_purpose::STANDARD.encode(bytes));
        self
    }

    /// What [`ResourceDescriptor::json`] put in.
    pub(crate) fn decode_json(&self) -> Option<Value> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(self.content.as_ref()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(crate) fn annotation(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }
}
