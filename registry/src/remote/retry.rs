//! Tries again what may go better the next time, and waits in between.

use std::future::Future;
use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::error::RemoteError;

/// Attempts of one request, the first among them.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; doubled before each one after it.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// A registry that wants more patience is one that cannot be reached.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How an attempt failed.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It may go better the next time, after what the registry asks to wait.
    Again(RemoteError, Option<Duration>),
    /// It never will.
    Never(RemoteError),
}

impl From<RemoteError> for Attempt {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { again: true, .. } => Self::Again(error, None),
            RemoteError::Unreachable { again: false, .. }
            | RemoteError::Unauthorized { .. }
            | RemoteError::Login { .. }
            | RemoteError::NotFound { .. }
            | RemoteError::Answer { .. }
            | RemoteError::Unsound { .. }
            | RemoteError::DigestMismatch { .. }
            | RemoteError::Redirected { .. }
            | RemoteError::Client { .. }
            | RemoteError::Layout(_) => Self::Never(error),
        }
    }
}

/// Tries until it goes well, never can, or was tried often enough.
pub(super) async fn retrying<T, F>(mut once: impl FnMut() -> F) -> Result<T, RemoteError>
where
    F: Future<Output = Result<T, Attempt>>,
{
    let mut wait = FIRST_WAIT;
    let mut attempt = 1;
    loop {
        let (error, asked) = match once().await {
            Ok(done) => return Ok(done),
            Err(Attempt::Never(error)) => return Err(error),
            Err(Attempt::Again(error, asked)) => (error, asked),
        };
        if attempt == ATTEMPTS || asked.is_some_and(|asked| asked > MAX_WAIT) {
            return Err(error);
        }
        tracing::debug!(%error, attempt, "a registry is asked again");
        tokio::time::sleep(asked.unwrap_or(wait)).await;
        attempt += 1;
        wait *= 2;
    }
}

/// What `Retry-After` asks for, in seconds; its other form, a date, is not read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a status may be another one the next time.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502..=504)
}
