//! The params a task is given: each is read, its references are checked, what
//! is known already is filled in and held against the task's own type.

use std::collections::BTreeMap;

use cofferdam_manifest::{ParamSpec, Value, ValueType};

use super::{Known, Resolved, Wiring};
use crate::model::{MAX_PARAM_BYTES, PipelineTask};
use crate::plan::PlanError;
use crate::plan::flow::Argument;
use crate::plan::params::is_meant;
use crate::plan::reference::{Context, Reference, Selector, pick};
use crate::plan::template::{Piece, Template};

impl Wiring<'_, '_> {
    /// Every param of a task.
    pub(super) fn arguments(
        &mut self,
        task: &PipelineTask,
        resolved: &Resolved,
    ) -> BTreeMap<String, Argument> {
        let specs = resolved.param_specs();
        let mut arguments = BTreeMap::new();
        for (index, given) in task.params.iter().enumerate() {
            let name = given.name.as_str();
            let Some(spec) = specs.iter().find(|spec| spec.name == given.name) else {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let below = format!("params/{index}/name");
                self.unknown("param", name, &known, "the task takes no params", &below);
                // Its value may be wrong, too.
                self.value(&given.value, &format!("params/{index}/value"));
                continue;
            };
            if self.site.lacks(&format!("params/{index}")) {
                self.value(&given.value, &format!("params/{index}/value"));
                continue;
            }
            if let Some(argument) = self.argument(&given.value, spec, &format!("params/{index}/value"))
                && arguments.insert(name.to_owned(), argument).is_some()
            {
                self.duplicate(name, &format!("params/{index}/name"));
            }
        }
        let varied = |name: &str| {
            let matrix = task.matrix.as_ref();
            matrix.is_some_and(|matrix| {
                let include = matrix.include.iter().flat_map(|include| &include.params);
                matrix.params.iter().chain(include).any(|param| param.name.as_str() == name)
            })
        };
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let meant = |name: &str| is_meant(name, task.params.iter().map(|given| given.name.as_str()), &names);
        let unread = ["params", "matrix"].iter().any(|key| self.site.lacks(key)) || self.site.has_stray();
        for spec in specs.iter().filter(|spec| !task.params.iter().any(|given| given.name == spec.name)) {
            let name = spec.name.as_str();
            // What is written in its place sees the params around it.
            if task.pipeline_spec.is_some() && self.scope.params.contains_key(name) {
                self.see(name, &mut arguments);
                continue;
            }
            match &spec.default {
                Some(value) => {
                    arguments.insert(name.to_owned(), literal(value));
                }
                None if unread || varied(name) || meant(name) => {}
                None => {
                    let message = format!("task `{}` needs the param `{name}`", task.name);
                    let help = format!("add under this task: params: [{{ name: {name}, value: ... }}]");
                    self.report(PlanError::Missing { message, help, place: self.site.place("name") });
                }
            }
        }
        if task.pipeline_spec.is_some() {
            let around: Vec<String> = self.scope.params.keys().cloned().collect();
            for name in around.iter().filter(|name| !specs.iter().any(|spec| spec.name.as_str() == **name)) {
                self.see(name, &mut arguments);
            }
        }
        arguments
    }

    /// Hands a param of this pipeline on under its own name.
    fn see(&mut self, name: &str, arguments: &mut BTreeMap<String, Argument>) {
        let Some(known) = self.scope.params.get(name) else { return };
        let argument = match &known.value {
            Some(value) => literal(value),
            None => {
                let selector =
                    if known.value_type == ValueType::String { Selector::Whole } else { Selector::Star };
                let reference = Reference::Param(name.to_owned(), selector);
                Argument::Text(Template { pieces: vec![Piece::Reference(reference)] })
            }
        };
        arguments.insert(name.to_owned(), argument);
    }

    fn argument(&mut self, value: &Value, spec: &ParamSpec, below: &str) -> Option<Argument> {
        let argument = self.value(value, below)?;
        self.choices(value, spec, below);
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
                self.invalid_value(message, below);
                None
            }
            None => Some(argument),
        }
    }

    /// A param of the pipeline that is handed on as it is must not allow more
    /// than the task's. Source: Tekton, "Specifying Parameters", enum.
    fn choices(&mut self, value: &Value, spec: &ParamSpec, below: &str) {
        let Value::Text(text) = value else { return };
        let Ok(template) = Template::parse(text) else { return };
        let Some(Reference::Param(name, Selector::Whole)) = template.sole_reference() else { return };
        let Some(Known { choices, value, .. }) = self.scope.params.get(name) else { return };
        // Without choices of its own, what it is decides: that is held against
        // the task's, now or when it is known.
        if spec.choices.is_empty() || (choices.is_empty() && value.is_some()) {
            return;
        }
        let more: Vec<&str> =
            choices.iter().filter(|choice| !spec.choices.contains(choice)).map(String::as_str).collect();
        if choices.is_empty() || !more.is_empty() {
            let takes = spec.choices.join(", ");
            let why = if more.is_empty() { "any string".to_owned() } else { more.join(", ") };
            let message = format!(
                "the param `{name}` allows {why}, and `{}` takes {takes}: give it such an enum",
                spec.name
            );
            self.invalid_value(message, below);
        }
    }

    /// Reads a value: checks what it refers to and fills in what is known.
    pub(super) fn value(&mut self, value: &Value, below: &str) -> Option<Argument> {
        Some(match value {
            Value::Text(text) => {
                let template = self.template(text, below)?;
                match self.whole(&template) {
                    Some(value) => {
                        self.spend(value.bytes(), below)?;
                        literal(&value)
                    }
                    None => Argument::Text(self.fill(template, below)?),
                }
            }
            Value::Texts(texts) => Argument::Texts(self.items(texts, below)?),
            Value::Fields(fields) => {
                // One that is wrong hides no other.
                let filled: Vec<_> = fields
                    .iter()
                    .map(|(key, text)| {
                        let template = self.template(text, below)?;
                        Some((key.clone(), self.fill(template, below)?))
                    })
                    .collect();
                Argument::Fields(filled.into_iter().collect::<Option<_>>()?)
            }
        })
    }

    /// The items of a list, in which one can stand for a whole list.
    pub(super) fn items(&mut self, texts: &[String], below: &str) -> Option<Vec<Template>> {
        // One that is wrong hides no other.
        let items: Vec<_> = texts.iter().map(|text| self.item(text, below)).collect();
        Some(items.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn item(&mut self, text: &str, below: &str) -> Option<Vec<Template>> {
        let template = self.template(text, below)?;
        match self.whole(&template) {
            Some(Value::Texts(texts)) => {
                self.spend(texts.iter().map(|text| text.len() + 3).sum(), below)?;
                Some(texts.iter().map(Template::text).collect())
            }
            Some(Value::Text(_) | Value::Fields(_)) => {
                let text = text.trim_start_matches("$(").trim_end_matches(')').to_owned();
                self.invalid_reference(&text, "it is not a list", below);
                None
            }
            None => Some(vec![self.fill(template, below)?]),
        }
    }

    /// The known value that a template stands for as a whole.
    fn whole(&self, template: &Template) -> Option<Value> {
        match template.sole_reference() {
            Some(Reference::Param(name, Selector::Star)) => self.scope.params.get(name)?.value.clone(),
            _ => None,
        }
    }

    /// Reads a template and checks everything it refers to.
    pub(super) fn template(&mut self, text: &str, below: &str) -> Option<Template> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err((reference, why)) => {
                self.invalid_reference(&reference, why, below);
                return None;
            }
        };
        self.check_all(template.references(), below)?;
        Some(template)
    }

    /// Fills in every param whose value is known.
    pub(super) fn fill(&mut self, template: Template, below: &str) -> Option<Template> {
        let mut pieces = Vec::new();
        for piece in template.pieces {
            match &piece {
                Piece::Reference(Reference::Param(name, selector)) => {
                    let known = self.scope.params.get(name).and_then(|known| known.value.as_ref());
                    let Some(value) = known else {
                        pieces.push(piece);
                        continue;
                    };
                    match pick(value, selector) {
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
                Piece::Reference(Reference::Context(Context::PipelineName)) => {
                    pieces.push(Piece::Text(self.scope.pipeline.to_owned()));
                }
                Piece::Reference(_) | Piece::Text(_) => pieces.push(piece),
            }
        }
        Some(Template { pieces })
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

/// An argument's value, if nothing is left open in it.
pub(super) fn known_value(argument: &Argument) -> Option<Value> {
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
            Some(Reference::Result(_, _, Selector::Star) | Reference::Param(_, Selector::Star)) => None,
            _ => Some(ValueType::String),
        },
        Argument::Texts(_) => Some(ValueType::Array),
        Argument::Fields(_) => Some(ValueType::Object),
    }
}
