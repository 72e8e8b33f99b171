//! What can go wrong with a registry over HTTP.

use crate::digest::Digest;
use crate::layout::LayoutError;

/// Why a registry over HTTP did not do what was asked.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nobody answers, or what answers breaks off, also when tried again.
    #[error("the registry {host} cannot be reached: {why}")]
    #[diagnostic(
        code("registry/unreachable"),
        help("see whether it is up; what was pulled before runs without it")
    )]
    Unreachable {
        /// The registry.
        host: String,
        /// What the last attempt met.
        why: String,
        /// Whether it may go better the next time.
        again: bool,
    },
    /// It wants another login, or gives this one no access.
    #[error("the registry {host} refuses access to {repository}: {why}")]
    #[diagnostic(code("registry/unauthorized"), help("log in: cofferdam login {host} --username NAME"))]
    Unauthorized {
        /// The registry.
        host: String,
        /// What was asked for.
        repository: String,
        /// What it said.
        why: String,
    },
    /// The login for it cannot be had.
    #[error("the login for {host} cannot be read: {why}")]
    #[diagnostic(code("registry/login"), help("write a new one: cofferdam login {host} --username NAME"))]
    Login {
        /// The registry.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing has that name there.
    #[error("{host}/{repository} has no {what}")]
    #[diagnostic(
        code("registry/no-such-name"),
        help("check the name and the tag; what there is: cofferdam task list {host}/{repository}")
    )]
    NotFound {
        /// The registry.
        host: String,
        /// The repository there.
        repository: String,
        /// What was asked for.
        what: String,
    },
    /// Another answer than the distribution-spec has for it.
    #[error("{url} answered {status}: {message}")]
    #[diagnostic(code("registry/answer"), help("the registry's own log says more"))]
    Answer {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words, cut short.
        message: String,
    },
    /// What it gave is not what it should be.
    #[error("{url} gives what cannot be used: {why}")]
    #[diagnostic(
        code("registry/unsound"),
        help("nothing of it was kept; the registry, or something before it, is broken or hostile")
    )]
    Unsound {
        /// What was asked.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The bytes under a digest are other bytes.
    #[error("{url} gives other bytes than its name says: expected {expected}, found {found}")]
    #[diagnostic(
        code("registry/wrong-digest"),
        help("nothing of it was kept; the registry, or something before it, is broken or hostile")
    )]
    DigestMismatch {
        /// What was asked.
        url: String,
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },
    /// It sends the request where none may go.
    #[error("{from} sends to {to}: {why}")]
    #[diagnostic(
        code("registry/redirect"),
        help("a registry may send to another public host over https, and nowhere else")
    )]
    Redirected {
        /// What was asked.
        from: String,
        /// Where it sends.
        to: String,
        /// Why that is not followed.
        why: &'static str,
    },
    /// The client cannot be set up.
    #[error("cannot reach any registry: {why}")]
    #[diagnostic(code("registry/client"), help("docs/configuration.md says what can be set"))]
    Client {
        /// What is wrong.
        why: String,
    },
    /// What came cannot be kept, or what should go cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] LayoutError),
}
