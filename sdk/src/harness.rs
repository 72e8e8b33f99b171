//! Runs a whole task natively in a test, as the host would run it.
//!
//! ```ignore
//! let run = Harness::<Contract>::new().param("format", "html").input("source", dir).run();
//! assert_eq!(run.result("count"), Some(&Value::from("3")));
//! assert!(run.output("report").join("report.html").exists());
//! ```

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Task;
use crate::context::{Context, Level};
use crate::failure::Failure;
use crate::http;
use crate::request::Request;
use crate::value::{Bindings, Value};

/// A line the task wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Names and values, in order.
    pub fields: Vec<(String, String)>,
}

impl Line {
    pub(crate) fn new(level: Level, message: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { level, message: message.to_owned(), fields }
    }
}

/// One execution being prepared.
#[derive(Debug)]
pub struct Harness<T> {
    request: Request,
    responder: Option<http::Responder>,
    /// Inputs that were written for this execution.
    written: Vec<TempDir>,
    task: PhantomData<T>,
}

/// One execution that ended.
#[derive(Debug)]
pub struct Run {
    /// What the task handed back.
    pub outcome: Result<Bindings, Failure>,
    /// What the task wrote to its log.
    pub lines: Vec<Line>,
    outputs: BTreeMap<String, PathBuf>,
    _directory: TempDir,
}

impl<T: Task> Default for Harness<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Task> Harness<T> {
    /// An execution with the manifest's defaults and nothing else.
    #[must_use]
    pub fn new() -> Self {
        let params = T::defaults().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let request = Request { params, ..Request::default() };
        Self { request, responder: None, written: Vec::new(), task: PhantomData }
    }

    /// Gives a param.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.request.params.insert(name.to_owned(), value.into());
        self
    }

    /// Gives an input.
    #[must_use]
    pub fn input(mut self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.request.inputs.insert(name.to_owned(), path.into());
        self
    }

    /// Gives an input that holds these files, each a path and its text.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test harness has nobody to report an error to")]
    pub fn files(mut self, name: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = directory.path().join(path);
            let parent = path.parent().expect("a path below a directory");
            std::fs::create_dir_all(parent).expect("a directory under a fresh one");
            std::fs::write(path, text).expect("a file under a fresh directory");
        }
        let path = directory.path().to_owned();
        self.written.push(directory);
        self.input(name, path)
    }

    /// Answers the task's HTTP requests; without it they fail.
    #[must_use]
    pub fn respond(
        mut self,
        respond: impl FnMut(&http::Sent) -> Result<http::Response, http::Error> + 'static,
    ) -> Self {
        self.responder = Some(http::Responder(Box::new(respond)));
        self
    }

    /// Runs the task once, with fresh directories for its outputs and scratch.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test harness has nobody to report an error to")]
    pub fn run(mut self) -> Run {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let make = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(&path).expect("a directory under a fresh one");
            path
        };
        let outputs: BTreeMap<String, PathBuf> =
            T::outputs().iter().map(|name| ((*name).to_owned(), make(&format!("outputs/{name}")))).collect();
        self.request.outputs.clone_from(&outputs);
        let context = Context { scratch: Some(make("scratch")), ..Context::default() };
        let _installed = http::Installed::new(self.responder);
        let outcome = T::call(&context, self.request);
        Run { outcome, lines: context.lines.into_inner(), outputs, _directory: directory }
    }
}

impl Run {
    /// A result by name, when the task gave it, whether it succeeded or failed.
    #[must_use]
    pub fn result(&self, name: &str) -> Option<&Value> {
        let bindings = match &self.outcome {
            Ok(bindings) => bindings,
            Err(failure) => &failure.results,
        };
        bindings.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The directory of an output.
    ///
    /// # Panics
    /// When the manifest names no such output.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that asks for an unknown output is itself wrong")]
    pub fn output(&self, name: &str) -> &Path {
        match self.outputs.get(name) {
            Some(path) => path,
            None => panic!("the manifest names no output `{name}`"),
        }
    }
}
