//! Signed provenance: what the host observed, as in-toto Statements.
//!
//! Every Statement is a pure fold over the journal. It is signed and stored
//! before its run counts as complete, and verified by folding again.

mod contacts;
mod dependency;
mod rebuild;
mod reused;
mod sealing;
mod slsa;
mod statement;
mod task_build;
mod tekton;
mod verify;

use std::io;
use std::sync::Arc;

use cofferdam_registry::{Digest, KeyError, SigningKey, Statement, sign_from};
use serde::Serialize;

use crate::event::{
    Contacts, Event, Fact, JournalError, Recorder, RunRecord, RunStart, SignedBundle, Source,
    StoredAttestation,
};

pub use dependency::{RunDependencies, TaskDependencies, TaskUsed};
pub use rebuild::{Comparison, Difference, Different, TEST_RESULT_TYPE, TestResult, rebuild_statement};
pub use reused::reused;
pub use slsa::{PREDICATE_TYPE, Provenance, ResourceDescriptor};
pub use statement::{
    LOCAL_BUILDER, PIPELINE_RUN_TYPE, RanBy, RunFacts, RunProvenance, TASK_RUN_TYPE, TaskFacts,
    TaskProvenance, run_statement, task_statement,
};
pub use task_build::{BuildSource, TASK_BUILD_TYPE, TaskBuild, UNOBSERVED_BUILDER, task_build_provenance};
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

    /// Attests a TaskRun, from the event of its start and that of its end; gives
    /// the digest of the bundle.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn task(&self, started: &Event, finished: &Event) -> Result<Digest, AttestError> {
        let (Fact::TaskStarted(start), Fact::TaskFinished(end)) = (&started.fact, &finished.fact) else {
            return Err(AttestError::Incomplete("a TaskRun needs its start and its end"));
        };
        let run = RunFacts { id: self.recorder.run(), start: &self.start, source: self.source.as_ref() };
        // Most tasks reach nothing, and looking has its cost.
        let quiet = start.attempt == 1
            && end.usage.requests == 0
            && end.usage.denials == 0
            && start.grants.tcp.is_empty();
        let contacts = if quiet { Contacts::default() } else { self.recorder.contacts(&start.task) };
        let facts = TaskFacts { started: started.at, start, finished: finished.at, end, contacts: &contacts };
        self.keep(Some(start.task.clone()), task_statement(run, facts))
    }

    /// Attests whether the run, which has ended, made the same as the one it
    /// repeats.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn rebuild(&self, before: &RunRecord) -> Result<(), AttestError> {
        let statement = self.recorder.read(|after| rebuild_statement(before, after)).flatten();
        let statement =
            statement.ok_or(AttestError::Incomplete("the run that is repeated was not attested"))?;
        self.keep(None, statement).map(drop)
    }

    /// Signs and stores a Statement that is small: it is made once, not once for
    /// each time it is asked for.
    fn keep(
        &self,
        task: Option<String>,
        statement: Statement<impl Serialize>,
    ) -> Result<Digest, AttestError> {
        let bytes = encode(&statement);
        let frame = sign_from(&mut bytes.as_slice(), bytes.len() as u64, self.key)?;
        let digest = Digest::of(frame.around(&bytes).as_bytes());
        self.store(task.clone(), &statement.predicate_type, SignedBundle::of(frame, bytes))?;
        self.note(task, statement.predicate_type, digest)?;
        Ok(digest)
    }

    fn store(
        &self,
        task: Option<String>,
        predicate_type: &str,
        bundle: SignedBundle,
    ) -> Result<(), AttestError> {
        let (run, predicate_type) = (self.recorder.run().clone(), predicate_type.to_owned());
        Ok(self.recorder.attest(StoredAttestation { run, task, predicate_type, bundle })?)
    }

    /// Records that a bundle is among those that are stored.
    fn note(&self, task: Option<String>, predicate_type: String, bundle: Digest) -> Result<(), AttestError> {
        self.recorder.record(Fact::Attested { task, predicate_type, bundle })?;
        Ok(())
    }
}

/// Writes the bytes of a Statement that are signed.
fn write(statement: &Statement<impl Serialize>, out: &mut dyn io::Write) -> io::Result<()> {
    Ok(serde_json::to_writer(out, statement)?)
}

/// Whether some bytes are those of a Statement.
fn is_written_as(statement: &Statement<impl Serialize>, bytes: &[u8]) -> bool {
    let mut out = io::BufWriter::new(Same(bytes));
    let written = write(statement, &mut out);
    // What is still in the buffer counts, too.
    written.is_ok() && out.into_inner().is_ok_and(|rest| rest.0.is_empty())
}

/// What must still be written, to be the same as what is expected.
struct Same<'a>(&'a [u8]);

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or_else(|| io::Error::other("it is other"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a Statement that are signed.
fn encode(statement: &Statement<impl Serialize>) -> Vec<u8> {
    // Room at once: that of a TaskRun is rarely longer, and there is one for each.
    let mut bytes = Vec::with_capacity(2 << 10);
    match serde_json::to_writer(&mut bytes, statement) {
        Ok(()) => bytes,
        // Strings, numbers and maps with string keys always serialise.
        Err(_) => Vec::new(),
    }
}
