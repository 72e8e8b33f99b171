//! Why a task did not succeed.

use std::fmt;

/// Why a task did not succeed, in words for the person who reads the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable CamelCase word for scripts, such as `LockfileUnreadable`.
    pub reason: String,
    /// One sentence: what was wrong, and where.
    pub message: String,
    /// What to do or type next.
    pub remedy: Option<String>,
}

impl Failure {
    /// A failure without a remedy.
    #[must_use]
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into(), remedy: None }
    }

    /// Adds what to do or type next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("InputOutput", error.to_string())
    }
}
