//! Compiles a task in JavaScript or Python with the tools of its language,
//! which are installed beside it, and prints what it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use cofferdam_inventory::LockKind;
use cofferdam_manifest::Capabilities;
use cofferdam_registry::MAX_COMPONENT;

use super::failure::Failure;
use super::scratch::Scratch;
use super::task_evidence::ToolRun;
use super::toolchain::{NPM, PIP, Toolchain};
use crate::capability::Import;
use crate::component::refuse::refuse;

/// A language whose tasks are scripts inside an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// `package.json` and `src/task.js`.
    JavaScript,
    /// `requirements.txt` and `src/app.py`.
    Python,
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

    /// Compiles the task in a directory, and says what ran.
    pub(crate) fn compile(
        self,
        directory: &Path,
        asked: &Capabilities,
    ) -> Result<(Vec<u8>, ToolRun), Failure> {
        let output = Scratch::new()?;
        let path = output.path().join("task.wasm");
        let directory = directory.canonicalize().map_err(|error| Failure::unreadable(directory, &error))?;
        let install = if self == Self::JavaScript { NPM } else { PIP };
        let compiler = Toolchain::of(&directory, self.program(), install)?;
        let mut args: Vec<OsString> = self.arguments().iter().map(|arg| (*arg).into()).collect();
        args.push(path.clone().into());
        let own = directory.join(".venv");
        // Otherwise it takes in the packages of whichever Python is first on the path.
        let virtual_env = (self == Self::Python).then_some(("VIRTUAL_ENV", Some(own.as_os_str())));
        // What it leaves behind when it is stopped goes with the rest.
        let temporary = ("TMPDIR", Some(output.path().as_os_str()));
        let environment: Vec<_> = [temporary].into_iter().chain(virtual_env).collect();
        compiler.make(&path, &args, &environment)?;
        let code = super::read_file(&path, MAX_COMPONENT)?;
        // CPython imports raw sockets, whatever is done with it.
        let needs_none = self == Self::Python && asked.tcp.is_empty();
        let code = if needs_none { without_sockets(&code)? } else { code };
        Ok((code, self.tool_run(&directory)))
    }

    /// What ran, without the paths of this machine.
    fn tool_run(self, directory: &Path) -> ToolRun {
        let (language, lock_file, lock_kind) = match self {
            Self::JavaScript => ("javascript", "package-lock.json", LockKind::Npm),
            Self::Python => ("python", "requirements.txt", LockKind::Requirements),
        };
        let arguments = self.arguments().iter().copied();
        let command = std::iter::once(self.program()).chain(arguments).chain(["task.wasm"]);
        ToolRun {
            language,
            command: command.map(str::to_owned).collect(),
            environment: BTreeMap::new(),
            files: BTreeMap::new(),
            lock_file: directory.join(lock_file),
            lock_kind,
            package: None,
        }
    }

    /// The program below the task's own directory.
    fn program(self) -> &'static str {
        match self {
            Self::JavaScript => "node_modules/.bin/componentize-qjs",
            Self::Python => ".venv/bin/componentize-py",
        }
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
            Self::Python => &[
                "--quiet",
                "--wit-path=cofferdam/wit",
                "--world=task",
                "componentize",
                "--python-path=src",
                "--python-path=cofferdam",
                "app",
                "-o",
            ],
        }
    }
}

/// The same component with sockets that nobody can make.
fn without_sockets(code: &[u8]) -> Result<Vec<u8>, Failure> {
    refuse(code, |import| Import::of(import) == Import::Sockets).map_err(|error| {
        let help =
            "install the version of the compiler that `cofferdam task new` writes into its list of packages";
        Failure::invalid("component/not-built", format!("the task could not be compiled: {error}"), help)
    })
}
