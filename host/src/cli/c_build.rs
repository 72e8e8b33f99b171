//! Compiles a task in C with the compiler that is installed beside it. Everything
//! else that makes a component of it is in this program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use cofferdam_inventory::LockKind;
use cofferdam_registry::{Digest, MAX_COMPONENT};

use super::failure::Failure;
use super::scratch::Scratch;
use super::task_evidence::ToolRun;
use super::toolchain::{PIP, Toolchain};
use crate::component::from_c::{self, FromCError};

/// Where the compiler's script is, in the environment of Python's it comes in.
const COMPILER: &str = ".venv/bin/python-zig";
/// The contract, as the task was begun with it.
const WIT: &str = "cofferdam/wit";
/// Where the bindings are written, and found by editors.
const BUILD: &str = "build";
/// The task's own flags, one a line, where clangd looks for them, too.
const FLAGS: &str = "compile_flags.txt";
/// It takes a person to write them.
const MAX_FLAGS: u64 = 64 << 10;

/// Before the task's own flags. A function that calls itself without end runs into
/// the end of its stack, which comes before all data, instead of over them; and
/// what is asserted is checked, which this compiler leaves out where it optimises.
const ARGUMENTS: &[&str] = &[
    "cc",
    "--target=wasm32-wasi",
    "-mexec-model=reactor",
    "-O2",
    "-s",
    "-UNDEBUG",
    "-Wl,-z,stack-size=1048576",
    "-Icofferdam",
    "-Ibuild",
];

/// Headers of this machine would make another component of the same source.
const UNSET: &[&str] = &["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH"];

/// Whether the task in a directory is written in C.
pub(crate) fn is_task(directory: &Path) -> bool {
    ["requirements.txt", "src/task.c"].iter().all(|file| directory.join(file).is_file())
}

/// Compiles the task in a directory, and says what ran.
pub(crate) fn component(directory: &Path) -> Result<(Vec<u8>, ToolRun), Failure> {
    let directory = directory.canonicalize().map_err(|error| Failure::unreadable(directory, &error))?;
    let compiler = Toolchain::of(&directory, COMPILER, PIP)?;
    let (flags, read) = flags(&directory)?;
    let mut files = bindings(&directory)?;
    for below in ["cofferdam", "src"] {
        files.extend(sources(&directory, Path::new(below))?);
    }
    let run = tool_run(&directory, read, &files);
    let mut args: Vec<OsString> = ARGUMENTS.iter().map(|arg| (*arg).into()).collect();
    args.extend(flags.into_iter().chain(files));
    let output = Scratch::new()?;
    let module = output.path().join("module.wasm");
    args.extend([OsString::from("-o"), module.clone().into()]);
    let unset: Vec<(&str, Option<&OsStr>)> = UNSET.iter().map(|name| (*name, None)).collect();
    compiler.make(&module, &args, &unset)?;
    let module = super::read_file(&module, MAX_COMPONENT)?;
    Ok((from_c::component(&module).map_err(|error| not_made(&error))?, run))
}

/// What runs, without the paths of this machine.
fn tool_run(directory: &Path, flags: Option<Digest>, files: &[OsString]) -> ToolRun {
    // The task's own flags may have paths and values that are nobody else's
    // business: they are named by their file, as compilers read it, and its digest.
    let own = flags.map(|_| format!("@{FLAGS}"));
    let files = files.iter().map(|file| file.to_string_lossy().into_owned());
    let begin = std::iter::once(COMPILER).chain(ARGUMENTS.iter().copied()).map(str::to_owned);
    let end = ["-o", "module.wasm"].map(str::to_owned);
    ToolRun {
        language: "c",
        command: begin.chain(own).chain(files).chain(end).collect(),
        environment: BTreeMap::new(),
        files: flags.map(|digest| (FLAGS.to_owned(), digest)).into_iter().collect(),
        lock_file: directory.join("requirements.txt"),
        lock_kind: LockKind::Requirements,
        package: None,
    }
}

/// Writes the bindings, and gives those that are compiled and linked.
fn bindings(directory: &Path) -> Result<Vec<OsString>, Failure> {
    let files = from_c::bindings(&directory.join(WIT)).map_err(|error| not_made(&error))?;
    let build = directory.join(BUILD);
    if build.is_symlink() {
        let message = format!("{} is a link, and would be written through", build.display());
        let help = format!("remove it: rm {}", build.display());
        return Err(Failure::invalid("component/not-built", message, help));
    }
    fs::create_dir_all(&build).map_err(|error| Failure::io("create", &build, &error))?;
    let mut linked = Vec::new();
    for (name, content) in files {
        super::write_file(&build.join(&name), &content)?;
        let path = Path::new(BUILD).join(&name);
        if path.extension().is_some_and(|ending| ending == "c" || ending == "o") {
            linked.push(path.into());
        }
    }
    Ok(linked)
}

/// The task's own flags, and the digest of the file that has some.
fn flags(directory: &Path) -> Result<(Vec<OsString>, Option<Digest>), Failure> {
    let path = directory.join(FLAGS);
    if !path.exists() {
        return Ok((Vec::new(), None));
    }
    let text = String::from_utf8(super::read_file(&path, MAX_FLAGS)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", path.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })?;
    let flags: Vec<OsString> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect();
    let digest = (!flags.is_empty()).then(|| Digest::of(text.as_bytes()));
    Ok((flags, digest))
}

/// The C files below a directory of the task, relative to the task, in order: the
/// order decides where the linker puts what is in them.
fn sources(task: &Path, below: &Path) -> Result<Vec<OsString>, Failure> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut pending = vec![below.to_owned()];
    while let Some(below) = pending.pop() {
        let directory = task.join(&below);
        let unreadable = |error| Failure::unreadable(&directory, &error);
        for entry in fs::read_dir(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = below.join(entry.file_name());
            if entry.file_type().map_err(unreadable)?.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|ending| ending == "c") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(Into::into).collect())
}

fn not_made(error: &FromCError) -> Failure {
    let help = match error {
        FromCError::Contract(_) => "put back cofferdam/wit as `cofferdam task new NAME --lang c` writes it",
        FromCError::Module(_) => {
            "compile it with `cofferdam/cofferdam.c`, and import only what the world in cofferdam/wit has"
        }
    };
    Failure::invalid("component/not-built", format!("the task could not be compiled: {error}"), help)
}
