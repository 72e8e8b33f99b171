//! How a pipeline ends: its `finally`, its results, the reason and the sentence
//! that Tekton would give.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cofferdam_manifest::{Span, Value};

use super::flow::{Absence, Asker, FlowRun, Product};
use super::walk::{FlowId, Stop, Tally};
use super::{EngineError, Run};
use crate::event::{Fact, NestedEnd, RunningFinally};
use crate::model::{MAX_PARAM_BYTES, RetryCause, RunReason, Status};

/// So many tasks are named when there was no time left.
const SLOWEST: usize = 3;

impl Run<'_> {
    /// Says that `finally` begins, and lets it.
    pub(super) fn begin_finally(&self, id: FlowId) -> Result<(), EngineError> {
        let Some(flow) = self.flow(id) else { return Ok(()) };
        self.say_skipped(id, &flow)?;
        let (tally, stop, _) = self.schedule.standing(id);
        let state = match stop {
            Some(Stop::Cancelled) => RunningFinally::CancelledRunningFinally,
            Some(Stop::Timeout | Stop::PhaseTimeout) => RunningFinally::PipelineRunTimeoutRunningFinally,
            Some(Stop::Failed | Stop::Wrong(_)) => RunningFinally::PipelineRunStopping,
            None if tally.failed > 0 => RunningFinally::PipelineRunStopping,
            None => RunningFinally::Running,
        };
        let pipeline = (id > 0).then(|| flow.prefix.trim_end_matches('/').to_owned());
        self.engine.recorder.record(Fact::FinallyStarted { pipeline, state })?;
        let until = flow.plan.timeouts.finally.and_then(|span| Instant::now().checked_add(span));
        self.schedule.begin_finally(id, until);
        Ok(())
    }

    /// Tells of the tasks that were skipped all at once.
    fn say_skipped(&self, id: FlowId, flow: &FlowRun<'_>) -> Result<(), EngineError> {
        for (index, reason) in self.schedule.take_unsaid(id) {
            if let Some(task) = flow.plan.tasks.get(index) {
                flow.note_end(index, "None", reason.as_str());
                let task = format!("{}{}", flow.prefix, task.name);
                self.engine.recorder.record(Fact::TaskSkipped { task, reason })?;
            }
        }
        Ok(())
    }

    /// Says how a pipeline ended.
    pub(super) fn close(&self, id: FlowId) -> Result<(), EngineError> {
        let Some(flow) = self.flow(id) else { return Ok(()) };
        self.say_skipped(id, &flow)?;
        let (tally, tasks, finally) = self.schedule.standing(id);
        let reason = reason(&tally, tasks, finally);
        let message = self.message(id, &flow, reason, (tally, tasks, finally));
        let (results, lost) = handed_back(&flow);
        let message = message + &lost;
        if let Some((around, task, leaf)) = self.parent(id) {
            let status = reason.status();
            let after = match status {
                Status::Failed => {
                    let cause = if reason == RunReason::PipelineRunTimeout {
                        RetryCause::Timeout
                    } else {
                        RetryCause::Failed
                    };
                    self.after_failure(task, leaf, &[cause])
                }
                Status::Succeeded | Status::Cancelled => crate::event::AfterFailure::Final,
            };
            let name = flow.prefix.trim_end_matches('/').to_owned();
            let end = NestedEnd { task: name, reason, message, results: results.clone(), after };
            self.engine.recorder.record(Fact::PipelineFinished(Box::new(end)))?;
            // Artifacts are handed on by what has succeeded alone.
            let wires = flow.plan.outputs.iter().filter(|_| status == Status::Succeeded);
            let outputs = wires.filter_map(|(name, wire)| Some((name.clone(), flow.artifact(name, wire)?)));
            let product = Product::Pipeline { results, outputs: outputs.collect() };
            let key = self.name_of(leaf).and_then(|(_, key)| key);
            let about = (&*around, task, leaf, key);
            if let Some(outcome) = self.pass_on(about, (status, reason.as_str(), after), Some(product)) {
                self.schedule.finish(leaf, outcome, self.wish());
            }
            return Ok(());
        }
        let hermetic = self.hermetic.load(Ordering::Relaxed);
        self.engine.recorder.record(Fact::RunFinished { reason, message, hermetic, results })?;
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        Ok(())
    }

    /// Tekton's sentence; completed means ended, however that was.
    fn message(
        &self,
        id: FlowId,
        flow: &FlowRun<'_>,
        reason: RunReason,
        ended: (Tally, Option<Stop>, Option<Stop>),
    ) -> String {
        let (tally, tasks, finally) = ended;
        let failed = tally.failed + tally.ignored;
        let ignored =
            if tally.ignored > 0 { format!(" (Ignored: {})", tally.ignored) } else { String::new() };
        let mut message = format!(
            "Tasks Completed: {} (Failed: {failed}{ignored}, Cancelled {}), Skipped: {}",
            tally.succeeded + failed + tally.cancelled,
            tally.cancelled,
            tally.skipped,
        );
        if reason == RunReason::PipelineRunTimeout {
            let timeouts = &flow.plan.timeouts;
            let name = self.engine.recorder.run();
            let late = |what: &str, span: Option<Duration>| {
                let span = span.map(words).unwrap_or_default();
                format!("PipelineRun \"{name}\" failed {what}to finish within \"{span}\"")
            };
            let sentence = match (tasks, finally) {
                (Some(Stop::PhaseTimeout), _) => late("due to tasks failed ", timeouts.tasks),
                (_, Some(Stop::PhaseTimeout)) => late("due to finally tasks failed ", timeouts.finally),
                _ => late("", timeouts.pipeline),
            };
            message = format!("{sentence}; {message}{}", self.slowest(&flow.prefix));
        }
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        match wrong.get(&id) {
            Some(why) => format!("{why}; {message}"),
            None => message,
        }
    }

    /// The tasks that took longest.
    fn slowest(&self, prefix: &str) -> String {
        let took = self.engine.recorder.read(|record| {
            let mut took: Vec<(String, u64)> = Vec::new();
            for (name, task) in record.tasks.iter().filter(|(name, _)| name.starts_with(prefix)) {
                let (Some((from, _)), Some((to, _))) = (&task.start, &task.end) else { continue };
                let micros = to.as_microsecond().saturating_sub(from.as_microsecond());
                took.push((name.clone(), u64::try_from(micros).unwrap_or(0)));
            }
            took.sort_by_key(|(_, micros)| std::cmp::Reverse(*micros));
            took.truncate(SLOWEST);
            took
        });
        let mut out = String::new();
        for (name, micros) in took.unwrap_or_default() {
            let lead = if out.is_empty() { "; slowest: " } else { ", " };
            let _ = write!(out, "{lead}{name} ({})", words(Duration::from_micros(micros)));
        }
        out
    }
}

/// The values a pipeline hands back, and in words which of them are too large or
/// cannot be read. One that was not made is left out without a word.
fn handed_back(flow: &FlowRun<'_>) -> (BTreeMap<String, Value>, String) {
    let name = flow.prefix.trim_end_matches('/');
    let asker = Asker { task: "", name, retries: 0, attempt: 1 };
    let left = &mut MAX_PARAM_BYTES.clone();
    let (mut results, mut lost) = (BTreeMap::new(), String::new());
    for (name, argument) in &flow.plan.results {
        match flow.argument(argument, asker, left) {
            Ok(value) => {
                results.insert(name.clone(), value);
            }
            Err(Absence::Missing(_)) => {}
            Err(Absence::Wrong(_, why)) => {
                let _ = write!(lost, "; its result `{name}` is left out: {why}");
            }
        }
    }
    (results, lost)
}

fn reason(tally: &Tally, tasks: Option<Stop>, finally: Option<Stop>) -> RunReason {
    for stop in [tasks, finally].into_iter().flatten() {
        match stop {
            Stop::Cancelled => return RunReason::Cancelled,
            Stop::Timeout | Stop::PhaseTimeout => return RunReason::PipelineRunTimeout,
            Stop::Wrong(reason) => return reason,
            Stop::Failed => {}
        }
    }
    match (tally.failed, tally.cancelled, tally.skipped) {
        (0, 0, 0) => RunReason::Succeeded,
        (0, 0, _) => RunReason::Completed,
        (0, ..) => RunReason::Cancelled,
        (..) => RunReason::Failed,
    }
}

fn words(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
    Span::from_millis(millis).to_string()
}
