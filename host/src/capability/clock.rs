//! The clock of a task that was not granted the real one.
//!
//! Its wall clock stands still at the run's `SOURCE_DATE_EPOCH`. Its monotonic
//! clock advances by one microsecond each time it is read: a loop that waits
//! for time to pass ends, and ends after the same number of turns every time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const STEP_NANOS: u64 = 1000;

/// A clock that depends on nothing but the run.
#[derive(Debug)]
pub(crate) struct FixedClock {
    epoch: Duration,
    reads: AtomicU64,
}

impl FixedClock {
    /// A clock that stands at a time in seconds since 1970; earlier times
    /// cannot be expressed to a task and count as 1970.
    pub(crate) fn new(epoch: i64) -> Self {
        Self { epoch: Duration::from_secs(u64::try_from(epoch).unwrap_or(0)), reads: AtomicU64::new(0) }
    }

    pub(crate) fn wall(&self) -> Duration {
        self.epoch
    }

    pub(crate) fn monotonic_nanos(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed).saturating_mul(STEP_NANOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_one_run_never_differ() {
        let (a, b) = (FixedClock::new(1_700_000_000), FixedClock::new(1_700_000_000));
        for _ in 0..3 {
            assert_eq!((a.wall(), a.monotonic_nanos()), (b.wall(), b.monotonic_nanos()));
        }
        assert!(a.monotonic_nanos() > 0);
        assert_eq!(FixedClock::new(-5).wall(), Duration::ZERO);
    }
}
