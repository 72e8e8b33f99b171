//! ninja: a build statement for each task.

use std::fmt::Write as _;

use super::{Files, Graph, Peer};

pub(in super::super) const NINJA: Peer = Peer {
    name: "ninja -j2",
    programs: &["ninja"],
    version: &["ninja", "--version"],
    files,
    uncached: &["ninja", "-j2"],
    cached: Some(&["ninja", "-j2", "-f", "files.ninja"]),
    wanted: Some("0.067"),
    ..Peer::PLAIN
};

/// `files.ninja` makes a file with each task, so that there is something to be
/// up to date. Each file has a log of its own.
fn files(graph: &Graph) -> Files {
    let mut plain = "rule t\n command = true\n".to_owned();
    let mut touching = "builddir = log\nrule t\n command = touch $out\n".to_owned();
    for (n, after) in graph.names() {
        let line = format!("build t{n}: t {}\n", after.join(" "));
        let _ = write!(plain, "{line}");
        let _ = write!(touching, "{line}");
    }
    vec![("build.ninja".to_owned(), plain), ("files.ninja".to_owned(), touching)]
}
