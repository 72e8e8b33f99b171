//! A pipeline file, in Tekton v1's shape: what may be written, as types.
//! Whether it makes sense is the plan's business.

use cofferdam_manifest::{Identifier, Name, NetworkRule, ParamSpec, RealOnly, Span, TcpRule, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A pipeline: tasks and how artifacts and values pass between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipeline {
    /// `cofferdam.dev/v1`.
    pub api_version: PipelineVersion,
    /// `Pipeline`.
    pub kind: PipelineKind,
    /// Who the pipeline is.
    pub metadata: PipelineMetadata,
    /// What the pipeline does.
    pub spec: PipelineSpec,
}

/// The version of the pipeline's own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineVersion {
    /// The only version so far.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineKind {
    /// One pipeline.
    Pipeline,
}

/// Who a pipeline is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineMetadata {
    /// The name its runs begin with.
    pub name: Name,
}

/// What a pipeline does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineSpec {
    /// One line for lists.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Values whoever runs it can give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamSpec>,
    /// The tasks, in any order.
    pub tasks: Vec<PipelineTask>,
}

/// One task of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineTask {
    /// The name other tasks refer to it by.
    pub name: Name,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// One line for whoever reads the pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which task it is.
    pub task_ref: TaskRef,
    /// Values for the task's params.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<GivenParam>,
    /// Artifacts for the task's inputs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<WiredInput>,
    /// Tasks that must have succeeded first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run_after: Vec<Name>,
    /// The longest it may run; the manifest's own limit holds besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What it may have of what it asks for. Left out, a trusted task has all
    /// of it, and an untrusted one must not ask for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantSpec>,
}

/// Which task: by `name` from the embedded registry, by `bundle` from a
/// registry, or by `component` from a file. Exactly one of the three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskRef {
    /// A task of the embedded registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Its version; left out, the newest published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A reference, such as `oci:PATH:NAME:TAG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// A component file, relative to the pipeline file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A value for one param.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenParam {
    /// The param.
    pub name: Identifier,
    /// Its value; `$(..)` in it is substituted.
    pub value: Value,
}

/// An artifact for one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WiredInput {
    /// The input.
    pub name: Identifier,
    /// `$(source)` or `$(tasks.NAME.outputs.NAME)`.
    pub from: String,
}

/// What a task may have of what it asks for; what is left out is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantSpec {
    /// Hosts to reach over HTTP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<NetworkRule>,
    /// Services to reach over a raw TCP connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp: Vec<TcpRule>,
    /// The real time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<RealOnly>,
    /// Real randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random: Option<RealOnly>,
}
