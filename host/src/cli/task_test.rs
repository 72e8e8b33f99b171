//! `cofferdam task test`: runs the cases beside a task, each in the sandbox.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use cofferdam_manifest::{Document, decode};
use cofferdam_registry::read_plain;

use super::failure::Failure;
use super::home::Home;
use super::one_task::{Asked, OneTask};
use super::printer::Printer;
use super::test_case::Checked;
use super::{exit, task_build};
use crate::model::{MAX_PIPELINE, TaskTest};
use crate::report::{CaseView, Finding, TaskTestView, task_test_text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task test examples/word-count\n  \
    cofferdam task test my-task --case 'nothing to count' --component my-task.wasm\n\n\
    The task is built first. Exit status 1 where a case fails.")]
pub(crate) struct TaskTestArgs {
    /// The directory with `task.yaml` and `tests/*.yaml`.
    #[arg(value_name = "DIRECTORY", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// Run only cases whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(crate) case: Option<String>,
    /// A component that is compiled already.
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
}

const GRANTS_HELP: &str =
    "write into the case what it is granted, under `grants`; with grants: {} it runs without";

/// A file of cases that was read.
struct Cases {
    name: String,
    directory: PathBuf,
    text: String,
    document: Document,
    test: TaskTest,
}

pub(crate) fn run(args: &TaskTestArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    if !args.directory.is_dir() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotADirectory);
        return Err(Failure::unreadable(&args.directory, &missing));
    }
    task_build::is_a_task(&args.directory)?;
    // What is wrong with the cases is said before anything is compiled.
    let files = read(&args.directory.join("tests"))?;
    let wanted = |name: &str| args.case.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let count = files.iter().flat_map(|file| &file.test.cases).filter(|case| wanted(&case.name)).count();
    if count == 0 {
        let message = format!("{} has no case to run", args.directory.join("tests").display());
        let help = "write cases into tests/*.yaml, or ask for others with --case; their form: cofferdam schema \
                    task-test";
        return Err(Failure::invalid("test/no-cases", message, help));
    }
    let built = task_build::file_of(&args.directory, args.component.as_deref(), printer)?;
    let task = OneTask::open(built.path(), home)?;
    let mut view = TaskTestView::new(task.manifest().metadata.name.to_string());
    for file in &files {
        for (index, case) in file.test.cases.iter().enumerate().filter(|(_, case)| wanted(&case.name)) {
            let began = Instant::now();
            let problems = file.problems(index, &task, printer)?;
            if task.cancelled() {
                return Ok(exit::INTERRUPTED);
            }
            view.add(CaseView {
                file: file.name.clone(),
                name: case.name.clone(),
                micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                problems,
            });
        }
    }
    printer.result(&view, |palette| task_test_text(&view, palette));
    Ok(if view.failed == 0 { exit::OK } else { exit::RUN_FAILED })
}

/// Every file of cases in a directory, in order.
fn read(directory: &Path) -> Result<Vec<Cases>, Failure> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::unreadable(directory, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::unreadable(directory, &error))?.path();
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| Cases::read(path)).collect()
}

impl Cases {
    fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        // Not through a link: what is wrong with a file is shown.
        let bytes = read_plain(path, MAX_PIPELINE).map_err(|error| Failure::unreadable(path, &error))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = format!("{name} is not UTF-8 text");
            Failure::invalid("document/syntax", message, "save the file as UTF-8")
        })?;
        let document = Document::parse_as(&text, "task-test")
            .map_err(|fault| Failure::faults(&name, &text, vec![fault]))?;
        let test = decode(&document).map_err(|faults| Failure::faults(&name, &text, faults))?;
        let directory = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { name, directory, text, document, test })
    }

    /// Runs a case; gives what is wrong with it.
    fn problems(&self, index: usize, task: &OneTask, printer: &Printer) -> Result<Vec<Finding>, Failure> {
        let Some(case) = self.test.cases.get(index) else { return Ok(Vec::new()) };
        let checked = Checked { case, directory: &self.directory, store: task.store() };
        let inputs = match checked.inputs()? {
            Ok(inputs) => inputs,
            Err(wrong) => return Ok(vec![self.finding(index, &wrong.below, "test/input", wrong.message)]),
        };
        let asked =
            Asked { params: case.params.clone(), inputs, grants: case.grants.clone(), ..Asked::default() };
        match task.run(asked, true, printer) {
            Ok(outcome) => {
                let wrong = checked.compare(&outcome)?.into_iter();
                Ok(wrong.map(|wrong| self.finding(index, &wrong.below, wrong.code, wrong.message)).collect())
            }
            // The case asks for what cannot be: a param that there is not, a grant that is missing.
            Err(failure) if matches!(failure.status(), exit::INVALID_INPUT | exit::REFUSED) => {
                let findings = failure.problems.into_iter().map(|problem| Finding {
                    help: match problem.code.as_str() {
                        _ if problem.is_grantable() => Some(GRANTS_HELP.to_owned()),
                        "plan/missing" => Some("give it in the case, under `params` or `inputs`".to_owned()),
                        _ => problem.help,
                    },
                    ..self.finding(index, "name", &problem.code, problem.message)
                });
                Ok(findings.collect())
            }
            Err(failure) => Err(failure),
        }
    }

    fn finding(&self, index: usize, below: &str, code: &str, message: String) -> Finding {
        let place = self.document.place(&format!("/cases/{index}/{below}"));
        Finding {
            code: code.to_owned(),
            message,
            file: self.name.clone(),
            line: Some(place.line),
            column: Some(place.column),
            help: None,
            source: self.text.lines().nth(place.line.saturating_sub(1)).map(str::to_owned),
        }
    }
}
