//! The clock of a task that was not granted the real one.
//!
//! Its wall clock stands still at the run's `SOURCE_DATE_EPOCH`. Its monotonic
//! clock advances by one microsecond each time it is looked at, and to a
//! timer's end when the task has nothing to do but wait for it: a loop that
//! waits for time to pass ends, after the same number of turns every time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a look at the clock, or at a timer that is not over, takes.
const STEP_NANOS: u64 = 1000;

/// A clock that depends on nothing but the run and what the task does.
#[derive(Debug)]
pub(crate) struct FixedClock {
    epoch: Duration,
    /// Whether the task has looked at the wall clock.
    looked: AtomicBool,
    timeline: Mutex<Timeline>,
}

/// Nanoseconds since the task began, and how many wait for each later instant.
#[derive(Debug, Default)]
struct Timeline {
    now: u64,
    waiting: BTreeMap<u64, usize>,
}

impl FixedClock {
    /// A clock that stands at a time in seconds since 1970; earlier times
    /// cannot be expressed to a task and count as 1970.
    pub(crate) fn new(epoch: i64) -> Self {
        let epoch = Duration::from_secs(u64::try_from(epoch).unwrap_or(0));
        Self { epoch, looked: AtomicBool::new(false), timeline: Mutex::default() }
    }

    /// The wall clock. That it was looked at is noted: only then does the
    /// outcome depend on the run's time.
    pub(crate) fn wall(&self) -> Duration {
        self.looked.store(true, Ordering::Relaxed);
        self.epoch
    }

    /// Whether the wall clock was ever looked at.
    pub(crate) fn was_looked_at(&self) -> bool {
        self.looked.load(Ordering::Relaxed)
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The monotonic time. Reading takes a step.
    pub(crate) fn read(&self) -> u64 {
        let mut timeline = self.timeline();
        let now = timeline.now;
        timeline.now = now.saturating_add(STEP_NANOS);
        now
    }

    /// The monotonic time, without a step.
    pub(crate) fn now(&self) -> u64 {
        self.timeline().now
    }

    /// Advances to an instant, unless it has passed.
    pub(crate) fn advance_to(&self, instant: u64) {
        let mut timeline = self.timeline();
        timeline.now = timeline.now.max(instant);
    }

    /// Begins to wait for an instant; gives the time. Ends with
    /// [`FixedClock::leave`], whether the instant came or not.
    pub(crate) fn enter(&self, instant: u64) -> u64 {
        let mut timeline = self.timeline();
        *timeline.waiting.entry(instant).or_default() += 1;
        timeline.now
    }

    /// Whether an instant has come that was waited for since a time. Where no
    /// time has passed since then, the clock advances to the earliest one.
    pub(crate) fn come(&self, instant: u64, since: u64) -> bool {
        let mut timeline = self.timeline();
        let first = timeline.waiting.first_key_value().is_none_or(|(first, _)| *first >= instant);
        if first && timeline.now == since {
            timeline.now = timeline.now.max(instant);
        }
        timeline.now >= instant
    }

    /// Waits no longer for an instant, as since a time. Where no time has
    /// passed meanwhile the look takes a step: whoever looks again and again
    /// must come to an end.
    pub(crate) fn leave(&self, instant: u64, since: u64) {
        let mut timeline = self.timeline();
        if let Some(count) = timeline.waiting.get_mut(&instant) {
            *count -= 1;
            if *count == 0 {
                timeline.waiting.remove(&instant);
            }
        }
        if timeline.now == since {
            timeline.now = since.saturating_add(STEP_NANOS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_one_run_never_differ() {
        let (a, b) = (FixedClock::new(1_700_000_000), FixedClock::new(1_700_000_000));
        for _ in 0..3 {
            assert_eq!((a.wall(), a.read()), (b.wall(), b.read()));
        }
        assert!(a.read() > 0);
        assert_eq!(FixedClock::new(-5).wall(), Duration::ZERO);
        let untouched = FixedClock::new(0);
        untouched.read();
        assert!(a.was_looked_at() && !untouched.was_looked_at(), "only the wall clock counts");
    }

    #[test]
    fn the_earliest_instant_comes_alone() {
        let clock = FixedClock::new(0);
        let since = [10, 1, 1].map(|instant| clock.enter(instant));
        assert_eq!(since, [0; 3]);
        assert!(!clock.come(10, 0));
        assert!(clock.come(1, 0));
        clock.leave(1, 0);
        assert!(clock.come(1, 0), "both that wait for it");
        clock.leave(1, 0);
        assert!(!clock.come(10, 0), "not with the earlier one");
        clock.leave(10, 0);
        assert_eq!(clock.now(), 1, "time passed, so the look took none");
        clock.leave(10, clock.enter(10));
        assert_eq!(clock.now(), 1 + STEP_NANOS, "a look in vain");
    }

    #[test]
    fn the_end_of_time_is_only_reached() {
        let clock = FixedClock::new(0);
        let since = clock.enter(u64::MAX);
        assert!(clock.come(u64::MAX, since));
        clock.leave(u64::MAX, since);
        assert_eq!([clock.read(), clock.read()], [u64::MAX; 2]);
        clock.leave(5, u64::MAX);
        clock.advance_to(0);
        assert_eq!(clock.now(), u64::MAX);
    }
}
