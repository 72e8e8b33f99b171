//! The processor time of one TaskRun: that of the thread it runs on, which runs
//! nothing else meanwhile. Time in which it waits, or others run, is not its.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this thread since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    /// Begins to count.
    pub(crate) fn start() -> Self {
        Self(now())
    }

    /// What the thread has used since.
    pub(crate) fn used(self) -> Duration {
        now().saturating_sub(self.0)
    }
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
