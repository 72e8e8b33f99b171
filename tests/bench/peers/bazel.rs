//! Bazel, its actions in its own sandbox.

use std::fmt::Write as _;

use super::{Files, Graph, Peer};

/// Its server is up and has built everything once before anything is timed. A
/// rule of its own runs `touch` without a shell, which is the least that an action
/// can do.
pub(in super::super) const BAZEL: Peer = Peer {
    name: "bazel linux-sandbox",
    programs: &["bazel"],
    version: &["dpkg-query", "--show", "bazel-bootstrap"],
    files,
    prepare: &["bazel", ROOT, RC[0], RC[1], IDLE, "clean"],
    uncached: BUILD,
    warms_up: true,
    cached: Some(BUILD),
    stop: &["bazel", ROOT, RC[0], RC[1], IDLE, "clean", "--expunge"],
    wanted: Some("0.01"),
    ..Peer::PLAIN
};

const ROOT: &str = "--output_user_root={directory}.root";
/// The system's own settings say where Debian's bazel is installed; no others count.
const RC: [&str; 2] = ["--nohome_rc", "--noworkspace_rc"];
/// A server that nobody stops, stops by itself.
const IDLE: &str = "--max_idle_secs=600";

const BUILD: &[&str] = &[
    "bazel",
    ROOT,
    RC[0],
    RC[1],
    IDLE,
    "build",
    "--spawn_strategy=linux-sandbox",
    "--jobs=2",
    "--noshow_progress",
    ":all",
];

const RULE: &str = r#"def _noop(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".out")
    ctx.actions.run(executable = "/bin/touch", arguments = [out.path], inputs = ctx.files.after, outputs = [out])
    return [DefaultInfo(files = depset([out]))]

noop = rule(implementation = _noop, attrs = {"after": attr.label_list()})
"#;

fn files(graph: &Graph) -> Files {
    let mut text = "load(':noop.bzl', 'noop')\n".to_owned();
    for (n, after) in graph.names() {
        let after: Vec<String> = after.iter().map(|name| format!("'{name}'")).collect();
        let _ = writeln!(text, "noop(name = 't{n}', after = [{}])", after.join(", "));
    }
    vec![
        ("WORKSPACE".to_owned(), String::new()),
        ("noop.bzl".to_owned(), RULE.to_owned()),
        ("BUILD".to_owned(), text),
    ]
}
