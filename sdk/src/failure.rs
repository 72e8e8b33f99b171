//! Why a task did not succeed.

use std::fmt;

use crate::value::{Bindings, Value};

/// Why a task did not succeed, in words for the person who reads the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A stable CamelCase word for scripts, such as `LockfileUnreadable`.
    pub reason: String,
    /// One sentence: what was wrong, and where.
    pub message: String,
    /// What to do or type next.
    pub remedy: Option<String>,
    /// The results the task had come to; not every one of the manifest need be
    /// there. The pipeline may use them as those of a task that succeeded.
    pub results: Bindings,
}

impl Failure {
    /// A failure without a remedy.
    #[must_use]
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self { reason, message, remedy: None, results: Bindings::new() }
    }

    /// Adds what to do or type next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Hands back one result in spite of the failure. Its name and type are
    /// those of the manifest: another one is not kept.
    #[must_use]
    pub fn result(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.results.push((name.into(), value.into()));
        self
    }

    /// Hands back all results in spite of the failure: the `Results` of `task!`.
    #[must_use]
    pub fn results(mut self, results: impl Into<Bindings>) -> Self {
        self.results = results.into();
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
