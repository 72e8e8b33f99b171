//! ninja: a build statement for each task.

use std::fmt::Write as _;

use super::{Files, Graph, NO_OP, Peer};

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

/// ninja gives every command to `sh`, which has a `true` of its own: a process for
/// each task, in which no program is begun.
pub(in super::super) const NINJA_SH_BUILTIN: Peer = Peer {
    name: "ninja -j2, sh alone",
    uncached: &["ninja", "-j2", "-f", "words.ninja"],
    cached: None,
    wanted: None,
    ..NINJA
};

/// `files.ninja` makes a file with each task, so that there is something to be
/// up to date. Each file has a log of its own.
fn files(graph: &Graph) -> Files {
    let mut plain = format!("builddir = plain\nrule t\n command = {NO_OP}\n");
    let mut words = "builddir = words\nrule t\n command = true\n".to_owned();
    let mut touching = "builddir = log\nrule t\n command = touch $out\n".to_owned();
    for (n, after) in graph.names() {
        let line = format!("build t{n}: t {}\n", after.join(" "));
        let _ = write!(plain, "{line}");
        let _ = write!(words, "{line}");
        let _ = write!(touching, "{line}");
    }
    let files = [("build.ninja", plain), ("words.ninja", words), ("files.ninja", touching)];
    files.map(|(name, text)| (name.to_owned(), text)).into()
}
