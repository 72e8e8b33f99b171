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

/// Parts that were found: each with its JSON pointer.
type Found = Vec<(String, PlanError)>;

fn keys(node: &Node, at: &str, table: &[(&str, &str)], found: &mut Found) {
    for (key, help) in table {
        let Some((place, _)) = entry(node, key) else { continue };
        let pointer = format!("{at}/{key}");
        if !found.iter().any(|(known, _)| *known == pointer) {
            let (what, help) = ((*key).to_owned(), (*help).to_owned());
            found.push((pointer, PlanError::Unsupported { what, help, place: *place }));
        }
    }
}

fn pipeline(spec: &Node, at: &str, found: &mut Found) {
    keys(spec, at, SPEC, found);
    for list in ["tasks", "finally"] {
        let Some((_, Node { kind: NodeKind::List(tasks), .. })) = entry(spec, list) else { continue };
        for (index, task) in tasks.iter().enumerate() {
            let at = format!("{at}/{list}/{index}");
            keys(task, &at, TASK, found);
            nested(task, &at, found);
        }
    }
}

fn nested(node: &Node, at: &str, found: &mut Found) {
    if let Some((_, spec)) = entry(node, "pipelineSpec") {
        pipeline(spec, &format!("{at}/pipelineSpec"), found);
    }
}

/// Every part of a document that is known and not run, with the JSON pointer to
/// what nothing else can be said of; of a document of which that is true as a
/// whole, the empty one.
pub(crate) fn find(document: &Document) -> Vec<(String, PlanError)> {
    let mut found = Vec::new();
    let root = document.root();
    if let Some((_, node)) = entry(root, "apiVersion")
        && node.kind == NodeKind::Text("tekton.dev/v1".to_owned())
    {
        for KubernetesOnly { place, what, instead, path } in kubernetes_only(document) {
            let help = instead.to_owned();
            found.push((unread(&path), PlanError::KubernetesOnly { what, help, place }));
        }
    }
    if let Some((_, spec)) = entry(root, "spec") {
        pipeline(spec, "/spec", &mut found);
        nested(spec, "/spec", &mut found);
    }
    found
}

/// What cannot be read for something that only Kubernetes runs, by its path: all
/// that belongs to it.
fn unread(path: &str) -> String {
    const WHOLE: &[&str] = &["taskSpec", "taskRef", "pipelineRef", "workspaces", "taskRunTemplate"];
    if path == "kind" {
        return String::new();
    }
    let mut pointer = String::new();
    for step in path.split(['.', '[']) {
        let step = step.trim_end_matches(']');
        pointer.push('/');
        pointer.push_str(step);
        if WHOLE.contains(&step) {
            break;
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_all_that_belongs_to_it() {
        for (path, pointer) in [
            ("spec.tasks[2].taskSpec.steps[0].image", "/spec/tasks/2/taskSpec"),
            ("spec.tasks[2].workspaces[0]", "/spec/tasks/2/workspaces"),
            ("spec.finally[0].params", "/spec/finally/0/params"),
            ("status", "/status"),
            ("kind", ""),
        ] {
            assert_eq!(unread(path), pointer, "{path}");
        }
    }
}
