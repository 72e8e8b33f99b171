//! How much a task may log: structured lines, and what it writes to its
//! standard output and error, counted together.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes a task logs against its limit.
#[derive(Debug)]
pub(crate) struct LogMeter {
    used: AtomicU64,
    limit: u64,
}

impl LogMeter {
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    /// Counts a line's bytes and fields; whether they are still within the limit.
    #[must_use]
    pub(crate) fn take(&self, bytes: u64, fields: u64) -> bool {
        // A line costs the host more than its text, and so does each field,
        // empty ones too.
        let cost = bytes.saturating_add(fields.saturating_add(1).saturating_mul(16));
        self.used.fetch_add(cost, Ordering::Relaxed).saturating_add(cost) <= self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed).min(self.limit)
    }
}

/// A task's text, cut where it is longer than a number of bytes.
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let kept = text.get(..text.floor_char_boundary(limit)).unwrap_or_default();
    Cow::Owned(format!("{kept} [cut: it had {} bytes]", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_logged_for_nothing() {
        let meter = LogMeter::new(64);
        assert!(meter.take(0, 3));
        assert!(!meter.take(0, 0));
        assert!(!LogMeter::new(u64::MAX - 1).take(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_marked() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a\u{e9}b", 2), "a [cut: it had 4 bytes]");
    }
}
