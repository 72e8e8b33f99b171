//! How much a task may use, as manifests and the host's configuration say it.
//! One spelling for both: what a manifest lowers, the configuration sets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::ArtifactSpec;
use crate::name::Identifier;
use crate::quantity::{Quantity, Span};

/// How much a task may use. What is left out takes the host's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Linear memory, all of it together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Wall clock from start to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Processor time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Span>,
    /// Bytes written to outputs and scratch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Quantity>,
    /// Files and directories made in outputs and scratch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes of log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Quantity>,
    /// Files, directories, streams and timers open at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handles: Option<u64>,
    /// Core instances the component is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Tables of all core instances together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// HTTP requests and raw connections, refused ones among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// HTTP requests under way at once; more wait for each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_requests: Option<u64>,
    /// Bytes of the body of one request, and of one response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Quantity>,
    /// Bytes sent over the network, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Quantity>,
    /// Bytes received over the network, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Quantity>,
}

/// An artifact a task makes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// The name it is wired by.
    pub name: Identifier,
    /// One line for whoever wires it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How large it may be when it is sealed.
    #[serde(default, skip_serializing_if = "OutputLimits::is_default")]
    pub limits: OutputLimits,
}

/// How large one output may be. What is left out is bounded by the task's
/// limits alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputLimits {
    /// Bytes of all its files together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// Its files, links and directories together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

impl Limits {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OutputLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OutputSpec {
    /// The output without what only the host needs to know of it.
    #[must_use]
    pub fn artifact(&self) -> ArtifactSpec {
        ArtifactSpec { name: self.name.clone(), description: self.description.clone() }
    }
}
