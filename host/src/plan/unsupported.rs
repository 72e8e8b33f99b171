//! Parts of the pipeline language that this version does not run. They are
//! named, never ignored: a `when` that is skipped over would run a task that
//! its author meant to be skipped.

use cofferdam_manifest::{Document, Node, NodeKind};

use super::PlanError;

const SPEC: &[(&str, &str)] = &[
    ("finally", "run those tasks as ordinary ones for now"),
    ("results", "read the results of the tasks with `cofferdam show`"),
    ("workspaces", "pass artifacts instead: `inputs` and `outputs`"),
    ("timeouts", "set `timeout` on the tasks"),
    ("on", "start the run with `cofferdam run`"),
];
const TASK: &[(&str, &str)] = &[
    ("when", "choose the tasks by writing two pipelines"),
    ("matrix", "write the task once for each combination"),
    ("retries", "run the pipeline again"),
    ("onError", "let the task return its finding as a result"),
    ("workspaces", "pass artifacts instead: `inputs` and `outputs`"),
    ("taskSpec", "publish the task, and refer to it by `taskRef`"),
    ("pipelineRef", "write its tasks out"),
    ("pipelineSpec", "write its tasks out"),
];

fn entry<'a>(node: &'a Node, key: &str) -> Option<(&'a cofferdam_manifest::Place, &'a Node)> {
    match &node.kind {
        NodeKind::Map(entries) => {
            entries.iter().find(|(name, ..)| name == key).map(|(_, place, value)| (place, value))
        }
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::List(_) => None,
    }
}

fn keys(node: &Node, table: &[(&str, &str)], errors: &mut Vec<PlanError>) {
    for (key, help) in table {
        if let Some((place, _)) = entry(node, key) {
            let (what, help) = ((*key).to_owned(), (*help).to_owned());
            errors.push(PlanError::Unsupported { what, help, place: *place });
        }
    }
}

/// Every part of a document that is known and not run.
pub(crate) fn find(document: &Document) -> Vec<PlanError> {
    let mut errors = Vec::new();
    let root = document.root();
    let mut value = |key: &str, text: &str, help: &str| {
        if let Some((_, node)) = entry(root, key)
            && node.kind == NodeKind::Text(text.to_owned())
        {
            let what = format!("{key}: {text}");
            errors.push(PlanError::Unsupported { what, help: help.to_owned(), place: node.place });
        }
    };
    value("apiVersion", "tekton.dev/v1", "write `apiVersion: cofferdam.dev/v1`");
    value("kind", "PipelineRun", "write `kind: Pipeline`, and give params with `--param`");
    if let Some((_, spec)) = entry(root, "spec") {
        keys(spec, SPEC, &mut errors);
        if let Some((_, Node { kind: NodeKind::List(tasks), .. })) = entry(spec, "tasks") {
            for task in tasks {
                keys(task, TASK, &mut errors);
            }
        }
    }
    errors
}
