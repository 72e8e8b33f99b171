//! Carries values over: every `$(..)` is kept, rewritten, or found to name
//! something that is no longer there.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cofferdam_manifest::{Identifier, Node, NodeKind};

use super::fate::{Fate, Planned};
use super::konflux::Substitute;
use super::read::{At, MAX_KEY, scalar, texts};
use super::reference::{Piece, names, pieces, references, sole, task as task_of};
use super::yaml::Yaml;

/// Why something cannot be carried over, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) why: String,
    pub(super) instead: String,
}

impl Loss {
    pub(super) fn new(why: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { why: why.into(), instead: instead.into() }
    }
}

/// Variables of Tekton's that mean the same here.
const CONTEXT: &[&str] = &[
    "context.pipelineRun.name",
    "context.pipelineRun.uid",
    "context.pipeline.name",
    "context.pipelineTask.retries",
];

/// What the strings of one pipeline can refer to.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) tasks: Vec<Planned<'a>>,
    by_name: HashMap<String, usize>,
    /// For each task what it waits for.
    pub(super) waits: Vec<Waits>,
    /// By workspace, who uses it.
    pub(super) volumes: HashMap<String, Users>,
    /// Params that stand for what Pipelines-as-Code would fill in, and what
    /// each stood for; none can be added to a pipeline within another.
    markers: Option<RefCell<BTreeMap<String, String>>>,
}

/// Who uses a workspace of the pipeline.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Whether what the host does put the source into it.
    pub(super) source: bool,
    /// Tasks that are run, and may write to it: the first two.
    pub(super) writers: Vec<usize>,
}

/// What a task waits for, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By name.
    pub(super) named: Vec<usize>,
    /// By what it reads.
    pub(super) read: BTreeSet<usize>,
}

impl Waits {
    fn new(task: &At<'_>, by_name: &HashMap<String, usize>) -> Self {
        let named = task.list("runAfter");
        let named = named
            .iter()
            .filter_map(At::text)
            .filter_map(|name| by_name.get(name.as_ref()).copied())
            .collect();
        let mut read = BTreeSet::new();
        for part in ["params", "when", "matrix"].iter().filter_map(|key| task.get(key)) {
            texts(part.node, &mut |text, _| {
                read.extend(references(text).filter_map(task_of).filter_map(|name| by_name.get(name)));
            });
        }
        Self { named, read }
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(tasks: Vec<Planned<'a>>, outermost: bool) -> Self {
        let mut by_name = HashMap::new();
        for (index, task) in tasks.iter().enumerate() {
            by_name.entry(task.name.to_string()).or_insert(index);
        }
        let waits = tasks.iter().map(|task| Waits::new(&task.at, &by_name)).collect();
        Self { tasks, by_name, waits, volumes: HashMap::new(), markers: outermost.then(RefCell::default) }
    }

    /// The params that stand for markers, and what each stood for.
    pub(super) fn markers(&self) -> BTreeMap<String, String> {
        self.markers.as_ref().map(|markers| markers.borrow().clone()).unwrap_or_default()
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn find(&self, name: &str) -> Result<&Planned<'a>, Loss> {
        let found = self.by_name.get(name).and_then(|index| self.tasks.get(*index));
        found.ok_or_else(|| Loss::new(format!("there is no task `{name}`"), "correct the name"))
    }

    /// A string, its references rewritten.
    pub(super) fn string(&self, text: &str) -> Result<String, Loss> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(reference) => out.push_str(&self.reference(reference)?),
                Piece::Marker(marker) => out.push_str(&self.marker(marker)?),
                Piece::Unclosed => {
                    return Err(Loss::new(
                        "`$(` is not closed",
                        "close it; text with `$(` in it cannot be written yet",
                    ));
                }
            }
        }
        Ok(out)
    }

    /// A string, a list of them, or an object of them.
    pub(super) fn value(&self, node: &Node) -> Result<Yaml, Loss> {
        let text = |node: &Node| match scalar(node) {
            Some(text) => self.string(&text).map(Yaml::Text),
            None => Err(Loss::new(
                "a value is a string, a list of strings or an object of strings",
                "write one of these",
            )),
        };
        match &node.kind {
            NodeKind::List(items) => Ok(Yaml::list(items.iter().map(text).collect::<Result<Vec<_>, _>>()?)),
            NodeKind::Map(entries) => {
                let mut map = Yaml::Map(Vec::new());
                for (key, _, value) in entries {
                    map.push(checked_key(key)?, text(value)?);
                }
                Ok(map)
            }
            NodeKind::Null => Ok(Yaml::text("")),
            NodeKind::Bool(_) | NodeKind::Integer(_) | NodeKind::Float(_) | NodeKind::Text(_) => text(node),
        }
    }

    fn reference(&self, reference: &str) -> Result<String, Loss> {
        let kept = || Ok(format!("$({reference})"));
        match names(reference).as_slice() {
            [("params", _), _, ..] => kept(),
            [("context", _), ..] if CONTEXT.contains(&reference) => kept(),
            [("context", _), ..] => Err(Loss::new(
                format!("`$({reference})` has no meaning here"),
                "use $(context.pipelineRun.name), or a param",
            )),
            [("tasks", _), ("status", "")] => kept(),
            [("tasks" | "finally", _), (name, _), ("results", _), (result, rest), ..] => {
                self.result(reference, name, result, rest)
            }
            [("tasks" | "finally", _), (name, _), ("status" | "reason" | "matrix" | "outputs", _), ..] => {
                let planned = self.find(name)?;
                if planned.fate.is_kept() { kept() } else { Err(gone(reference, planned)) }
            }
            [("workspaces", _), ..] => Err(Loss::new(
                format!("`$({reference})` is the place of a volume"),
                "a task is given its inputs by name; wire one under `inputs`",
            )),
            _ => Err(Loss::new(
                format!("`$({reference})` is plain text to Tekton and would be a reference here"),
                "write it another way; text with `$(` in it cannot be written yet",
            )),
        }
    }

    fn result(&self, reference: &str, task: &str, result: &str, rest: &str) -> Result<String, Loss> {
        let planned = self.find(task)?;
        match &planned.fate {
            Fate::Chosen(_) | Fate::Pipeline => Ok(format!("$({reference})")),
            Fate::Task(ours) => match ours.results.iter().find(|(theirs, _)| *theirs == result) {
                Some((theirs, name)) if theirs == name => Ok(format!("$({reference})")),
                Some((_, name)) => Ok(format!("$(tasks.{task}.results.{name}{rest})")),
                None => {
                    let has: Vec<&str> = ours.results.iter().map(|(_, name)| *name).collect();
                    let why = format!(
                        "`{task}` has no result `{result}` here: it is the built-in task `{}`",
                        ours.name
                    );
                    Err(Loss::new(why, format!("it has the results {}", has.join(", "))))
                }
            },
            Fate::Host { results, .. } | Fate::Lost { results, .. } => {
                match results.iter().find(|(name, _)| *name == result) {
                    Some((_, Substitute::Text(text))) if rest.is_empty() => Ok((*text).to_owned()),
                    Some((_, Substitute::Source)) => Err(Loss::new(
                        format!("`$({reference})` is the source, which no param can hold"),
                        "give it to an input: `from: $(source)`",
                    )),
                    Some(_) | None => Err(gone(reference, planned)),
                }
            }
        }
    }

    fn marker(&self, marker: &str) -> Result<String, Loss> {
        let unwritable = |why: &str| {
            Loss::new(
                format!("`{{{{{marker}}}}}` was filled in by Pipelines-as-Code{why}"),
                "make it a param of the pipeline",
            )
        };
        let markers = self.markers.as_ref().ok_or_else(|| unwritable(""))?;
        let word: String =
            marker.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        let name = format!("event-{}", word.trim_matches('-'));
        if word.trim_matches('-').is_empty() || Identifier::try_from(name.clone()).is_err() {
            return Err(unwritable(""));
        }
        let mut markers = markers.borrow_mut();
        let stands_for = markers.entry(name.clone()).or_insert_with(|| marker.to_owned());
        if stands_for == marker {
            Ok(format!("$(params.{name})"))
        } else {
            Err(unwritable(", as another of its kind"))
        }
    }

    /// Where an artifact comes from, as `from:` says it.
    pub(super) fn artifact(&self, text: &str) -> Result<String, Loss> {
        let unwired =
            |why: String| Loss::new(why, "wire the input: `from: $(source)` or `$(tasks.NAME.outputs.NAME)`");
        let reference = sole(text).ok_or_else(|| unwired("it is not the result of a task".to_owned()))?;
        let parts = names(reference);
        let [("tasks", _), (task, _), ("results", _), (result, "")] = parts.as_slice() else {
            return Err(unwired(format!("`$({reference})` is not the result of a task")));
        };
        let planned = self.find(task)?;
        match &planned.fate {
            Fate::Chosen(_) | Fate::Pipeline => {
                let output = artifact_name(result).unwrap_or_else(|| (*result).to_owned());
                Ok(format!("$(tasks.{task}.outputs.{output})"))
            }
            Fate::Task(ours) => {
                Err(unwired(format!("the built-in task `{}` has no result `{result}`", ours.name)))
            }
            Fate::Host { results, .. } | Fate::Lost { results, .. } => {
                if results.contains(&(result, Substitute::Source)) {
                    return Ok("$(source)".to_owned());
                }
                Err(gone(reference, planned))
            }
        }
    }

    /// What a task runs under, and how often: `when` and `matrix`.
    pub(super) fn conditions(&self, planned: &Planned<'_>) -> Result<(Option<Yaml>, Option<Yaml>), Loss> {
        let when = planned.at.get("when").map(|when| self.when(&when)).transpose()?;
        let matrix =
            planned.at.get("matrix").map(|matrix| self.matrix(&matrix, &planned.fate)).transpose()?;
        Ok((when, matrix))
    }

    fn when(&self, when: &At<'_>) -> Result<Yaml, Loss> {
        let refuse = |why: &str| {
            Loss::new(
                format!("its `when` {why}"),
                "write `input`, `operator: in` or `notin`, `values`; or `cel`",
            )
        };
        let mut conditions = Vec::new();
        for condition in when.items() {
            let mut map = Yaml::Map(Vec::new());
            for (key, at) in condition.entries() {
                // The first version of Tekton's language wrote them so.
                let key = match key {
                    "input" | "Input" => "input",
                    "operator" | "Operator" => "operator",
                    "values" | "Values" => "values",
                    "cel" => "cel",
                    other => return Err(refuse(&format!("has a key `{other}`"))),
                };
                let value = self.value(at.node).map_err(|loss| {
                    Loss::new(format!("its `when` cannot be asked: {}", loss.why), loss.instead)
                })?;
                let sound = match (key, &value) {
                    ("operator", Yaml::Text(word)) => word == "in" || word == "notin",
                    ("operator", _) => false,
                    ("input" | "cel", value) => matches!(value, Yaml::Text(_)),
                    (_, value) => matches!(value, Yaml::List(_)),
                };
                if !sound {
                    return Err(refuse(&format!("has a `{key}` that means nothing here")));
                }
                map.push(key, value);
            }
            let has = |key: &str| matches!(&map, Yaml::Map(entries) if entries.iter().any(|entry| entry.key == key));
            let parts = ["input", "operator", "values"].into_iter().filter(|key| has(key)).count();
            match (has("cel"), parts) {
                (true, 0) | (false, 3) => {}
                (true, _) | (false, 0) => {
                    return Err(refuse("has a condition that is neither of the two forms"));
                }
                (false, _) => return Err(refuse("has a condition that is not whole")),
            }
            conditions.push(map);
        }
        if conditions.is_empty() {
            Err(refuse("is no list of conditions"))
        } else {
            Ok(Yaml::list(conditions))
        }
    }

    fn matrix(&self, matrix: &At<'_>, fate: &Fate) -> Result<Yaml, Loss> {
        let mut map = Yaml::Map(Vec::new());
        for (key, at) in matrix.entries() {
            match key {
                "params" => map.push(key, self.matrix_params(&at, fate)?),
                "include" => {
                    let mut rows = Vec::new();
                    for row in at.items() {
                        let mut entry = Yaml::Map(Vec::new());
                        if let Some(name) = row.text_of("name") {
                            entry.push("name", Yaml::text(name));
                        }
                        if let Some(params) = row.get("params") {
                            entry.push("params", self.matrix_params(&params, fate)?);
                        }
                        rows.push(entry);
                    }
                    map.push(key, Yaml::list(rows));
                }
                other => {
                    let why = format!("its `matrix` has a key `{other}`");
                    return Err(Loss::new(why, "write `params` and `include`"));
                }
            }
        }
        Ok(map)
    }

    fn matrix_params(&self, params: &At<'_>, fate: &Fate) -> Result<Yaml, Loss> {
        let mut list = Vec::new();
        for param in params.items() {
            let name = param.text_of("name").unwrap_or_default();
            let ours: Cow<'_, str> = match fate {
                Fate::Task(counterpart) => {
                    match counterpart.params.iter().find(|(theirs, _)| *theirs == name) {
                        Some((_, ours)) => Cow::Borrowed(ours),
                        None => {
                            let why = format!(
                                "its `matrix` gives `{name}`, which the built-in task `{}` does not take",
                                counterpart.name
                            );
                            return Err(Loss::new(why, "write the task once for what it is needed for"));
                        }
                    }
                }
                Fate::Chosen(_) | Fate::Pipeline | Fate::Host { .. } | Fate::Lost { .. } => name,
            };
            let value = param.get("value").map(|value| self.value(value.node)).transpose();
            let value = value.map_err(|loss| {
                Loss::new(format!("its `matrix` cannot be made: {}", loss.why), loss.instead)
            })?;
            let name = checked_name(&ours)?;
            list.push(Yaml::map([
                ("name", Yaml::text(name)),
                ("value", value.unwrap_or_else(|| Yaml::list([]))),
            ]));
        }
        Ok(Yaml::list(list))
    }
}

/// By workspace, who uses it.
pub(super) fn volumes(tasks: &[Planned<'_>]) -> HashMap<String, Users> {
    let mut volumes: HashMap<String, Users> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        for used in task.at.list("workspaces") {
            let users = volumes.entry(volume(&used)).or_default();
            match &task.fate {
                Fate::Host { .. } => users.source = true,
                Fate::Chosen(_) | Fate::Pipeline if users.writers.len() < 2 => users.writers.push(index),
                // Built-in tasks write to no volume.
                Fate::Chosen(_) | Fate::Pipeline | Fate::Task(_) | Fate::Lost { .. } => {}
            }
        }
    }
    volumes
}

/// The workspace of the pipeline that a task uses.
pub(super) fn volume(used: &At<'_>) -> String {
    used.text_of("workspace").or_else(|| used.text_of("name")).unwrap_or_default().into_owned()
}

fn gone(reference: &str, planned: &Planned<'_>) -> Loss {
    let why = format!("`$({reference})` comes from `{}`, which is not run here", planned.name);
    let instead = match planned.origin.name.as_str() {
        name if name.starts_with("git-clone") => {
            "the commit is in the provenance of the run; where a task needs it, make it a param"
        }
        _ => "make it a param of the pipeline, or leave out what needs it",
    };
    Loss::new(why, instead)
}

/// The name of an artifact, out of a name such as `SOURCE_ARTIFACT`.
pub(super) fn artifact_name(name: &str) -> Option<String> {
    let stem = name.strip_suffix("_ARTIFACT").filter(|stem| !stem.is_empty())?;
    Some(stem.to_ascii_lowercase().replace('_', "-"))
}

/// A name that params and results can have here, too.
pub(super) fn checked_name(name: &str) -> Result<String, Loss> {
    let refuse =
        |_| Loss::new("its name is none that can be used here", "use 1 to 63 letters, digits, `_` and `-`");
    Identifier::try_from(name.to_owned()).map(|name| name.to_string()).map_err(refuse)
}

fn checked_key(key: &str) -> Result<&str, Loss> {
    if key.len() <= MAX_KEY {
        Ok(key)
    } else {
        Err(Loss::new("a key of its object is too long", "shorten it"))
    }
}
