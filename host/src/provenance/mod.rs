//! Signed provenance: what the host observed, as in-toto Statements.
//!
//! Every Statement is a pure fold over the journal. It is signed and stored
//! before its run counts as complete, and verified by folding again.

mod contacts;
mod slsa;
mod statement;
mod tekton;
mod verify;

use std::sync::Arc;

use cofferdam_registry::{Digest, KeyError, SigningKey, Statement, sign};

use crate::event::{
    Contacts, Event, Fact, JournalError, Recorder, RunRecord, RunStart, Source, StoredAttestation,
};

pub use slsa::{PREDICATE_TYPE, Provenance};
pub use statement::{
    LOCAL_BUILDER, PIPELINE_RUN_TYPE, RunFacts, TASK_RUN_TYPE, TaskFacts, run_statement, task_statement,
};
pub use verify::{Check, Report, verify_bundle, verify_run};

/// Why a Statement could not be made, signed or stored.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum AttestError {
    /// The key cannot sign.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Key(#[from] KeyError),
    /// The bundle cannot be kept.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Journal(#[from] JournalError),
    /// The events do not tell a whole story.
    #[error("the run's events are incomplete: {0}")]
    #[diagnostic(code("provenance/incomplete"))]
    Incomplete(&'static str),
}

/// Signs the Statements of one run.
#[derive(Debug)]
pub struct Attestor<'a> {
    key: &'a SigningKey,
    recorder: &'a Arc<Recorder>,
    start: RunStart,
    source: Option<Source>,
}

impl<'a> Attestor<'a> {
    /// For a run that has begun.
    #[must_use]
    pub fn new(
        key: &'a SigningKey,
        recorder: &'a Arc<Recorder>,
        start: RunStart,
        source: Option<Source>,
    ) -> Self {
        Self { key, recorder, start, source }
    }

    /// Attests a TaskRun, from the event of its start and that of its end.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn task(&self, started: &Event, finished: &Event) -> Result<(), AttestError> {
        let (Fact::TaskStarted(start), Fact::TaskFinished(end)) = (&started.fact, &finished.fact) else {
            return Err(AttestError::Incomplete("a TaskRun needs its start and its end"));
        };
        let run = RunFacts { id: self.recorder.run(), start: &self.start, source: self.source.as_ref() };
        // Most tasks reach nothing, and looking has its cost.
        let quiet = end.usage.requests == 0 && end.usage.denials == 0 && start.grants.tcp.is_empty();
        let contacts = if quiet { Contacts::default() } else { self.recorder.contacts(&start.task) };
        let facts = TaskFacts { started: started.at, start, finished: finished.at, end, contacts: &contacts };
        self.keep(Some(start.task.clone()), task_statement(run, facts))
    }

    /// Attests the run, once it has ended.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn run(&self, record: RunRecord) -> Result<(), AttestError> {
        let statement = run_statement(&record).ok_or(AttestError::Incomplete("the run has not ended"))?;
        // Of ten thousand tasks each of these is large: one goes before the next.
        drop(record);
        self.keep(None, statement)
    }

    fn keep(&self, task: Option<String>, statement: Statement<Provenance>) -> Result<(), AttestError> {
        let bytes = encode(&statement);
        let predicate_type = statement.predicate_type.clone();
        drop(statement);
        let bundle = sign(&bytes, self.key)?;
        drop(bytes);
        let digest = Digest::of(bundle.as_bytes());
        let run = self.recorder.run().clone();
        let stored =
            StoredAttestation { run, task: task.clone(), predicate_type: predicate_type.clone(), bundle };
        self.recorder.attest(stored)?;
        self.recorder.record(Fact::Attested { task, predicate_type, bundle: digest })?;
        Ok(())
    }
}

/// The bytes of a Statement that are signed.
pub(crate) fn encode(statement: &Statement<Provenance>) -> Vec<u8> {
    // Strings, numbers and maps with string keys always serialise.
    serde_json::to_vec(statement).unwrap_or_default()
}
