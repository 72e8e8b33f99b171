//! One pipeline of Tekton's, written as one of ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cofferdam_manifest::{Name, Place, Span};

use super::carry::{Loss, Scope, checked_name};
use super::fate::{decide, settle};
use super::kubernetes::{self, KubernetesOnly};
use super::read::{At, MAX_KEY, texts};
use super::reference::{Piece, param, pieces, references};
use super::task::MAX_STEPS;
use super::yaml::{Item, Yaml};
use super::{Converted, ImportRequest, LeftOut};

/// The spec of a pipeline: these keys are read, all others are left out.
const SPEC: &[&str] = &["description", "displayName", "params", "tasks", "finally", "results", "workspaces"];
/// The spec of a run.
const RUN: &[&str] = &[
    "params",
    "pipelineSpec",
    "pipelineRef",
    "timeout",
    "timeouts",
    "workspaces",
    "taskRunTemplate",
    "taskRunSpecs",
    "serviceAccountName",
    "podTemplate",
    "computeResources",
    "status",
    "managedBy",
];
/// Annotations that Pipelines-as-Code reads begin so.
const AS_CODE: &str = "pipelinesascode.tekton.dev/";

/// Writes pipelines, and keeps account of what is left out.
pub(super) struct Converter<'r> {
    pub(super) request: &'r ImportRequest<'r>,
    pub(super) left: Vec<LeftOut>,
    /// For each of them whether a comment tells of it already.
    told: Vec<bool>,
    pub(super) tasks: Vec<Converted>,
    /// How many more steps may be taken through tasks that are left out.
    pub(super) steps: usize,
}

impl<'r> Converter<'r> {
    pub(super) fn new(request: &'r ImportRequest<'r>) -> Self {
        Self { request, left: Vec::new(), told: Vec::new(), tasks: Vec::new(), steps: MAX_STEPS }
    }

    /// Notes that something is left out.
    pub(super) fn lose(&mut self, at: &At<'_>, what: String, instead: &str) {
        let Place { line, column } = at.place;
        self.left.push(LeftOut { path: at.path.clone(), line, column, what, instead: instead.to_owned() });
    }

    pub(super) fn lose_kubernetes(&mut self, only: KubernetesOnly) {
        let Place { line, column } = only.place;
        let instead = only.instead.to_owned();
        self.left.push(LeftOut { path: only.path, line, column, what: only.what, instead });
    }

    /// What was left out since then and no comment tells of yet, as comments.
    pub(super) fn comments(&mut self, since: usize) -> Vec<String> {
        self.told.resize(self.left.len(), false);
        let left = self.left.get(since..).unwrap_or_default();
        let told = self.told.get_mut(since..).unwrap_or_default();
        let mut comments = Vec::new();
        for (left, told) in left.iter().zip(told).filter(|(_, told)| !**told) {
            *told = true;
            comments.push(format!("left out: {}; instead: {}", left.what, left.instead));
        }
        comments
    }

    /// A Pipeline or a PipelineRun; `spec` is the pipeline's own.
    pub(super) fn document(&mut self, root: &At<'_>, spec: Option<&At<'_>>) -> (String, Yaml, Vec<String>) {
        let name = self.name(root);
        self.metadata(root);
        let run = root.get("spec").filter(|_| root.text_of("kind").as_deref() == Some("PipelineRun"));
        let given = run.as_ref().map(|run| run.list("params")).unwrap_or_default();
        let timeouts = run.as_ref().and_then(|run| self.run(run));
        if let Some(status) = root.get("status") {
            self.lose(&status, "`status`, what a cluster says of a run".to_owned(), "leave it out");
        }
        let mut comments = self.comments(0);
        comments.extend(not_needed(root));
        let spec = match spec {
            Some(spec) => self.spec(spec, &given, true),
            None => Yaml::map([("tasks", Yaml::list([]))]),
        };
        let mut out = Yaml::map([("apiVersion", Yaml::text("cofferdam.dev/v1"))]);
        let metadata = Yaml::map([("name", Yaml::text(name.clone()))]);
        // Only a run has timeouts for all of its tasks.
        if let Some(timeouts) = timeouts {
            out.push("kind", Yaml::text("PipelineRun"));
            out.push("metadata", metadata);
            out.push("spec", Yaml::map([("timeouts", timeouts), ("pipelineSpec", spec)]));
        } else {
            out.push("kind", Yaml::text("Pipeline"));
            out.push("metadata", metadata);
            out.push("spec", spec);
        }
        (name, out, comments)
    }

    /// The name, made into one that can be used here.
    fn name(&mut self, root: &At<'_>) -> String {
        let metadata = root.get("metadata");
        let given =
            metadata.as_ref().and_then(|at| at.text_of("name").or_else(|| at.text_of("generateName")));
        let given = given.unwrap_or_default();
        let kept = pieces(&given).into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Reference(_) | Piece::Marker(_) | Piece::Unclosed => None,
        });
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let name: String = kept.flat_map(str::chars).map(plain).take(50).collect();
        match Name::try_from(name.trim_matches('-').to_owned()) {
            Ok(name) => name.to_string(),
            Err(_) => "imported".to_owned(),
        }
    }

    fn metadata(&mut self, root: &At<'_>) {
        let Some(annotations) = root.get("metadata").and_then(|metadata| metadata.get("annotations")) else {
            return;
        };
        for (key, at) in annotations.entries() {
            if let Some(setting) = key.strip_prefix(AS_CODE) {
                let value = at.text().unwrap_or_default();
                let what = format!("the annotation `{setting}` of Pipelines-as-Code (it was: {value})");
                self.lose(&at, what, "start the run where the event is seen: `cofferdam run FILE`");
            }
        }
    }

    /// What a run has beside its pipeline and its params; gives the timeouts.
    fn run(&mut self, run: &At<'_>) -> Option<Yaml> {
        for only in kubernetes::of_run(run) {
            self.lose_kubernetes(only);
        }
        for (key, at) in run.entries().filter(|(key, _)| !RUN.contains(key)) {
            self.lose(&at, format!("`{key}`, which is no key of a PipelineRun"), "leave it out");
        }
        let mut timeouts = Yaml::Map(Vec::new());
        let old = run.get("timeout").map(|at| ("pipeline", at));
        let new = run.get("timeouts").map(|at| at.entries().collect::<Vec<_>>()).unwrap_or_default();
        for (key, at) in new.into_iter().chain(old) {
            let text = at.text().unwrap_or_default();
            match text.parse::<Span>() {
                Ok(span) if ["pipeline", "tasks", "finally"].contains(&key) => {
                    timeouts.push(key, Yaml::text(span.to_string()));
                }
                Ok(_) | Err(_) => {
                    self.lose(
                        &at,
                        format!("the timeout `{key}: {text}`"),
                        "write `pipeline`, `tasks` or `finally` with a span such as `1h30m`",
                    );
                }
            }
        }
        (!timeouts.is_empty()).then_some(timeouts)
    }

    /// A pipeline in the place of a task.
    pub(super) fn nested(&mut self, spec: &At<'_>) -> Yaml {
        self.spec(spec, &[], false)
    }

    fn spec(&mut self, spec: &At<'_>, given: &[At<'_>], outermost: bool) -> Yaml {
        let before = self.left.len();
        for (key, at) in spec.entries().filter(|(key, _)| !SPEC.contains(key)) {
            self.lose(&at, format!("`{key}`, which is no key of a pipeline"), "leave it out");
        }
        let mut scope = Scope::new(decide(spec, &self.request.tasks), outermost);
        settle(&mut scope);
        let (mut tasks, mut finally) = (Vec::new(), Vec::new());
        for index in 0..scope.tasks.len() {
            let last = scope.tasks.get(index).is_some_and(|planned| planned.finally);
            if let Some(item) = self.task(&scope, index) {
                if last { finally.push(item) } else { tasks.push(item) }
            }
        }
        let (tasks, finally) = (Yaml::List(tasks), Yaml::List(finally));
        if tasks.is_empty() {
            self.lose(
                spec,
                "no task is left to run".to_owned(),
                "add one, or import again with --task NAME=REFERENCE",
            );
        }
        let (results, result_comments) = self.results(&scope, spec);
        let mut used = BTreeSet::new();
        for part in [&tasks, &finally, &results] {
            part.texts(&mut |text| used.extend(references(text).filter_map(param).map(str::to_owned)));
        }
        let (params, param_comments) = self.params(spec, (given, outermost), &used, &scope.markers());
        let mut out = Yaml::Map(Vec::new());
        if let Some(description) = spec.text_of("description") {
            out.push("description", Yaml::text(description));
        }
        // A key of its own for comments alone would say that there is something.
        let mut comments = Vec::new();
        if params.is_empty() {
            comments.extend(param_comments);
        } else {
            out.push_noted(param_comments, "params", Yaml::list(params));
        }
        if results.is_empty() {
            comments.extend(result_comments.iter().cloned());
        }
        comments.extend(self.comments(before));
        out.push_noted(comments, "tasks", tasks);
        if finally != Yaml::list([]) {
            out.push("finally", finally);
        }
        if !results.is_empty() {
            out.push_noted(result_comments, "results", results);
        }
        out
    }

    fn results(&mut self, scope: &Scope<'_>, spec: &At<'_>) -> (Yaml, Vec<String>) {
        let before = self.left.len();
        let mut list: Vec<Item> = Vec::new();
        for result in spec.list("results") {
            let name = result.text_of("name").unwrap_or_default();
            let mut out = Yaml::Map(Vec::new());
            let value = result.get("value").map(|value| scope.value(value.node));
            let value = value.unwrap_or_else(|| Err(Loss::new("it has no value", "give it one")));
            match checked_name(&name).and_then(|name| Ok((name, value?))) {
                Ok((name, value)) => {
                    out.push("name", Yaml::Text(name));
                    for key in ["type", "description"] {
                        result.text_of(key).into_iter().for_each(|text| out.push(key, Yaml::text(text)));
                    }
                    out.push("value", value);
                    list.push(out.into());
                }
                Err(loss) => self.lose(&result, format!("the result `{name}`: {}", loss.why), &loss.instead),
            }
        }
        (Yaml::List(list), self.comments(before))
    }

    /// The params that are still used, with what the run gave; in a pipeline
    /// within another all that are handed to it.
    fn params(
        &mut self,
        spec: &At<'_>,
        (given, outermost): (&[At<'_>], bool),
        used: &BTreeSet<String>,
        markers: &BTreeMap<String, String>,
    ) -> (Vec<Yaml>, Vec<String>) {
        let before = self.left.len();
        let mut once_used = BTreeSet::new();
        for part in ["tasks", "finally", "results"].iter().filter_map(|key| spec.get(key)) {
            texts(part.node, &mut |text, _| once_used.extend(references(text).filter_map(param)));
        }
        let mut out = Vec::new();
        let (mut gone, mut unused) = (Vec::new(), Vec::new());
        let mut declared = BTreeSet::new();
        let values: HashMap<String, &At<'_>> =
            given.iter().map(|at| (at.text_of("name").unwrap_or_default().into_owned(), at)).collect();
        for at in &spec.list("params") {
            let name = at.text_of("name").unwrap_or_default();
            let is_new = declared.insert(name.to_string());
            if once_used.contains(name.as_ref()) && !used.contains(name.as_ref()) {
                gone.push(name.to_string());
            } else if !is_new {
                self.lose(at, format!("the param `{name}`, a second time"), "rename it");
            } else {
                // What is wrong with it is told, used or not.
                let written = self.param(at, values.get(name.as_ref()).copied());
                if outermost && !used.contains(name.as_ref()) {
                    unused.push(name.to_string());
                } else {
                    out.extend(written);
                }
            }
        }
        // Tekton hands down what a run gives to a pipeline that is written in it.
        for at in given {
            let name = at.text_of("name").unwrap_or_default();
            if used.contains(name.as_ref()) && declared.insert(name.to_string()) {
                out.extend(self.param(at, Some(at)));
            }
        }
        for (name, marker) in markers {
            if declared.contains(name) {
                self.lose(
                    spec,
                    format!("`{{{{{marker}}}}}`: there is a param `{name}` already"),
                    "rename that param",
                );
                continue;
            }
            let description = format!("Pipelines-as-Code filled in {{{{{marker}}}}} here");
            out.push(Yaml::map([
                ("name", Yaml::text(name.as_str())),
                ("description", Yaml::Text(description)),
            ]));
        }
        let mut comments = self.comments(before);
        if !unused.is_empty() {
            comments.push(format!("not needed: params that nothing used: {}", unused.join(", ")));
        }
        if !gone.is_empty() {
            comments.push(format!("not needed: params that only left out tasks used: {}", gone.join(", ")));
        }
        (out, comments)
    }

    /// One param; what a run gives for it becomes its default.
    fn param(&mut self, at: &At<'_>, given: Option<&At<'_>>) -> Option<Yaml> {
        let name = at.text_of("name").unwrap_or_default();
        let mut out = match checked_name(&name) {
            Ok(name) => Yaml::map([("name", Yaml::Text(name))]),
            Err(loss) => {
                self.lose(at, format!("the param `{name}`: {}", loss.why), &loss.instead);
                return None;
            }
        };
        if let Some(kind) = at.get("type") {
            match kind.text().as_deref() {
                Some(word @ ("string" | "array" | "object")) => out.push("type", Yaml::text(word)),
                _ => self.lose(
                    &kind,
                    format!("the type of the param `{name}`"),
                    "write `string`, `array` or `object`",
                ),
            }
        }
        if let Some(text) = at.text_of("description") {
            out.push("description", Yaml::text(text));
        }
        match given.and_then(|given| literal_of(given, "value")).or_else(|| literal_of(at, "default")) {
            Some(Ok(value)) => out.push("default", value),
            Some(Err((value, loss))) => {
                self.lose(&value, format!("the value of the param `{name}`: {}", loss.why), &loss.instead);
            }
            None => {}
        }
        if let Some(choices) = at.get("enum").and_then(|choices| literal(&choices).ok()) {
            out.push("enum", choices);
        }
        if let Some(properties) = at.get("properties") {
            let mut map = Yaml::Map(Vec::new());
            for (key, _) in properties.entries().filter(|(key, _)| key.len() <= MAX_KEY) {
                map.push(key, Yaml::map([("type", Yaml::text("string"))]));
            }
            out.push("properties", map);
        }
        Some(out)
    }
}

/// What of the metadata tells objects of a cluster apart, and nothing else.
fn not_needed(root: &At<'_>) -> Option<String> {
    let metadata = root.get("metadata")?;
    let annotations =
        metadata.get("annotations").map(|at| at.entries().collect::<Vec<_>>()).unwrap_or_default();
    let mut names: Vec<String> = ["namespace", "labels", "finalizers", "ownerReferences"]
        .iter()
        .filter(|key| metadata.get(key).is_some())
        .map(|key| format!("`{key}`"))
        .collect();
    names.extend(
        annotations.iter().filter(|(key, _)| !key.starts_with(AS_CODE)).map(|(key, _)| format!("`{key}`")),
    );
    (!names.is_empty()).then(|| format!("not needed, of the metadata: {}", names.join(", ")))
}

/// The value under a key; an empty list is one, which `get` takes for none.
fn literal_of<'a>(at: &At<'a>, key: &str) -> Option<Result<Yaml, (At<'a>, Loss)>> {
    match at.get(key) {
        Some(value) => Some(literal(&value).map_err(|loss| (value, loss))),
        None => at.empty(key).map(Ok),
    }
}

/// A value that is no template: nothing in it is replaced, here or there, but
/// for what Pipelines-as-Code fills in.
fn literal(at: &At<'_>) -> Result<Yaml, Loss> {
    let mut marker = None;
    texts(at.node, &mut |text, _| {
        let found = pieces(text).into_iter().find_map(|piece| match piece {
            Piece::Marker(marker) => Some(marker),
            Piece::Text(_) | Piece::Reference(_) | Piece::Unclosed => None,
        });
        marker = marker.or(found);
    });
    if let Some(marker) = marker {
        let why = format!("Pipelines-as-Code filled in `{{{{{marker}}}}}`");
        return Err(Loss::new(why, "give it for each run: --param NAME=VALUE"));
    }
    at.plain().ok_or_else(|| Loss::new("it is no string, list or object of strings", "write one of these"))
}
