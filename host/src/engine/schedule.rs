//! Hands out what is to be done next to the threads of a run.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::graph::Graph;
use super::walk::{Deadlines, FlowId, Leaf, Node, Outcome, Stop, Tally, Turn, Walk, Wish};
use crate::model::{RunReason, SkipReason};

/// How often a waiting thread looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// The order of a run, shared by its threads.
#[derive(Debug)]
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    walk: Walk,
    abandoned: bool,
    /// Threads that wait for something to do.
    idle: usize,
}

impl Schedule {
    pub(super) fn new(graph: Graph, deadlines: Deadlines) -> Self {
        let state = State { walk: Walk::new(graph, deadlines), abandoned: false, idle: 0 };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes where the run stands, and wakes who may have something to do now.
    fn change<T>(&self, change: impl FnOnce(&mut Walk) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state.walk);
        // The thread that calls this takes one of the turns itself.
        let wake = state.idle > 0 && (state.walk.is_busy() || state.walk.is_over());
        drop(state);
        if wake {
            self.changed.notify_all();
        }
        changed
    }

    /// Waits for the next thing to do; nothing when there will be none. Calls
    /// `pause` once before it waits.
    pub(super) fn next(&self, wish: impl Fn() -> Wish, pause: impl FnOnce()) -> Option<Turn> {
        let mut state = self.lock();
        let mut pause = Some(pause);
        loop {
            if state.abandoned {
                return None;
            }
            let now = Instant::now();
            state.walk.tick(now, wish());
            if let Some(turn) = state.walk.next() {
                if state.idle > 0 && state.walk.has_ready() {
                    self.changed.notify_one();
                }
                return Some(turn);
            }
            if state.walk.is_over() {
                self.changed.notify_all();
                return None;
            }
            let next = state.walk.next_instant().map_or(LOOK, |at| at.saturating_duration_since(now));
            if let Some(pause) = pause.take() {
                pause();
            }
            state.idle += 1;
            let waited = self.changed.wait_timeout(state, next.clamp(Duration::from_millis(1), LOOK));
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    pub(super) fn enter(&self, graph: Arc<Graph>, parent: Leaf, deadlines: Deadlines) -> FlowId {
        self.change(|walk| walk.enter(graph, Some(parent), deadlines))
    }

    pub(super) fn expand(&self, node: Node, runs: usize) {
        self.change(|walk| walk.expand(node, runs));
    }

    pub(super) fn skip(&self, node: Node, reason: SkipReason) {
        self.change(|walk| walk.skip(node, reason));
    }

    pub(super) fn refuse(&self, node: Node, reason: RunReason) {
        self.change(|walk| walk.refuse(node, reason));
    }

    pub(super) fn give_up(&self, flow: FlowId, reason: RunReason) {
        self.change(|walk| walk.give_up(flow, reason));
    }

    pub(super) fn retry(&self, leaf: Leaf, at: Instant) {
        self.change(|walk| walk.retry(leaf, at));
    }

    /// What stopped a TaskRun is seen before its end is.
    pub(super) fn finish(&self, leaf: Leaf, outcome: Outcome, wish: Wish) {
        self.change(|walk| {
            walk.tick(Instant::now(), wish);
            walk.finish(leaf, outcome);
        });
    }

    pub(super) fn begin_finally(&self, flow: FlowId, until: Option<Instant>) {
        self.change(|walk| walk.begin_finally(flow, until));
    }

    pub(super) fn take_unsaid(&self, flow: FlowId) -> Vec<(usize, SkipReason)> {
        self.lock().walk.take_unsaid(flow)
    }

    pub(super) fn standing(&self, flow: FlowId) -> (Tally, Option<Stop>, Option<Stop>) {
        self.lock().walk.standing(flow)
    }

    pub(super) fn bounds(&self, flow: FlowId) -> (Option<Instant>, bool) {
        self.lock().walk.bounds(flow)
    }

    /// Stops handing out turns: something went wrong with the run itself.
    pub(super) fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }
}
