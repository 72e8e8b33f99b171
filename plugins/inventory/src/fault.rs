//! What is wrong with a lock file: one line, what was expected, and the fix.

/// Why a lock file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1; absent where the file as a whole is meant.
    pub line: Option<usize>,
    /// What was expected, and what is there.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// A fault in one line.
    #[must_use]
    pub fn new(line: usize, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into(), remedy: remedy.into() }
    }

    /// A fault of the whole file.
    #[must_use]
    pub fn whole(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line: None, message: message.into(), remedy: remedy.into() }
    }

    /// The same with its place, in the file at a path.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        match self.line {
            Some(line) => format!("{path}:{line}: {}", self.message),
            None => format!("{path}: {}", self.message),
        }
    }
}

/// The line, counted from 1, of a byte offset.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes().iter().take(end).filter(|byte| **byte == b'\n').count() + 1
}
