//! Reads files that were written for Tekton and Konflux: converts a pipeline
//! into one of ours, and says of the rest what only Kubernetes can run.
//!
//! Nothing is left out in silence. What has no counterpart stands in the result
//! as a comment, and in the list of what was left out with its line and with
//! what to do instead.

mod carry;
mod fate;
mod konflux;
mod kubernetes;
mod pipeline;
mod read;
mod reference;
mod task;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_manifest::{Document, Fault, Place, nearest};
use serde::Serialize;

use pipeline::Converter;
use read::At;

pub use kubernetes::{KubernetesOnly, kubernetes_only};

/// What is imported, and how.
#[derive(Clone, Debug)]
pub struct ImportRequest<'a> {
    /// The text of the file.
    pub text: &'a str,
    /// Which of several pipelines; left out, the first PipelineRun, or else the
    /// first Pipeline.
    pub pipeline: Option<&'a str>,
    /// Tasks of ours for tasks of the file: name there, reference here.
    pub tasks: BTreeMap<String, String>,
}

/// A pipeline of Tekton's as one of ours.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The file.
    pub pipeline: String,
    /// What became of each task, in the file's order.
    pub tasks: Vec<Converted>,
    /// What could not be carried over, in the file's order.
    pub left_out: Vec<LeftOut>,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// Its name in the pipeline.
    pub task: String,
    /// What it is called where it comes from.
    pub origin: String,
    /// What it is now.
    pub became: Became,
}

/// What a task is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// This task.
    Task(String),
    /// A pipeline in its place.
    Pipeline,
    /// Something the host does in every run.
    Host,
    /// Nothing.
    Nothing,
}

/// Something that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Where it stands, such as `spec.tasks[2].params[0]`.
    pub path: String,
    /// Counted from one.
    pub line: usize,
    /// Counted from one, in characters.
    pub column: usize,
    /// What it is, and why it was left out.
    pub what: String,
    /// What to do instead.
    pub instead: String,
}

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is not YAML, or a part of YAML that is not read.
    #[error(transparent)]
    Unreadable(#[from] Fault),
    /// It is YAML, and none of Tekton's.
    #[error("this is no file of Tekton: {why}")]
    NotTekton {
        /// What it is instead.
        why: String,
        /// Where that is seen.
        place: Place,
    },
    /// Nothing in it is the pipeline that is looked for.
    #[error("{why}")]
    NoPipeline {
        /// What there is instead.
        why: String,
        /// What to type next.
        help: String,
        /// Where that is seen.
        place: Place,
    },
    /// A task of ours was named for a task that is not there.
    #[error("no task of the pipeline comes from `{name}`")]
    NoTask {
        /// The name that was given.
        name: String,
        /// What to type next.
        help: String,
    },
    /// What would be written is more than is read again.
    #[error("the pipeline would have {bytes} bytes, more than is read again")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The first lines of every file that is written.
const HEAD: &[&str] = &[
    "yaml-language-server: $schema=pipeline.schema.json",
    "Converted from Tekton by `cofferdam import`; comments say what was left out.",
];

/// Converts a pipeline of a Tekton file.
///
/// # Errors
/// Why there is nothing to convert.
pub fn import(request: &ImportRequest<'_>) -> Result<Import, ImportError> {
    let documents = read_all(request.text)?;
    let roots: Vec<At<'_>> = documents.iter().map(At::root).collect();
    let pipelines = pipelines(&roots)?;
    let chosen = choose(&pipelines, request.pipeline)?;
    let mut converter = Converter::new(request);
    let spec = chosen.get("spec");
    let (mut inner, mut used) = (spec.clone(), None);
    if is_run(chosen) {
        inner = spec.as_ref().and_then(|spec| spec.get("pipelineSpec"));
        if let (None, Some(reference)) = (&inner, spec.as_ref().and_then(|spec| spec.get("pipelineRef"))) {
            used =
                pipelines.iter().position(|root| !is_run(root) && name_of(root) == reference.text_of("name"));
            inner = used.and_then(|index| pipelines.get(index)).and_then(|root| root.get("spec"));
            if inner.is_none() {
                let resolver = reference.text_of("resolver").unwrap_or_default();
                let from = if resolver.is_empty() {
                    "a cluster".into()
                } else {
                    format!("the resolver `{resolver}`")
                };
                let what = format!("the pipeline itself, which comes from {from}");
                converter.lose(&reference, what, "import the file of that pipeline");
            }
        }
    }
    for (index, other) in pipelines.iter().enumerate() {
        if !std::ptr::eq(other.node, chosen.node) && used != Some(index) {
            let name = name_of(other).unwrap_or_default();
            let again = format!("import it too, to a file of its own: --pipeline {name}");
            converter.lose(other, format!("another pipeline, `{name}`"), &again);
        }
    }
    let (name, pipeline, comments) = converter.document(chosen, inner.as_ref());
    let head: Vec<String> = HEAD.iter().map(|line| (*line).to_owned()).chain(comments).collect();
    let pipeline = pipeline.document(&head);
    if Document::parse(&pipeline).is_err() {
        return Err(ImportError::TooLarge { bytes: pipeline.len() });
    }
    let Converter { mut left, tasks, .. } = converter;
    let origins: BTreeSet<&str> =
        tasks.iter().map(|task| task.origin.as_str()).filter(|name| !name.is_empty()).collect();
    if let Some(name) = request.tasks.keys().find(|name| !origins.contains(name.as_str())) {
        return Err(ImportError::NoTask { name: name.clone(), help: known(name, origins) });
    }
    left.sort_by_key(|left| (left.line, left.column));
    Ok(Import { name, pipeline, tasks, left_out: left })
}

/// The name that was meant, then all there are.
fn known(name: &str, names: BTreeSet<&str>) -> String {
    let meant = nearest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`? "));
    let all: Vec<&str> = names.into_iter().collect();
    format!("{}there is: {}", meant.unwrap_or_default(), all.join(", "))
}

fn is_run(root: &At<'_>) -> bool {
    root.text_of("kind").as_deref() == Some("PipelineRun")
}

fn name_of<'a>(root: &At<'a>) -> Option<std::borrow::Cow<'a, str>> {
    let metadata = root.get("metadata")?;
    metadata.text_of("name").or_else(|| metadata.text_of("generateName"))
}

/// Every document of the file. Pipelines-as-Code fills in `{{ .. }}` before the
/// file is read as YAML, so where that stands for a whole value without quotes,
/// the file is no YAML until then.
fn read_all(text: &str) -> Result<Vec<Document>, Fault> {
    Document::parse_all(text).or_else(|fault| {
        let mut quoted = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let body = line.trim_end();
            match body
                .find("{{")
                .and_then(|at| body.split_at_checked(at))
                .filter(|(key, value)| is_bare(key, value))
            {
                Some((key, value)) => {
                    quoted.extend([key, "\"", value, "\"", line.get(body.len()..).unwrap_or("\n")])
                }
                None => quoted.push_str(line),
            }
        }
        Document::parse_all(&quoted).map_err(|_| fault)
    })
}

/// Whether a line is a key or a dash, and a value that begins with `{{`.
fn is_bare(key: &str, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _./-".contains(c);
    let word = key.strip_suffix(": ").or_else(|| key.strip_suffix("- ")).unwrap_or("\"");
    word.chars().all(plain) && !value.contains(['"', '\\']) && !value.contains(" #")
}

/// The pipelines and runs among the documents.
fn pipelines<'a>(roots: &[At<'a>]) -> Result<Vec<At<'a>>, ImportError> {
    const READ: &[&str] = &["tekton.dev/v1", "tekton.dev/v1beta1"];
    let full = || roots.iter().filter(|root| root.entries().next().is_some());
    let mut kinds = Vec::new();
    let mut found = Vec::new();
    for root in full() {
        if !root.text_of("apiVersion").is_some_and(|version| READ.contains(&version.as_ref())) {
            continue;
        }
        let kind = root.text_of("kind").unwrap_or_default();
        match kind.as_ref() {
            "Pipeline" | "PipelineRun" => found.push(root.clone()),
            _ => kinds.push(kind),
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let first = full().next();
    let place = first.and_then(|root| root.get("apiVersion")).or_else(|| first.cloned());
    let place = place.map_or(Place { line: 1, column: 1 }, |at| at.node.place);
    if let Some(kind) = kinds.first() {
        let why = format!(
            "the file holds no pipeline, but a {}",
            if kind.is_empty() { "document of no kind" } else { kind }
        );
        let help = "a task of containers is written anew as a component: see `cofferdam task build --help`"
            .to_owned();
        return Err(ImportError::NoPipeline { why, help, place });
    }
    let version = first.and_then(|root| root.text_of("apiVersion"));
    let why = version.map_or_else(
        || "no `apiVersion` is in it".to_owned(),
        |version| format!("its `apiVersion` is `{version}`"),
    );
    Err(ImportError::NotTekton { why, place })
}

fn choose<'p, 'a>(pipelines: &'p [At<'a>], wanted: Option<&str>) -> Result<&'p At<'a>, ImportError> {
    let named = |root: &&At<'_>| wanted.is_none_or(|wanted| name_of(root).is_some_and(|name| name == wanted));
    let fitting = || pipelines.iter().filter(named);
    fitting().find(|root| is_run(root)).or_else(|| fitting().next()).ok_or_else(|| {
        let names: Vec<_> = pipelines.iter().filter_map(name_of).collect();
        let names = names.iter().map(AsRef::as_ref).collect();
        let why = format!("no pipeline of the file is called `{}`", wanted.unwrap_or_default());
        let place = pipelines.first().map_or(Place { line: 1, column: 1 }, |root| root.place);
        ImportError::NoPipeline { why, help: known(wanted.unwrap_or_default(), names), place }
    })
}
