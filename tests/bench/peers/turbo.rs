//! Turborepo: one package with a script for each task.

use serde_json::{Map, Value, json};

use super::{Files, Graph, NO_OP, Peer};

/// It runs each task through a package manager. bun is the fastest of those that
/// it knows: with npm a task costs it some hundred milliseconds.
pub(in super::super) const TURBO: Peer = Peer {
    name: "turbo with bun",
    programs: &["turbo", "bun", "git"],
    version: &["sh", "-c", "echo turbo $(turbo --version), bun $(bun --version)"],
    files,
    git: true,
    uncached: &["turbo", "run", "build", "--concurrency=2", "--output-logs=none", "--cache=local:w"],
    cached: Some(&["turbo", "run", "build", "--concurrency=2", "--output-logs=none", "--cache=local:rw"]),
    remembers: true,
    ..Peer::PLAIN
};

fn files(graph: &Graph) -> Files {
    let root = json!({
        "name": "root", "private": true, "packageManager": "bun@1.4.5", "workspaces": ["p/*"],
    });
    let settings = json!({ "tasks": { "build": { "dependsOn": ["^build"], "outputs": [] } } });
    let mut files = vec![
        ("package.json".to_owned(), root.to_string()),
        ("turbo.json".to_owned(), settings.to_string()),
        (".gitignore".to_owned(), "node_modules\n.turbo\n".to_owned()),
    ];
    let mut workspaces = Map::from_iter([(String::new(), json!({ "name": "root" }))]);
    let mut packages = Map::new();
    for (n, after) in graph.names() {
        let name = format!("t{n}");
        let after: Map<String, Value> = after.into_iter().map(|name| (name, "workspace:*".into())).collect();
        let mut package = json!({ "name": name, "version": "1.0.0", "dependencies": after });
        workspaces.insert(format!("p/{name}"), package.clone());
        packages.insert(name.clone(), json!([format!("{name}@workspace:p/{name}")]));
        if let Some(fields) = package.as_object_mut() {
            fields.insert("scripts".to_owned(), json!({ "build": NO_OP }));
        }
        files.push((format!("p/{name}/package.json"), package.to_string()));
    }
    let lock = json!({ "lockfileVersion": 1, "workspaces": workspaces, "packages": packages });
    files.push(("bun.lock".to_owned(), lock.to_string()));
    files
}
