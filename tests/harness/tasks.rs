//! The tasks that tests run, each compiled once for all tests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use super::repository;

/// A task by what it is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    /// From `tests/tasks`.
    Test(&'static str),
    /// From `tests/hostile`.
    Hostile(&'static str),
    /// From `plugins`.
    Plugin(&'static str),
    /// From `examples`.
    Example(&'static str),
}

static BUILT: LazyLock<Mutex<HashMap<Task, PathBuf>>> = LazyLock::new(Mutex::default);

/// The file of a task, compiled with its manifest inside.
pub(crate) fn task_file(task: Task) -> PathBuf {
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(file) = built.get(&task) {
        return file.clone();
    }
    let (package, directory, name) = match task {
        Task::Test(name) => (Some("cofferdam-test-tasks"), format!("tests/tasks/{name}"), name),
        Task::Hostile(name) => (Some("cofferdam-hostile"), format!("tests/hostile/{name}"), name),
        Task::Plugin(name) => (None, format!("plugins/{name}"), name),
        Task::Example(name) => (None, format!("examples/{name}"), name),
    };
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let file = target.join("test-tasks").join(format!("{name}.wasm"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut build = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    build.args(["task", "build", &directory, "--output"]).arg(&file).current_dir(repository());
    // What is known of these builds is not for whoever runs the tests.
    build.env("COFFERDAM_HOME", target.join("test-tasks/home"));
    if let Some(package) = package {
        let compiled = cargo(package, name);
        assert!(compiled, "the test tasks do not compile");
        build.arg("--component").arg(target.join(format!("wasm32-wasip2/release/examples/{name}.wasm")));
    }
    let output = build.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    built.insert(task, file.clone());
    file
}

/// The component of a task from `tests/tasks`, without its manifest.
pub(crate) fn bare_component(name: &'static str) -> PathBuf {
    task_file(Task::Test(name));
    super::target().join(format!("wasm32-wasip2/release/examples/{name}.wasm"))
}

fn cargo(package: &str, example: &str) -> bool {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2", "--package", package]);
    cargo.args(["--example", example]).current_dir(repository());
    cargo.status().unwrap().success()
}
