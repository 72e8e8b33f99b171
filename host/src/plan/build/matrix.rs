//! The combinations a task runs for, as far as a plan can know them.

use std::collections::BTreeMap;

use cofferdam_manifest::{Value, ValueType};

use super::arguments::known_value;
use super::{Resolved, Wiring};
use crate::model::{GivenParam, MAX_COMBINATIONS, MatrixSpec};
use crate::plan::combine::combine;
use crate::plan::flow::{Argument, Include, Matrix};
use crate::plan::reference::{Reference, Selector, pick};
use crate::plan::template::Template;

impl Wiring<'_, '_> {
    /// Reads `matrix`.
    pub(super) fn matrix(&mut self, spec: &MatrixSpec, resolved: &Resolved) -> Matrix {
        if spec.params.is_empty() && spec.include.is_empty() && !self.site.lacks("matrix") {
            self.invalid_value("`matrix` has neither `params` nor `include`".to_owned(), "matrix");
        }
        let mut params: Vec<(String, Argument)> = Vec::new();
        let mut combinations = 1_usize;
        for (index, given) in spec.params.iter().enumerate() {
            let below = format!("matrix/params/{index}");
            self.varied(given, resolved, &below);
            let Some(argument) = self.list(&given.value, &format!("{below}/value")) else { continue };
            if let Some(Value::Texts(values)) = known_value(&argument) {
                combinations = combinations.saturating_mul(values.len());
                values.into_iter().for_each(|value| self.fits(given, value, resolved, &below));
            }
            if params.iter().any(|(name, _)| name == given.name.as_str()) {
                self.duplicate(given.name.as_str(), &format!("{below}/name"));
            } else {
                params.push((given.name.to_string(), argument));
            }
        }
        if combinations.saturating_add(spec.include.len()) > MAX_COMBINATIONS {
            let message = format!("a matrix has at most {MAX_COMBINATIONS} combinations");
            self.invalid_value(message, "matrix");
        }
        let include = spec.include.iter().enumerate().map(|(index, include)| {
            let mut params = BTreeMap::new();
            for (number, given) in include.params.iter().enumerate() {
                let below = format!("matrix/include/{index}/params/{number}");
                self.varied(given, resolved, &below);
                let Value::Text(text) = &given.value else {
                    let message = format!("`{}` takes a string in `include`", given.name);
                    self.invalid_value(message, &format!("{below}/value"));
                    continue;
                };
                let at = format!("{below}/value");
                let template = self.template(text, &at).and_then(|template| self.fill(template, &at));
                let Some(template) = template else { continue };
                if let Ok(text) = template.fill(|_| Err(())) {
                    self.fits(given, text, resolved, &below);
                }
                params.insert(given.name.to_string(), template);
            }
            Include { name: include.name.as_ref().map(ToString::to_string), params }
        });
        let include = include.collect();
        Matrix { params, include }
    }

    /// The keys of a task's combinations, where every list is known.
    pub(super) fn keys(&self, spec: &MatrixSpec) -> Option<Vec<String>> {
        let text = |text: &String| {
            let template = Template::parse(text).ok()?;
            template
                .fill(|reference| {
                    self.known(reference).and_then(|(value, selector)| pick(value, selector).ok()).ok_or(())
                })
                .ok()
        };
        let list = |value: &Value| -> Option<Vec<String>> {
            match value {
                Value::Texts(texts) => texts.iter().map(text).collect(),
                Value::Text(one) => match self.known(Template::parse(one).ok()?.sole_reference()?)? {
                    (Value::Texts(texts), Selector::Star) => Some(texts.clone()),
                    _ => None,
                },
                Value::Fields(_) => None,
            }
        };
        let lists = spec.params.iter().map(|given| Some((given.name.to_string(), list(&given.value)?)));
        let include = spec.include.iter().map(|include| {
            let params = include.params.iter().map(|given| match &given.value {
                Value::Text(one) => Some((given.name.to_string(), text(one)?)),
                Value::Texts(_) | Value::Fields(_) => None,
            });
            Some((include.name.as_ref().map(ToString::to_string), params.collect::<Option<_>>()?))
        });
        let found = combine(&lists.collect::<Option<Vec<_>>>()?, &include.collect::<Option<Vec<_>>>()?);
        Some(found.ok()?.into_iter().map(|combination| combination.key).collect())
    }

    /// The value of a param that is known.
    fn known<'r>(&self, reference: &'r Reference) -> Option<(&Value, &'r Selector)> {
        let Reference::Param(name, selector) = reference else { return None };
        Some((self.scope.params.get(name)?.value.as_ref()?, selector))
    }

    /// A param of a matrix must be one of the task's, and a string.
    fn varied(&mut self, given: &GivenParam, resolved: &Resolved, below: &str) {
        let specs = resolved.param_specs();
        match specs.iter().find(|spec| spec.name == given.name) {
            Some(spec) if spec.effective_type() == ValueType::String => {}
            Some(_) => {
                let message = format!("`{}` is not a string: a matrix gives strings", given.name);
                self.invalid_value(message, &format!("{below}/name"));
            }
            None => {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
                let none = "the task takes no params";
                self.unknown("param", given.name.as_str(), &known, none, &format!("{below}/name"));
            }
        }
    }

    fn fits(&mut self, given: &GivenParam, value: String, resolved: &Resolved, below: &str) {
        let spec = resolved.param_specs().iter().find(|spec| spec.name == given.name);
        let refused = spec.filter(|spec| spec.effective_type() == ValueType::String);
        if let Some(message) = refused.and_then(|spec| spec.refusal(&Value::Text(value))) {
            self.invalid_value(message, &format!("{below}/value"));
        }
    }

    /// A list, or what will be one.
    fn list(&mut self, value: &Value, below: &str) -> Option<Argument> {
        let argument = self.value(value, below)?;
        let is_list = match &argument {
            Argument::Texts(_) => true,
            Argument::Text(template) => matches!(
                template.sole_reference(),
                Some(Reference::Param(_, Selector::Star) | Reference::Result(_, _, Selector::Star))
            ),
            Argument::Fields(_) => false,
        };
        if is_list {
            return Some(argument);
        }
        let message = "a matrix takes a list of strings, or a reference that ends in [*]".to_owned();
        self.invalid_value(message, below);
        None
    }
}
