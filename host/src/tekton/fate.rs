//! Which task of a pipeline becomes what: first by what it is, then by whether
//! the conditions it runs under can still be asked.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use cofferdam_manifest::Name;

use super::carry::{Loss, Scope, volumes};
use super::konflux::{self, Becomes, Counterpart, Substitute};
use super::kubernetes;
use super::read::{At, texts};
use super::reference::{references, task};

/// A task of the file that is imported.
#[derive(Debug)]
pub(super) struct Planned<'a> {
    pub(super) at: At<'a>,
    pub(super) name: Cow<'a, str>,
    /// What it is called where it comes from.
    pub(super) origin: Origin,
    pub(super) finally: bool,
    pub(super) fate: Fate,
}

/// Where a task comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// Its name there, such as `buildah-oci-ta`.
    pub(super) name: String,
    /// The bundle, repository or address, where one is named.
    pub(super) from: Option<String>,
}

/// What becomes of a task.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// A built-in task.
    Task(&'static Counterpart),
    /// The task that whoever imports named for it.
    Chosen(String),
    /// A pipeline written in its place.
    Pipeline,
    /// The host does it.
    Host { why: &'static str, needless: &'static [&'static str], results: Results },
    /// It is left out.
    Lost { loss: Loss, results: Results },
}

type Results = &'static [(&'static str, Substitute)];

impl Fate {
    pub(super) fn is_kept(&self) -> bool {
        match self {
            Self::Task(_) | Self::Chosen(_) | Self::Pipeline => true,
            Self::Host { .. } | Self::Lost { .. } => false,
        }
    }

    fn lost(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Lost { loss: Loss::new(why, instead), results: &[] }
    }
}

/// The tasks of a pipeline's `spec`, each with its fate.
pub(super) fn decide<'a>(spec: &At<'a>, chosen: &BTreeMap<String, String>) -> Vec<Planned<'a>> {
    let mut tasks: Vec<Planned<'a>> = Vec::new();
    let mut seen: HashMap<Cow<'a, str>, usize> = HashMap::new();
    for (list, finally) in [("tasks", false), ("finally", true)] {
        for at in spec.list(list) {
            let name = at.text_of("name").unwrap_or_default();
            let origin = origin(&at);
            let fate = if Name::try_from(name.to_string()).is_err() {
                Fate::lost(
                    "its name is none that a task can have here",
                    "use 1 to 63 lower-case letters, digits and `-`",
                )
            } else if seen.contains_key(&name) {
                Fate::lost("another task has the same name", "rename one of them")
            } else {
                first_fate(&at, &origin, chosen)
            };
            seen.entry(name.clone()).or_insert(tasks.len());
            tasks.push(Planned { at, name, origin, finally, fate });
        }
    }
    tasks
}

/// What a task becomes by what it is.
fn first_fate(at: &At<'_>, origin: &Origin, chosen: &BTreeMap<String, String>) -> Fate {
    if let Some(reference) = chosen.get(&origin.name) {
        return Fate::Chosen(reference.clone());
    }
    if at.get("pipelineSpec").is_some() {
        return Fate::Pipeline;
    }
    if at.get("pipelineRef").is_some() {
        return Fate::lost(
            "it is a pipeline of another file",
            "import that file too, and refer to it by `pipelineRef`",
        );
    }
    if at.get("taskSpec").is_some() {
        return Fate::lost("it runs steps in containers", kubernetes::write_a_task());
    }
    let Some(reference) = at.get("taskRef") else {
        return Fate::lost("it names no task", "add a `taskRef`");
    };
    let group = reference.text_of("apiVersion").unwrap_or_default();
    if !group.is_empty() && !group.starts_with("tekton.dev/") {
        return Fate::lost("it is run by a controller of Kubernetes", kubernetes::write_a_task());
    }
    match konflux::find(&origin.name).map(|row| &row.becomes) {
        Some(Becomes::Task(counterpart)) => Fate::Task(counterpart),
        Some(Becomes::Host { why, needless, results }) => Fate::Host { why, needless, results },
        Some(Becomes::Nothing { why, instead, results }) => {
            Fate::Lost { loss: Loss::new(*why, *instead), results }
        }
        None => {
            let command = format!("--task {}=REFERENCE", origin.name);
            let instead =
                format!("write it as a task (`cofferdam task build`), then import again with {command}");
            Fate::lost("it runs in containers, and nothing here is known to do the same", instead)
        }
    }
}

/// What a task is called where it comes from.
fn origin(task: &At<'_>) -> Origin {
    let Some(reference) = task.get("taskRef") else { return Origin::default() };
    let resolver = reference.text_of("resolver").unwrap_or_default();
    let params = reference.list("params");
    let param = |wanted: &str| {
        let found = params.iter().find(|param| param.text_of("name").is_some_and(|name| name == wanted));
        found.and_then(|param| param.text_of("value")).map(Cow::into_owned)
    };
    let stem = |path: String| {
        let file = path.rsplit('/').next().unwrap_or_default();
        file.trim_end_matches(".yaml").trim_end_matches(".yml").to_owned()
    };
    let (name, from) = match resolver.as_ref() {
        "git" => (param("pathInRepo").map(stem), param("url").or_else(|| param("repo"))),
        "http" => (param("url").map(stem), param("url")),
        _ => (param("name"), param("bundle")),
    };
    let name = name.or_else(|| reference.text_of("name").map(Cow::into_owned));
    let from = from.or_else(|| reference.text_of("bundle").map(Cow::into_owned));
    Origin { name: name.unwrap_or_default(), from }
}

/// Leaves out every task whose conditions can no longer be asked: without them
/// it would run where its author meant it not to.
pub(super) fn settle(scope: &mut Scope<'_>) {
    let mut readers: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, planned) in scope.tasks.iter().enumerate() {
        for part in ["when", "matrix"].iter().filter_map(|key| planned.at.get(key)) {
            texts(part.node, &mut |text, _| {
                for name in references(text).filter_map(task) {
                    readers.entry(name.to_owned()).or_default().push(index);
                }
            });
        }
    }
    let mut pending: VecDeque<usize> = (0..scope.tasks.len()).collect();
    while let Some(index) = pending.pop_front() {
        let Some(planned) = scope.tasks.get(index) else { continue };
        if !planned.fate.is_kept() {
            continue;
        }
        let Err(loss) = scope.conditions(planned) else { continue };
        let name = planned.name.to_string();
        if let Some(planned) = scope.tasks.get_mut(index) {
            planned.fate = Fate::Lost { loss, results: &[] };
        }
        // Whoever reads one of its results is asked again, once.
        pending.extend(readers.remove(&name).unwrap_or_default());
    }
    scope.volumes = volumes(&scope.tasks);
}
