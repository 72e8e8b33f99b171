//! The whole task, run as the host would run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "it/bounds.rs"]
mod bounds;
#[path = "it/injection.rs"]
mod injection;
#[path = "it/inputs.rs"]
mod inputs;
#[path = "it/pages.rs"]
mod pages;
