//! Where a run stands: which tasks of which pipelines wait, run, have ended or
//! were skipped, and what is to be done next. Knows indexes, edges and time;
//! nothing of what tasks are. Source of the rules: Tekton Pipelines v1,
//! `pipelinerunresolution.go`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::graph::Graph;
use crate::model::{RunReason, SkipReason};

/// A pipeline that runs: the whole one is number 0.
pub(super) type FlowId = usize;

/// A task of a pipeline that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node {
    pub(super) flow: FlowId,
    pub(super) task: usize,
}

/// One attempt of one combination of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    pub(super) node: Node,
    /// The number of its combination; 0 for a task without a matrix.
    pub(super) run: usize,
    /// Counted from one.
    pub(super) attempt: u32,
}

/// What a thread is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Decide whether and for what a task runs.
    Consider(Node),
    /// Run it.
    Run(Leaf),
    /// Say that a task is not run.
    Skip(Node, SkipReason),
    /// Say that one combination is not run.
    SkipRun(Leaf, SkipReason),
    /// Say that a pipeline's `finally` begins.
    Finally(FlowId),
    /// Say how a pipeline ended.
    Close(FlowId),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    /// It failed, and the pipeline goes on.
    Ignored,
    Failed,
    Cancelled,
    Skipped(SkipReason),
}

/// Why a pipeline starts no more tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A task failed.
    Failed,
    /// The user asked.
    Cancelled,
    /// All of it has no time left.
    Timeout,
    /// Its tasks, or its `finally`, have no time left.
    PhaseTimeout,
    /// What a task was to be given does not exist or does not fit.
    Wrong(RunReason),
}

/// How the tasks of a pipeline ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
    pub(super) cancelled: usize,
    pub(super) skipped: usize,
}

/// How much the user wants the run to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    #[default]
    GoOn,
    /// Its tasks are to stop, and `finally` is to run.
    Stop,
    /// Everything is to stop.
    StopNow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Tasks,
    Finally,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for so many tasks, or for nothing but its turn.
    Waiting(usize),
    /// Was begun; so many of its combinations have not ended.
    Active(usize, Outcome),
    Ended(Outcome),
}

/// Until when a pipeline may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deadlines {
    pub(super) pipeline: Option<Instant>,
    pub(super) tasks: Option<Instant>,
    /// Becomes known when it begins.
    pub(super) finally: Option<Instant>,
}

#[derive(Debug)]
struct FlowState {
    graph: Arc<Graph>,
    parent: Option<Leaf>,
    /// Whether it stands in the `finally` of a pipeline around it.
    in_finally: bool,
    states: Vec<State>,
    /// Tasks that cannot run because of what was skipped before them.
    doomed: Vec<Option<SkipReason>>,
    phase: Phase,
    stop: Option<Stop>,
    /// Why `tasks` ended early, once `finally` runs.
    tasks_stop: Option<Stop>,
    active: usize,
    /// Tasks of this phase that have not ended.
    left: usize,
    /// Whether this phase was begun: its beginning is said first.
    begun: bool,
    /// Tasks that were skipped when a phase ended, and nobody has said so.
    unsaid: Vec<(usize, SkipReason)>,
    deadlines: Deadlines,
    tally: Tally,
}

/// Where a run stands.
#[derive(Debug)]
pub(super) struct Walk {
    flows: Vec<FlowState>,
    ready: VecDeque<Turn>,
    /// Attempts that are tried again when their time has come.
    later: BinaryHeap<Reverse<(Instant, Leaf)>>,
    /// Whether any pipeline has a deadline that may come.
    earliest: Option<Instant>,
}

impl Deadlines {
    fn now(&self, phase: Phase) -> Option<(Instant, Stop)> {
        let own = match phase {
            Phase::Tasks => self.tasks,
            Phase::Finally => self.finally,
            Phase::Over => return None,
        };
        let own = own.map(|instant| (instant, Stop::PhaseTimeout));
        let whole = self.pipeline.map(|instant| (instant, Stop::Timeout));
        match (own, whole) {
            (Some(own), Some(whole)) => Some(if own.0 < whole.0 { own } else { whole }),
            (own, whole) => own.or(whole),
        }
    }
}

impl Walk {
    /// A run of a pipeline that nothing is done of.
    pub(super) fn new(graph: Graph, deadlines: Deadlines) -> Self {
        let mut walk =
            Self { flows: Vec::new(), ready: VecDeque::new(), later: BinaryHeap::new(), earliest: None };
        walk.enter(Arc::new(graph), None, deadlines);
        walk
    }

    /// Begins a pipeline as one run of a task.
    pub(super) fn enter(&mut self, graph: Arc<Graph>, parent: Option<Leaf>, deadlines: Deadlines) -> FlowId {
        let id = self.flows.len();
        // What stands in another has no more time than that.
        let around = parent.and_then(|leaf| self.bounds(leaf.node.flow).0);
        let pipeline = match (deadlines.pipeline, around) {
            (Some(own), Some(around)) => Some(own.min(around)),
            (own, around) => own.or(around),
        };
        let deadlines = Deadlines { pipeline, ..deadlines };
        let in_finally = parent.is_some_and(|leaf| {
            self.flows.get(leaf.node.flow).is_some_and(|flow| flow.in_finally || flow.phase == Phase::Finally)
        });
        let states = graph.open.iter().map(|open| State::Waiting(*open)).collect();
        let left = graph.finally_from;
        let ready = graph.open.iter().take(left).enumerate().filter(|(_, open)| **open == 0);
        self.ready.extend(ready.map(|(task, _)| Turn::Consider(Node { flow: id, task })));
        self.flows.push(FlowState {
            doomed: vec![None; graph.open.len()],
            graph,
            parent,
            in_finally,
            states,
            phase: Phase::Tasks,
            stop: None,
            tasks_stop: None,
            active: 0,
            left,
            begun: true,
            unsaid: Vec::new(),
            deadlines,
            tally: Tally::default(),
        });
        self.note_deadline(id);
        id
    }

    fn note_deadline(&mut self, id: FlowId) {
        let next = self.flows.get(id).and_then(|flow| flow.deadlines.now(flow.phase)).map(|(at, _)| at);
        self.earliest = match (self.earliest, next) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// When something happens by itself: a deadline, or a retry.
    pub(super) fn next_instant(&self) -> Option<Instant> {
        let retry = self.later.peek().map(|Reverse((at, _))| *at);
        match (retry, self.earliest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether there is nothing more to do, ever.
    pub(super) fn is_over(&self) -> bool {
        self.flows.first().is_none_or(|flow| flow.phase == Phase::Over) && self.ready.is_empty()
    }

    /// Whether anything can be taken up at once.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether there is more to take up than one thread does.
    pub(super) fn is_busy(&self) -> bool {
        self.ready.len() > 1
    }

    /// Lets time and the user's wish take effect.
    pub(super) fn tick(&mut self, now: Instant, wish: Wish) {
        if wish > Wish::GoOn {
            self.stop_where(|flow| match flow.phase {
                Phase::Tasks | Phase::Finally => {
                    let protected = flow.in_finally || flow.phase == Phase::Finally;
                    (wish == Wish::StopNow || !protected).then_some(Stop::Cancelled)
                }
                Phase::Over => None,
            });
        }
        if self.earliest.is_some_and(|at| at <= now) {
            self.earliest = None;
            self.stop_where(|flow| {
                flow.deadlines.now(flow.phase).filter(|(at, _)| *at <= now).map(|(_, stop)| stop)
            });
            for id in 0..self.flows.len() {
                if self.flows.get(id).is_some_and(|flow| flow.phase != Phase::Over && flow.stop.is_none()) {
                    self.note_deadline(id);
                }
            }
        }
        while let Some(Reverse((at, leaf))) = self.later.peek().copied() {
            let stopped = self.flows.get(leaf.node.flow).is_some_and(|flow| ends_retries(flow.stop));
            if at > now && !stopped {
                break;
            }
            self.later.pop();
            self.ready.push_back(Turn::Run(leaf));
        }
    }

    fn stop_where(&mut self, why: impl Fn(&FlowState) -> Option<Stop>) {
        for id in 0..self.flows.len() {
            let Some(flow) = self.flows.get_mut(id) else { continue };
            // A failure lets what runs go on; these do not.
            if !ends_retries(flow.stop)
                && let Some(stop) = why(flow)
            {
                flow.stop = Some(stop);
                self.hurry(id);
                self.settle(id);
            }
        }
    }

    /// Retries of a pipeline that is stopped have waited long enough.
    fn hurry(&mut self, id: FlowId) {
        let (now, later): (Vec<_>, Vec<_>) =
            self.later.drain().partition(|Reverse((_, leaf))| leaf.node.flow == id);
        self.later = later.into();
        self.ready.extend(now.into_iter().map(|Reverse((_, leaf))| Turn::Run(leaf)));
    }

    /// The next thing to do, if there is one now.
    pub(super) fn next(&mut self) -> Option<Turn> {
        while let Some(turn) = self.ready.pop_front() {
            match turn {
                Turn::Consider(node) | Turn::Skip(node, _) => {
                    let Some(flow) = self.flows.get_mut(node.flow) else { continue };
                    let waits = matches!(flow.states.get(node.task), Some(State::Waiting(_)));
                    // When a pipeline stops, its tasks are skipped all at once.
                    if !waits || flow.stop.is_some() {
                        continue;
                    }
                    flow.active += 1;
                    if let Some(state) = flow.states.get_mut(node.task) {
                        *state = State::Active(1, Outcome::Succeeded);
                    }
                    return Some(turn);
                }
                Turn::Run(leaf) if leaf.attempt == 1 => {
                    let stop = self.flows.get(leaf.node.flow).and_then(|flow| flow.stop);
                    return Some(match stop {
                        Some(stop) => Turn::SkipRun(leaf, self.why_skipped(leaf.node.flow, stop)),
                        None => turn,
                    });
                }
                Turn::Run(_) | Turn::SkipRun(..) | Turn::Finally(_) | Turn::Close(_) => {
                    return Some(turn);
                }
            }
        }
        None
    }

    /// Says for how many combinations a task runs, none of which has begun; the
    /// first is for whoever says so.
    pub(super) fn expand(&mut self, node: Node, runs: usize) {
        if let Some(state) = self.flows.get_mut(node.flow).and_then(|flow| flow.states.get_mut(node.task)) {
            *state = State::Active(runs, Outcome::Succeeded);
        }
        let leaf = |run| Turn::Run(Leaf { node, run, attempt: 1 });
        self.ready.extend((1..runs).map(leaf));
    }

    /// Says that a task that was considered is not run.
    pub(super) fn skip(&mut self, node: Node, reason: SkipReason) {
        if let Some(flow) = self.flows.get_mut(node.flow)
            && matches!(flow.states.get(node.task), Some(State::Active(..)))
        {
            flow.active = flow.active.saturating_sub(1);
        }
        self.end(node, Outcome::Skipped(reason));
    }

    /// Says that what a task was to be given is wrong: the pipeline has failed.
    pub(super) fn refuse(&mut self, node: Node, reason: RunReason) {
        if let Some(flow) = self.flows.get_mut(node.flow) {
            flow.active = flow.active.saturating_sub(1);
            if !ends_retries(flow.stop) {
                flow.stop = Some(Stop::Wrong(reason));
            }
        }
        self.end(node, Outcome::Skipped(SkipReason::PipelineRunWasStopping));
    }

    /// Says that a pipeline that has just begun cannot go on.
    pub(super) fn give_up(&mut self, id: FlowId, reason: RunReason) {
        if let Some(flow) = self.flows.get_mut(id) {
            flow.stop = Some(Stop::Wrong(reason));
        }
        self.settle(id);
    }

    /// Tries an attempt again later.
    pub(super) fn retry(&mut self, leaf: Leaf, at: Instant) {
        let leaf = Leaf { attempt: leaf.attempt + 1, ..leaf };
        let stopped = self.flows.get(leaf.node.flow).is_some_and(|flow| ends_retries(flow.stop));
        if stopped {
            self.ready.push_back(Turn::Run(leaf));
        } else {
            self.later.push(Reverse((at, leaf)));
        }
    }

    /// Says how a run of a task ended, for good.
    pub(super) fn finish(&mut self, leaf: Leaf, outcome: Outcome) {
        let Some(flow) = self.flows.get_mut(leaf.node.flow) else { return };
        let Some(state) = flow.states.get_mut(leaf.node.task) else { return };
        let State::Active(left, worst) = *state else { return };
        let worst = worse(worst, outcome);
        if left > 1 {
            *state = State::Active(left - 1, worst);
            if matches!(outcome, Outcome::Failed | Outcome::Cancelled) && flow.phase == Phase::Tasks {
                flow.stop.get_or_insert(Stop::Failed);
            }
            return;
        }
        flow.active = flow.active.saturating_sub(1);
        self.end(leaf.node, worst);
    }

    fn end(&mut self, node: Node, outcome: Outcome) {
        let Some(flow) = self.flows.get_mut(node.flow) else { return };
        let Some(state) = flow.states.get_mut(node.task) else { return };
        if matches!(state, State::Ended(_)) {
            return;
        }
        *state = State::Ended(outcome);
        flow.left = flow.left.saturating_sub(1);
        let tally = &mut flow.tally;
        match outcome {
            Outcome::Succeeded => tally.succeeded += 1,
            Outcome::Ignored => tally.ignored += 1,
            Outcome::Failed => tally.failed += 1,
            Outcome::Cancelled => tally.cancelled += 1,
            Outcome::Skipped(_) => tally.skipped += 1,
        }
        match outcome {
            Outcome::Failed if flow.phase == Phase::Tasks => {
                flow.stop.get_or_insert(Stop::Failed);
            }
            Outcome::Cancelled if flow.phase == Phase::Tasks => {
                flow.stop.get_or_insert(Stop::Cancelled);
            }
            Outcome::Failed
            | Outcome::Cancelled
            | Outcome::Succeeded
            | Outcome::Ignored
            | Outcome::Skipped(_) => {}
        }
        self.release(node, outcome);
        self.settle(node.flow);
    }

    /// Lets the tasks that waited for one go on.
    fn release(&mut self, node: Node, outcome: Outcome) {
        let Some(flow) = self.flows.get_mut(node.flow) else { return };
        let graph = Arc::clone(&flow.graph);
        for (waiter, needs) in graph.waiting(node.task) {
            let doom = match outcome {
                Outcome::Skipped(SkipReason::WhenExpressionsEvaluatedToFalse) => {
                    needs.then_some(SkipReason::ResultsWereMissing)
                }
                Outcome::Skipped(_) => Some(SkipReason::ParentTasksWereSkipped),
                Outcome::Succeeded | Outcome::Ignored | Outcome::Failed | Outcome::Cancelled => None,
            };
            // That a task before it was skipped says more than what is missing.
            if let (Some(doomed), Some(reason)) = (flow.doomed.get_mut(waiter), doom)
                && *doomed != Some(SkipReason::ParentTasksWereSkipped)
            {
                *doomed = Some(reason);
            }
            let Some(State::Waiting(open)) = flow.states.get_mut(waiter) else { continue };
            *open = open.saturating_sub(1);
            if *open == 0 && matches!(outcome, Outcome::Succeeded | Outcome::Ignored | Outcome::Skipped(_)) {
                let node = Node { flow: node.flow, task: waiter };
                let doomed = flow.doomed.get(waiter).copied().flatten();
                if flow.stop.is_none() {
                    self.ready.push_back(doomed.map_or(Turn::Consider(node), |why| Turn::Skip(node, why)));
                }
            }
        }
    }

    /// Ends a phase of a pipeline when nothing more happens in it.
    fn settle(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        if !flow.begun || flow.active > 0 || (flow.left > 0 && flow.stop.is_none()) {
            return;
        }
        let range = match flow.phase {
            Phase::Tasks => 0..flow.graph.finally_from,
            Phase::Finally => flow.graph.finally_from..flow.states.len(),
            Phase::Over => return,
        };
        if flow.left > 0 {
            let stop = flow.stop.unwrap_or(Stop::Failed);
            let reason = self.why_skipped(id, stop);
            let Some(flow) = self.flows.get_mut(id) else { return };
            for task in range {
                if let Some(state @ State::Waiting(_)) = flow.states.get_mut(task) {
                    *state = State::Ended(Outcome::Skipped(reason));
                    flow.tally.skipped += 1;
                    flow.left = flow.left.saturating_sub(1);
                    flow.unsaid.push((task, reason));
                }
            }
        }
        let Some(flow) = self.flows.get_mut(id) else { return };
        let has_finally = flow.states.len() > flow.graph.finally_from;
        if flow.phase == Phase::Tasks && has_finally {
            (flow.phase, flow.begun) = (Phase::Finally, false);
            flow.left = flow.states.len() - flow.graph.finally_from;
            flow.tasks_stop = flow.stop.take();
            self.ready.push_back(Turn::Finally(id));
        } else {
            if flow.phase == Phase::Tasks {
                flow.tasks_stop = flow.stop;
            }
            flow.phase = Phase::Over;
            self.ready.push_back(Turn::Close(id));
        }
    }

    /// Lets the tasks of `finally` begin, until an instant.
    pub(super) fn begin_finally(&mut self, id: FlowId, until: Option<Instant>) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        flow.deadlines.finally = until;
        flow.begun = true;
        let tasks = flow.graph.finally_from..flow.states.len();
        self.ready.extend(tasks.map(|task| Turn::Consider(Node { flow: id, task })));
        self.note_deadline(id);
        // It may have been stopped before it began.
        self.settle(id);
    }

    /// The tasks that were skipped when a phase of a pipeline ended.
    pub(super) fn take_unsaid(&mut self, id: FlowId) -> Vec<(usize, SkipReason)> {
        self.flows.get_mut(id).map(|flow| std::mem::take(&mut flow.unsaid)).unwrap_or_default()
    }

    fn why_skipped(&self, id: FlowId, stop: Stop) -> SkipReason {
        let finally = self.flows.get(id).is_some_and(|flow| flow.phase == Phase::Finally);
        match stop {
            Stop::Failed | Stop::Wrong(_) => SkipReason::PipelineRunWasStopping,
            Stop::Cancelled => SkipReason::PipelineRunWasCancelled,
            Stop::Timeout => SkipReason::PipelineRunTimeout,
            Stop::PhaseTimeout if finally => SkipReason::FinallyTimeout,
            Stop::PhaseTimeout => SkipReason::TasksTimeout,
        }
    }

    /// How the tasks of a pipeline ended so far, why it stopped before its
    /// `finally`, and why in it.
    pub(super) fn standing(&self, id: FlowId) -> (Tally, Option<Stop>, Option<Stop>) {
        let Some(flow) = self.flows.get(id) else { return (Tally::default(), None, None) };
        let in_finally = if flow.states.len() > flow.graph.finally_from { flow.stop } else { None };
        (flow.tally, flow.tasks_stop, in_finally)
    }

    /// Until when a task of a pipeline may run, and whether only a wish to stop
    /// now concerns it.
    pub(super) fn bounds(&self, id: FlowId) -> (Option<Instant>, bool) {
        let mut until: Option<Instant> = None;
        let mut at = Some(id);
        let mut protected = false;
        while let Some(flow) = at.and_then(|id| self.flows.get(id)) {
            if let Some((instant, _)) = flow.deadlines.now(flow.phase) {
                until = Some(until.map_or(instant, |until| until.min(instant)));
            }
            protected |= flow.phase == Phase::Finally;
            at = flow.parent.map(|leaf| leaf.node.flow);
        }
        (until, protected)
    }
}

/// Whether a pipeline that stopped so cancels what runs in it.
fn ends_retries(stop: Option<Stop>) -> bool {
    match stop {
        Some(Stop::Cancelled | Stop::Timeout | Stop::PhaseTimeout) => true,
        Some(Stop::Failed | Stop::Wrong(_)) | None => false,
    }
}

/// The outcome of a task from those of its combinations.
fn worse(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome: Outcome| match outcome {
        Outcome::Succeeded => 0,
        Outcome::Ignored => 1,
        Outcome::Skipped(_) => 2,
        Outcome::Cancelled => 3,
        Outcome::Failed => 4,
    };
    if rank(b) > rank(a) { b } else { a }
}
