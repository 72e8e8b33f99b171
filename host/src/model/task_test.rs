//! A file of tests beside a task: cases that say what the task is given and
//! what must come of it.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GrantSpec;

/// Cases for `cofferdam task test`, in `tests/*.yaml` beside `task.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskTest {
    /// `cofferdam.dev/v1`.
    pub api_version: TaskTestVersion,
    /// `TaskTest`.
    pub kind: TaskTestKind,
    /// The cases, each a run of its own.
    pub cases: Vec<TestCase>,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskTestVersion {
    /// The only one.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaskTestKind {
    /// Tests of one task.
    TaskTest,
}

/// One run of the task, and what must come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCase {
    /// A sentence that is true when the case passes.
    pub name: String,
    /// Values for its params; nothing in them is substituted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// A tree for each of its inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, TestInput>,
    /// What it may have of what it asks for, as in a pipeline. Left out, it must
    /// not ask for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantSpec>,
    /// What must come of it; left out, it must succeed.
    #[serde(default)]
    pub expect: Expectation,
}

/// What an input holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestInput {
    /// A directory, relative to the file.
    Directory(String),
    /// Files by their paths, each with its text.
    Files(BTreeMap<String, String>),
}

/// What must come of a case. What is not named may be anything, except
/// denials: one that is not named fails the case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// The reason it must fail for: its own, such as `NothingToCount`, or the
    /// host's, such as `TaskRunTimeout`. Left out, it must succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Its results.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, Value>,
    /// Files in its outputs: by output, then by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, BTreeMap<String, ExpectedFile>>,
    /// What it must be refused, each a part of `CAPABILITY SUBJECT`, such as
    /// `network GET https://example.org/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<String>,
    /// What its log must contain, each a part of one line, such as
    /// `info counted files=2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
}

/// A file that must be there, or must not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectedFile {
    /// Exactly this text.
    Text(String),
    /// What is said of it.
    Checks(FileChecks),
}

/// What is said of a file; all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FileChecks {
    /// Whether it is there; left out, it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
    /// A part of its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// The digest of its bytes: `sha256:` and 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
}
