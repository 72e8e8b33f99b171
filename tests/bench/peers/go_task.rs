//! Task, of taskfile.dev, with a Taskfile of one task for each of the graph.

use std::fmt::Write as _;

use super::{Files, Graph, NO_OP, Peer};

/// It has no memory of results: what
/// is up to date has to be asked with a command for each task.
pub(in super::super) const GO_TASK: Peer = Peer {
    name: "go-task",
    programs: &["task"],
    version: &["task", "--version"],
    files,
    uncached: &["task", "--concurrency", "2"],
    ..Peer::PLAIN
};

fn files(graph: &Graph) -> Files {
    let all: Vec<String> = (0..graph.after.len()).map(|n| format!("t{n}")).collect();
    let mut text =
        format!("version: '3'\nsilent: true\ntasks:\n  default: {{ deps: [{}] }}\n", all.join(", "));
    for (n, after) in graph.names() {
        let _ = writeln!(text, "  t{n}: {{ run: once, deps: [{}], cmds: ['{NO_OP}'] }}", after.join(", "));
    }
    vec![("Taskfile.yml".to_owned(), text)]
}
