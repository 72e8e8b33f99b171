//! One task, run as a pipeline of it alone would run it: planned, granted,
//! sandboxed, observed and attested, with a history that is thrown away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_manifest::{Manifest, Value, ValueType};
use cofferdam_registry::{MAX_COMPONENT, SigningKey};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::execute::{CacheWish, Given, Order, execute, open_sandbox};
use super::failure::Failure;
use super::home::Home;
use super::opening::Opening;
use super::printer::Printer;
use super::{exit, interrupt, plan, registries, source};
use crate::component::Component;
use crate::event::{Fact, LogLevel, TaskRecord};
use crate::model::{GrantSpec, Overrides};
use crate::plan::{Pinning, Plan, PlanRequest, RecordingResolver, is_meant, known_names};
use crate::report::{Remarks, RunView, TaskView};
use crate::sandbox::{CancelToken, Sandbox};
use crate::store::{Store, Tree};

/// What the pipeline around the task is called in messages.
const PIPELINE: &str = "the pipeline of this task alone";

/// A task that is run as often as is wanted; what its runs leave goes with it.
pub(crate) struct OneTask {
    home: Home,
    store: Store,
    sandbox: Arc<Sandbox>,
    cancel: CancelToken,
    file: PathBuf,
    manifest: Manifest,
    _directory: TempDir,
}

/// What one run of it is given.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) params: BTreeMap<String, Value>,
    pub(crate) inputs: BTreeMap<String, Tree>,
    /// The inputs that were named and cannot be had, with why: told with
    /// everything else that is wrong.
    pub(crate) unusable: BTreeMap<String, Failure>,
    /// What it is granted; left out, it must ask for nothing.
    pub(crate) grants: Option<GrantSpec>,
    pub(crate) overrides: Overrides,
}

/// A line that the task logged.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: LogLevel,
    pub(crate) message: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// How one run of it was.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) record: TaskRecord,
    pub(crate) view: TaskView,
    pub(crate) lines: Vec<Line>,
}

impl OneTask {
    /// Reads a task from a file, and makes what its runs need.
    pub(crate) fn open(file: &Path, home: &Home) -> Result<Self, Failure> {
        let component = Component::read(&file.display().to_string(), super::read_file(file, MAX_COMPONENT)?)?;
        let file = file.canonicalize().map_err(|error| Failure::unreadable(file, &error))?;
        let temporary = std::env::temp_dir();
        let directory = tempfile::tempdir().map_err(|error| Failure::io("create", &temporary, &error))?;
        let home = home.with_runs_in(directory.path());
        // It signs what nobody is to rely on, and is gone with it.
        SigningKey::generate(&home.key_file())?;
        let store = home.store()?;
        let sandbox = Arc::new(open_sandbox(Some(1), &home)?);
        let cancel = CancelToken::default();
        interrupt::cancel_on_signal(&cancel, Remarks::on_stderr())
            .map_err(|error| Failure::io("watch for signals in", directory.path(), &error))?;
        Ok(Self { home, store, sandbox, cancel, file, manifest: component.manifest, _directory: directory })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its inputs and outputs are.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether somebody stopped it.
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.asked() > 0
    }

    /// Runs it once; quiet, nothing is shown while it is under way.
    pub(crate) fn run(&self, asked: Asked, quiet: bool, printer: &Printer) -> Result<Outcome, Failure> {
        let Asked { params, inputs, unusable, grants, overrides } = asked;
        let named: Vec<&str> = inputs.keys().chain(unusable.keys()).map(String::as_str).collect();
        let wrong = self.wrong_inputs(&named).into_iter().chain(unusable.into_values());
        let wrong: Vec<Failure> = wrong.collect();
        let text = self.pipeline(grants.as_ref()).to_string();
        let base = self.file.parent().unwrap_or(Path::new("/"));
        let registry = registries::resolver(&self.home, base, Pinning::default(), false)?;
        let resolver = RecordingResolver::new(registry);
        let request = PlanRequest {
            file: PIPELINE,
            base,
            text: &text,
            given: &params,
            ceiling: &self.home.configuration()?.ceiling(),
            overrides: &overrides,
            params_required: true,
        };
        let plan = Plan::build(&request, &resolver).map_err(|errors| unplaced(errors.into()));
        let plan = match (plan, wrong.into_iter().reduce(Failure::and)) {
            (Ok(plan), None) => plan,
            (Ok(_), Some(wrong)) | (Err(wrong), None) => return Err(wrong),
            (Err(errors), Some(wrong)) => return Err(errors.and(wrong)),
        };
        plan::each_allows_something(&overrides.allow, &plan)?;
        let draft = resolver.into_draft(&request, false);
        let order = Order {
            plan,
            draft,
            origin: None,
            finished: Default::default(),
            opening: Opening::begin(
                &self.home,
                Some(1),
                CacheWish::Nothing,
                Some(Arc::clone(&self.sandbox)),
            )?,
            jobs: Some(1),
            quiet,
            cancel: Some(self.cancel.clone()),
        };
        let given = Given {
            file: PIPELINE.to_owned(),
            file_in_source: false,
            epoch: source::epoch(None)?,
            source: None,
            inputs,
        };
        let ran = execute(order, &self.home, &self.store, printer, |_| Ok(given), |_| Ok(()))?;
        let mut record = ran.record;
        let lines = self.lines(&record.id)?;
        let view = RunView::new(&record, false).tasks.into_iter().next();
        let task = record.tasks.remove(self.manifest.metadata.name.as_str());
        match (task, view) {
            (Some(record), Some(view)) => Ok(Outcome { record, view, lines }),
            _ => Err(Failure::invalid("bug/no-events", "the run has no events", "report this as a bug")),
        }
    }

    /// Every input of the manifest and no other must be there.
    fn wrong_inputs(&self, given: &[&str]) -> Vec<Failure> {
        let known: Vec<&str> = self.manifest.spec.inputs.iter().map(|spec| spec.name.as_str()).collect();
        let unknown = given.iter().filter(|name| !known.contains(name)).map(|name| {
            let help = known_names(name, &known, "it takes none");
            Failure::invalid("plan/unknown-name", format!("there is no input `{name}`"), help)
        });
        let is_missing =
            |name: &&&str| !given.contains(name) && !is_meant(name, given.iter().copied(), &known);
        let missing = known.iter().filter(is_missing).map(|name| {
            let message = format!("the task needs the input `{name}`");
            Failure::invalid("plan/missing", message, format!("give it: --input {name}=DIRECTORY"))
        });
        unknown.chain(missing).collect()
    }

    /// The pipeline: the params and inputs of the task are its own, so values
    /// are held against the manifest and nothing in them is substituted.
    fn pipeline(&self, grants: Option<&GrantSpec>) -> Json {
        let spec = &self.manifest.spec;
        let params = spec.params.iter().map(|param| {
            let star = if param.effective_type() == ValueType::String { "" } else { "[*]" };
            json!({ "name": param.name, "value": format!("$(params.{}{star})", param.name) })
        });
        let inputs = spec
            .inputs
            .iter()
            .map(|input| json!({ "name": input.name, "from": format!("$(inputs.{})", input.name) }));
        let mut task = json!({
            "name": self.manifest.metadata.name,
            "taskRef": { "component": self.file.file_name().map(|name| name.to_string_lossy()) },
            "params": params.collect::<Vec<_>>(),
            "inputs": inputs.collect::<Vec<_>>(),
        });
        if let (Some(grants), Some(task)) = (grants, task.as_object_mut()) {
            task.insert("grants".to_owned(), json!(grants));
        }
        json!({
            "apiVersion": "cofferdam.dev/v1",
            "kind": "Pipeline",
            "metadata": { "name": self.manifest.metadata.name },
            "spec": { "params": spec.params, "inputs": spec.inputs, "tasks": [task] },
        })
    }

    /// What the task logged in a run.
    fn lines(&self, run: &crate::model::RunId) -> Result<Vec<Line>, Failure> {
        let lines = Mutex::new(Vec::new());
        self.home.journal()?.replay(run, |event| {
            if let Fact::TaskLogged { level, message, fields, .. } = event.fact {
                let line = Line { level, message, fields };
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })?;
        Ok(lines.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Outcome {
    /// The word for how it ended.
    pub(crate) fn reason(&self) -> &'static str {
        self.view.reason.unwrap_or("NotRun")
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.reason() == "Succeeded"
    }

    /// Its results, those that are kept in the store among them.
    pub(crate) fn results(&self, store: &Store) -> Result<BTreeMap<String, Value>, Failure> {
        let Some((_, end)) = &self.record.end else { return Ok(BTreeMap::new()) };
        let mut results = end.results.clone();
        for (name, stored) in &end.stored_results {
            let bytes = store.read(stored.digest)?;
            let value = serde_json::from_slice(&bytes).map_err(|error| {
                Failure::invalid("bug/stored-result", error.to_string(), "report this as a bug")
            })?;
            results.insert(name.clone(), value);
        }
        Ok(results)
    }

    /// The exit status of a command that ran it once.
    pub(crate) fn status(&self) -> u8 {
        match self.reason() {
            "Succeeded" => exit::OK,
            "TaskRunCancelled" => exit::INTERRUPTED,
            _ => exit::RUN_FAILED,
        }
    }
}

/// Places in a pipeline that nobody wrote help nobody.
fn unplaced(mut failure: Failure) -> Failure {
    for problem in &mut failure.problems {
        (problem.file, problem.line, problem.column) = (None, None, None);
    }
    failure
}
