//! Runs a plan, attests what happens, and tells of it while it is under way:
//! the same for a run from files, one that goes on, and one that repeats.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cofferdam_registry::Digest;
use jiff::Timestamp;

use super::failure::Failure;
use super::home::Home;
use super::opening::{Opened, Opening};
use super::printer::Printer;
use super::run_directory::RunDirectory;
use super::{credentials, interrupt};
use crate::engine::{
    self, Admission, CacheFinding, CacheUse, Engine, EngineError, Finished, Platform, Reuses, RunEnd,
    TaskRunCache,
};
use crate::event::{
    Builder, Fact, Journal, Origin, Recorder, Reuse, RunRecord, RunStart, Source, TaskEnd, TaskStart,
};
use crate::model::RunId;
use crate::network::Network;
use crate::plan::{Draft, Plan};
use crate::provenance::{self, Attestor, LOCAL_BUILDER, PREDICATE_TYPE};
use crate::report::Remarks;
use crate::sandbox::{CancelToken, Sandbox};
use crate::store::{Store, Tree};

/// What is to be run, and how.
pub(crate) struct Order {
    pub(crate) plan: Plan,
    /// What that was made from.
    pub(crate) draft: Draft,
    /// The run that this one follows.
    pub(crate) origin: Option<Origin>,
    /// What that run had done.
    pub(crate) finished: HashMap<String, Finished>,
    pub(crate) opening: Opening,
    pub(crate) jobs: Option<u32>,
    pub(crate) quiet: bool,
    /// Who may cancel it; without, signals do.
    pub(crate) cancel: Option<CancelToken>,
}

/// What is wanted of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheWish {
    /// Take from it what is there; with the reason for each task, if asked for.
    Read { explain: bool },
    /// Run everything, and keep it.
    Write { explain: bool },
    /// Leave it alone.
    Nothing,
}

/// The source of a run, and what follows from it.
pub(crate) struct Given {
    pub(crate) file: String,
    pub(crate) file_in_source: bool,
    pub(crate) epoch: i64,
    pub(crate) source: Option<Source>,
    /// The artifacts that the pipeline is handed.
    pub(crate) inputs: BTreeMap<String, Tree>,
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) record: RunRecord,
    pub(crate) findings: BTreeMap<String, CacheFinding>,
    /// Whether anything in it was given its own name.
    pub(crate) by_its_name: bool,
}

/// Runs a plan to its end. `acquire` is called once everything else is known to
/// be right; `more` when the run has ended, before it is sealed.
pub(crate) fn execute(
    order: Order,
    home: &Home,
    store: &Store,
    printer: &Printer,
    acquire: impl FnOnce(&Plan) -> Result<Given, Failure>,
    more: impl FnOnce(&Attestor<'_>) -> Result<(), Failure>,
) -> Result<Ran, Failure> {
    // Whatever can be found wrong is found before the run begins.
    let Order { plan, draft, origin, finished, opening, jobs, quiet, cancel: token } = order;
    let key = home.signing_key()?;
    let budget = home.configuration()?.budget();
    let admission = Admission::join(&home.admission(), budget, jobs.unwrap_or(0))?;
    let jobs = jobs.unwrap_or(budget.processors);
    let credentials = credentials::unlock(&plan, home)?;
    let Opened { sandbox, journal, writer, cache } = opening.finish()?;
    printer.busy("compiling tasks", || engine::compile(&sandbox, &plan))?;
    let given = printer.busy("reading the source", || acquire(&plan))?;
    let id = RunId::new(&plan.pipeline, u64::from_be_bytes(random()?));
    let root = home.work_root();
    let work = RunDirectory::create(&root, id.as_str()).map_err(|error| Failure::io("use", &root, &error))?;
    let signals = token.is_none();
    let cancel = token.unwrap_or_default();
    let (sinks, remarks) = if quiet {
        (Vec::new(), Remarks::on_stderr())
    } else {
        let (sink, remarks) = printer.live(hex::encode(random::<16>()?));
        (vec![sink], remarks)
    };
    if signals {
        interrupt::cancel_on_signal(&cancel, remarks)
            .map_err(|error| Failure::io("watch for signals in", &root, &error))?;
    }
    let recorder = Arc::new(Recorder::new(id, writer, sinks, Timestamp::now));
    let start = RunStart {
        uid: hex::encode(random::<16>()?),
        pipeline: plan.pipeline.clone(),
        file: given.file,
        file_digest: plan.file_digest,
        file_in_source: given.file_in_source,
        params: plan.params.clone(),
        overrides: plan.overrides.clone(),
        tasks: plan.flow.tasks.iter().map(|task| task.name.to_string()).collect::<Vec<_>>().into(),
        files: keep_files(&plan, store)?,
        pipelines: plan.pipelines.clone(),
        plan: Some(draft.keep(store, given.source.as_ref())?),
        origin,
        source_date_epoch: given.epoch,
        builder: Builder {
            id: LOCAL_BUILDER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key: key.public().id(),
        },
    };
    recorder.record(Fact::RunStarted(Box::new(start.clone())))?;
    if let Some(source) = &given.source {
        recorder.record(Fact::SourceAcquired(source.clone()))?;
    }
    let source = given.source.clone();
    let attestor = Attestor::new(&key, &recorder, start.clone(), source);
    let run = (plan.pipeline.as_str(), given.epoch);
    let reuses = Reuses::new(journal, PREDICATE_TYPE, Platform::here(&key.public().id()), run, cache);
    let public = key.public().clone();
    let vouched = move |journal: &Journal, (start, end): (&TaskStart, &TaskEnd), reuse: &Reuse| {
        matches!(provenance::reused(journal, &public, (start, end), reuse), Ok(Ok(_)))
    };
    let reuses = reuses.with_finished(finished, Box::new(vouched));
    let engine = Engine {
        sandbox: &sandbox,
        store,
        recorder: &recorder,
        admission: &admission,
        jobs,
        work: work.path(),
        uid: &start.uid,
        epoch: given.epoch,
        credentials: &credentials,
        cancel: &cancel,
        reuses: &reuses,
        inputs: &given.inputs,
    };
    let attest = |started: &_, finished: &_| {
        attestor.task(started, finished).map_err(|error| EngineError::Attestation(error.to_string()))
    };
    let RunEnd { by_its_name, .. } = engine.run(&plan, given.source.as_ref(), &attest)?;
    // What there is goes to disk while the rest is made.
    recorder.begin_flush()?;
    drop(admission);
    more(&attestor)?;
    let (done, durable) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let reuses = &reuses;
        scope.spawn(move || {
            // Large where the run is, and of no use for what follows.
            drop((plan, sandbox));
            reuses.keep(move || durable.recv().is_ok());
        });
        let sealed = seal(&recorder, &attestor, work.path());
        if sealed.is_ok() {
            // What keeps the outcomes has said why, where it has ended.
            let _ = done.send(());
        }
        // Whoever still waits for it waits in vain.
        drop(done);
        sealed
    })?;
    let record = recorder.take().ok_or_else(no_events)?;
    Ok(Ran { record, findings: reuses.findings(), by_its_name })
}

/// A sandbox for so many tasks at once.
pub(crate) fn open_sandbox(jobs: Option<u32>, home: &Home) -> Result<Sandbox, Failure> {
    let configuration = home.configuration()?;
    let network = Network::new(configuration.network(&home.configuration_directory()));
    let jobs = jobs.unwrap_or(configuration.budget().processors);
    Ok(Sandbox::new(jobs, &home.compiled(), &home.cache_key(), network)?)
}

impl CacheWish {
    /// The cache of a home, used so.
    pub(crate) fn open(self, home: &Home) -> CacheUse {
        let open = || TaskRunCache::open(&home.task_cache(), &home.cache_key());
        match self {
            Self::Read { explain } => CacheUse { cache: open(), read: true, explain },
            Self::Write { explain } => CacheUse { cache: open(), read: false, explain },
            Self::Nothing => CacheUse { cache: None, read: false, explain: false },
        }
    }
}

/// Attests the run as a whole, and waits until all of it is on disk.
fn seal(recorder: &Recorder, attestor: &Attestor<'_>, directory: &Path) -> Result<(), Failure> {
    attestor.run(directory)?;
    recorder.record(Fact::RunSealed)?;
    Ok(recorder.flush()?)
}

/// Keeps the text of every file of the plan, so that the run can be repeated.
fn keep_files(plan: &Plan, store: &Store) -> Result<BTreeMap<String, Digest>, Failure> {
    plan.files.iter().map(|file| Ok((file.name.clone(), store.put(file.text.as_bytes())?))).collect()
}

/// A recorder that has recorded nothing.
pub(crate) fn no_events() -> Failure {
    Failure::invalid("bug/no-events", "the run has no events", "report this as a bug")
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Failure::invalid("bug/no-randomness", error.to_string(), "check /dev/urandom"))?;
    Ok(bytes)
}
