//! Compiles a task in JavaScript or Python with the tools of its language,
//! which are installed beside it, and prints what it runs.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use cofferdam_inventory::LockKind;

use super::failure::Failure;
use super::task_evidence::ToolRun;

/// A language whose tasks are scripts inside an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// `package.json` and `src/task.js`.
    JavaScript,
    /// `requirements.txt` and `src/app.py`.
    Python,
}

/// A component in a directory that goes with it.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) path: PathBuf,
    pub(crate) run: ToolRun,
    _directory: TempDir,
}

impl Script {
    /// The language of the task in a directory, by the files that are there.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        let has = |files: [&str; 2]| files.iter().all(|file| directory.join(file).is_file());
        if has(["package.json", "src/task.js"]) {
            Some(Self::JavaScript)
        } else if has(["requirements.txt", "src/app.py"]) {
            Some(Self::Python)
        } else {
            None
        }
    }

    /// Compiles the task in a directory.
    pub(crate) fn compile(self, directory: &Path) -> Result<Compiled, Failure> {
        let temporary = std::env::temp_dir();
        let output = tempfile::tempdir().map_err(|error| Failure::io("create", &temporary, &error))?;
        let path = output.path().join("task.wasm");
        let directory = directory.canonicalize().map_err(|error| Failure::unreadable(directory, &error))?;
        let tool = self.tool(&directory)?;
        let mut args: Vec<OsString> = self.arguments().iter().map(|arg| (*arg).into()).collect();
        args.push(path.clone().into());
        let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let _ = writeln!(std::io::stderr(), "running {} {}", tool.display(), shown.join(" "));
        let mut command = Command::new(&tool);
        command.args(&args).current_dir(&directory).stdin(Stdio::null());
        if self == Self::Python {
            // Otherwise it takes in the packages of whichever Python is first on the path.
            command.env("VIRTUAL_ENV", directory.join(".venv"));
        }
        let done = command.output().map_err(|error| not_built(format!("it does not start: {error}")))?;
        if !done.status.success() || !path.is_file() {
            let mut out = std::io::stderr();
            let _ = out.write_all(&done.stdout).and_then(|()| out.write_all(&done.stderr));
            return Err(not_built(format!("it ended with {}", done.status)));
        }
        Ok(Compiled { path, run: self.tool_run(&directory), _directory: output })
    }

    /// What ran, without the paths of this machine.
    fn tool_run(self, directory: &Path) -> ToolRun {
        let (language, lock_file, lock_kind) = match self {
            Self::JavaScript => ("javascript", "package-lock.json", LockKind::Npm),
            Self::Python => ("python", "requirements.txt", LockKind::Requirements),
        };
        let arguments = self.arguments().iter().copied();
        let command = std::iter::once(self.program().0).chain(arguments).chain(["task.wasm"]);
        ToolRun {
            language,
            command: command.map(str::to_owned).collect(),
            environment: Default::default(),
            lock_file: directory.join(lock_file),
            lock_kind,
            package: None,
        }
    }

    /// The program below the task's own directory, and what installs it.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::JavaScript => ("node_modules/.bin/componentize-qjs", "npm install"),
            Self::Python => (
                ".venv/bin/componentize-py",
                "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
            ),
        }
    }

    /// The tool that compiles it: of the task's own directory, so that the
    /// version is the one the task is pinned to.
    fn tool(self, directory: &Path) -> Result<PathBuf, Failure> {
        let (path, install) = self.program();
        let tool = directory.join(path);
        if tool.is_file() {
            return Ok(tool);
        }
        let message = format!("{} is not installed", tool.display());
        let help = format!("install it: (cd {} && {install})", directory.display());
        Err(Failure::invalid("component/no-toolchain", message, help))
    }

    /// What it is called with, before the file to write.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            // Without --sync it would need the asynchronous component model.
            Self::JavaScript => &[
                "--sync",
                "--module-root=.",
                "--wit=cofferdam/world",
                "--world=guest",
                "--js=src/task.js",
                "-o",
            ],
            // Without the stubs it would import everything there is, raw sockets too.
            Self::Python => &[
                "--quiet",
                "--wit-path=cofferdam/wit",
                "--world=task",
                "componentize",
                "--stub-wasi",
                "--python-path=src",
                "--python-path=cofferdam",
                "app",
                "-o",
            ],
        }
    }
}

fn not_built(why: String) -> Failure {
    let message = format!("the task could not be compiled: {why}");
    Failure::invalid("component/not-built", message, "see the compiler's own messages")
}
