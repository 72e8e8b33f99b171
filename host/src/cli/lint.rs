//! `cofferdam lint`: checks files without running anything. All errors of all
//! files at once, each with its place, and what is worth a look besides.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_manifest::{Document, Manifest, Place, decode};
use cofferdam_registry::{Trust, TrustError};
use jiff::Timestamp;

use super::exit;
use super::failure::{Failure, Problem};
use super::home::Home;
use super::lint_files::{self, Kind, Named};
use super::printer::Printer;
use super::{plan, registries};
use crate::capability::{INSTEAD_OF_EXEC, NO_EXEC};
use crate::model::{EffectiveLimits, Overrides, PipelineRef, TaskRef, TaskTest};
use crate::plan::{
    Advices, Lock, Pinning, PipelineText, Plan, PlanErrors, PlanRequest, RegistryResolver, ResolveError,
    ResolvedTask, Resolver,
};
use crate::report::{Finding, LintFile, LintView, lint_annotations, lint_text};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cofferdam lint                             every pipeline below .cofferdam/\n  \
    cofferdam lint build.yaml my-task/task.yaml --strict\n  \
    cofferdam lint . --offline --format json\n\n\
    Params need no value. Exit status: 0 no error, 1 only warnings and --strict,\n\
    or a registry that does not answer, 3 errors, 4 something that trust refuses. In GitHub Actions (or with\n\
    COFFERDAM_LOG_FORMAT=github) every finding is an annotation, too."
)]
pub(crate) struct LintArgs {
    /// Pipelines, task.yaml, trust.yaml, or directories that hold some; left
    /// out, the pipelines below `.cofferdam/`.
    #[arg(value_name = "FILE|DIRECTORY")]
    pub(crate) paths: Vec<PathBuf>,
    /// Fail where there are warnings, too.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Look for tasks in no registry, not even this machine's own.
    #[arg(long)]
    pub(crate) offline: bool,
}

pub(crate) fn run(args: &LintArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let files = lint_files::find(&args.paths)?;
    let ceiling = home.configuration()?.ceiling();
    let mut seen = BTreeSet::new();
    let mut view = LintView::default();
    let mut status = exit::OK;
    for file in files {
        let (registry, unread) = resolver(home, &plan::base_of(&file.path)?)?;
        let (mut found, failure) = check(&file, &Tasks { registry, offline: args.offline }, &ceiling);
        if let Some(unread) = unread.filter(|_| !args.offline) {
            status = status.max(unread.status());
            found.errors.extend(whole(&found.file, None, &unread).errors);
        }
        // A pipeline that others name is looked at with each of them.
        found.errors.retain(|finding| seen.insert(known(finding)));
        if !found.errors.is_empty() {
            status = status.max(failure);
        }
        view.errors += found.errors.len();
        view.warnings += found.warnings.len();
        view.files.push(found);
    }
    printer.result(&view, |palette| lint_text(&view, palette));
    if printer.annotates() {
        let _ = std::io::stderr().lock().write_all(lint_annotations(&view).as_bytes());
    }
    let warned = args.strict && view.warnings > 0;
    Ok(if status == exit::OK && warned { exit::RUN_FAILED } else { status })
}

/// Finds tasks for the pipelines in a directory; where its pins cannot be read,
/// without them, and says why.
fn resolver(home: &Home, base: &Path) -> Result<(RegistryResolver, Option<Failure>), Failure> {
    let (lock, unread) = match Lock::load(base) {
        Ok(lock) => (lock, None),
        Err(error) => (Lock::default(), Some(error.into())),
    };
    let registries = registries::open(home)?.with_lock(lock, Pinning::Resolve);
    Ok((RegistryResolver::new(registries, home.trust_levels(base)?, Timestamp::now(), false), unread))
}

/// What makes a finding the same as another.
fn known(finding: &Finding) -> (PathBuf, Option<usize>, Option<usize>, String) {
    let file = Path::new(&finding.file);
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    (file, finding.line, finding.column, format!("{} {}", finding.code, finding.message))
}

/// Finds tasks; those of registries only where that was not forbidden.
struct Tasks {
    registry: RegistryResolver,
    offline: bool,
}

impl Resolver for Tasks {
    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError> {
        if self.offline && task.component.is_none() {
            return Err(ResolveError::NoTasks);
        }
        self.registry.resolve(task, base)
    }

    fn pipeline(&self, pipeline: &PipelineRef, base: &Path) -> Result<PipelineText, ResolveError> {
        self.registry.pipeline(pipeline, base)
    }
}

/// Checks one file; gives the exit status of what is wrong with it, too.
fn check(file: &Named, tasks: &Tasks, ceiling: &EffectiveLimits) -> (LintFile, u8) {
    let name = file.path.display().to_string();
    let (kind, failure) = match (&file.text, file.kind) {
        (Err(failure), _) => return (whole(&name, None, failure), failure.status()),
        (Ok(text), Kind::Pipeline | Kind::PipelineRun) => return pipeline(file, text, tasks, ceiling),
        (Ok(text), Kind::Task) => ("Task", manifest(&name, text)),
        (Ok(text), Kind::TaskTest) => {
            let read = Document::parse_as(text, "task-test").map_err(|fault| vec![fault]);
            let faults = read.and_then(|document| decode::<TaskTest>(&document)).err();
            ("TaskTest", faults.map(|faults| Failure::faults(&name, text, faults)))
        }
        (Ok(text), Kind::Trust) => ("Trust", trust(&file.path, &name, text)),
    };
    let mut found = LintFile {
        file: name.clone(),
        kind: Some(kind),
        errors: Vec::new(),
        warnings: file.schema_warnings(),
        unchecked: Vec::new(),
    };
    let Some(failure) = failure else { return (found, exit::OK) };
    found.errors = whole(&name, None, &failure).errors;
    (found, failure.status())
}

/// What is wrong with the manifest of a task, or with running it.
fn manifest(name: &str, text: &str) -> Option<Failure> {
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(faults) => return Some(Failure::faults(name, text, faults)),
    };
    if manifest.spec.capabilities.exec.is_empty() {
        return None;
    }
    let place = Document::parse(text).map(|document| document.place("/spec/capabilities/exec"));
    let message = format!("no pipeline can run a task that asks for `exec`: {NO_EXEC}");
    let what = ("plan/not-granted", message.as_str(), INSTEAD_OF_EXEC);
    Some(Failure::at(name, text, place.unwrap_or_default(), what))
}

/// What is found where a file cannot be checked any further.
fn whole(name: &str, kind: Option<&'static str>, failure: &Failure) -> LintFile {
    let errors = failure.problems.iter().map(|problem| finding(name, failure, problem)).collect();
    LintFile { file: name.to_owned(), kind, errors, warnings: Vec::new(), unchecked: Vec::new() }
}

fn finding(name: &str, failure: &Failure, problem: &Problem) -> Finding {
    Finding {
        code: problem.code.clone(),
        message: problem.message.clone(),
        file: problem.file.clone().unwrap_or_else(|| name.to_owned()),
        line: problem.line,
        column: problem.column,
        help: problem.help.clone(),
        source: failure.line_of(problem).map(str::to_owned),
    }
}

fn pipeline(file: &Named, text: &str, tasks: &Tasks, ceiling: &EffectiveLimits) -> (LintFile, u8) {
    let name = file.path.display().to_string();
    let base = file.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let request = PlanRequest {
        file: &name,
        base: &base,
        text,
        given: &BTreeMap::new(),
        ceiling,
        overrides: &Overrides::default(),
        params_required: false,
    };
    let mut unplanned = false;
    let failure = Plan::build(&request, tasks).err().map(|errors| {
        let mut errors = locate(errors, &file.path);
        let before = errors.errors.len();
        errors.errors.retain(|(_, error)| error.code() != "registry/no-tasks");
        unplanned = errors.errors.len() < before;
        Failure::from(errors)
    });
    let advices = Advices::of(text, &base, tasks);
    let lines: Vec<&str> = text.lines().collect();
    let warnings = advices.found.iter().map(|advice| {
        let Place { line, column } = advice.place();
        Finding {
            code: advice.code().to_owned(),
            message: advice.to_string(),
            file: name.clone(),
            line: Some(line),
            column: Some(column),
            help: Some(advice.help().to_owned()),
            source: line.checked_sub(1).and_then(|index| lines.get(index)).map(|line| (*line).to_owned()),
        }
    });
    let errors = failure
        .iter()
        .flat_map(|failure| failure.problems.iter().map(|problem| finding(&name, failure, problem)));
    let found = LintFile {
        errors: errors.collect(),
        warnings: file.schema_warnings().into_iter().chain(warnings).collect(),
        unchecked: unchecked(&advices, unplanned, tasks.offline),
        kind: Some(file.kind.word()),
        file: name.clone(),
    };
    let status = failure.map_or(exit::OK, |failure| failure.status());
    (found, status)
}

/// What stays open where tasks are not to be had.
fn unchecked(advices: &Advices, unplanned: bool, offline: bool) -> Vec<String> {
    let why = if offline {
        "--offline looks for no tasks"
    } else {
        "this machine has no tasks yet (publish some: cofferdam setup TASK.wasm..)"
    };
    let what = "params, inputs, results and grants, and whether it is trusted";
    let tasks = advices.missing.iter().map(|task| format!("task `{task}`: {what}; {why}"));
    let mut notes: Vec<String> = tasks.collect();
    if unplanned && notes.is_empty() {
        notes.push(format!("the tasks of pipelines that it names: {what}; {why}"));
    }
    notes
}

/// Names the files of nested pipelines by where they are, not as they are
/// written in the file that names them.
fn locate(mut errors: PlanErrors, root: &Path) -> PlanErrors {
    let mut directories = vec![root.parent().unwrap_or(Path::new("")).to_owned()];
    for file in errors.files.iter_mut().skip(1) {
        let found = directories
            .iter()
            .map(|directory| directory.join(&file.name))
            .find(|path| std::fs::read_to_string(path).is_ok_and(|text| text == file.text));
        if let Some(path) = found {
            directories.extend(path.parent().map(Path::to_owned));
            file.name = path.display().to_string();
        }
    }
    errors
}

fn trust(path: &Path, name: &str, text: &str) -> Option<Failure> {
    let base = path.parent().unwrap_or(Path::new(""));
    let error = Trust::parse(text, base).err()?;
    let place =
        |pointer: &str| Document::parse(text).map(|document| document.place(pointer)).unwrap_or_default();
    Some(match error {
        TrustError::Faults(faults) => Failure::faults(name, text, faults),
        TrustError::Key { ref label, .. }
        | TrustError::Signatory { ref label }
        | TrustError::Identity { ref label, .. }
        | TrustError::Root { ref label, .. } => {
            let label = label.replace('~', "~0").replace('/', "~1");
            let place = place(&format!("/trusted_task_rules/allow/{label}"));
            let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            let message = format!("{error}{source}");
            Failure::at(
                name,
                text,
                place,
                (
                    "trust/invalid",
                    &message,
                    "name the file of a public key as `signing_key`, or subject and issuer as `identity`",
                ),
            )
        }
        TrustError::Pattern { list, ref label, ref meant, .. } => {
            let label = label.replace('~', "~0").replace('/', "~1");
            let place = place(&format!("/trusted_task_rules/{list}/{label}"));
            let help = format!("write `{meant}`");
            Failure::at(name, text, place, ("trust/invalid", &error.to_string(), &help))
        }
        TrustError::Date { text: ref date } => {
            let line = text.lines().position(|line| {
                ["effective_on", "expires_on"].iter().any(|key| line.contains(key))
                    && line.contains(date.as_str())
            });
            let place = Place { line: line.unwrap_or(0) + 1, column: 1 };
            Failure::at(name, text, place, ("trust/invalid", &error.to_string(), "correct the date"))
        }
        TrustError::Record { .. } => Failure::invalid("trust/invalid", error.to_string(), "correct the file"),
        other => Failure::invalid("trust/invalid", other.to_string(), "correct the file"),
    })
}
