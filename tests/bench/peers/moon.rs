//! moon: one project with all tasks.

use serde_json::{Map, json};

use super::{Files, Graph, NO_OP, Peer};

/// All tasks are of one project, which costs it less than a project for each.
pub(in super::super) const MOON: Peer = Peer {
    name: "moon",
    programs: &["moon", "git"],
    version: &["moon", "--version"],
    files,
    git: true,
    prepare: &["moon", "query", "projects"],
    uncached: &["moon", "run", "root:t*", "--concurrency", "2", "--force", "--quiet"],
    cached: Some(&["moon", "run", "root:t*", "--concurrency", "2", "--quiet"]),
    remembers: true,
    ..Peer::PLAIN
};

fn files(graph: &Graph) -> Files {
    let task = |after: Vec<String>| json!({ "command": NO_OP, "inputs": ["moon.yml"], "deps": after });
    let tasks: Map<_, _> = graph.names().map(|(n, after)| (format!("t{n}"), task(after))).collect();
    let workspace = json!({ "projects": { "root": "." }, "telemetry": false });
    vec![
        (".moon/workspace.yml".to_owned(), workspace.to_string()),
        ("moon.yml".to_owned(), json!({ "tasks": tasks }).to_string()),
        (".gitignore".to_owned(), ".moon/cache\n".to_owned()),
    ]
}
