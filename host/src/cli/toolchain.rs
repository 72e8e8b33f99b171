//! A compiler that is installed beside a task: found there, so that the version
//! is the one the task is pinned to, and run, with what it runs shown.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::failure::Failure;
use crate::report::visible;

/// What installs the tools of a task that has `requirements.txt`.
pub(crate) const PIP: &str = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
/// What installs those of one that has `package.json`.
pub(crate) const NPM: &str = "npm install";

/// A compiler beside the task in a directory.
#[derive(Debug)]
pub(crate) struct Toolchain<'a> {
    directory: &'a Path,
    tool: PathBuf,
}

impl<'a> Toolchain<'a> {
    /// The tool of a task, whose directory is absolute; `install` is what to type
    /// where it is missing.
    pub(crate) fn of(directory: &'a Path, tool: &str, install: &str) -> Result<Self, Failure> {
        let tool = directory.join(tool);
        if tool.is_file() {
            return Ok(Self { directory, tool });
        }
        let message = format!("{} is not installed", tool.display());
        let help = format!("install it: (cd {} && {install})", directory.display());
        Err(Failure::invalid("component/no-toolchain", message, help))
    }

    /// Runs it in the task's directory, where it must make a file. What it warns of
    /// is shown; what else it says, only when it fails.
    pub(crate) fn make(
        &self,
        file: &Path,
        args: &[OsString],
        environment: &[(&str, Option<&OsStr>)],
    ) -> Result<(), Failure> {
        let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        // Names of files are among them.
        let line = format!("running {} {}", self.tool.display(), shown.join(" "));
        let _ = writeln!(std::io::stderr(), "{}", visible(&line));
        let mut command = Command::new(&self.tool);
        command.args(args).current_dir(self.directory).stdin(Stdio::null());
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let done = command.output().map_err(|error| not_built(format!("it does not start: {error}")))?;
        let made = done.status.success() && file.is_file();
        let mut out = std::io::stderr();
        let _ = if made { Ok(()) } else { out.write_all(&done.stdout) }
            .and_then(|()| out.write_all(&done.stderr));
        if made { Ok(()) } else { Err(not_built(format!("it ended with {}", done.status))) }
    }
}

fn not_built(why: String) -> Failure {
    let message = format!("the task could not be compiled: {why}");
    Failure::invalid("component/not-built", message, "see the compiler's own messages")
}
