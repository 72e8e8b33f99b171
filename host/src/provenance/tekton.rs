//! A TaskRun in Tekton's shape, as Conforma reads it out of a `pipelineTask`
//! dependency. Names, references and reasons stay our own.

use cofferdam_manifest::Value;
use serde_json::{Value as Json, json};

use super::TaskFacts;
use crate::event::RunRecord;
use crate::model::{Status, TaskRunReason};

/// The Tekton-shaped TaskRun.
pub(super) fn task_run(record: &RunRecord, task: TaskFacts<'_>) -> Json {
    let TaskFacts { start, end, .. } = task;
    let identity = &start.identity;
    let params: Vec<Json> =
        start.params.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let results: Vec<Json> = end.results.iter().map(|(name, value)| result(name, value)).collect();
    let succeeded = end.reason.status() == Status::Succeeded;
    json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {
            "name": format!("{}-{}", record.id, start.task),
            "labels": {
                "tekton.dev/task": identity.name,
                // Without this label a failed or untrusted task would pass unseen.
                "tekton.dev/pipelineTask": start.task,
                "tekton.dev/pipeline": record.start.pipeline,
                "tekton.dev/pipelineRun": record.id,
            },
        },
        "spec": {
            "taskRef": {
                "resolver": "bundles",
                "params": [
                    { "name": "name", "value": identity.name },
                    { "name": "bundle", "value": identity.reference },
                    { "name": "kind", "value": "task" },
                ],
            },
            "params": params,
        },
        "status": {
            "startTime": task.started.to_string(),
            "completionTime": task.finished.to_string(),
            "conditions": [{
                "type": "Succeeded",
                "status": if succeeded { "True" } else { "False" },
                "reason": reason(end.reason),
            }],
            "results": results,
        },
    })
}

fn reason(reason: TaskRunReason) -> &'static str {
    reason.as_str()
}

fn result(name: &str, value: &Value) -> Json {
    json!({ "name": name, "type": value.value_type().as_str(), "value": value })
}
