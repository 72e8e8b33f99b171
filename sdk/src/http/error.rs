//! Why a request has no response, or not the one that was wanted.

use std::fmt;
use std::io;

use crate::Failure;

/// What the host writes before the YAML that would allow a request.
const REMEDY: &str = "; to allow it, ";

/// Why a request has no response, or not the one that was wanted. What the host
/// said is kept; `Failure::from` makes a task's failure of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The task may not send it. The text says which rule to add.
    NotGranted(String),
    /// The host does not send it, whatever is granted.
    Refused(String),
    /// It cannot be sent as it is written.
    Invalid(String),
    /// No connection: the name, the address, the TLS session.
    Unreachable(String),
    /// The response did not begin, or stopped, for too long.
    Timeout(String),
    /// The connection ended in the middle.
    Broken(String),
    /// A redirect that is not followed.
    Redirect(String),
    /// Another status than success.
    Status {
        /// The status.
        status: u16,
        /// Where it came from.
        url: String,
    },
    /// The body is larger than the task takes.
    TooLarge {
        /// How many bytes it takes.
        limit: u64,
    },
    /// The task's own end: what it reads from or writes to.
    Local(io::Error),
}

impl Error {
    /// A stable word for each, as [`Failure::reason`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotGranted(_) => "NotGranted",
            Self::Refused(_) => "RequestRefused",
            Self::Invalid(_) => "RequestInvalid",
            Self::Unreachable(_) => "Unreachable",
            Self::Timeout(_) => "NetworkTimeout",
            Self::Broken(_) => "ConnectionBroken",
            Self::Redirect(_) => "HttpRedirect",
            Self::Status { .. } => "HttpStatus",
            Self::TooLarge { .. } => "ResponseTooLarge",
            Self::Local(_) => "InputOutput",
        }
    }

    /// What a reader of a body failed with.
    pub(super) fn of_io(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Local)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(why) => write!(f, "not granted: {why}"),
            Self::Refused(why)
            | Self::Invalid(why)
            | Self::Unreachable(why)
            | Self::Timeout(why)
            | Self::Broken(why)
            | Self::Redirect(why) => f.write_str(why),
            Self::Status { status, url } => write!(f, "{url} answers with status {status}"),
            Self::TooLarge { limit } => write!(f, "the response is larger than {limit} bytes"),
            Self::Local(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Local(error) => Some(error),
            Self::NotGranted(_)
            | Self::Refused(_)
            | Self::Invalid(_)
            | Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Broken(_)
            | Self::Redirect(_)
            | Self::Status { .. }
            | Self::TooLarge { .. } => None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (reason, text) = (error.reason(), error.to_string());
        match text.split_once(REMEDY) {
            Some((message, remedy)) => Self::new(reason, message).remedy(remedy),
            None => Self::new(reason, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_a_failure_with_the_rule_to_add_as_its_remedy() {
        let told = "GET https://a.example.org/: no rule names the host; to allow it, declare it in \
                    task.yaml and add in the pipeline: grants: { network: [{ host: a.example.org }] }";
        let failure = Failure::from(Error::NotGranted(told.to_owned()));
        assert_eq!(failure.reason, "NotGranted");
        assert_eq!(failure.message, "not granted: GET https://a.example.org/: no rule names the host");
        assert!(failure.remedy.is_some_and(|remedy| remedy.ends_with("[{ host: a.example.org }] }")));
    }
}
