//! `cofferdam task build`: a component and its manifest become one file.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_manifest::Manifest;
use cofferdam_registry::{Digest, MAX_COMPONENT};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::scratch::Scratch;
use super::script_build::Script;
use super::task_evidence::{Before, Evidence, ToolRun};
use super::{c_build, cargo_build, exit};
use crate::capability::Import;
use crate::component::{Component, embed, inspect};
use crate::report::bytes;

const MANIFEST_FILE: &str = "task.yaml";
/// It takes a person to write one.
const MAX_MANIFEST: u64 = 1 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task build plugins/sbom\n  \
    cofferdam task build my-task --component my-task/dist/task.wasm --output my-task.wasm")]
pub(crate) struct TaskBuildArgs {
    /// The directory with `task.yaml` and the source: `Cargo.toml`, `src/task.js`,
    /// `src/app.py` or `src/task.c`; with --component, `task.yaml` alone.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// A component that is compiled already.
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    /// Where to write the task; left out, NAME.wasm in the current directory.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Built<'a> {
    task: &'a str,
    version: &'a str,
    file: &'a Path,
    digest: Digest,
    size: usize,
    imports: &'a [String],
}

pub(crate) fn run(args: &TaskBuildArgs, printer: &Printer) -> Result<u8, Failure> {
    let before = Before::look(&args.path);
    let (task, manifest, ran) = build(&args.path, args.component.as_deref(), printer.is_colourless())?;
    if let Some(ran) = ran {
        let evidence = before.evidence(&args.path, ran, &task)?;
        // It is for publishing; a task is built where there is no home, too.
        if let Err(failure) = Home::open().and_then(|home| evidence.keep(&home)) {
            let why = failure.problems.first().map_or("", |problem| problem.message.as_str());
            printer.note(&format!("its SBOM and provenance are not kept: {why}"));
        }
    }
    let output = args.output.clone().unwrap_or_else(|| format!("{}.wasm", manifest.metadata.name).into());
    super::write_file(&output, &task.bytes)?;
    let metadata = &manifest.metadata;
    let built = Built {
        task: metadata.name.as_str(),
        version: &metadata.version,
        file: &output,
        digest: task.digest,
        size: task.bytes.len(),
        imports: &task.imports,
    };
    printer.result(&built, |palette| {
        let name = palette.strong.apply_to(format!("{}:{}", built.task, built.version));
        let size = bytes(built.size as u64);
        format!("built {name}: {} ({size})\n  {}\n", output.display(), built.digest)
    });
    Ok(exit::OK)
}

/// A task in a file: the user's, or one that was built and goes with this.
#[derive(Debug)]
pub(crate) enum TaskFile {
    Given(PathBuf),
    /// In a directory of its own, under the name of the task.
    Built {
        path: PathBuf,
        _directory: Scratch,
    },
}

impl TaskFile {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Built { path, .. } => path,
        }
    }
}

/// The task in a file, or in a directory, which is built first.
pub(crate) fn file_of(path: &Path, component: Option<&Path>, printer: &Printer) -> Result<TaskFile, Failure> {
    if !path.is_dir() {
        return Ok(TaskFile::Given(path.to_owned()));
    }
    let (task, manifest, _) = build(path, component, printer.is_colourless())?;
    in_a_file(&task, &manifest)
}

/// The task in a directory, which is built, and what is known of that.
pub(crate) fn with_evidence(
    directory: &Path,
    printer: &Printer,
) -> Result<(TaskFile, Option<Evidence>), Failure> {
    let before = Before::look(directory);
    let (task, manifest, ran) = build(directory, None, printer.is_colourless())?;
    let evidence = ran.map(|ran| before.evidence(directory, ran, &task)).transpose()?;
    Ok((in_a_file(&task, &manifest)?, evidence))
}

fn in_a_file(task: &Component, manifest: &Manifest) -> Result<TaskFile, Failure> {
    let directory = Scratch::new()?;
    let path = directory.path().join(format!("{}.wasm", manifest.metadata.name));
    super::write_file(&path, &task.bytes)?;
    Ok(TaskFile::Built { path, _directory: directory })
}

/// Builds the task in a directory, and says what ran; with a component that is
/// compiled already, of that, and then nothing ran.
fn build(
    directory: &Path,
    component: Option<&Path>,
    colourless: bool,
) -> Result<(Component, Manifest, Option<ToolRun>), Failure> {
    is_a_task(directory)?;
    let path = directory.join(MANIFEST_FILE);
    let text = String::from_utf8(super::read_file(&path, MAX_MANIFEST)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", path.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })?;
    let manifest = Manifest::parse(&text)
        .map_err(|faults| Failure::faults(&path.display().to_string(), &text, faults))?;
    let (name, code, ran) = match component {
        Some(file) => (file.display().to_string(), super::read_file(file, MAX_COMPONENT)?, None),
        None => {
            let (code, ran) = compile(directory, &manifest, colourless)?;
            (directory.display().to_string(), code, Some(ran))
        }
    };
    check_imports(&name, &inspect(&name, &code)?.imports, &manifest)?;
    let task = Component::read(&name, embed(&name, &code, &manifest)?)?;
    Ok((task, manifest, ran))
}

/// Refuses a directory in which no task is.
pub(crate) fn is_a_task(directory: &Path) -> Result<(), Failure> {
    if !directory.is_dir() || directory.join(MANIFEST_FILE).exists() {
        return Ok(());
    }
    let message = format!("{} is no task: it has no {MANIFEST_FILE}", directory.display());
    let help = "name the directory of one; a new task: cofferdam task new NAME --lang rust|js|python|c";
    Err(Failure::invalid("component/no-task", message, help))
}

/// Compiles the task in a directory, in the language of the files that are there,
/// and says what ran.
fn compile(directory: &Path, manifest: &Manifest, colourless: bool) -> Result<(Vec<u8>, ToolRun), Failure> {
    if directory.join("Cargo.toml").is_file() {
        let (file, ran) = cargo_build::component(directory, colourless)?;
        return Ok((super::read_file(&file, MAX_COMPONENT)?, ran));
    }
    match Script::of(directory) {
        Some(script) => script.compile(directory, &manifest.spec.capabilities),
        None if c_build::is_task(directory) => c_build::component(directory),
        None => Err(missing(directory)),
    }
}

/// There is no task in a directory: none of the files that tell its language.
fn missing(directory: &Path) -> Failure {
    let message = format!(
        "{} holds no task that can be compiled: neither Cargo.toml, nor src/task.js beside package.json, nor \
         src/app.py or src/task.c beside requirements.txt",
        directory.display()
    );
    let help = "give a ready component with --component FILE; a new task: cofferdam task new NAME --lang rust|js|python|c";
    Failure::invalid("component/no-source", message, help)
}

/// Refuses a component that imports more than its manifest asks for: what a
/// task declares and what it could do must be the same.
fn check_imports(name: &str, imports: &[String], manifest: &Manifest) -> Result<(), Failure> {
    let asked = &manifest.spec.capabilities;
    let found = imports.iter().find_map(|import| Some((import, Import::of(import).contradiction(asked)?)));
    match found {
        None => Ok(()),
        Some((import, why)) => Err(Failure::invalid(
            "component/undeclared-import",
            format!("{name} imports `{import}`: {why}"),
            "declare it in task.yaml under `capabilities`, or remove what needs it from the code",
        )),
    }
}
