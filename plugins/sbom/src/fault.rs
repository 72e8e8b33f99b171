//! What is wrong with a lock file: one line, what was expected, and the fix.

use cofferdam_sdk::Failure;

/// Why a lock file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Counted from 1; absent where the file as a whole is meant.
    line: Option<usize>,
    message: String,
    remedy: String,
}

impl Fault {
    /// A fault in one line.
    pub(crate) fn new(line: usize, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into(), remedy: remedy.into() }
    }

    /// A fault of the whole file.
    pub(crate) fn whole(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: None, message: message.into(), remedy: remedy.into() }
    }

    /// What the person who reads the run is told.
    pub(crate) fn at(self, path: &str) -> Failure {
        let place = match self.line {
            Some(line) => format!("{path}:{line}"),
            None => path.to_owned(),
        };
        Failure::new("LockfileUnreadable", format!("{place}: {}", self.message)).remedy(self.remedy)
    }
}

/// The line, counted from 1, of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes().iter().take(end).filter(|byte| **byte == b'\n').count() + 1
}
