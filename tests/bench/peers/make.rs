//! GNU make: a rule for each task.

use std::fmt::Write as _;

use super::{Files, Graph, NO_OP, Peer};

pub(in super::super) const MAKE: Peer = Peer {
    name: "make -j2",
    programs: &["make"],
    version: &["make", "--version"],
    files,
    uncached: &["make", "-j2", "-s"],
    cached: Some(&["make", "-j2", "-s", "-f", "files.mk"]),
    wanted: Some("0.125"),
    ..Peer::PLAIN
};

/// `files.mk` makes a file with each task, so that there is something to be up
/// to date.
fn files(graph: &Graph) -> Files {
    let (mut plain, mut touching) = ("all:".to_owned(), String::new());
    (0..graph.after.len()).for_each(|n| {
        let _ = write!(plain, " t{n}");
    });
    plain.push('\n');
    touching.push_str(&plain);
    for (n, after) in graph.names() {
        let after = after.join(" ");
        let _ = write!(plain, "t{n}: {after}\n\t@{NO_OP}\n");
        let _ = write!(touching, "t{n}: {after}\n\t@touch $@\n");
    }
    vec![("Makefile".to_owned(), plain), ("files.mk".to_owned(), touching)]
}
