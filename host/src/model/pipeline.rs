//! A pipeline file, in Tekton v1's shape: what may be written, as types.
//! Whether it makes sense is the plan's business.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use cofferdam_manifest::{
    ArtifactSpec, Identifier, Name, NetworkRule, ParamSpec, RealOnly, Span, TcpRule, Value, ValueType,
};
use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::control::{ErrorMode, MatrixSpec, PipelineRunSpec, Retries, TimeoutSpec, WhenSpec};
use super::reference::{PipelineRef, TaskRef};

/// How many tasks are believed in before they are read.
const MAX_RESERVED: usize = 1 << 16;

/// A pipeline: tasks and how artifacts and values pass between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipeline {
    /// `cofferdam.dev/v1`, or `tekton.dev/v1`.
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
    /// The language of this page.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
    /// The same as Tekton writes it, without what needs Kubernetes.
    #[serde(rename = "tekton.dev/v1")]
    Tekton,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineKind {
    /// One pipeline.
    Pipeline,
}

/// A pipeline to run, and with what, as a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineRun {
    /// `cofferdam.dev/v1`, or `tekton.dev/v1`.
    pub api_version: PipelineVersion,
    /// `PipelineRun`.
    pub kind: PipelineRunKind,
    /// Who the run is.
    pub metadata: PipelineMetadata,
    /// Which pipeline, with what.
    pub spec: PipelineRunSpec,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelineRunKind {
    /// One run of a pipeline.
    PipelineRun,
}

/// Who a pipeline is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineMetadata {
    /// The name its runs begin with.
    pub name: Name,
    /// Free text by key, for people and programs; decides nothing here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The same, longer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
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
    /// Artifacts that whoever nests the pipeline hands it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<ArtifactSpec>,
    /// The tasks, in any order.
    #[serde(deserialize_with = "of_known_length")]
    #[schemars(with = "Vec<PipelineTask>")]
    pub tasks: Vec<PipelineTask>,
    /// Tasks that run when all others have ended, however that was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<PipelineTask>,
    /// Values it hands back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<PipelineResult>,
    /// Artifacts it hands to whoever nests it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<WiredInput>,
    /// How long it may take; a PipelineRun may say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutSpec>,
}

/// A value a pipeline hands back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineResult {
    /// The name it is read by.
    pub name: Identifier,
    /// Left out, it follows the value.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
    /// One line for whoever reads it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its value, from `$(tasks.NAME.results.NAME)`.
    pub value: Value,
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
    /// Which task it is. Exactly one of this, `pipelineRef` and `pipelineSpec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ref: Option<TaskRef>,
    /// A pipeline that runs in this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<Box<PipelineRef>>,
    /// The same, written out; it sees the params of the pipeline around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_spec: Option<Box<PipelineSpec>>,
    /// Conditions; it runs if all of them hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<WhenSpec>,
    /// Runs it once for each combination of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Box<MatrixSpec>>,
    /// How often it is tried again when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Box<Retries>>,
    /// Whether the pipeline goes on when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<ErrorMode>,
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
    pub grants: Option<Box<GrantSpec>>,
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

/// A list that is as long as it says from the start: one that grows to ten
/// thousand tasks has twice the memory for a moment.
fn of_known_length<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    struct Exactly<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Exactly<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sequence")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let length = items.size_hint().unwrap_or(0).min(MAX_RESERVED);
            let mut list = Vec::with_capacity(length);
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok(list)
        }
    }

    input.deserialize_seq(Exactly(PhantomData))
}
