//! Parts of the pipeline language that this version does not run. They are
//! named, never ignored: a `when` that is skipped over would run a task that
//! its author meant to be skipped.

use cofferdam_manifest::{Document, Node, NodeKind};

use super::PlanError;
use crate::tekton::{KubernetesOnly, kubernetes_only};

const SPEC: &[(&str, &str)] = &[
    ("workspaces", "pass artifacts instead: `inputs` and `outputs`"),
    ("on", "start the run with `cofferdam run`"),
];
const TASK: &[(&str, &str)] = &[
    ("workspaces", "pass artifacts instead: `inputs` and `outputs`"),
    ("taskSpec", "publish the task, and refer to it by `taskRef`"),
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
    if let Some((_, node)) = entry(root, "apiVersion")
        && node.kind == NodeKind::Text("tekton.dev/v1".to_owned())
    {
        let found = kubernetes_only(document).into_iter();
        return found
            .map(|KubernetesOnly { place, what, instead, .. }| PlanError::KubernetesOnly {
                what,
                help: instead.to_owned(),
                place,
            })
            .collect();
    }
    if let Some((_, spec)) = entry(root, "spec") {
        keys(spec, SPEC, &mut errors);
        for list in ["tasks", "finally"] {
            if let Some((_, Node { kind: NodeKind::List(tasks), .. })) = entry(spec, list) {
                tasks.iter().for_each(|task| keys(task, TASK, &mut errors));
            }
        }
    }
    errors
}
