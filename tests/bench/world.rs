//! What is measured on: a home with signed tasks that do next to nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tasks of a fan-out.
pub(super) const TASKS: usize = 1000;

/// A home with one signed no-op task.
pub(super) struct World {
    pub(super) directory: PathBuf,
    /// Where tests/bench/install-peers installs.
    pub(super) tools: PathBuf,
}

/// Where the time of a run went, in seconds.
pub(super) struct Split {
    /// Before its first task.
    pub(super) before: f64,
    /// While at least one task ran.
    pub(super) tasks: f64,
    /// Between tasks.
    pub(super) between: f64,
    /// From the end of the last one until all was signed and stored.
    pub(super) signing: f64,
}

impl World {
    pub(super) fn new(directory: &Path) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]);
        cargo.args(["--package", "cofferdam-test-tasks", "--examples"]).current_dir(repository);
        assert!(cargo.status().unwrap().success());
        let tools = repository.join(&target).join("bench-peers");
        let world = Self { directory: directory.to_owned(), tools };
        for task in ["noop", "reader"] {
            let file = format!("{task}.wasm");
            let code = target.join("wasm32-wasip2/release/examples").join(&file);
            let mut build = world.cofferdam(&["task", "build"]);
            build.arg(repository.join("tests/tasks").join(task));
            quiet(build.arg("--component").arg(code).args(["-o", &file]));
        }
        quiet(&mut world.cofferdam(&["setup", "noop.wasm"]));
        world.write("one.yaml", &pipeline(1));
        world
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.directory);
        as_from_a_shell(&mut command);
        command
    }

    /// From the beginning of the newest run to the end of its last task.
    pub(super) fn newest_run_seconds(&self) -> f64 {
        let output = self.cofferdam(&["show", "--format", "json"]).output().unwrap();
        let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let micros = run.get("durationMicros").and_then(serde_json::Value::as_u64);
        Duration::from_micros(micros.unwrap_or(0)).as_secs_f64()
    }

    /// Where the time of the newest run went, as it recorded itself.
    pub(super) fn newest_run_split(&self) -> Split {
        let output = self.cofferdam(&["show", "--format", "json"]).output().unwrap();
        let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let part = |name: &str| {
            let micros = run.pointer(&format!("/story/time/{name}")).and_then(serde_json::Value::as_u64);
            Duration::from_micros(micros.unwrap()).as_secs_f64()
        };
        Split {
            before: part("beforeMicros"),
            tasks: part("tasksMicros"),
            between: part("waitingMicros"),
            signing: part("signingMicros"),
        }
    }

    pub(super) fn cofferdam(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_cofferdam"), args);
        command.env("COFFERDAM_HOME", self.directory.join("home"));
        command
    }
}

/// Takes away what make and cargo add for those that they start. With cargo's
/// `LD_LIBRARY_PATH` every process looks for the C library in directories that do
/// not have it, which costs a tool that starts a thousand of them a quarter more.
pub(super) fn as_from_a_shell(command: &mut Command) {
    for name in ["MAKEFLAGS", "MAKELEVEL", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
}

pub(super) fn pipeline(tasks: usize) -> String {
    let head = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: noop }\nspec:\n  tasks:\n";
    let task = |n| format!("    - {{ name: t{n}, taskRef: {{ name: noop }} }}\n");
    (0..tasks).map(task).fold(head.to_owned(), |text, line| text + &line)
}

pub(super) fn quiet(command: &mut Command) -> Duration {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    started.elapsed()
}
