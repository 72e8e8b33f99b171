//! Walks a plan: runs what is ready on a bounded number of threads, passes
//! artifacts and results on, stops when a task fails, records everything.

mod admission;
mod combine;
mod ending;
mod flow;
mod graph;
mod results;
mod reuse;
mod schedule;
mod task;
mod turn;
mod walk;
mod work;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use cofferdam_registry::Digest;

use crate::capability::Redactor;
use crate::event::{Event, InputArtifact, JournalError, Recorder, Source};
use crate::model::RunReason;
use crate::network::Credential;
use crate::plan::{Combination, Flow, Plan};
use crate::sandbox::{CancelToken, Sandbox, SandboxError};
use crate::store::{Store, StoreError, Tree};
use flow::{FlowRun, RunIdentity};
use graph::Graph;
use schedule::Schedule;
use walk::{Deadlines, FlowId, Node, Wish};
use work::WorkDirectory;

pub use admission::{Admission, Budget};
pub use reuse::{CacheFinding, CacheUse, Finished, Platform, Reuses, TaskRunCache, Vouched};

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
    /// It could not be told what other runs on this machine use.
    #[error("cannot share the machine with other runs through {path}: {source}")]
    #[diagnostic(
        code("engine/admission"),
        help("check that the directory is writable and on a file system with locks")
    )]
    Admission {
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
pub fn compile(sandbox: &Sandbox, plan: &Plan) -> Result<(), SandboxError> {
    let mut seen = HashSet::new();
    let leaves = plan.flow.leaves();
    let mut new = leaves.iter().map(|(.., work)| &work.component).filter(|it| seen.insert(it.digest));
    new.try_for_each(|component| sandbox.compile(component))
}

/// Called on the thread of a TaskRun when it has ended, with the events that
/// tell its whole story; the run waits for it. Gives the digest of what attests
/// the TaskRun.
pub type OnFinished<'a> = &'a (dyn Fn(&Event, &Event) -> Result<Digest, EngineError> + Sync);

/// What a run needs beside its plan.
#[derive(Debug)]
pub struct Engine<'a> {
    /// Runs tasks.
    pub sandbox: &'a Sandbox,
    /// Holds artifacts.
    pub store: &'a Store,
    /// Records what happens.
    pub recorder: &'a Arc<Recorder>,
    /// Says which of them may run beside those of other processes.
    pub admission: &'a Admission,
    /// How many TaskRuns run at once; at least one.
    pub jobs: u32,
    /// A directory of this run alone, on the store's file system.
    pub work: &'a Path,
    /// The secrets that the plan's rules name, by name.
    pub credentials: &'a BTreeMap<String, Credential>,
    /// The run's own random identity.
    pub uid: &'a str,
    /// The fixed time tasks see, in seconds since 1970.
    pub epoch: i64,
    /// Stops the run.
    pub cancel: &'a CancelToken,
    /// What need not run.
    pub reuses: &'a Reuses,
    /// The artifacts that the pipeline is handed, by the names of its inputs.
    pub inputs: &'a BTreeMap<String, Tree>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Why.
    pub reason: RunReason,
    /// Whether anything in it was given the run's own name or identity: another run
    /// of the same may go otherwise.
    pub by_its_name: bool,
}

impl Engine<'_> {
    /// Runs a plan to its end and records how that was.
    ///
    /// # Errors
    /// [`EngineError`] when Cofferdam itself could not go on; the run is then
    /// left unfinished, as if it had been killed.
    pub fn run(
        &self,
        plan: &Plan,
        source: Option<&Source>,
        on_finished: OnFinished<'_>,
    ) -> Result<RunEnd, EngineError> {
        let identity = RunIdentity::new(self.recorder.run().as_str(), self.uid);
        let tree = source.map(|source| source.tree);
        let around = (&identity, tree, self.store);
        let handed = self.inputs.iter().map(|(name, tree)| {
            let artifact = InputArtifact { name: name.clone(), tree: *tree, task: None, output: None };
            (name.clone(), artifact)
        });
        let params = plan.params.clone();
        let root = FlowRun::new(&plan.flow, String::new(), None, params, handed.collect(), around);
        let deadlines = deadlines(&plan.flow, Instant::now());
        let run = Run {
            engine: self,
            work: WorkDirectory::new(self.work, self.store),
            schedule: Schedule::new(Graph::new(&plan.flow), deadlines),
            flows: RwLock::new(vec![Arc::new(root)]),
            expanded: Mutex::default(),
            on_finished,
            redactor: Redactor::new(self.credentials.values().map(|credential| credential.value.clone())),
            hermetic: AtomicBool::new(true),
            directories: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            wrong: Mutex::default(),
            reason: Mutex::default(),
        };
        let failure: Mutex<Option<EngineError>> = Mutex::new(None);
        let threads = usize::try_from(self.jobs).unwrap_or(1).min(run.width(plan)).max(1);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    if let Err(error) = run.work_off() {
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        run.schedule.abandon();
                    }
                });
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let reason = run.reason.into_inner().unwrap_or_else(PoisonError::into_inner);
        let by_its_name = identity.was_asked();
        Ok(RunEnd { reason: reason.unwrap_or(RunReason::Cancelled), by_its_name })
    }
}

/// One run while it is under way.
struct Run<'a> {
    engine: &'a Engine<'a>,
    work: WorkDirectory<'a>,
    schedule: Schedule,
    /// The pipelines that run or have run, by their number in the schedule.
    flows: RwLock<Vec<Arc<FlowRun<'a>>>>,
    /// The combinations of tasks with a matrix.
    expanded: Mutex<HashMap<Node, Arc<Vec<Combination>>>>,
    on_finished: OnFinished<'a>,
    redactor: Redactor,
    /// Whether every TaskRun so far is.
    hermetic: AtomicBool,
    /// Counts the directories of TaskRuns.
    directories: AtomicUsize,
    /// Counts the TaskRuns and pipelines that were begun.
    begun: AtomicUsize,
    /// Why a pipeline was wrong, by its number.
    wrong: Mutex<HashMap<FlowId, String>>,
    reason: Mutex<Option<RunReason>>,
}

impl<'a> Run<'a> {
    fn work_off(&self) -> Result<(), EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|source| EngineError::Work { path: self.engine.work.display().to_string(), source })?;
        let mut worked = Ok(());
        while worked.is_ok()
            && let Some(turn) = self.schedule.next(|| self.wish(), || self.engine.reuses.let_go())
        {
            worked = runtime.block_on(self.take(turn));
        }
        self.engine.reuses.let_go();
        // A resolver that does not answer must not hold up a run that has ended.
        runtime.shutdown_background();
        worked
    }

    fn wish(&self) -> Wish {
        match self.engine.cancel.asked() {
            0 => Wish::GoOn,
            1 => Wish::Stop,
            _ => Wish::StopNow,
        }
    }

    /// How many TaskRuns there may be at once: threads beyond that do nothing.
    fn width(&self, plan: &Plan) -> usize {
        let flat = plan.flow.tasks.iter().all(|task| task.matrix.is_none() && task.component().is_some());
        if flat { plan.flow.tasks.len() } else { usize::MAX }
    }

    fn flow(&self, id: FlowId) -> Option<Arc<FlowRun<'a>>> {
        self.flows.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// Until when a pipeline that begins now may run.
fn deadlines(flow: &Flow, now: Instant) -> Deadlines {
    let after = |span: Option<std::time::Duration>| span.and_then(|span| now.checked_add(span));
    Deadlines { pipeline: after(flow.timeouts.pipeline), tasks: after(flow.timeouts.tasks), finally: None }
}
