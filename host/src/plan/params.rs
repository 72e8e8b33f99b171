//! The pipeline's own params: what was given, what the defaults say.

use std::collections::{BTreeMap, HashSet};

use cofferdam_manifest::{Document, Value, ValueType};

use super::PlanError;
use crate::model::Pipeline;

/// Binds every param, reporting what is missing, unknown or of the wrong type.
pub(crate) fn bind(
    pipeline: &Pipeline,
    given: &BTreeMap<String, Value>,
    document: &Document,
    errors: &mut Vec<PlanError>,
) -> BTreeMap<String, Value> {
    let specs = &pipeline.spec.params;
    let mut bound = BTreeMap::new();
    let mut seen = HashSet::new();
    for (index, spec) in specs.iter().enumerate() {
        let place = document.place(&format!("/spec/params/{index}/name"));
        let name = spec.name.as_str();
        if !seen.insert(name) {
            errors.push(PlanError::DuplicateName { name: name.to_owned(), place });
            continue;
        }
        let value = match (given.get(name), &spec.default) {
            (Some(value), _) => match coerce(value, spec.effective_type()) {
                Ok(value) => value,
                Err(why) => {
                    let message = format!("`{name}` {why}");
                    errors.push(PlanError::InvalidValue { message, place });
                    continue;
                }
            },
            (None, Some(value)) => value.clone(),
            (None, None) => {
                let message = format!("the param `{name}` has no value");
                let help = format!("give it one: --param {name}=VALUE, or a `default` in the file");
                errors.push(PlanError::Missing { message, help, place });
                continue;
            }
        };
        match spec.refusal(&value) {
            Some(message) => errors.push(PlanError::InvalidValue { message, place }),
            None => {
                bound.insert(name.to_owned(), value);
            }
        }
    }
    for name in given.keys().filter(|name| !seen.contains(name.as_str())) {
        let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let help = known_names(&known, "the pipeline takes no params");
        let place = document.place("/spec/params");
        errors.push(PlanError::UnknownName { what: "param", name: name.clone(), help, place });
    }
    bound
}

/// A string where a list or an object is wanted is JSON if it begins as that
/// does; any other where a list is wanted is a list of one.
fn coerce(value: &Value, wanted: ValueType) -> Result<Value, String> {
    let Value::Text(text) = value else { return Ok(value.clone()) };
    let (opening, what) = match wanted {
        ValueType::String => return Ok(value.clone()),
        ValueType::Array => ('[', "a JSON list of strings"),
        ValueType::Object => ('{', "a JSON object of strings"),
    };
    if text.trim_start().starts_with(opening) {
        let read = serde_json::from_str(text).ok().filter(|value: &Value| value.value_type() == wanted);
        return read.ok_or_else(|| format!("begins like {what} and is none"));
    }
    Ok(if wanted == ValueType::Array { Value::Texts(vec![text.clone()]) } else { value.clone() })
}

/// A sentence that lists names, for messages.
pub(crate) fn known_names(known: &[&str], none: &str) -> String {
    if known.is_empty() { none.to_owned() } else { format!("there is: {}", known.join(", ")) }
}
