//! `cofferdam run`: plans, runs, attests, and says how it was.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;

use super::commands::RunArgs;
use super::execute::{CacheWish, Given, Order, Ran, execute};
use super::failure::Failure;
use super::home::Home;
use super::known_run::Recalled;
use super::opening::{History, Opening};
use super::plan::Planned;
use super::printer::Printer;
use super::{exit, export, known_run, plan, source};
use crate::model::Status;
use crate::plan::{Draft, Plan};
use crate::report::{Detail, RunView, run_text};
use crate::sandbox::CancelToken;
use crate::source::Checkout;
use crate::store::Store;

pub(crate) fn run(args: &RunArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let wanted = Wanted { outputs: args.outputs.as_ref(), attestations: args.attestations.as_ref() };
    wanted.check()?;
    let store = home.store()?;
    let history = History::begin(home)?;
    let mut taken = None;
    let recalled = known_run::recall(args, (home, &store, printer), history, &mut taken, || wanted.make())?;
    let history = match recalled {
        Recalled::Ran(ran) => return tell(*ran, wanted, home, &store, printer),
        Recalled::Unknown(history) => history,
    };
    let opening = Opening::beside(history, home, (args.jobs, cache_wish(args), None))?;
    let Planned { plan, draft, pins, grounds } = plan::build(&args.pipeline, home)?;
    let uses_source = plan.uses_source;
    let acquire = |plan: &Plan| {
        let asked = (plan.uses_source, plan.file_digest);
        let given = match taken.take().filter(|(before, _)| *before == asked) {
            Some((_, given)) => given,
            None => acquire(args, asked, &store)?,
        };
        // Now: they change nothing of the source that is built.
        wanted.make()?;
        pins.save(printer)?;
        Ok(given)
    };
    let ran = once(args, (plan, draft), acquire, (opening, None), (home, &store, printer))?;
    if !args.no_cache {
        known_run::keep(args, home, &ran, (uses_source, grounds));
    }
    tell(ran, wanted, home, &store, printer)
}

/// What is wanted of the cache.
pub(crate) fn cache_wish(args: &RunArgs) -> CacheWish {
    let explain = args.explain_cache;
    if args.no_cache { CacheWish::Write { explain } } else { CacheWish::Read { explain } }
}

/// Runs a plan as it was asked for.
pub(crate) fn once(
    args: &RunArgs,
    (plan, draft): (Plan, Draft),
    acquire: impl FnOnce(&Plan) -> Result<Given, Failure>,
    (opening, cancel): (Opening, Option<CancelToken>),
    (home, store, printer): (&Home, &Store, &Printer),
) -> Result<Ran, Failure> {
    let (origin, finished) = (None, HashMap::new());
    let order = Order { plan, draft, origin, finished, opening, jobs: args.jobs, quiet: args.quiet, cancel };
    execute(order, home, store, printer, acquire, |_| Ok(()))
}

/// Directories that a run's artifacts and attestations are written to.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) outputs: Option<&'a PathBuf>,
    pub(crate) attestations: Option<&'a PathBuf>,
}

impl Wanted<'_> {
    /// Refuses those that hold something, and makes none yet.
    fn check(self) -> Result<(), Failure> {
        self.each(export::check_new)
    }

    /// Makes them: whoever wants them must not learn after the run that they
    /// cannot be.
    pub(crate) fn make(self) -> Result<(), Failure> {
        self.each(export::make_new)
    }

    fn each(self, act: impl Fn(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
        [self.outputs, self.attestations].into_iter().flatten().try_for_each(|one| act(one))
    }
}

/// Says how a run was, and gives away what is wanted of it.
pub(crate) fn tell(
    ran: Ran,
    wanted: Wanted<'_>,
    home: &Home,
    store: &Store,
    printer: &Printer,
) -> Result<u8, Failure> {
    let Ran { record, findings, .. } = ran;
    let view = if printer.prints_json() { RunView::new } else { RunView::summary };
    let view = view(&record, false).with_cache(findings);
    let history = home.history();
    let here = printer.surroundings(&history);
    printer.result(&view, |palette| run_text(&view, Detail::Summary, here, palette));
    // The summary first: what goes wrong from here on is not the run's.
    if let Some(directory) = wanted.outputs {
        export::outputs(&record, store, directory)?;
    }
    if let Some(directory) = wanted.attestations {
        export::attestations(&home.journal()?, &record, directory)?;
    }
    Ok(match record.finished.map(|(_, reason, _)| reason.status()) {
        Some(Status::Succeeded) => exit::OK,
        Some(Status::Cancelled) => exit::INTERRUPTED,
        Some(Status::Failed) | None => exit::RUN_FAILED,
    })
}

/// Whether a pipeline reads the source, and the digest of its file.
pub(crate) type Reading = (bool, Digest);

/// Takes the source into the store, if the pipeline reads it.
pub(crate) fn acquire(
    args: &RunArgs,
    (uses_source, file_digest): Reading,
    store: &Store,
) -> Result<Given, Failure> {
    let root = match source::root(args.source.as_deref(), &args.pipeline.file) {
        // Only a source that is read must be known.
        Err(_) if !uses_source => PathBuf::from("."),
        root => root?,
    };
    let checkout = uses_source.then(|| Checkout::discover(&root, !args.no_git)).transpose()?;
    let file = source::recorded_name(&args.pipeline.file, &root);
    let epoch = source::epoch(checkout.as_ref().and_then(Checkout::commit_time))?;
    let source = checkout.map(|checkout| checkout.acquire(store)).transpose()?;
    let found = source.as_ref().map(|source| store.find(source.tree.digest, Path::new(&file))).transpose()?;
    let file_in_source = found.flatten() == Some(file_digest);
    Ok(Given { file, file_in_source, epoch, source, inputs: BTreeMap::new() })
}
