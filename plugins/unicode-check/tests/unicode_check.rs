//! The whole task, run as the host would run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "it/findings.rs"]
mod findings;
#[path = "it/schema.rs"]
mod schema;
#[path = "it/trees.rs"]
mod trees;
