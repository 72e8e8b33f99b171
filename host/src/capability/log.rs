//! How much a task may log: structured lines, and what it writes to its
//! standard output and error, counted together.

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

    /// Counts bytes; whether they are still within the limit.
    #[must_use]
    pub(crate) fn take(&self, bytes: u64) -> bool {
        // Each line costs the host more than its text, an empty one too.
        let cost = bytes.saturating_add(16);
        self.used.fetch_add(cost, Ordering::Relaxed).saturating_add(cost) <= self.limit
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed).min(self.limit)
    }
}
