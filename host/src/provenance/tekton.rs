//! A TaskRun in Tekton's shape, as Conforma reads it out of a `pipelineTask`
//! dependency. Names, references and reasons stay our own.
//!
//! Written field by field, in this order: there is one in the Statement of a
//! run for each of its tasks, and trees of JSON values would cost most of the
//! time that the Statement takes.

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::TaskFacts;
use crate::event::{RunRecord, StoredResult};
use crate::model::{RunId, Status};

/// The Tekton-shaped TaskRun.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskRun<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
    status: RunStatus<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: Name<'a>,
    labels: Labels<'a>,
}

/// The names of the run and of the task, joined.
struct Name<'a>(&'a RunId, &'a str);

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.0, self.1))
    }
}

#[derive(Serialize)]
struct Labels<'a> {
    #[serde(rename = "tekton.dev/task")]
    task: &'a str,
    // Without this label a failed or untrusted task would pass unseen.
    #[serde(rename = "tekton.dev/pipelineTask")]
    pipeline_task: &'a str,
    #[serde(rename = "tekton.dev/pipeline")]
    pipeline: &'a str,
    #[serde(rename = "tekton.dev/pipelineRun")]
    pipeline_run: &'a RunId,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    task_ref: TaskRef<'a>,
    params: Vec<Given<'a>>,
}

#[derive(Serialize)]
struct TaskRef<'a> {
    resolver: &'static str,
    params: [Named<'a>; 3],
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
struct Given<'a> {
    name: &'a str,
    value: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunStatus<'a> {
    start_time: Timestamp,
    completion_time: Timestamp,
    conditions: [Condition; 1],
    results: Vec<TaskResult<'a>>,
}

#[derive(Serialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
struct TaskResult<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    value_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    /// Of a result that is kept in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

impl<'a> TaskRun<'a> {
    /// The shape of a TaskRun of a run.
    pub(super) fn new(record: &'a RunRecord, task: TaskFacts<'a>) -> Self {
        let TaskFacts { start, end, .. } = task;
        let identity = &start.identity;
        let named = |name, value| Named { name, value };
        let result = |(name, value): (&'a String, &'a Value)| TaskResult {
            name,
            value_type: value.value_type().as_str(),
            value: Some(value),
            digest: None,
        };
        let stored = |(name, stored): (&'a String, &StoredResult)| TaskResult {
            name,
            value_type: stored.value_type.as_str(),
            value: None,
            digest: Some(stored.digest),
        };
        let succeeded = end.reason.status() == Status::Succeeded;
        Self {
            api_version: "tekton.dev/v1",
            kind: "TaskRun",
            metadata: Metadata {
                name: Name(&record.id, &start.task),
                labels: Labels {
                    task: &identity.name,
                    pipeline_task: &start.task,
                    pipeline: &record.start.pipeline,
                    pipeline_run: &record.id,
                },
            },
            spec: Spec {
                task_ref: TaskRef {
                    resolver: "bundles",
                    params: [
                        named("name", &identity.name),
                        named("bundle", &identity.reference),
                        named("kind", "task"),
                    ],
                },
                params: start.params.iter().map(|(name, value)| Given { name, value }).collect(),
            },
            status: RunStatus {
                start_time: task.started,
                completion_time: task.finished,
                conditions: [Condition {
                    kind: "Succeeded",
                    status: if succeeded { "True" } else { "False" },
                    reason: end.reason.as_str(),
                }],
                results: end
                    .results
                    .iter()
                    .map(result)
                    .chain(end.stored_results.iter().map(stored))
                    .collect(),
            },
        }
    }
}
