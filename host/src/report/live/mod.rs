//! A run while it happens, on standard error, in the form that whoever reads it
//! understands: moving lines on a terminal, plain lines, JSON Lines, or the
//! commands of a continuous-integration service.
//!
//! Each form is one sink. What an event means is decided in `moment` alone.

mod block;
mod board;
mod gathered;
mod github;
mod gitlab;
mod jsonl;
mod moment;
mod patience;
mod plain;
mod pretty;
mod screen;
mod tail;
#[cfg(test)]
mod tests;

pub(super) use github::annotation_of;
pub use github::{GithubLog, inert_json, inert_text};
pub use gitlab::GitlabLog;
pub use jsonl::JsonLines;
pub use patience::busy;
pub use plain::PlainLines;
pub use pretty::{PrettyLines, Remarks};
pub use screen::Screen;

use super::words::Palette;

/// What every form for people needs to know of where it is read.
#[derive(Clone, Debug)]
pub struct Reader {
    /// What the commands that are named begin with.
    pub program: String,
    /// The colours.
    pub palette: Palette,
}
