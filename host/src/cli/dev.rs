//! `cofferdam dev`: runs a pipeline whenever something it is made from changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cofferdam_registry::Digest;

use super::commands::RunArgs;
use super::execute::open_sandbox;
use super::failure::Failure;
use super::home::Home;
use super::opening::Opening;
use super::plan::Planned;
use super::printer::Printer;
use super::watch::{Next, Watch};
use super::{exit, plan, run, source};
use crate::plan::Plan;
use crate::report::visible;
use crate::sandbox::{CancelToken, Sandbox};
use crate::source::Ignored;
use crate::store::Store;

/// So many of the files that changed are named.
const NAMED: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Cancel a run when something changes, instead of running again after it.
    #[arg(long)]
    pub(crate) restart: bool,
}

/// What a run is made from: as long as all of it is the same, nothing is run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    files: BTreeMap<String, Digest>,
    components: BTreeSet<Digest>,
    source: Option<Digest>,
}

pub(crate) fn run(args: &DevArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    if args.run.outputs.is_some() || args.run.attestations.is_some() {
        let message = "`dev` writes no --outputs and no --attestations: each run would need a new directory";
        return Err(Failure::usage(message, "take them from a run: cofferdam show RUN --outputs DIRECTORY"));
    }
    let root = source::root(args.run.source.as_deref(), &args.run.pipeline.file)?;
    let file = std::path::absolute(&args.run.pipeline.file)
        .map_err(|error| Failure::unreadable(&args.run.pipeline.file, &error))?;
    let mut watch = Watch::start(Ignored::below(&root, !args.run.no_git), home.directories(), args.restart)?;
    watch.add(&root, true)?;
    let above = file.ancestors().find(|path| path.file_name().is_some_and(|name| name == ".cofferdam"));
    match above {
        Some(directory) => watch.add(directory, true)?,
        None => watch.add(file.parent().unwrap_or(Path::new("/")), false)?,
    }
    let mut dev = Dev {
        args,
        home,
        printer,
        store: home.store()?,
        sandbox: open_sandbox(args.run.jobs, home)?.into(),
        made: None,
        said: None,
    };
    let mut changed = BTreeSet::new();
    loop {
        dev.once(&changed, &root, &mut watch);
        changed.clear();
        if watch.is_stopping(&mut changed) {
            return Ok(exit::INTERRUPTED);
        }
        // Files that changed while it ran are looked at at once.
        if changed.is_empty() {
            match watch.next() {
                Next::Changed(paths) => changed = paths,
                Next::Stop => return Ok(exit::INTERRUPTED),
            }
        }
    }
}

struct Dev<'a> {
    args: &'a DevArgs,
    home: &'a Home,
    printer: &'a Printer,
    store: Store,
    sandbox: Arc<Sandbox>,
    /// What the last run was made from.
    made: Option<Made>,
    /// What was said to be wrong the last time.
    said: Option<String>,
}

impl Dev<'_> {
    /// Runs, unless nothing is other than the last time. An error is told, and
    /// the watch goes on.
    fn once(&mut self, changed: &BTreeSet<PathBuf>, root: &Path, watch: &mut Watch) {
        if let Err(failure) = self.attempt(changed, root, watch) {
            let words = serde_json::to_string(&failure).unwrap_or_default();
            if self.said.as_ref() != Some(&words) {
                self.separate(changed, root);
                self.printer.failure(&failure);
            }
            self.said = Some(words);
            // Once it is mended, it is run, whatever it was before.
            self.made = None;
        }
    }

    fn attempt(
        &mut self,
        changed: &BTreeSet<PathBuf>,
        root: &Path,
        watch: &mut Watch,
    ) -> Result<(), Failure> {
        let args = &self.args.run;
        let Planned { plan, draft, pins, .. } = plan::build(&args.pipeline, self.home)?;
        for directory in component_directories(&plan, &args.pipeline.file) {
            watch.add(&directory, false)?;
        }
        let given = run::acquire(args, (plan.uses_source, plan.file_digest), &self.store)?;
        pins.save(self.printer)?;
        let made = Made {
            files: plan
                .files
                .iter()
                .map(|file| (file.name.clone(), Digest::of(file.text.as_bytes())))
                .collect(),
            components: plan.flow.leaves().iter().map(|(.., work)| work.component.digest).collect(),
            source: given.source.as_ref().map(|source| source.tree.digest),
        };
        if self.made.as_ref() == Some(&made) {
            return Ok(());
        }
        self.separate(changed, root);
        (self.said, self.made) = (None, Some(made));
        let cancel = CancelToken::default();
        watch.running(Some(cancel.clone()));
        let sandbox = Some(Arc::clone(&self.sandbox));
        let opening = Opening::begin(self.home, args.jobs, run::cache_wish(args), sandbox)?;
        let around = (opening, Some(cancel));
        let ran =
            run::once(args, (plan, draft), |_| Ok(given), around, (self.home, &self.store, self.printer));
        watch.running(None);
        let wanted = run::Wanted { outputs: None, attestations: None };
        run::tell(ran?, wanted, self.home, &self.store, self.printer).map(|_| ())
    }

    /// Says what changed since the last run.
    fn separate(&self, changed: &BTreeSet<PathBuf>, root: &Path) {
        if changed.is_empty() {
            return;
        }
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = |path: &PathBuf| {
            let inside = path.strip_prefix(&root).unwrap_or(path);
            visible(&inside.display().to_string()).into_owned()
        };
        let mut names: Vec<String> = changed.iter().take(NAMED).map(name).collect();
        if changed.len() > NAMED {
            names.push(format!("and {} more", changed.len() - NAMED));
        }
        self.printer.note(&format!("\n--- changed: {}", names.join(", ")));
    }
}

/// Where the components stand that the pipeline names as files.
fn component_directories(plan: &Plan, pipeline: &Path) -> BTreeSet<PathBuf> {
    let base = pipeline.parent().unwrap_or(Path::new(""));
    let named = plan.flow.leaves().into_iter().filter_map(|(.., work)| {
        let (path, _) = work.identity.reference.strip_prefix("file:")?.rsplit_once('@')?;
        Some(base.join(path).canonicalize().ok()?.parent()?.to_owned())
    });
    named.collect()
}
