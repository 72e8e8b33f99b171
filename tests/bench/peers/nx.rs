//! Nx: one project with a target for each task.

use serde_json::json;

use super::{Files, Graph, NO_OP, Peer};

/// Without its daemon, and with the graph of its projects known from before.
pub(in super::super) const NX: Peer = Peer {
    name: "nx",
    programs: &["nx", "node"],
    version: &["nx", "--version"],
    files,
    git: true,
    modules: true,
    prepare: &["nx", "show", "projects"],
    uncached: &["nx", "run-many", "-t", "build", "--parallel=2", "--outputStyle=static", "--skip-nx-cache"],
    cached: Some(&["nx", "run-many", "-t", "build", "--parallel=2", "--outputStyle=static"]),
    remembers: true,
    ..Peer::PLAIN
};

fn files(graph: &Graph) -> Files {
    let build = json!({ "cache": true, "dependsOn": ["^build"], "inputs": ["{projectRoot}/**/*"] });
    let settings =
        json!({ "neverConnectToCloud": true, "analytics": false, "targetDefaults": { "build": build } });
    let project = |(n, after): (usize, Vec<String>)| {
        let text = json!({
            "name": format!("t{n}"),
            "implicitDependencies": after,
            "targets": { "build": { "command": NO_OP } },
        });
        (format!("p/t{n}/project.json"), text.to_string())
    };
    let mut files: Files = graph.names().map(project).collect();
    files.push(("nx.json".to_owned(), settings.to_string()));
    files.push(("package.json".to_owned(), json!({ "name": "root", "private": true }).to_string()));
    files.push((".gitignore".to_owned(), "node_modules\n.nx\n".to_owned()));
    files
}
