//! A user with a home of their own, and tasks to run.

mod debian_registry;
pub(crate) mod keyless_services;
mod registry;
mod server;
pub(crate) mod sigstore;
pub(crate) mod simple_signing;
mod tasks;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cofferdam::event::{Event, Journal, KeptBundle};
use rusqlite::{Connection, params};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use debian_registry::DebianRegistry;
pub(crate) use registry::TestRegistry;
pub(crate) use server::{Authority, Received, Server, reply, reply_chunked};
pub(crate) use tasks::{Task, bare_component, task_file};
pub(crate) use terminal::Terminal;

/// What is built, and what `tests/install-tools` puts there, in `tools`.
pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| repository().join("target"))
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A user: an empty home and an empty project.
pub(crate) struct World {
    directory: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    /// A home without a key, trust or tasks.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("project/.cofferdam")).unwrap();
        Self { directory }
    }

    /// A home with a key and some tasks, published and signed.
    pub(crate) fn with(tasks: &[Task]) -> Self {
        let world = Self::empty();
        let files: Vec<String> = tasks.iter().map(|task| task_file(*task).display().to_string()).collect();
        let mut args = vec!["setup"];
        args.extend(files.iter().map(String::as_str));
        world.run(&args).ok();
        world
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// A path outside home and project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Commits everything in the project, which becomes a git repository.
    pub(crate) fn commit(&self, message: &str) {
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.test",
                "-c",
                "init.defaultBranch=main",
            ]);
            done(command.args(args).current_dir(self.project()).env("GIT_CONFIG_GLOBAL", "/dev/null")).ok()
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    /// Writes a pipeline with these tasks; gives the path to run.
    pub(crate) fn pipeline(&self, tasks: &str) -> String {
        let spec = format!("  tasks:\n{}", indent(tasks));
        self.pipeline_spec(&spec)
    }

    /// Writes a pipeline with this `spec`; gives the path to run.
    pub(crate) fn pipeline_spec(&self, spec: &str) -> String {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: test }}\nspec:\n{spec}"
        );
        self.write(".cofferdam/test.yaml", text);
        ".cofferdam/test.yaml".to_owned()
    }

    /// The program, in the project, with nothing of the real user's around it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
        command.args(args).current_dir(self.project()).env_clear();
        for kept in ["PATH", "CARGO_HOME", "RUSTUP_HOME", "HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command.env("COFFERDAM_HOME", self.home()).stdin(Stdio::null());
        // The keychain of whoever runs the tests is left alone.
        command.env("COFFERDAM_SECRET_STORE", "file");
        command
    }

    /// The journal of this world, in which everything that is packed was put back
    /// into text first: what a test changes there, it can then read.
    pub(crate) fn history(&self) -> Connection {
        let path = self.home().join("state.db");
        let (journal, history) = (Journal::open(&path).unwrap(), Connection::open(&path).unwrap());
        for run in journal.runs(100).unwrap() {
            let into_text = |event: Event| {
                let text = serde_json::to_string(&event.fact).unwrap();
                let sql = "UPDATE event SET fact = ?1 WHERE run = ?2 AND seq = ?3";
                history.execute(sql, params![text, run.as_str(), event.seq]).unwrap();
            };
            let mut events = Vec::new();
            journal.replay(&run, |event| events.push(event)).unwrap();
            events.into_iter().for_each(into_text);
            // All of them first: some are packed beside others.
            let bundle = |(task, predicate_type): (Option<String>, String)| {
                let name = task.as_deref();
                let digest = journal.bundle_digest(&run, name.unwrap_or_default(), &predicate_type).unwrap();
                let kept = journal.bundle(&run, name, &predicate_type, digest.unwrap()).unwrap();
                let KeptBundle::Same(bundle) = kept else { panic!("{run}: {kept:?}") };
                (task.unwrap_or_default(), predicate_type, String::from_utf8(bundle).unwrap())
            };
            let bundles: Vec<_> = journal.attested(&run).unwrap().into_iter().map(bundle).collect();
            for (task, predicate_type, text) in bundles {
                let sql =
                    "UPDATE attestation SET bundle = ?1 WHERE run = ?2 AND task = ?3 AND predicate_type = ?4";
                history.execute(sql, params![text, run.as_str(), task, predicate_type]).unwrap();
            }
        }
        history
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        done(&mut self.command(args))
    }

    /// Runs a pipeline and gives the JSON of how it was.
    pub(crate) fn run_json(&self, args: &[&str]) -> (i32, Value) {
        let mut all = vec!["run", "--quiet", "--format", "json"];
        all.extend(args);
        let done = self.run(&all);
        let json = serde_json::from_str(&done.out);
        (done.status, json.unwrap_or_else(|error| panic!("{error}: {done:?}")))
    }

    /// The JSON of all runs, newest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let list = self.run(&["runs", "--format", "json"]).ok();
        let list = serde_json::from_str::<Vec<Value>>(&list.out).unwrap();
        let shown = |run: &Value| {
            let done = self.run(&["show", run["run"].as_str().unwrap(), "--format", "json"]).ok();
            serde_json::from_str(&done.out).unwrap()
        };
        list.iter().map(shown).collect()
    }

    /// Files below the home whose path contains `part`.
    pub(crate) fn home_files(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![self.home()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.display().to_string().contains(part) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

/// Runs a command to its end.
pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    // A process that a signal ended has the status a shell would give it.
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    let status = output.status.code().or(signal.map(|s| 128 + s)).unwrap();
    Done { status, out: text(output.stdout), err: text(output.stderr) }
}

impl Done {
    /// Insists that the command went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }

    /// Insists that the command was refused: with this status and code, a
    /// place where one is given, help, and no trace of a panic.
    #[track_caller]
    pub(crate) fn refused(self, status: i32, code: &str, place: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.err.contains(&format!("error[{code}]")), "no {code} in {self:?}");
        assert!(self.err.contains(place), "no {place} in {self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Insists on a text in what was printed on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in {self:?}");
        self
    }
}

/// The task of a run's JSON.
#[track_caller]
pub(crate) fn task<'a>(run: &'a Value, name: &str) -> &'a Value {
    let tasks = run["tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["task"] == name).unwrap_or_else(|| panic!("no task {name} in {run}"))
}

/// The name of a run's JSON.
pub(crate) fn name(run: &Value) -> String {
    run["run"].as_str().unwrap().to_owned()
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
