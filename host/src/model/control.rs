//! What decides whether, how often and how long a task of a pipeline runs:
//! `when`, `matrix`, `retries`, `timeouts`, `onError`, as they are written.

use std::borrow::Cow;

use cofferdam_manifest::{Identifier, Name, Span, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::pipeline::GivenParam;

/// One condition: `input`, `operator` and `values`, or `cel` alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhenSpec {
    /// The string that is looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Whether it must be among the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<WhenOperator>,
    /// The values; an item can be `$(params.NAME[*])`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// An expression of the Common Expression Language that gives true or false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cel: Option<String>,
}

/// Whether an input must be among the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenOperator {
    /// It must be.
    In,
    /// It must not be.
    NotIn,
}

/// Runs a task once for each combination of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixSpec {
    /// Params and the lists of their values: every combination is run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<GivenParam>,
    /// Params that combinations have besides, or combinations of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<MatrixInclude>,
}

/// Params for the combinations they fit, or one more combination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixInclude {
    /// A name for people; the key of a combination of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The params.
    pub params: Vec<GivenParam>,
}

/// How often a task is tried again: a number, or a number and more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Retries {
    /// How many times, at most 100.
    Count(u32),
    /// How many times, after how long, and after which failures.
    Policy(RetrySpec),
}

/// How a task is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrySpec {
    /// How many times, at most 100.
    pub max: u32,
    /// How long to wait before the first; each wait after it is twice as long,
    /// up to five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Span>,
    /// After which failures; left out, after all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryCause>,
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryCause {
    /// The task said that it failed, or trapped.
    Failed,
    /// It ran longer than its timeout, or used too much processor time.
    Timeout,
    /// It wanted more memory than its limit.
    Memory,
    /// It failed, and a request or connection of it had come to nothing.
    Network,
}

/// Whether a pipeline goes on when a task failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ErrorMode {
    /// The pipeline stops.
    #[default]
    StopAndFail,
    /// The pipeline goes on as if it had succeeded.
    Continue,
}

/// How long a pipeline may take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutSpec {
    /// All of it; left out, one hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<TimeLimit>,
    /// Its `tasks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TimeLimit>,
    /// Its `finally`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finally: Option<TimeLimit>,
}

/// A span of time such as `1h30m`, or `0` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeLimit(pub Option<Span>);

impl TryFrom<String> for TimeLimit {
    type Error = cofferdam_manifest::InvalidQuantity;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let nothing = !text.is_empty() && text.chars().all(|c| matches!(c, '0' | 'h' | 'm' | 's'));
        if nothing && text.starts_with('0') {
            Ok(Self(None))
        } else {
            text.parse().map(|span| Self(Some(span)))
        }
    }
}

impl From<TimeLimit> for String {
    fn from(limit: TimeLimit) -> Self {
        limit.0.map_or_else(|| "0".to_owned(), |span| span.to_string())
    }
}

impl JsonSchema for TimeLimit {
    fn schema_name() -> Cow<'static, str> {
        "TimeLimit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(0|([0-9]+(ms|h|m|s))+)$"})
    }
}

/// A pipeline to run, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineRunSpec {
    /// Which pipeline. Exactly one of this and `pipelineSpec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_ref: Option<super::PipelineRef>,
    /// The pipeline, written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_spec: Option<super::PipelineSpec>,
    /// Values for the pipeline's params.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<RunParam>,
    /// How long it may take; says more than the pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutSpec>,
}

/// A value for one param of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunParam {
    /// The param.
    pub name: Identifier,
    /// Its value; nothing in it is substituted.
    pub value: Value,
}
