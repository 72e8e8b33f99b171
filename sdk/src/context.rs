//! What a task can do beside reading inputs and writing outputs: speak.

use std::path::{Path, PathBuf};

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the task's author.
    Debug,
    /// For whoever watches.
    Info,
    /// Something is off and the task goes on.
    Warn,
    /// Something is wrong.
    Error,
}

/// What a task can do beside reading inputs and writing outputs.
#[derive(Debug, Default)]
pub struct Context {
    pub(crate) scratch: Option<PathBuf>,
    #[cfg(not(target_family = "wasm"))]
    pub(crate) lines: std::cell::RefCell<Vec<crate::harness::Line>>,
}

impl Context {
    /// A writable directory that is thrown away when the task ends.
    #[must_use]
    pub fn scratch(&self) -> Option<&Path> {
        self.scratch.as_deref()
    }

    /// Writes one structured line at a level.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        #[cfg(target_family = "wasm")]
        crate::guest::log(level, message, fields);
        #[cfg(not(target_family = "wasm"))]
        self.lines.borrow_mut().push(crate::harness::Line::new(level, message, fields));
    }

    /// Writes a line for the task's author.
    pub fn debug(&self, message: &str, fields: &[(&str, &str)]) {
        self.log(Level::Debug, message, fields);
    }

    /// Writes a line for whoever watches.
    pub fn info(&self, message: &str, fields: &[(&str, &str)]) {
        self.log(Level::Info, message, fields);
    }

    /// Writes a line about something that is off.
    pub fn warn(&self, message: &str, fields: &[(&str, &str)]) {
        self.log(Level::Warn, message, fields);
    }

    /// Writes a line about something that is wrong.
    pub fn error(&self, message: &str, fields: &[(&str, &str)]) {
        self.log(Level::Error, message, fields);
    }

    /// Says how far the task has come; `total` where it is known.
    pub fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        #[cfg(target_family = "wasm")]
        crate::guest::progress(done, total, message);
        #[cfg(not(target_family = "wasm"))]
        let _ = (done, total, message);
    }
}
