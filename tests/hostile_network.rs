//! What every attack over the network has in common: one component that sends
//! what it is told to, with a manifest of the test's own, and a server on this
//! machine that keeps what arrives.
//!
//! The attacks are in `hostile_network_*.rs`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Task, World, task, task_file};
use crate::hostile::{run_whole, world};

/// A task that sends what it is told to, and its user.
pub(crate) struct Courier {
    pub(crate) world: World,
    file: PathBuf,
    trusted: bool,
    /// What the pipeline says of each task: `, grants: { .. }`.
    pub(crate) more: String,
}

impl Courier {
    /// Signed by the user's own key, so it gets what it asks for.
    pub(crate) fn trusted(network: &str, limits: &str) -> Self {
        let courier = Self { trusted: true, ..Self::untrusted(network, limits) };
        courier.world.run(&["setup", courier.file.to_str().unwrap()]).ok();
        courier
    }

    /// Known by its file alone.
    pub(crate) fn untrusted(network: &str, limits: &str) -> Self {
        let world = world();
        let file = build(&world, "courier", network, limits);
        Self { world, file, trusted: false, more: String::new() }
    }

    /// The line of a pipeline.
    pub(crate) fn line(&self, name: &str, steps: &[Value], leak: &str) -> String {
        let task = if self.trusted {
            "{ name: courier }".to_owned()
        } else {
            format!("{{ component: {} }}", self.file.display())
        };
        let steps: Vec<String> = steps.iter().map(Value::to_string).collect();
        let steps = json!(steps);
        let more = &self.more;
        format!(
            "- {{ name: {name}, taskRef: {task}, params: [{{ name: steps, value: {steps} }}, \
             {{ name: leak, value: {leak:?} }}]{more} }}"
        )
    }

    /// Runs it once; gives how it ended.
    #[track_caller]
    pub(crate) fn run(&self, steps: &[Value]) -> Value {
        self.run_with(steps, "no", &[])
    }

    /// Runs it once with more arguments; gives how it ended.
    #[track_caller]
    pub(crate) fn run_with(&self, steps: &[Value], leak: &str, args: &[&str]) -> Value {
        let pipeline = self.world.pipeline(&self.line("a", steps, leak));
        let run = run_whole(&self.world, &[&[pipeline.as_str()], args].concat());
        task(&run, "a").clone()
    }
}

/// The component with a manifest of the test's own.
pub(crate) fn build(world: &World, name: &str, network: &str, limits: &str) -> PathBuf {
    let directory = world.path(name);
    fs::create_dir_all(&directory).unwrap();
    let manifest = format!(
        "apiVersion: cofferdam.dev/v1
kind: Task
metadata: {{ name: {name}, version: 0.1.0 }}
spec:
  params: [{{ name: steps, type: array, default: [] }}, {{ name: leak, default: 'no' }}]
  results: [{{ name: told, type: array }}]
  outputs: [{{ name: out }}]
  capabilities: {{ network: [{network}] }}
  limits: {{ {limits} }}
"
    );
    fs::write(directory.join("task.yaml"), manifest).unwrap();
    let (compiled, file) = (task_file(Task::Hostile("courier")), world.path(&format!("{name}.wasm")));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (compiled, out) = (text(&compiled), text(&file));
    world.run(&["task", "build", &text(&directory), "--component", &compiled, "--output", &out]).ok();
    file
}

/// The rule for a plain server on this machine.
pub(crate) fn loopback(port: u16, more: &str) -> String {
    format!("{{ host: 127.0.0.1, scheme: http, port: {port}{more} }}")
}

/// A request for a URL.
pub(crate) fn get(url: &str) -> Value {
    json!({ "url": url })
}

/// What the task told of each request.
#[track_caller]
pub(crate) fn told(task: &Value) -> Vec<Value> {
    assert_eq!(task["reason"], "Succeeded", "{task:#}");
    let told = task["results"]["told"].as_array().unwrap();
    told.iter().map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect()
}

/// Insists that a request was answered with a status.
#[track_caller]
pub(crate) fn answered(told: &Value, status: u16) {
    assert_eq!(told["status"], status, "{told:#}");
}

/// Insists that a request was refused by the host, in these words.
#[track_caller]
pub(crate) fn refused(told: &Value, words: &str) {
    let error = told["error"].as_str().unwrap_or_default();
    assert!(error.contains(words), "no {words:?} in {told:#}");
    assert!(told["status"].is_null(), "{told:#}");
}
