//! One task of a Tekton pipeline, written as a task of ours, or as a comment
//! that says why it is not there.

use std::collections::BTreeSet;

use cofferdam_manifest::Span;

use super::carry::{Loss, Scope, artifact_name, checked_name, volume};
use super::fate::{Fate, Planned};
use super::konflux::Counterpart;
use super::kubernetes;
use super::pipeline::Converter;
use super::read::At;
use super::yaml::{Item, Yaml};
use super::{Became, Converted};

/// Keys that are read elsewhere in this file, or by the fate of the task.
const KNOWN: &[&str] = &[
    "name",
    "displayName",
    "description",
    "taskRef",
    "taskSpec",
    "pipelineRef",
    "pipelineSpec",
    "when",
    "runAfter",
    "matrix",
    "params",
    "workspaces",
    "retries",
    "timeout",
    "onError",
];

/// Steps that are taken to find what waits for what through tasks that are left
/// out, in one import. A file of people's needs a few hundred.
pub(super) const MAX_STEPS: usize = 200_000;

impl Converter<'_> {
    /// A task with the comments that belong to it.
    pub(super) fn task(&mut self, scope: &Scope<'_>, index: usize) -> Option<Item> {
        let planned = scope.tasks.get(index)?;
        let before = self.left.len();
        let origin = planned.origin.name.clone();
        let came_from = match &planned.origin.from {
            // The digest is in the file; here it would only be in the way.
            Some(from) => {
                format!("`{}` ({origin}, {})", planned.name, from.split('@').next().unwrap_or_default())
            }
            None if origin.is_empty() => format!("`{}`", planned.name),
            None => format!("`{}` ({origin})", planned.name),
        };
        let (became, note, value) = match &planned.fate {
            Fate::Lost { loss, .. } => {
                self.lose(&planned.at, format!("the task {came_from}: {}", loss.why), &loss.instead);
                (Became::Nothing, None, None)
            }
            Fate::Host { why, needless, .. } => {
                for param in planned.at.list("params") {
                    let name = param.text_of("name").unwrap_or_default();
                    if !needless.contains(&name.as_ref()) {
                        let what = format!(
                            "`{name}` of the task `{}`, which the host does in its own way",
                            planned.name
                        );
                        self.lose(&param, what, "prepare the source so before the run");
                    }
                }
                let always =
                    scope.conditions(planned).is_ok_and(|(when, _)| when.as_ref().is_none_or(is_always));
                if let Some(when) = planned.at.get("when").filter(|_| !always) {
                    let what = format!(
                        "the `when` of the task `{}`, which the host does in every run",
                        planned.name
                    );
                    self.lose(&when, what, "put the condition on the tasks that need it");
                }
                (Became::Host, Some(format!("not needed: the task {came_from}: {why}")), None)
            }
            Fate::Task(ours) => {
                let and = if ours.note.is_empty() { String::new() } else { format!("; {}", ours.note) };
                let note = format!("was {came_from}{and}");
                (Became::Task(ours.name.to_owned()), Some(note), Some(self.kept(scope, index, planned)))
            }
            Fate::Chosen(reference) => {
                let note = format!("was {came_from}");
                (Became::Task(reference.clone()), Some(note), Some(self.kept(scope, index, planned)))
            }
            Fate::Pipeline => (Became::Pipeline, None, Some(self.kept(scope, index, planned))),
        };
        let task = planned.name.to_string();
        self.tasks.push(Converted { task, origin, became });
        Some(Item { comments: note.into_iter().chain(self.comments(before)).collect(), value })
    }

    fn kept(&mut self, scope: &Scope<'_>, index: usize, planned: &Planned<'_>) -> Yaml {
        let at = &planned.at;
        for only in kubernetes::of_task(at) {
            self.lose_kubernetes(only);
        }
        for (key, at) in at.entries().filter(|(key, _)| !KNOWN.contains(key)) {
            if !kubernetes::is_task_key(key) {
                self.lose(&at, format!("`{key}`, which is no key of a task"), "leave it out");
            }
        }
        let mut out = Yaml::map([("name", Yaml::text(planned.name.clone()))]);
        for key in ["displayName", "description"] {
            if let Some(text) = at.text_of(key) {
                out.push(key, Yaml::text(text));
            }
        }
        match &planned.fate {
            Fate::Task(ours) => out.push("taskRef", Yaml::map([("name", Yaml::text(ours.name))])),
            Fate::Chosen(reference) => out.push("taskRef", task_ref(reference)),
            Fate::Pipeline => {
                if let Some(spec) = at.get("pipelineSpec") {
                    let spec = self.nested(&spec);
                    out.push("pipelineSpec", spec);
                }
            }
            Fate::Host { .. } | Fate::Lost { .. } => {}
        }
        // It was settled that they can be carried over.
        if let Ok((when, matrix)) = scope.conditions(planned) {
            when.into_iter().for_each(|when| out.push("when", when));
            matrix.into_iter().for_each(|matrix| out.push("matrix", matrix));
        }
        let after = self.run_after(scope, index, planned);
        if !after.is_empty() {
            out.push("runAfter", Yaml::list(after.into_iter().map(Yaml::text)));
        }
        let (params, inputs) = self.given(scope, planned);
        if !params.is_empty() {
            out.push("params", Yaml::list(params));
        }
        if !inputs.is_empty() {
            let wired = |(name, from)| Yaml::map([("name", Yaml::Text(name)), ("from", Yaml::Text(from))]);
            out.push("inputs", Yaml::list(inputs.into_iter().map(wired)));
        }
        self.policy(at, &mut out);
        out
    }

    /// How often, how long, and what a failure means.
    fn policy(&mut self, at: &At<'_>, out: &mut Yaml) {
        if let Some(retries) = at.get("retries") {
            match retries.text().and_then(|text| text.parse::<u16>().ok()) {
                Some(number) => out.push("retries", Yaml::Whole(number.into())),
                None => self.lose(
                    &retries,
                    "`retries`, which is no number here".to_owned(),
                    "write a whole number",
                ),
            }
        }
        if let Some(timeout) = at.get("timeout") {
            let text = timeout.text().unwrap_or_default();
            match text.parse::<Span>() {
                Ok(span) => out.push("timeout", Yaml::text(span.to_string())),
                Err(_) => self.lose(
                    &timeout,
                    format!("the timeout `{text}`"),
                    "write a span such as `10m`; without one, the limit of the task's own manifest holds",
                ),
            }
        }
        if let Some(on_error) = at.get("onError") {
            match on_error.text().as_deref() {
                Some(word @ ("continue" | "stopAndFail")) => out.push("onError", Yaml::text(word)),
                _ => self.lose(&on_error, "`onError`".to_owned(), "write `continue` or `stopAndFail`"),
            }
        }
    }

    /// The params of a task, and its inputs with where each comes from.
    fn given(&mut self, scope: &Scope<'_>, planned: &Planned<'_>) -> (Vec<Yaml>, Vec<(String, String)>) {
        let mut params = Vec::new();
        let (mut inputs, mut wired) = (Vec::new(), BTreeSet::new());
        let mut wire = |name: &str, from: String| {
            if wired.insert(name.to_owned()) {
                inputs.push((name.to_owned(), from));
            }
        };
        for param in planned.at.list("params") {
            let name = param.text_of("name").unwrap_or_default();
            let carried = match role(&planned.fate, &name) {
                Role::Needless => continue,
                Role::Unknown(why) => Err(why),
                Role::Param(ours) => {
                    let value = match param.get("value") {
                        Some(value) => scope.value(value.node),
                        None => Ok(param.empty("value").unwrap_or_else(|| Yaml::text(""))),
                    };
                    value
                        .and_then(|value| {
                            Ok(Yaml::map([("name", Yaml::text(checked_name(&ours)?)), ("value", value)]))
                        })
                        .map(|param| params.push(param))
                }
                Role::Input(input) => {
                    scope.artifact(&param.text_of("value").unwrap_or_default()).map(|from| wire(&input, from))
                }
            };
            if let Err(loss) = carried {
                self.lose(
                    &param,
                    format!("`{name}` of the task `{}`: {}", planned.name, loss.why),
                    &loss.instead,
                );
            }
        }
        for workspace in planned.at.list("workspaces") {
            let name = workspace.text_of("name").unwrap_or_default();
            match workspace_input(scope, planned, &workspace, &name) {
                Ok(input) => wire(&input, "$(source)".to_owned()),
                Err(loss) => {
                    let what = format!("the workspace `{name}` of the task `{}`: {}", planned.name, loss.why);
                    self.lose(&workspace, what, &loss.instead);
                }
            }
        }
        if let Fate::Task(ours) = &planned.fate {
            for input in ours.source {
                wire(input, "$(source)".to_owned());
            }
        }
        (params, inputs)
    }

    /// What a task waits for: what it names, and for what is left out, what
    /// that would have waited for.
    fn run_after(&mut self, scope: &Scope<'_>, index: usize, planned: &Planned<'_>) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([index]);
        for at in planned.at.list("runAfter") {
            if at.text().is_none_or(|name| scope.index(&name).is_none()) {
                self.lose(
                    &at,
                    format!("`{}` waits for a task that is not there", planned.name),
                    "correct the name",
                );
            }
        }
        let Some(waits) = scope.waits.get(index).filter(|_| !planned.finally) else { return found };
        let is_gone = |other: &&usize| scope.tasks.get(**other).is_some_and(|other| !other.fate.is_kept());
        // What it reads of a task that is run, it waits for by reading it.
        let mut pending: Vec<usize> = waits.read.iter().filter(is_gone).rev().copied().collect();
        pending.extend(waits.named.iter().rev());
        while let Some(next) = pending.pop() {
            let Some(other) = scope.tasks.get(next).filter(|_| seen.insert(next)) else { continue };
            if other.fate.is_kept() {
                found.push(other.name.to_string());
                continue;
            }
            let Some(waits) = scope.waits.get(next) else { continue };
            let edges = 1 + waits.named.len() + waits.read.len();
            let Some(left) = self.steps.checked_sub(edges) else {
                let what =
                    format!("what `{}` waits for, behind too many tasks that are left out", planned.name);
                self.lose(&planned.at, what, "add `runAfter`");
                return found;
            };
            self.steps = left;
            pending.extend(waits.read.iter().rev());
            pending.extend(waits.named.iter().rev());
        }
        found
    }
}

/// Whether conditions hold whatever happens, such as "true" in ["true"].
fn is_always(when: &Yaml) -> bool {
    let Yaml::List(conditions) = when else { return false };
    conditions.iter().filter_map(|condition| condition.value.as_ref()).all(|condition| {
        let mut texts = Vec::new();
        condition.texts(&mut |text| texts.push(text));
        let Yaml::Map(entries) = condition else { return false };
        let part = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        let (Some(Yaml::Text(input)), Some(Yaml::List(values))) = (part("input"), part("values")) else {
            return false;
        };
        let within = values.iter().any(|value| value.value.as_ref() == Some(&Yaml::Text(input.clone())));
        part("operator") == Some(&Yaml::text("in")) && within && !texts.iter().any(|text| text.contains("$("))
    })
}

/// What a param of a task of Tekton's is to the task that takes its place.
enum Role {
    Param(String),
    Input(String),
    Needless,
    Unknown(Loss),
}

fn role(fate: &Fate, name: &str) -> Role {
    let Fate::Task(ours) = fate else {
        return artifact_name(name).map_or_else(|| Role::Param(name.to_owned()), Role::Input);
    };
    if let Some((_, param)) = ours.params.iter().find(|(theirs, _)| *theirs == name) {
        return Role::Param((*param).to_owned());
    }
    if let Some((_, input)) = ours.inputs.iter().find(|(theirs, _)| *theirs == name) {
        return Role::Input((*input).to_owned());
    }
    if ours.needless.contains(&name) { Role::Needless } else { Role::Unknown(no_param(ours)) }
}

fn no_param(ours: &Counterpart) -> Loss {
    let has: Vec<String> = ours.params.iter().map(|(_, name)| format!("`{name}`")).collect();
    Loss::new(
        format!("the built-in task `{}` has no such param", ours.name),
        format!("it takes {}", has.join(", ")),
    )
}

/// The input that takes a workspace's place, where the source is what is in it.
fn workspace_input(
    scope: &Scope<'_>,
    planned: &Planned<'_>,
    at: &At<'_>,
    name: &str,
) -> Result<String, Loss> {
    let input = match &planned.fate {
        Fate::Task(ours) => {
            ours.inputs.iter().find(|(theirs, _)| *theirs == name).map(|(_, input)| (*input).to_owned())
        }
        Fate::Chosen(_) => checked_name(name).ok(),
        Fate::Pipeline | Fate::Host { .. } | Fate::Lost { .. } => None,
    };
    let declare =
        "let the task that writes it have an output, and wire that: `from: $(tasks.NAME.outputs.NAME)`";
    let input = input.ok_or_else(|| Loss::new("it is a volume", declare))?;
    let users = scope.volumes.get(&volume(at));
    let others = users.map(|users| users.writers.as_slice()).unwrap_or_default();
    let mut others = others.iter().filter_map(|writer| scope.tasks.get(*writer));
    let other = others.find(|other| other.name != planned.name && matches!(planned.fate, Fate::Chosen(_)));
    if let Some(other) = other {
        return Err(Loss::new(format!("`{}` may have written to it", other.name), declare));
    }
    if users.is_some_and(|users| users.source) {
        return Ok(input);
    }
    Err(Loss::new("nothing that is run here fills it", declare))
}

/// A task as whoever imports named it: a component file, a bundle, or a name of
/// the registry with a version or without one.
fn task_ref(reference: &str) -> Yaml {
    if reference.ends_with(".wasm") {
        return Yaml::map([("component", Yaml::text(reference))]);
    }
    if reference.contains(['/', '@']) || reference.starts_with("oci:") {
        return Yaml::map([("bundle", Yaml::text(reference))]);
    }
    match reference.split_once(':') {
        Some((name, version)) => Yaml::map([("name", Yaml::text(name)), ("version", Yaml::text(version))]),
        None => Yaml::map([("name", Yaml::text(reference))]),
    }
}
