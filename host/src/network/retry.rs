//! When a request is tried again, and after how long.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

/// A server that asks for more patience than this is told to the task instead.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Whether a response says that another try may go better.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long to wait before the next try: what the server asks for, or twice as
/// long as before the last one. Nothing when it asks for too much.
pub(super) fn wait(
    headers: Option<&HeaderMap>,
    attempt: u32,
    backoff: Duration,
    now: Timestamp,
) -> Option<Duration> {
    let own = backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let asked = headers.and_then(|headers| headers.get(header::RETRY_AFTER)).and_then(|v| v.to_str().ok());
    let wait = match asked {
        None => own.min(MAX_WAIT),
        Some(asked) => retry_after(asked, now).unwrap_or(own),
    };
    (wait <= MAX_WAIT).then_some(wait)
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    let micros = at.as_microsecond().saturating_sub(now.as_microsecond());
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_server_is_given_the_time_it_asks_for_and_no_more_than_a_minute() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let backoff = Duration::from_millis(250);
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            wait(Some(&headers), 1, backoff, now)
        };
        assert_eq!(asked("2"), Some(Duration::from_secs(2)));
        assert_eq!(asked("Thu, 01 Jan 2026 00:00:07 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Wed, 01 Jan 2025 00:00:07 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("3600"), None);
        assert_eq!(asked("soon"), Some(backoff));
        assert_eq!(wait(None, 1, backoff, now), Some(backoff));
        assert_eq!(wait(None, 3, backoff, now), Some(Duration::from_secs(1)));
        assert_eq!(wait(None, u32::MAX, Duration::MAX, now), Some(MAX_WAIT));
    }
}
