//! What an event means to whoever watches: the only place where a sink looks
//! into facts. A new fact is given its meaning here, once.

use crate::event::{
    AfterFailure, Denial, Event, Exchange, Fact, LogLevel, RunReuse, RunStart, Source, TaskEnd, TaskFailure,
};
use crate::model::Status;

/// What happened, as far as it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment<'a> {
    /// The run began.
    RunBegan(&'a RunStart),
    /// The source is in the store.
    SourceTaken(&'a Source),
    /// A task began.
    TaskBegan(&'a str),
    /// A task wrote a line.
    Said(Said<'a>),
    /// A task's request was answered, or came to nothing.
    Asked(&'a Exchange),
    /// A task was refused something.
    Denied(&'a Denial),
    /// A task ended, or will not run.
    TaskEnded(Ending<'a>),
    /// The outcomes of all tasks were known, from one run.
    AllKnown(&'a RunReuse),
    /// All tasks have ended; what is left is signing.
    RunEnded,
    /// Nothing that is shown.
    Unshown,
}

/// A line of a task's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) task: &'a str,
    pub(super) level: LogLevel,
    pub(super) message: &'a str,
    pub(super) fields: &'a [(String, String)],
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    /// It did not run: what it would have made was there.
    Reused,
    Failed,
    /// It failed, and is tried again.
    Retried,
    /// It failed, and the pipeline goes on.
    Ignored,
    Cancelled,
    Skipped,
}

/// A task's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    pub(super) task: &'a str,
    pub(super) outcome: Outcome,
    /// How long it ran, in microseconds; nothing, if it did not.
    pub(super) took: Option<u64>,
    /// Tekton's word, where it says more than the outcome.
    pub(super) reason: Option<&'a str>,
    /// The same in a sentence.
    pub(super) message: Option<&'a str>,
    /// The task's own account. Payload.
    pub(super) failure: Option<&'a TaskFailure>,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Reused => "Reused",
            Self::Retried => "Retrying",
            Self::Ignored => "Ignored",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Skipped => "Skipped",
        }
    }
}

impl<'a> Moment<'a> {
    /// What an event means.
    pub(super) fn of(event: &'a Event) -> Self {
        match &event.fact {
            Fact::RunStarted(start) => Self::RunBegan(start),
            Fact::SourceAcquired(source) => Self::SourceTaken(source),
            Fact::TaskStarted(start) => Self::TaskBegan(&start.task),
            Fact::TaskLogged { task, level, message, fields } => {
                Self::Said(Said { task, level: *level, message, fields })
            }
            Fact::RequestFinished(exchange) => Self::Asked(exchange),
            Fact::CapabilityDenied(denial) => Self::Denied(denial),
            Fact::TaskFinished(end) => Self::TaskEnded(Ending::of(end)),
            Fact::TaskSkipped { task, reason } => Self::TaskEnded(Ending {
                task,
                outcome: Outcome::Skipped,
                took: None,
                reason: Some(reason.as_str()),
                message: None,
                failure: None,
            }),
            Fact::RunReused(reuse) => Self::AllKnown(reuse),
            Fact::RunFinished { .. } => Self::RunEnded,
            // Each of their tasks is told.
            Fact::TaskExpanded { .. }
            | Fact::PipelineStarted(_)
            | Fact::PipelineFinished(_)
            | Fact::FinallyStarted { .. }
            | Fact::ConnectionFinished(_)
            | Fact::Attested { .. }
            | Fact::RunSealed => Self::Unshown,
        }
    }
}

impl<'a> Ending<'a> {
    fn of(end: &'a TaskEnd) -> Self {
        let outcome = match (end.reason.status(), end.after) {
            (Status::Succeeded, _) if end.reused.is_some() => Outcome::Reused,
            (Status::Succeeded, _) => Outcome::Succeeded,
            (Status::Failed, AfterFailure::Final) => Outcome::Failed,
            (Status::Failed, AfterFailure::ToBeRetried) => Outcome::Retried,
            (Status::Failed, AfterFailure::FailureIgnored) => Outcome::Ignored,
            (Status::Cancelled, _) => Outcome::Cancelled,
        };
        let word = end.reason.as_str();
        Self {
            task: &end.task,
            outcome,
            took: Some(end.usage.wall_micros).filter(|_| outcome != Outcome::Reused),
            reason: Some(word).filter(|word| *word != outcome.as_str() && outcome != Outcome::Reused),
            message: end.message.as_deref(),
            failure: end.failure.as_deref(),
        }
    }
}
