//! The whole task, run as the host would run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod failures;
mod graph;
mod own_tree;
mod schema;
mod trees;
