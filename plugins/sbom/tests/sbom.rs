//! The whole task, run as the host would run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "it/failures.rs"]
mod failures;
#[path = "it/graph.rs"]
mod graph;
#[path = "it/own_tree.rs"]
mod own_tree;
#[path = "it/schema.rs"]
mod schema;
#[path = "it/trees.rs"]
mod trees;
