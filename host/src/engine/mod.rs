//! Walks a plan: runs what is ready on a bounded number of threads, passes
//! artifacts and results on, stops when a task fails, records everything.

mod arguments;
mod schedule;
mod task;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::capability::Redactor;
use crate::event::{Event, Fact, JournalError, Recorder, Source};
use crate::model::{RunReason, SkipReason, Status};
use crate::network::Credential;
use crate::plan::Plan;
use crate::sandbox::{CancelToken, Prepared, Sandbox, SandboxError};
use crate::store::{Store, StoreError};
use schedule::Schedule;
use work::WorkDirectory;

/// Why a run could not go on. A task that fails is no error: it is the outcome.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum EngineError {
    /// An event could not be kept.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Journal(#[from] JournalError),
    /// An artifact could not be stored or read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
    /// A component could not be prepared.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sandbox(#[from] SandboxError),
    /// The directory for running tasks could not be used.
    #[error("cannot use the working directory {path}: {source}")]
    #[diagnostic(
        code("engine/work-directory"),
        help("check that the disk has room and the directory is writable")
    )]
    Work {
        /// The directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A TaskRun could not be attested.
    #[error("the attestation of a task could not be made: {0}")]
    #[diagnostic(code("engine/attestation"))]
    Attestation(String),
}

/// Prepares the component of each task, before a run begins: one that does not
/// fit must not leave half a run behind.
///
/// # Errors
/// [`SandboxError::Unfit`].
pub fn prepare(sandbox: &Sandbox, plan: &Plan) -> Result<Vec<Prepared>, SandboxError> {
    plan.tasks.iter().map(|task| sandbox.prepare(&task.component)).collect()
}

/// Called on the thread of a TaskRun when it has ended, with the events that
/// tell its whole story; the run waits for it.
pub type OnFinished<'a> = &'a (dyn Fn(&Event, &Event) -> Result<(), EngineError> + Sync);

/// What a run needs beside its plan.
#[derive(Debug)]
pub struct Engine<'a> {
    /// Runs tasks.
    pub sandbox: &'a Sandbox,
    /// Holds artifacts.
    pub store: &'a Store,
    /// Records what happens.
    pub recorder: &'a Arc<Recorder>,
    /// How many TaskRuns run at once; at least one.
    pub jobs: u32,
    /// A directory of this run alone, on the store's file system.
    pub work: &'a Path,
    /// The secrets that the plan's rules name, by name.
    pub credentials: &'a BTreeMap<String, Credential>,
    /// The fixed time tasks see, in seconds since 1970.
    pub epoch: i64,
    /// Stops the run.
    pub cancel: &'a CancelToken,
}

impl Engine<'_> {
    /// Runs a plan to its end and records how that was. `prepared` has the
    /// component of each task, in the plan's order.
    ///
    /// # Errors
    /// [`EngineError`] when Cofferdam itself could not go on; the run is then
    /// left unfinished, as if it had been killed.
    pub fn run(
        &self,
        plan: &Plan,
        prepared: &[Prepared],
        source: Option<&Source>,
        on_finished: OnFinished<'_>,
    ) -> Result<RunReason, EngineError> {
        let work = WorkDirectory::new(self.work, self.store);
        let schedule = Schedule::new(plan.tasks.iter().map(|task| task.after.as_slice()));
        let ends = Mutex::new(BTreeMap::new());
        let failure: Mutex<Option<EngineError>> = Mutex::new(None);
        let redactor = Redactor::new(self.credentials.values().map(|credential| credential.value.clone()));
        let run = Run { engine: self, redactor, plan, source, work, schedule, ends, on_finished };
        let threads = usize::try_from(self.jobs).unwrap_or(1).min(plan.tasks.len()).max(1);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    if let Err(error) = run.work_off(prepared) {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        run.schedule.abandon();
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        run.finish()
    }
}

/// One run while it is under way.
struct Run<'a> {
    engine: &'a Engine<'a>,
    plan: &'a Plan,
    source: Option<&'a Source>,
    work: WorkDirectory<'a>,
    schedule: Schedule,
    /// What finished tasks made, by their index in the plan.
    ends: Mutex<BTreeMap<usize, Arc<Event>>>,
    on_finished: OnFinished<'a>,
    redactor: Redactor,
}

impl Run<'_> {
    fn work_off(&self, prepared: &[Prepared]) -> Result<(), EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|source| EngineError::Work { path: self.engine.work.display().to_string(), source })?;
        let worked = self.work_off_on(&runtime, prepared);
        // A resolver that does not answer must not hold up a run that has ended.
        runtime.shutdown_background();
        worked
    }

    fn work_off_on(
        &self,
        runtime: &tokio::runtime::Runtime,
        prepared: &[Prepared],
    ) -> Result<(), EngineError> {
        while let Some(index) = self.schedule.next(|| self.engine.cancel.is_cancelled()) {
            let (Some(task), Some(prepared)) = (self.plan.tasks.get(index), prepared.get(index)) else {
                continue;
            };
            let finished = runtime.block_on(self.run_task(index, task, prepared))?;
            let Fact::TaskFinished(end) = &finished.fact else { continue };
            let status = end.reason.status();
            // What nobody waits for is on its way to the journal, and not kept here.
            if status == Status::Succeeded && self.schedule.is_awaited(index) {
                let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
                ends.insert(index, Arc::clone(&finished));
            }
            self.schedule.finished(index, status);
        }
        Ok(())
    }

    fn finish(self) -> Result<RunReason, EngineError> {
        let tally = self.schedule.tally();
        let skipped = tally.not_run.len();
        let cancelled = tally.cancelled > 0 || (skipped > 0 && self.engine.cancel.is_cancelled());
        let reason = match (cancelled, tally.failed) {
            (true, _) => RunReason::Cancelled,
            (false, 0) => RunReason::Succeeded,
            (false, _) => RunReason::Failed,
        };
        let why =
            if cancelled { SkipReason::PipelineRunWasCancelled } else { SkipReason::PipelineRunWasStopping };
        for index in &tally.not_run {
            if let Some(task) = self.plan.tasks.get(*index) {
                let task = task.name.to_string();
                self.engine.recorder.record(Fact::TaskSkipped { task, reason: why })?;
            }
        }
        // Tekton's sentence; completed means ended, however that was.
        let message = format!(
            "Tasks Completed: {} (Failed: {}, Cancelled {}), Skipped: {skipped}",
            tally.succeeded + tally.failed + tally.cancelled,
            tally.failed,
            tally.cancelled,
        );
        let mut began =
            (0..self.plan.tasks.len()).filter(|index| tally.not_run.binary_search(index).is_err());
        let hermetic =
            began.all(|index| self.plan.tasks.get(index).is_some_and(|task| task.grants.hermetic()));
        self.engine.recorder.record(Fact::RunFinished { reason, message, hermetic })?;
        Ok(reason)
    }
}
