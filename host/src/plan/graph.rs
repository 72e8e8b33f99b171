//! Connects the tasks: params, inputs, order. Finds what does not fit.

use std::collections::{BTreeMap, HashMap, HashSet};

use cofferdam_manifest::{Document, ParamSpec, Value, ValueType, contradictions};
use cofferdam_registry::TrustDecision;

use super::params::known_names;
use super::template::{Piece, Selector, pick};
use super::{Argument, At, PlanError, PlanRequest, PlannedTask, Reference, ResolvedTask, Template, Wire};
use crate::capability::{Deciders, GrantDecision, Import};
use crate::model::{EffectiveLimits, MAX_PARAM_BYTES, MAX_PLAN_BYTES, Pipeline, PipelineTask, Shared};

/// Connects every task that was resolved, reporting whatever does not fit.
pub(crate) fn connect(
    pipeline: &Pipeline,
    resolved: &[Option<ResolvedTask>],
    params: &BTreeMap<String, Value>,
    request: &PlanRequest<'_>,
    document: &Document,
    errors: &mut Vec<PlanError>,
) -> Vec<PlannedTask> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    for (index, task) in pipeline.spec.tasks.iter().enumerate() {
        if names.insert(task.name.as_str(), index).is_some() {
            let place = At { document, index }.place("name");
            errors.push(PlanError::DuplicateName { name: task.name.to_string(), place });
        }
    }
    // Grown step by step, these would be the most memory that planning takes.
    let mut planned = Vec::with_capacity(resolved.len());
    let mut edges = Vec::with_capacity(resolved.len());
    let mut left = MAX_PLAN_BYTES;
    let declared = pipeline.spec.params.iter().map(|spec| spec.name.as_str()).collect();
    for (index, task) in pipeline.spec.tasks.iter().enumerate() {
        let at = At { document, index };
        let mut wiring = Wiring {
            names: &names,
            declared: &declared,
            resolved,
            params,
            at,
            errors: &mut *errors,
            after: Vec::new(),
            left: &mut left,
        };
        wiring.order(task);
        match resolved.get(index) {
            Some(Some(found)) => {
                let arguments = wiring.arguments(task, found);
                let inputs = wiring.inputs(task, found);
                let after = wiring.finish();
                edges.push(after.clone());
                planned.push(assemble(task, found, arguments, inputs, after, request, at, errors));
            }
            _ => edges.push(wiring.finish()),
        }
    }
    if let Some(path) = cycle(&edges) {
        let name = |i: &usize| pipeline.spec.tasks.get(*i).map(|t| t.name.to_string()).unwrap_or_default();
        let place = At { document, index: path.first().copied().unwrap_or(0) }.place("name");
        errors.push(PlanError::Cycle { path: path.iter().map(name).collect(), place });
    }
    planned
}

#[expect(clippy::too_many_arguments, reason = "one task's parts, each made by another function")]
fn assemble(
    task: &PipelineTask,
    found: &ResolvedTask,
    params: BTreeMap<String, Argument>,
    inputs: BTreeMap<String, Wire>,
    after: Vec<usize>,
    request: &PlanRequest<'_>,
    at: At<'_>,
    errors: &mut Vec<PlanError>,
) -> PlannedTask {
    let manifest = &found.component.manifest;
    let asked = &manifest.spec.capabilities;
    let name = || task.name.to_string();
    for import in &found.component.imports {
        let class = Import::of(import);
        if let Some(why) = class.contradiction(asked).or_else(|| class.unavailable()) {
            let (import, place) = (import.clone(), at.place("taskRef"));
            errors.push(PlanError::ForbiddenImport { task: name(), import, why, place });
        }
    }
    let trusted = matches!(found.identity.trust, TrustDecision::Trusted { .. });
    let pipeline = task.grants.as_ref();
    let deciders = Deciders { task: task.name.as_str(), trusted, pipeline, overrides: request.overrides };
    let decision = GrantDecision::new(asked, deciders);
    for line in decision.undecided() {
        let (capability, why, remedy) = (line.asked.clone(), line.why.clone(), line.remedy.clone());
        errors.push(PlanError::NotGranted {
            task: name(),
            capability,
            why,
            remedy,
            place: at.place("taskRef"),
        });
    }
    for (below, rule) in &decision.unasked {
        let message = format!("`grants` has {rule}, and the task asks for no such thing");
        errors.push(PlanError::InvalidValue { message, place: at.place(&format!("grants{below}")) });
    }
    if let Some(spec) = pipeline {
        for (below, message) in contradictions(&spec.network, &spec.tcp) {
            errors.push(PlanError::InvalidValue { message, place: at.place(&format!("grants{below}")) });
        }
    }
    PlannedTask {
        name: task.name.as_str().into(),
        identity: Shared::clone(&found.identity),
        component: std::sync::Arc::clone(&found.component),
        params,
        inputs,
        after,
        grants: decision.grants,
        grant_lines: decision.lines,
        limits: EffectiveLimits::new(&manifest.spec.limits, request.ceiling, task.timeout),
    }
}

struct Wiring<'a> {
    names: &'a HashMap<&'a str, usize>,
    resolved: &'a [Option<ResolvedTask>],
    params: &'a BTreeMap<String, Value>,
    at: At<'a>,
    declared: &'a HashSet<&'a str>,
    errors: &'a mut Vec<PlanError>,
    after: Vec<usize>,
    /// Bytes that values may still have.
    left: &'a mut usize,
}

impl Wiring<'_> {
    /// Counts bytes of a value before they are put together.
    fn spend(&mut self, bytes: usize, below: &str) -> Option<()> {
        if let Some(left) = self.left.checked_sub(bytes) {
            *self.left = left;
            return Some(());
        }
        // Said once: what follows is not put together either.
        if *self.left > 0 {
            *self.left = 0;
            let message = format!("the values of all params together have more than {MAX_PLAN_BYTES} bytes");
            self.errors.push(PlanError::InvalidValue { message, place: self.at.place(below) });
        }
        None
    }

    fn finish(mut self) -> Vec<usize> {
        self.after.sort_unstable();
        self.after.dedup();
        self.after
    }

    fn task(&mut self, name: &str, below: &str) -> Option<usize> {
        let found = self.names.get(name).copied();
        match found {
            Some(index) => self.after.push(index),
            None => {
                let mut known: Vec<&str> = self.names.keys().copied().collect();
                known.sort_unstable();
                let help = known_names(&known, "the pipeline has no tasks");
                let place = self.at.place(below);
                self.errors.push(PlanError::UnknownName { what: "task", name: name.to_owned(), help, place });
            }
        }
        found
    }

    fn order(&mut self, task: &PipelineTask) {
        for (index, name) in task.run_after.iter().enumerate() {
            self.task(name.as_str(), &format!("runAfter/{index}"));
        }
    }

    fn invalid_reference(&mut self, reference: &str, why: impl Into<String>, below: &str) {
        let (text, place) = (reference.to_owned(), self.at.place(below));
        self.errors.push(PlanError::InvalidReference { text, why: why.into(), place });
    }

    fn arguments(&mut self, task: &PipelineTask, found: &ResolvedTask) -> BTreeMap<String, Argument> {
        let specs = &found.component.manifest.spec.params;
        let mut arguments = BTreeMap::new();
        for (index, given) in task.params.iter().enumerate() {
            let below = format!("params/{index}/value");
            let name = given.name.as_str();
            let Some(spec) = specs.iter().find(|spec| spec.name == given.name) else {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let help = known_names(&known, "the task takes no params");
                let place = self.at.place(&format!("params/{index}/name"));
                self.errors.push(PlanError::UnknownName {
                    what: "param",
                    name: name.to_owned(),
                    help,
                    place,
                });
                continue;
            };
            if let Some(argument) = self.argument(&given.value, spec, &below)
                && arguments.insert(name.to_owned(), argument).is_some()
            {
                let place = self.at.place(&format!("params/{index}/name"));
                self.errors.push(PlanError::DuplicateName { name: name.to_owned(), place });
            }
        }
        for spec in specs {
            let name = spec.name.as_str();
            if task.params.iter().any(|given| given.name == spec.name) {
                continue;
            }
            match &spec.default {
                Some(value) => {
                    arguments.insert(name.to_owned(), literal(value));
                }
                None => {
                    let message = format!("task `{}` needs the param `{name}`", task.name);
                    let help = format!("add under this task: params: [{{ name: {name}, value: ... }}]");
                    self.errors.push(PlanError::Missing { message, help, place: self.at.place("name") });
                }
            }
        }
        arguments
    }

    /// Reads one param's value, fills in the pipeline's params, and holds what
    /// is known already against the task's own type.
    fn argument(&mut self, value: &Value, spec: &ParamSpec, below: &str) -> Option<Argument> {
        let argument = match value {
            Value::Text(text) => {
                let template = self.template(text, below)?;
                match template.sole_reference() {
                    Some(Reference::Param(name, Selector::Star)) => {
                        let value = self.params.get(name)?;
                        self.spend(value.bytes(), below)?;
                        literal(value)
                    }
                    _ => Argument::Text(self.fill_params(template, below)?),
                }
            }
            Value::Texts(texts) => {
                let mut items = Vec::new();
                for text in texts {
                    let template = self.template(text, below)?;
                    match template.sole_reference() {
                        Some(Reference::Param(name, Selector::Star)) => match self.params.get(name)? {
                            Value::Texts(texts) => {
                                self.spend(texts.iter().map(|text| text.len() + 3).sum(), below)?;
                                items.extend(texts.iter().map(Template::text));
                            }
                            Value::Text(_) | Value::Fields(_) => {
                                self.invalid_reference(
                                    &format!("params.{name}[*]"),
                                    "it is not a list",
                                    below,
                                );
                                return None;
                            }
                        },
                        _ => items.push(self.fill_params(template, below)?),
                    }
                }
                Argument::Texts(items)
            }
            Value::Fields(fields) => {
                let mut filled = BTreeMap::new();
                for (key, text) in fields {
                    let template = self.template(text, below)?;
                    filled.insert(key.clone(), self.fill_params(template, below)?);
                }
                Argument::Fields(filled)
            }
        };
        let refusal = match known_value(&argument) {
            Some(value) if value.bytes() > MAX_PARAM_BYTES => {
                Some(format!("`{}` has more than {MAX_PARAM_BYTES} bytes", spec.name))
            }
            Some(value) => spec.refusal(&value),
            None if argument_type(&argument).is_some_and(|found| found != spec.effective_type()) => {
                Some(format!("`{}` takes a value of type {}", spec.name, spec.effective_type().as_str()))
            }
            None => None,
        };
        match refusal {
            Some(message) => {
                self.errors.push(PlanError::InvalidValue { message, place: self.at.place(below) });
                None
            }
            None => Some(argument),
        }
    }

    /// Reads a template and checks everything it refers to.
    fn template(&mut self, text: &str, below: &str) -> Option<Template> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err((reference, why)) => {
                self.invalid_reference(&reference, why, below);
                return None;
            }
        };
        let before = self.errors.len();
        for reference in template.references() {
            match reference {
                Reference::Param(name, _) if self.params.contains_key(name) => {}
                // One without a value has been reported already.
                Reference::Param(name, _) if self.declared.contains(name.as_str()) => return None,
                Reference::Param(name, _) => {
                    let known: Vec<&str> = self.params.keys().map(String::as_str).collect();
                    let help = known_names(&known, "the pipeline takes no params");
                    let place = self.at.place(below);
                    self.errors.push(PlanError::UnknownName {
                        what: "param",
                        name: name.clone(),
                        help,
                        place,
                    });
                }
                Reference::Result(task, result, selector) => self.result(task, result, selector, below),
                Reference::Output(..) | Reference::Source => {
                    let why = "an artifact is not a value; wire it under `inputs`";
                    self.invalid_reference(text.trim_start_matches("$(").trim_end_matches(')'), why, below);
                }
            }
        }
        (self.errors.len() == before).then_some(template)
    }

    fn result(&mut self, task: &str, result: &str, selector: &Selector, below: &str) {
        let Some(index) = self.task(task, below) else { return };
        let Some(Some(found)) = self.resolved.get(index) else { return };
        let specs = &found.component.manifest.spec.results;
        let text = format!("tasks.{task}.results.{result}");
        match specs.iter().find(|spec| spec.name.as_str() == result) {
            None => {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let help = known_names(&known, "the task has no results");
                let place = self.at.place(below);
                self.errors.push(PlanError::UnknownName {
                    what: "result",
                    name: result.to_owned(),
                    help,
                    place,
                });
            }
            Some(spec) => {
                let why = match (spec.value_type, selector) {
                    (ValueType::String, Selector::Whole)
                    | (ValueType::Array, Selector::Index(_) | Selector::Star)
                    | (ValueType::Object, Selector::Key(_) | Selector::Star) => return,
                    (ValueType::String, _) => "it is a string",
                    (ValueType::Array, _) => "it is a list: add [*] or [0]",
                    (ValueType::Object, _) => "it is an object: add .KEY or [*]",
                };
                self.invalid_reference(&text, why, below);
            }
        }
    }

    fn fill_params(&mut self, template: Template, below: &str) -> Option<Template> {
        let mut pieces = Vec::new();
        for piece in template.pieces {
            match piece {
                Piece::Reference(Reference::Param(name, selector)) => {
                    match pick(self.params.get(&name)?, &selector) {
                        Ok(text) => {
                            self.spend(text.len(), below)?;
                            pieces.push(Piece::Text(text));
                        }
                        Err(why) => {
                            self.invalid_reference(&format!("params.{name}"), why, below);
                            return None;
                        }
                    }
                }
                Piece::Reference(_) | Piece::Text(_) => pieces.push(piece),
            }
        }
        Some(Template { pieces })
    }

    fn inputs(&mut self, task: &PipelineTask, found: &ResolvedTask) -> BTreeMap<String, Wire> {
        let specs = &found.component.manifest.spec.inputs;
        let mut inputs = BTreeMap::new();
        for (index, wired) in task.inputs.iter().enumerate() {
            let name = wired.name.as_str();
            if !specs.iter().any(|spec| spec.name == wired.name) {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let help = known_names(&known, "the task has no inputs");
                let place = self.at.place(&format!("inputs/{index}/name"));
                self.errors.push(PlanError::UnknownName {
                    what: "input",
                    name: name.to_owned(),
                    help,
                    place,
                });
            } else if let Some(wire) = self.wire(&wired.from, &format!("inputs/{index}/from"))
                && inputs.insert(name.to_owned(), wire).is_some()
            {
                let place = self.at.place(&format!("inputs/{index}/name"));
                self.errors.push(PlanError::DuplicateName { name: name.to_owned(), place });
            }
        }
        for spec in specs.iter().filter(|spec| !task.inputs.iter().any(|wired| wired.name == spec.name)) {
            let message = format!("task `{}` needs the input `{}`", task.name, spec.name);
            let help = format!("add under this task: inputs: [{{ name: {}, from: $(source) }}]", spec.name);
            self.errors.push(PlanError::Missing { message, help, place: self.at.place("name") });
        }
        inputs
    }

    fn wire(&mut self, from: &str, below: &str) -> Option<Wire> {
        let template = match Template::parse(from) {
            Ok(template) => template,
            Err((reference, why)) => {
                self.invalid_reference(&reference, why, below);
                return None;
            }
        };
        match template.sole_reference() {
            Some(Reference::Source) => Some(Wire::Source),
            Some(Reference::Output(task, output)) => {
                let index = self.task(task, below)?;
                // A task that could not be resolved has been reported already.
                let found = self.resolved.get(index)?.as_ref()?;
                let specs = &found.component.manifest.spec.outputs;
                if specs.iter().any(|spec| spec.name.as_str() == output) {
                    return Some(Wire::Output { task: index, output: output.clone() });
                }
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let help = known_names(&known, &format!("the task `{task}` makes no artifacts"));
                let place = self.at.place(below);
                self.errors.push(PlanError::UnknownName {
                    what: "output",
                    name: output.clone(),
                    help,
                    place,
                });
                None
            }
            Some(Reference::Param(..) | Reference::Result(..)) | None => {
                let message =
                    format!("`{from}` names no artifact: write $(source) or $(tasks.NAME.outputs.NAME)");
                self.errors.push(PlanError::InvalidValue { message, place: self.at.place(below) });
                None
            }
        }
    }
}

fn literal(value: &Value) -> Argument {
    match value {
        Value::Text(text) => Argument::Text(Template::text(text)),
        Value::Texts(texts) => Argument::Texts(texts.iter().map(Template::text).collect()),
        Value::Fields(fields) => {
            Argument::Fields(fields.iter().map(|(key, text)| (key.clone(), Template::text(text))).collect())
        }
    }
}

/// An argument's value, if no reference to a result is left in it.
fn known_value(argument: &Argument) -> Option<Value> {
    let text = |template: &Template| template.fill(|_| Err(())).ok();
    match argument {
        Argument::Text(template) => text(template).map(Value::Text),
        Argument::Texts(items) => items.iter().map(text).collect::<Option<_>>().map(Value::Texts),
        Argument::Fields(fields) => {
            let pairs = fields.iter().map(|(key, template)| Some((key.clone(), text(template)?)));
            pairs.collect::<Option<_>>().map(Value::Fields)
        }
    }
}

/// The type an argument will have; nothing where a `[*]` leaves it open.
fn argument_type(argument: &Argument) -> Option<ValueType> {
    match argument {
        Argument::Text(template) => match template.sole_reference() {
            Some(Reference::Result(_, _, Selector::Star)) => None,
            _ => Some(ValueType::String),
        },
        Argument::Texts(_) => Some(ValueType::Array),
        Argument::Fields(_) => Some(ValueType::Object),
    }
}

/// A way round, if there is one: each index waits for the one after it.
fn cycle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    for start in 0..edges.len() {
        // Each entry is a task and how many of its edges were followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((node, followed)) = path.last().copied() {
            if followed == 0 {
                match marks.get(node) {
                    Some(Mark::New) => {}
                    _ => {
                        path.pop();
                        continue;
                    }
                }
                if let Some(mark) = marks.get_mut(node) {
                    *mark = Mark::Open;
                }
            }
            match edges.get(node).and_then(|next| next.get(followed)).copied() {
                Some(next) if marks.get(next) == Some(&Mark::Open) => {
                    let from = path.iter().position(|(n, _)| *n == next).unwrap_or(0);
                    let mut round: Vec<usize> = path.iter().skip(from).map(|(n, _)| *n).collect();
                    round.push(next);
                    return Some(round);
                }
                Some(next) => {
                    if let Some(last) = path.last_mut() {
                        last.1 += 1;
                    }
                    if marks.get(next) == Some(&Mark::New) {
                        path.push((next, 0));
                    }
                }
                None => {
                    if let Some(mark) = marks.get_mut(node) {
                        *mark = Mark::Done;
                    }
                    path.pop();
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_round_is_found_and_named() {
        assert_eq!(cycle(&[vec![1], vec![2], vec![]]), None);
        assert_eq!(cycle(&[vec![1, 2], vec![2], vec![]]), None);
        assert_eq!(cycle(&[vec![], vec![2], vec![3], vec![1]]), Some(vec![1, 2, 3, 1]));
        assert_eq!(cycle(&[vec![0]]), Some(vec![0, 0]));
        // Deep chains are walked without recursion.
        let long: Vec<Vec<usize>> = (0..100_000).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect();
        assert_eq!(cycle(&long), None);
    }
}
