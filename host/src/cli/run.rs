//! `cofferdam run`: plans, runs, attests, and says how it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use cofferdam_registry::Digest;
use jiff::Timestamp;
use tempfile::SpooledTempFile;

use super::commands::RunArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::run_directory::RunDirectory;
use super::{credentials, exit, export, interrupt, plan, source};
use crate::engine::{self, Engine, EngineError};
use crate::event::{Builder, Fact, Recorder, RunRecord, RunStart, Source};
use crate::model::{RunId, Status};
use crate::network::Network;
use crate::plan::Plan;
use crate::provenance::{Attestor, LOCAL_BUILDER};
use crate::report::{Detail, Remarks, RunView, run_text};
use crate::sandbox::{CancelToken, Sandbox};
use crate::source::Checkout;
use crate::store::Store;

/// A larger Statement is kept in a file until it is signed.
const MAX_BODY: usize = 2 << 20;

pub(crate) fn run(args: &RunArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    for directory in [&args.outputs, &args.attestations].into_iter().flatten() {
        export::make_new(directory)?;
    }
    let plan = plan::build(&args.pipeline, home)?;
    let store = home.store()?;
    let record = execute(args, home, plan, &store, printer)?;
    let view = RunView::new(&record, false);
    let history = home.history();
    let here = printer.surroundings(&history);
    printer.result(&view, |palette| run_text(&view, Detail::Summary, here, palette));
    // The summary first: what goes wrong from here on is not the run's.
    if let Some(directory) = &args.outputs {
        export::outputs(&record, &store, directory)?;
    }
    if let Some(directory) = &args.attestations {
        export::attestations(&home.journal()?, &record.id, directory)?;
    }
    Ok(match record.finished.map(|(_, reason, _)| reason.status()) {
        Some(Status::Succeeded) => exit::OK,
        Some(Status::Cancelled) => exit::INTERRUPTED,
        Some(Status::Failed) | None => exit::RUN_FAILED,
    })
}

/// The source of a run, and what follows from it.
struct Given {
    file: String,
    file_in_source: bool,
    epoch: i64,
    source: Option<Source>,
}

/// Takes the source into the store, if the plan reads it.
fn acquire(args: &RunArgs, plan: &Plan, store: &Store) -> Result<Given, Failure> {
    let root = source::root(args.source.as_deref(), &args.pipeline.file)?;
    let checkout = plan.uses_source.then(|| Checkout::discover(&root, !args.no_git)).transpose()?;
    let file = source::recorded_name(&args.pipeline.file, &root);
    let epoch = source::epoch(checkout.as_ref().and_then(Checkout::commit_time))?;
    let source = checkout.map(|checkout| checkout.acquire(store)).transpose()?;
    let found = source.as_ref().map(|source| store.find(source.tree.digest, Path::new(&file))).transpose()?;
    let file_in_source = found.flatten() == Some(plan.file_digest);
    Ok(Given { file, file_in_source, epoch, source })
}

fn execute(
    args: &RunArgs,
    home: &Home,
    plan: Plan,
    store: &Store,
    printer: &Printer,
) -> Result<RunRecord, Failure> {
    // Whatever can be found wrong is found before the run begins.
    let key = home.signing_key()?;
    let jobs = args.jobs.unwrap_or_else(processors);
    let credentials = credentials::unlock(&plan, home)?;
    let network = Network::new(home.configuration()?.network(&home.configuration_directory()));
    let sandbox = Sandbox::new(jobs, &home.compiled(), &home.cache_key(), network)?;
    let prepared = printer.busy("compiling tasks", || engine::prepare(&sandbox, &plan))?;
    let given = printer.busy("reading the source", || acquire(args, &plan, store))?;
    let journal = home.journal()?;
    let id = RunId::new(&plan.pipeline, u64::from_be_bytes(random()?));
    let root = home.work_root();
    let work = RunDirectory::create(&root, id.as_str()).map_err(|error| Failure::io("use", &root, &error))?;
    let cancel = CancelToken::default();
    let (sinks, remarks) = if args.quiet {
        (Vec::new(), Remarks::on_stderr())
    } else {
        let (sink, remarks) = printer.live(hex::encode(random::<16>()?));
        (vec![sink], remarks)
    };
    interrupt::cancel_on_signal(&cancel, remarks)
        .map_err(|error| Failure::io("watch for signals in", &root, &error))?;
    let recorder = Arc::new(Recorder::new(id, journal.writer()?, sinks, Timestamp::now));
    let start = RunStart {
        uid: hex::encode(random::<16>()?),
        pipeline: plan.pipeline.clone(),
        file: given.file,
        file_digest: plan.file_digest,
        file_in_source: given.file_in_source,
        params: plan.params.clone(),
        overrides: plan.overrides.clone(),
        tasks: plan.flow.tasks.iter().map(|task| task.name.to_string()).collect(),
        files: keep_files(&plan, store)?,
        origin: None,
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
    let engine = Engine {
        sandbox: &sandbox,
        store,
        recorder: &recorder,
        jobs,
        work: work.path(),
        uid: &start.uid,
        epoch: given.epoch,
        credentials: &credentials,
        cancel: &cancel,
    };
    let attest = |started: &_, finished: &_| {
        attestor.task(started, finished).map_err(|error| EngineError::Attestation(error.to_string()))
    };
    engine.run(&plan, &prepared, given.source.as_ref(), &attest)?;
    // Large where the run is, and of no use for what follows.
    drop((prepared, plan, sandbox));
    let file = tempfile::tempfile_in(work.path());
    let file = file.map_err(|error| Failure::io("write to", work.path(), &error))?;
    seal(&recorder, &attestor, (SpooledTempFile::new_in(MAX_BODY, work.path()), file))?;
    recorder.take().ok_or_else(no_events)
}

/// Attests the run as a whole, and waits until all of it is on disk.
fn seal(
    recorder: &Recorder,
    attestor: &Attestor<'_>,
    (body, bundle): (SpooledTempFile, File),
) -> Result<(), Failure> {
    attestor.run(body, bundle)?;
    recorder.record(Fact::RunSealed)?;
    Ok(recorder.flush()?)
}

/// Keeps the text of every file of the plan, so that the run can be repeated.
fn keep_files(plan: &Plan, store: &Store) -> Result<BTreeMap<String, Digest>, Failure> {
    plan.files.iter().map(|file| Ok((file.name.clone(), store.put(file.text.as_bytes())?))).collect()
}

fn no_events() -> Failure {
    Failure::invalid("bug/no-events", "the run has no events", "report this as a bug")
}

fn processors() -> u32 {
    std::thread::available_parallelism().ok().and_then(|n| u32::try_from(n.get()).ok()).unwrap_or(1).min(1024)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Failure::invalid("bug/no-randomness", error.to_string(), "check /dev/urandom"))?;
    Ok(bytes)
}
