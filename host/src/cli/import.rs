//! `cofferdam import`: a pipeline of Tekton or Konflux as one of ours, and a
//! table of what was left out of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::commands::Format;
use super::exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::report::visible;
use crate::tekton::{Became, Import, ImportError, ImportRequest, LeftOut, import};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam import .tekton/app-push.yaml\n  \
    cofferdam import .tekton/app-push.yaml --output .cofferdam/build.yaml\n  \
    cofferdam import pipeline.yaml --task lint=lint:0.1.0 --format json\n\n\
    Exit status 1 where something was left out; the file is written all the same.")]
pub(crate) struct ImportArgs {
    /// A file with a Pipeline or a PipelineRun of tekton.dev/v1 or v1beta1.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where to write the pipeline; left out, standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output where it exists.
    #[arg(long)]
    pub(crate) force: bool,
    /// Which of several pipelines; left out, the first.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,
    /// Take this task of ours for a task of the file; again for more.
    #[arg(long = "task", value_name = "NAME=REFERENCE")]
    pub(crate) tasks: Vec<String>,
}

/// Larger files are not read.
const MAX_FILE: u64 = 4 << 20;
/// More rows than this are counted, not printed.
const MAX_ROWS: usize = 200;
/// Wider paths are not waited for by the other columns.
const MAX_WIDTH: usize = 44;

/// What is printed with `--format json`.
#[derive(Serialize)]
struct View<'a> {
    output: Option<String>,
    #[serde(flatten)]
    import: &'a Import,
}

pub(crate) fn run(args: &ImportArgs, format: Format, printer: &Printer) -> Result<u8, Failure> {
    let file = args.file.display().to_string();
    let text = String::from_utf8(super::read_file(&args.file, MAX_FILE)?).map_err(|_| {
        Failure::invalid("document/syntax", format!("{file} is not UTF-8 text"), "save the file as UTF-8")
    })?;
    let request =
        ImportRequest { text: &text, pipeline: args.pipeline.as_deref(), tasks: chosen(&args.tasks)? };
    let import = import(&request).map_err(|error| failure(&file, &text, error))?;
    if let Some(output) = &args.output {
        write(&args.file, output, args.force, &import.pipeline)?;
    }
    let output = args.output.as_ref().map(|path| path.display().to_string());
    let view = View { output, import: &import };
    printer.result(&view, |_| {
        view.output.as_ref().map_or_else(|| import.pipeline.clone(), |path| wrote(path, &import))
    });
    if format == Format::Text && !import.left_out.is_empty() {
        printer.note(&table(&file, &import.left_out));
    }
    Ok(if import.left_out.is_empty() { exit::OK } else { exit::RUN_FAILED })
}

/// Tasks of ours for tasks of the file.
fn chosen(words: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut tasks = BTreeMap::new();
    for word in words {
        match word.split_once('=') {
            Some((name, reference)) if !name.is_empty() && !reference.is_empty() => {
                tasks.insert(name.to_owned(), reference.to_owned());
            }
            Some(_) | None => {
                let message = format!("`{word}` is not NAME=REFERENCE");
                return Err(Failure::usage(
                    message,
                    "such as --task lint=lint:0.1.0, or --task lint=lint.wasm",
                ));
            }
        }
    }
    Ok(tasks)
}

fn failure(file: &str, text: &str, error: ImportError) -> Failure {
    let message = error.to_string();
    match error {
        ImportError::Unreadable(fault) => Failure::faults(file, text, vec![fault]),
        ImportError::NotTekton { place, .. } => {
            let help =
                "give a Pipeline or a PipelineRun with `apiVersion: tekton.dev/v1` or `tekton.dev/v1beta1`";
            Failure::at(file, text, place, ("document/not-tekton", &message, help))
        }
        ImportError::NoPipeline { help, place, .. } => {
            Failure::at(file, text, place, ("document/no-pipeline", &message, &help))
        }
        ImportError::NoTask { help, .. } => Failure::usage(message, help),
        ImportError::TooLarge { .. } => {
            Failure::invalid("document/too-large", message, "split the pipeline into several files")
        }
    }
}

/// Writes the pipeline, whole or not at all, and in place of nothing.
fn write(input: &Path, output: &Path, force: bool, pipeline: &str) -> Result<(), Failure> {
    let same =
        |a: &Path, b: &Path| fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).ok() == Some(a));
    if same(input, output) {
        return Err(Failure::usage(
            "the output is the file that is imported",
            "give another name to --output",
        ));
    }
    let directory = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(pipeline.as_bytes())?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        let done = if force { file.persist(output) } else { file.persist_noclobber(output) };
        done.map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists && !force {
            let message = format!("{} exists already", output.display());
            return Failure::invalid("io/exists", message, "give another name, or replace it with --force");
        }
        Failure::io("write", output, &error)
    })
}

fn wrote(path: &str, import: &Import) -> String {
    let count = |became: fn(&Became) -> bool| import.tasks.iter().filter(|task| became(&task.became)).count();
    let kept = count(|became| matches!(became, Became::Task(_) | Became::Pipeline));
    let host = count(|became| *became == Became::Host);
    let gone = count(|became| *became == Became::Nothing);
    format!(
        "wrote {}: the pipeline `{}`; tasks: {kept} carried over, {host} done by the host, {gone} left out\n",
        visible(path),
        import.name
    )
}

fn table(file: &str, left: &[LeftOut]) -> String {
    let shown = left.get(..MAX_ROWS).unwrap_or(left);
    let place = |left: &LeftOut| format!("{}:{}", left.line, left.column);
    let widest = |width: &dyn Fn(&LeftOut) -> usize| shown.iter().map(width).max().unwrap_or(0);
    let places = widest(&|left| place(left).len()).max(4);
    let paths = widest(&|left| left.path.chars().count()).clamp(5, MAX_WIDTH);
    let mut text = format!(
        "left out of {}:\n{:places$}  {:paths$}  WHAT, AND WHAT TO DO INSTEAD\n",
        visible(file),
        "LINE",
        "FIELD"
    );
    for left in shown {
        let (what, path) = (visible(&left.what), visible(&left.path));
        let _ = writeln!(text, "{:places$}  {path:paths$}  {what}", place(left));
        let _ = writeln!(text, "{:places$}  {:paths$}  -> {}", "", "", visible(&left.instead));
    }
    let more = left.len() - shown.len();
    if more > 0 {
        let _ = writeln!(text, "and {more} more; all of them: --format json");
    }
    text.truncate(text.trim_end().len());
    text
}
