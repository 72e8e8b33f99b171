//! `wasi:clocks` as a task sees it: the real clocks where they are granted, and
//! a [`FixedClock`] otherwise, whose timers cost no real time. They would be a
//! clock: a task could count how often its loop turns until one is over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::state::TaskState;
use crate::capability::FixedClock;

/// What waiting for a timer of a fixed clock takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Nothing: the clock jumps to its end as soon as all else is waited for.
    Virtual,
    /// The real time: for a task that also waits for the world outside, whose
    /// every answer a jump would beat.
    Real,
}

/// The clock of one TaskRun that was not granted the real one.
#[derive(Clone, Debug)]
pub(crate) struct TaskClock {
    pub(crate) fixed: Arc<FixedClock>,
    pub(crate) waiting: Waiting,
}

/// The view of one TaskRun's clocks.
pub(crate) struct Clocks<'a> {
    real: WasiClocksCtxView<'a>,
    own: Option<&'a TaskClock>,
}

/// Names the view to the linker.
struct ClocksData;

impl HasData for ClocksData {
    type Data<'a> = Clocks<'a>;
}

pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<TaskState, ClocksData>(linker, view)?;
    monotonic_clock::add_to_linker::<TaskState, ClocksData>(linker, view)
}

fn view(state: &mut TaskState) -> Clocks<'_> {
    let TaskState { wasi, table, clock, .. } = state;
    Clocks { real: WasiClocksCtxView { ctx: wasi.clocks(), table }, own: clock.as_ref() }
}

impl wall_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        match self.own {
            Some(own) => Ok(wall_clock::Datetime { seconds: own.fixed.wall().as_secs(), nanoseconds: 0 }),
            None => wall_clock::Host::now(&mut self.real),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        match self.own {
            Some(_) => Ok(wall_clock::Datetime { seconds: 1, nanoseconds: 0 }),
            None => wall_clock::Host::resolution(&mut self.real),
        }
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        match self.own {
            Some(own) => Ok(own.fixed.read()),
            None => monotonic_clock::Host::now(&mut self.real),
        }
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        match self.own {
            Some(_) => Ok(1000),
            None => monotonic_clock::Host::resolution(&mut self.real),
        }
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match self.own {
            Some(own) => {
                let timer = Timer::new(own, when);
                let timer = self.real.table.push(timer)?;
                subscribe(self.real.table, timer)
            }
            None => self.real.subscribe_instant(when),
        }
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        match self.own {
            Some(own) => self.subscribe_instant(own.fixed.now().saturating_add(duration)),
            None => self.real.subscribe_duration(duration),
        }
    }
}

/// A timer of a fixed clock.
struct Timer {
    clock: Arc<FixedClock>,
    /// When it is over, on that clock.
    end: u64,
    real: Option<RealEnd>,
}

/// When a timer that takes real time is over.
struct RealEnd {
    /// Never, where no such time can be told.
    at: Option<tokio::time::Instant>,
    yielded: bool,
}

impl Timer {
    fn new(own: &TaskClock, end: u64) -> Self {
        let real = match own.waiting {
            Waiting::Virtual => None,
            Waiting::Real => {
                let left = Duration::from_nanos(end.saturating_sub(own.fixed.now()));
                Some(RealEnd { at: tokio::time::Instant::now().checked_add(left), yielded: false })
            }
        };
        Self { clock: Arc::clone(&own.fixed), end, real }
    }
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match &mut self.real {
            None => Wait { clock: &self.clock, end: self.end, since: None }.await,
            Some(real) => {
                match real.at {
                    // A poll that waits for nothing must still let what comes
                    // from outside come.
                    Some(at) if at <= tokio::time::Instant::now() => {
                        if !std::mem::replace(&mut real.yielded, true) {
                            tokio::task::yield_now().await;
                        }
                    }
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
                self.clock.advance_to(self.end);
            }
        }
    }
}

/// Waits for the end of a timer in virtual time.
struct Wait<'a> {
    clock: &'a FixedClock,
    end: u64,
    /// When it began to wait.
    since: Option<u64>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let come = match self.since {
            None if self.end <= self.clock.now() => true,
            // All that is polled together must be known before one can be the
            // first, and whatever is ready without waiting goes before it.
            None => {
                self.since = Some(self.clock.enter(self.end));
                context.waker().wake_by_ref();
                false
            }
            Some(since) => self.clock.come(self.end, since),
        };
        if come { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            self.clock.leave(self.end, since);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use wasmtime::component::ResourceTable;
    use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn timers(waiting: Waiting, ends: &[u64]) -> (ResourceTable, TaskClock, Vec<Resource<DynPollable>>) {
        let mut table = ResourceTable::new();
        let clock = TaskClock { fixed: Arc::new(FixedClock::new(0)), waiting };
        let make = |end: &u64| {
            let timer = table.push(Timer::new(&clock, *end)).unwrap();
            subscribe(&mut table, timer).unwrap()
        };
        let timers = ends.iter().map(make).collect();
        (table, clock, timers)
    }

    fn borrowed(timers: &[Resource<DynPollable>]) -> Vec<Resource<DynPollable>> {
        timers.iter().map(|timer| Resource::new_borrow(timer.rep())).collect()
    }

    #[test]
    fn the_first_timer_is_over_first_in_whatever_order_they_are_polled() {
        const HOUR: u64 = 3_600_000_000_000;
        for (ends, first) in [
            (&[10 * HOUR, HOUR][..], &[1][..]),
            (&[HOUR, 10 * HOUR], &[0]),
            (&[HOUR, u64::MAX, HOUR], &[0, 2]),
        ] {
            let (mut table, clock, timers) = timers(Waiting::Virtual, ends);
            let ready = runtime().block_on(table.poll(borrowed(&timers))).unwrap();
            assert_eq!((ready.as_slice(), clock.fixed.now()), (first, HOUR));
        }
    }

    #[test]
    fn looking_at_a_timer_brings_its_end_nearer_but_does_not_wait() {
        let (mut table, clock, timers) = timers(Waiting::Virtual, &[10_000]);
        let mut looks = 0;
        while !runtime().block_on(table.ready(borrowed(&timers).remove(0))).unwrap() {
            looks += 1;
        }
        assert_eq!((looks, clock.fixed.now()), (10, 10_000));
    }

    #[test]
    fn a_thousand_timers_are_over_in_order() {
        let ends: Vec<u64> = (1..=1000).rev().map(|n| n * 1_000_000).collect();
        let (mut table, clock, mut timers) = timers(Waiting::Virtual, &ends);
        while let Some(last) = timers.len().checked_sub(1) {
            let ready = runtime().block_on(table.poll(borrowed(&timers))).unwrap();
            assert_eq!(ready, [u32::try_from(last).unwrap()]);
            table.drop(timers.remove(last)).unwrap();
        }
        assert_eq!(clock.fixed.now(), 1_000_000_000);
    }

    #[test]
    fn real_waiting_takes_real_time_and_advances_the_clock_by_what_was_asked() {
        let wait = Duration::from_millis(30);
        let end = u64::try_from(wait.as_nanos()).unwrap();
        let started = std::time::Instant::now();
        let runtime = runtime();
        let (mut table, clock, timers) = {
            let _guard = runtime.enter();
            timers(Waiting::Real, &[u64::MAX, end])
        };
        assert_eq!(runtime.block_on(table.poll(borrowed(&timers))).unwrap(), [1]);
        assert!(started.elapsed() >= wait);
        assert_eq!(clock.fixed.now(), end);
    }
}
