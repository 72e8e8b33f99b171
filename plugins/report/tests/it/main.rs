//! The whole task, run as the host would run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod bounds;
mod injection;
mod inputs;
mod pages;
