//! Plain data that every layer speaks: names of runs, outcomes, limits, grants.
//! No I/O and nothing asynchronous.

mod control;
mod limits;
mod overrides;
mod pipeline;
mod reason;
mod reference;
mod secret;
mod shared;
mod task_run;
mod task_test;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use control::{
    ErrorMode, MatrixInclude, MatrixSpec, PipelineRunSpec, Retries, RetryCause, RetrySpec, RunParam,
    TimeLimit, TimeoutSpec, WhenOperator, WhenSpec,
};
pub use limits::{DEFAULT_LIMITS, EffectiveLimits};
pub(crate) use limits::{
    MAX_CARRIED_RESULT, MAX_CARRIED_RESULTS, MAX_COMBINATIONS, MAX_INSTANCES, MAX_PARAM_BYTES, MAX_PIPELINE,
    MAX_PLAN_BYTES, MAX_RESULT_BYTES, MAX_TABLES,
};
pub use overrides::{CapabilityKind, InvalidOverride, Override, Overrides};
pub use pipeline::{
    GivenParam, GrantSpec, Pipeline, PipelineKind, PipelineMetadata, PipelineResult, PipelineRun,
    PipelineRunKind, PipelineSpec, PipelineTask, PipelineVersion, WiredInput,
};
pub use reason::{RunReason, SkipReason, Status, TaskRunReason};
pub use reference::{
    InvalidPlace, PipelinePlace, PipelineRef, ResolverName, ResolverParam, TaskPlace, TaskRef,
};
pub use secret::{InvalidSecretHost, InvalidSecretValue, SecretHost, SecretValue};
pub use shared::Shared;
pub use task_run::is_task_run_name;
pub use task_test::{
    Expectation, ExpectedFile, FileChecks, TaskTest, TaskTestKind, TaskTestVersion, TestCase, TestInput,
};

/// The name of a PipelineRun: the pipeline's name, a dash and ten characters
/// that make it unique on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that cannot be the name of a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be the name of a run")]
pub struct InvalidRunId(String);

/// The alphabet of a run's suffix: no vowels, so that it spells nothing, and
/// nothing that reads like something else.
const ALPHABET: &[u8; 27] = b"bcdfghjkmnpqrstvwxz23456789";

impl RunId {
    /// A name for a new run; `unique` is 64 bits of randomness.
    #[must_use]
    pub fn new(pipeline: &str, mut unique: u64) -> Self {
        let mut suffix = String::new();
        for _ in 0..10 {
            let index = usize::try_from(unique % ALPHABET.len() as u64).unwrap_or(0);
            suffix.extend(ALPHABET.get(index).map(|byte| char::from(*byte)));
            unique /= ALPHABET.len() as u64;
        }
        Self(format!("{pipeline}-{suffix}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the pipeline, without what makes the run unique.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(pipeline, _)| pipeline)
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let sound = !text.is_empty() && text.len() <= 80 && text.chars().all(plain);
        if sound { Ok(Self(text.to_owned())) } else { Err(InvalidRunId(text.to_owned())) }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
