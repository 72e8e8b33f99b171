//! The manifest of a task: `task.yaml`, and the custom section it becomes.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::document::Document;
use crate::fault::{Fault, FaultKind};
use crate::limits::{Limits, OutputSpec};
use crate::name::{Identifier, Name};
use crate::shape;

/// The `apiVersion` of every manifest and pipeline this version writes.
pub const TASK_API_VERSION: &str = "cofferdam.dev/v1";

/// Params, results, inputs and outputs a task can have, of each. An input and
/// an output cost the host an open directory.
const MAX_NAMES: usize = 128;

/// Where the version of a task stands.
const VERSION: &str = "/metadata/version";

/// What a task takes, makes and asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `cofferdam.dev/v1`.
    pub api_version: ApiVersion,
    /// `Task`.
    pub kind: ManifestKind,
    /// Who the task is.
    pub metadata: Metadata,
    /// What the task does.
    pub spec: Spec,
}

/// The version of the manifest's own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManifestKind {
    /// One task.
    Task,
}

/// Who a task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The name it is published under.
    pub name: Name,
    /// A semantic version, in quotes.
    pub version: String,
    /// One line for lists.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The URL of its source, for who finds it in a registry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Its licences, as an SPDX expression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licenses: String,
}

/// What a task takes, makes and asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spec {
    /// Named inputs that are values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// Named small outputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultSpec>,
    /// Artifacts the task reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ArtifactSpec>,
    /// Artifacts the task makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputSpec>,
    /// What the task needs beyond its inputs and outputs.
    #[serde(skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// How much the task may use.
    #[serde(skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
}

/// A value of a param or a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// Of type `string`.
    Text(String),
    /// Of type `array`.
    Texts(Vec<String>),
    /// Of type `object`.
    Fields(BTreeMap<String, String>),
}

/// The type of a param or a result, in Tekton's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// One string.
    #[default]
    String,
    /// A list of strings.
    Array,
    /// Strings by key.
    Object,
}

/// A param of a task or a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamSpec {
    /// The name it is given by.
    pub name: Identifier,
    /// Left out, it follows the default; without one it is `string`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
    /// One line for whoever fills it in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The value when none is given; without it the param is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only strings allowed.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The keys an object must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Property>,
}

/// One key of an object param.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Property {
    /// `string`.
    #[serde(rename = "type")]
    pub value_type: StringOnly,
}

/// The only type a key of an object can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StringOnly {
    /// One string.
    #[default]
    String,
}

/// A named small output of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultSpec {
    /// The name it is read by.
    pub name: Identifier,
    /// Left out, it is `string`.
    #[serde(rename = "type", default)]
    pub value_type: ValueType,
    /// One line for whoever reads it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// An artifact a task reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSpec {
    /// The name it is wired by.
    pub name: Identifier,
    /// One line for whoever wires it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Value {
    /// The type of this value.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::String,
            Self::Texts(_) => ValueType::Array,
            Self::Fields(_) => ValueType::Object,
        }
    }
}

impl Value {
    /// The bytes of its text, and of what separates it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Texts(texts) => texts.iter().map(|text| text.len() + 3).sum(),
            Self::Fields(fields) => fields.iter().map(|(key, text)| key.len() + text.len() + 6).sum(),
        }
    }
}

impl ValueType {
    /// The type's word in a document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl ParamSpec {
    /// The declared type, else the default's, else `string`.
    #[must_use]
    pub fn effective_type(&self) -> ValueType {
        let inferred = || self.default.as_ref().map(Value::value_type);
        self.value_type.or_else(inferred).unwrap_or_default()
    }

    /// Why a value may not be given to this param, if it may not.
    #[must_use]
    pub fn refusal(&self, value: &Value) -> Option<String> {
        let expected = self.effective_type();
        if value.value_type() != expected {
            let found = value.value_type().as_str();
            return Some(format!("`{}` takes a value of type {}, not {found}", self.name, expected.as_str()));
        }
        match value {
            Value::Text(text) if !self.choices.is_empty() && !self.choices.contains(text) => {
                Some(format!("`{}` is `{text}`; it takes {}", self.name, self.choices.join(", ")))
            }
            Value::Fields(fields) => {
                let missing: Vec<&str> = self
                    .properties
                    .keys()
                    .filter(|key| !fields.contains_key(*key))
                    .map(String::as_str)
                    .collect();
                (!missing.is_empty()).then(|| format!("`{}` lacks {}", self.name, missing.join(", ")))
            }
            Value::Text(_) | Value::Texts(_) => None,
        }
    }
}

impl Manifest {
    /// Reads `task.yaml`.
    ///
    /// # Errors
    /// Every fault found, each with its place in the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let document = Document::parse_as(text, "task").map_err(|fault| vec![fault])?;
        let invalid =
            |pointer: &str, message| Fault::new(FaultKind::InvalidValue, document.place(pointer), message);
        let json = document.to_json();
        let version = json.pointer(VERSION).and_then(serde_json::Value::as_str);
        let version = version.filter(|version| !is_version(version)).map(|version| {
            let message = format!("`{version}` is no semantic version");
            invalid(VERSION, message).help("write for example 0.1.0, or 1.0.0-rc.1")
        });
        let (manifest, mut faults) = match shape::decode::<Self>(&document) {
            Ok(manifest) => (Some(manifest), Vec::new()),
            Err(faults) => (None, faults),
        };
        let contradictions = manifest.iter().flat_map(Self::contradictions);
        // An older component may have a version that is no more than a tag.
        let others = contradictions.filter(|(pointer, _)| version.is_none() || pointer != VERSION);
        faults.extend(others.map(|(pointer, message)| invalid(&pointer, message)));
        faults.extend(version);
        faults.sort_by_key(|fault| fault.place);
        match manifest {
            Some(manifest) if faults.is_empty() => Ok(manifest),
            Some(_) | None => Err(faults),
        }
    }

    /// Reads the manifest embedded in a component: JSON, and nothing a person
    /// wrote, so a fault needs no place.
    ///
    /// # Errors
    /// One line saying what is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match manifest.contradictions().into_iter().next() {
            Some((pointer, message)) => Err(format!("{pointer}: {message}")),
            None => Ok(manifest),
        }
    }

    /// The bytes that are embedded in a component. The same manifest always
    /// gives the same bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is well-formed and still cannot be meant: JSON pointer and message.
    fn contradictions(&self) -> Vec<(String, String)> {
        let spec = &self.spec;
        let mut found = Vec::new();
        if self.metadata.version.is_empty()
            || self.metadata.version.len() > 64
            || !self.metadata.version.bytes().all(is_tag_byte)
        {
            let message = format!("`{}` is not a version such as `0.1.0`", self.metadata.version);
            found.push((VERSION.to_owned(), message));
        }
        let lists: [(&str, Vec<&Identifier>); 4] = [
            ("params", spec.params.iter().map(|p| &p.name).collect()),
            ("results", spec.results.iter().map(|r| &r.name).collect()),
            ("inputs", spec.inputs.iter().map(|i| &i.name).collect()),
            ("outputs", spec.outputs.iter().map(|o| &o.name).collect()),
        ];
        for (list, names) in lists {
            if names.len() > MAX_NAMES {
                let message = format!("a task has at most {MAX_NAMES} {list}");
                found.push((format!("/spec/{list}/{MAX_NAMES}/name"), message));
            }
            let mut seen = HashSet::new();
            for (index, name) in names.into_iter().enumerate() {
                if !seen.insert(name.as_str().replace('-', "_")) {
                    let message = format!("`{name}` is already the name of another of the {list}");
                    found.push((format!("/spec/{list}/{index}/name"), message));
                }
            }
        }
        for (index, param) in spec.params.iter().enumerate() {
            if let Some(message) = param.default.as_ref().and_then(|value| param.refusal(value)) {
                found.push((format!("/spec/params/{index}/default"), message));
            }
            if !param.choices.is_empty() && param.effective_type() != ValueType::String {
                let message = format!("`{}` has an enum, which only a string can have", param.name);
                found.push((format!("/spec/params/{index}/enum"), message));
            }
        }
        for (below, message) in spec.capabilities.contradictions() {
            found.push((format!("/spec/capabilities{below}"), message));
        }
        found
    }
}

/// Whether a text is a semantic version (Semantic Versioning 2.0.0, items 2 and 9).
/// Without build metadata: an OCI tag, which it becomes, has no `+`.
fn is_version(text: &str) -> bool {
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| {
        let plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !part.is_empty() && plain && (!digits(part) || number(part))
    };
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.into_iter().all(number) && pre.is_none_or(|pre| pre.split('.').all(word))
}

/// The bytes an OCI tag may have after its first (distribution-spec, "Pulling manifests").
fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_task_cannot_ask_for_directories_without_end() {
        let outputs =
            |count: usize| (0..count).map(|n| format!("{{ name: o{n} }}")).collect::<Vec<_>>().join(", ");
        let text = |count| {
            let outputs = outputs(count);
            format!(
                "apiVersion: {TASK_API_VERSION}\nkind: Task\nmetadata: {{ name: x, version: 0.1.0 }}\nspec:\n  outputs: [{outputs}]\n"
            )
        };
        assert!(Manifest::parse(&text(128)).is_ok());
        let faults = Manifest::parse(&text(129)).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains("at most 128 outputs")), "{faults:?}");
    }

    #[test]
    fn a_manifest_that_is_empty_is_pointed_to_the_schema_of_tasks() {
        for text in ["", "# nothing yet\n"] {
            let faults = Manifest::parse(text).unwrap_err();
            let help = faults[0].help.as_deref().unwrap();
            assert!(help.ends_with("cofferdam schema task"), "{help}");
        }
    }

    const FULL: &str = "\
apiVersion: cofferdam.dev/v1
kind: Task
metadata: { name: fetch, version: 0.1.0, description: fetches }
spec:
  params:
    - { name: format, default: a, enum: [a, b] }
    - { name: list, default: [] }
    - { name: image, type: object, properties: { url: { type: string } } }
  results: [{ name: packages }]
  inputs: [{ name: source }]
  outputs: [{ name: deps }]
  capabilities:
    network: [{ host: '*.example.org', methods: [GET], path: /simple/, secret: { name: token, as: bearer } }]
    tcp: [{ host: clamd.example.org, port: 3310, addresses: [10.0.0.0/8] }]
    exec: [{ tool: cargo }]
    clock: real
  limits: { memory: 512Mi, timeout: 10m }
";

    #[test]
    fn a_manifest_survives_being_embedded() {
        let manifest = Manifest::parse(FULL).unwrap();
        assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
        assert_eq!(
            manifest.spec.params.iter().map(ParamSpec::effective_type).collect::<Vec<_>>(),
            [ValueType::String, ValueType::Array, ValueType::Object]
        );
    }

    #[test]
    fn contradictions_are_faults_with_a_place() {
        for (from, to, place) in [
            ("default: a,", "default: c,", "6:32"),
            ("name: list", "name: format", "7:15"),
            ("default: []", "default: [], enum: [x]", "7:34"),
            ("version: 0.1.0", "version: a/b", "3:35"),
        ] {
            let faults = Manifest::parse(&FULL.replace(from, to)).unwrap_err();
            let places: Vec<String> = faults.iter().map(|f| f.place.to_string()).collect();
            assert!(places.contains(&place.to_owned()), "{to}: {places:?}");
        }
    }

    #[test]
    fn a_version_is_a_semantic_one_that_can_be_a_tag() {
        for version in ["0.1.0", "1.0.0-rc.1", "10.20.30", "1.0.0-alpha-x.0a", "0.0.0"] {
            assert!(is_version(version), "{version}");
        }
        for version in
            ["one", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+b", "v1.0.0", "1.0.x", ""]
        {
            assert!(!is_version(version), "{version}");
            let faults = Manifest::parse(&FULL.replace("version: 0.1.0", &format!("version: '{version}'")));
            let faults = faults.unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!((faults[0].place.to_string(), faults[0].help.is_some()), ("3:35".to_owned(), true));
        }
        // What is published already is read.
        let embedded = String::from_utf8(Manifest::parse(FULL).unwrap().to_json()).unwrap();
        assert!(Manifest::from_json(embedded.replace("0.1.0", "1.0").as_bytes()).is_ok());
    }

    #[test]
    fn a_wrong_version_hides_no_other_fault_and_no_other_hides_it() {
        let text = FULL.replace("version: 0.1.0", "version: one").replace("memory: 512Mi", "memory: much");
        let places = |text: &str| -> Vec<String> {
            Manifest::parse(text).unwrap_err().iter().map(|fault| fault.place.to_string()).collect()
        };
        assert_eq!(places(&text), ["3:35", "17:21"]);
        assert_eq!(
            places(&FULL.replace("0.1.0", "one").replace("default: a,", "default: c,")),
            ["3:35", "6:32"]
        );
    }

    #[test]
    fn an_object_must_have_its_declared_keys() {
        let manifest = Manifest::parse(FULL).unwrap();
        let image = manifest.spec.params.get(2).unwrap();
        assert!(image.refusal(&Value::Fields(BTreeMap::new())).is_some());
        let full = BTreeMap::from([("url".to_owned(), "x".to_owned())]);
        assert!(image.refusal(&Value::Fields(full)).is_none());
    }
}
