//! Which task is next. Knows indexes and edges, nothing of what tasks are.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::Status;

/// How often a waiting thread looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The order of a run, shared by its threads.
#[derive(Debug)]
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
    /// The tasks that wait for each task.
    waiting: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct State {
    /// How many tasks each task still waits for.
    open: Vec<usize>,
    ready: VecDeque<usize>,
    running: usize,
    started: Vec<bool>,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    stopping: bool,
}

/// How a run's tasks ended.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) cancelled: usize,
    /// The tasks that were never started.
    pub(super) not_run: Vec<usize>,
}

impl Schedule {
    /// A schedule for tasks given by what each of them waits for, without cycles.
    pub(super) fn new<'a>(after: impl ExactSizeIterator<Item = &'a [usize]>) -> Self {
        let count = after.len();
        let mut waiting = vec![Vec::new(); count];
        let mut open = Vec::with_capacity(count);
        for (index, before) in after.enumerate() {
            open.push(before.len());
            for other in before {
                if let Some(list) = waiting.get_mut(*other) {
                    list.push(index);
                }
            }
        }
        let ready = open.iter().enumerate().filter(|(_, n)| **n == 0).map(|(index, _)| index).collect();
        let started = vec![false; count];
        let state = State {
            open,
            ready,
            running: 0,
            started,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            stopping: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), waiting }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next task to run; nothing when there will be none.
    pub(super) fn next(&self, cancelled: impl Fn() -> bool) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopping || cancelled() {
                state.stopping = true;
                self.changed.notify_all();
                return None;
            }
            if let Some(index) = state.ready.pop_front() {
                state.running += 1;
                if let Some(started) = state.started.get_mut(index) {
                    *started = true;
                }
                return Some(index);
            }
            if state.running == 0 {
                self.changed.notify_all();
                return None;
            }
            let (next, _) = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }

    /// Whether any task waits for this one.
    pub(super) fn is_awaited(&self, index: usize) -> bool {
        self.waiting.get(index).is_some_and(|waiters| !waiters.is_empty())
    }

    /// Says how a task ended. One that did not succeed stops the run.
    pub(super) fn finished(&self, index: usize, status: Status) {
        let mut state = self.lock();
        state.running = state.running.saturating_sub(1);
        let mut woken = 0;
        match status {
            Status::Succeeded => state.succeeded += 1,
            Status::Failed => state.failed += 1,
            Status::Cancelled => state.cancelled += 1,
        }
        if status == Status::Succeeded {
            for waiter in self.waiting.get(index).into_iter().flatten() {
                let left = state.open.get_mut(*waiter).map(|open| {
                    *open = open.saturating_sub(1);
                    *open
                });
                if left == Some(0) {
                    state.ready.push_back(*waiter);
                    woken += 1;
                }
            }
        } else {
            state.stopping = true;
        }
        // The thread that calls this takes one of the tasks itself.
        let over = state.stopping || (state.running == 0 && state.ready.is_empty());
        drop(state);
        if over || woken > 1 {
            self.changed.notify_all();
        }
    }

    /// Stops handing out tasks: something went wrong with the run itself.
    pub(super) fn abandon(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// How the tasks ended.
    pub(super) fn tally(&self) -> Tally {
        let state = self.lock();
        let not_run =
            state.started.iter().enumerate().filter(|(_, started)| !**started).map(|(index, _)| index);
        let (succeeded, failed, cancelled) = (state.succeeded, state.failed, state.cancelled);
        Tally { succeeded, failed, cancelled, not_run: not_run.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(after: &[Vec<usize>]) -> Schedule {
        Schedule::new(after.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_failure_stops_everything_that_has_not_begun() {
        let schedule = schedule(&[vec![], vec![0], vec![]]);
        assert_eq!(schedule.next(|| false), Some(0));
        schedule.finished(0, Status::Failed);
        assert_eq!(schedule.next(|| false), None);
        let tally = schedule.tally();
        assert_eq!((tally.succeeded, tally.failed, tally.not_run), (0, 1, vec![1, 2]));
    }

    #[test]
    fn a_cancelled_run_starts_nothing_more() {
        let schedule = schedule(&[vec![]]);
        assert_eq!(schedule.next(|| true), None);
        assert_eq!(schedule.tally().not_run, [0]);
    }

    proptest! {
        #[test]
        fn every_task_runs_once_and_after_what_it_waits_for(
            picks in proptest::collection::vec(proptest::collection::vec(any::<proptest::sample::Index>(), 0..4), 1..40),
            threads in 1usize..4,
        ) {
            let after: Vec<Vec<usize>> = picks.iter().enumerate().map(|(index, picks)| {
                let mut before: Vec<usize> =
                    if index == 0 { vec![] } else { picks.iter().map(|p| p.index(index)).collect() };
                before.sort_unstable();
                before.dedup();
                before
            }).collect();
            let schedule = schedule(&after);
            let order = Mutex::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| while let Some(index) = schedule.next(|| false) {
                        order.lock().unwrap_or_else(PoisonError::into_inner).push(index);
                        schedule.finished(index, Status::Succeeded);
                    });
                }
            });
            let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
            prop_assert_eq!(order.len(), after.len());
            for (index, before) in after.iter().enumerate() {
                let at = |task: usize| order.iter().position(|t| *t == task);
                prop_assert!(before.iter().all(|b| at(*b) < at(index)));
            }
        }
    }
}
