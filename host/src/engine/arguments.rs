//! Fills in what a plan had to leave open: references to results.

use std::collections::BTreeMap;

use cofferdam_manifest::{Manifest, Value};

use crate::event::TaskEnd;
use crate::model::{MAX_PARAM_BYTES, MAX_RESULT_BYTES, TaskRunReason};
use crate::plan::{Argument, Reference, Selector, Template, pick};

/// Gives the TaskRun a task's name stands for, once it has ended.
pub(super) type EndOf<'a> = &'a dyn Fn(&str) -> Option<&'a TaskEnd>;

/// The value of every param, or why one has none.
pub(super) fn fill(
    arguments: &BTreeMap<String, Argument>,
    end_of: EndOf<'_>,
) -> Result<BTreeMap<String, Value>, String> {
    let mut values = BTreeMap::new();
    let mut left = MAX_PARAM_BYTES;
    for (name, argument) in arguments {
        let value = fill_one(argument, end_of, &mut left);
        let value = value.map_err(|why| format!("the param `{name}` has no value: {why}"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn fill_one(argument: &Argument, end_of: EndOf<'_>, left: &mut usize) -> Result<Value, String> {
    let text = |template: &Template, left: &mut usize| {
        template.fill(|reference| spend(read(reference, end_of)?, left))
    };
    match argument {
        Argument::Text(template) => match whole(template, end_of) {
            Some(value) => Ok(value.clone()),
            None => text(template, left).map(Value::Text),
        },
        Argument::Texts(items) => {
            let mut texts = Vec::new();
            for item in items {
                match whole(item, end_of) {
                    Some(Value::Texts(more)) => {
                        for one in more {
                            texts.push(spend(one.clone(), left)?);
                        }
                    }
                    _ => texts.push(text(item, left)?),
                }
            }
            Ok(Value::Texts(texts))
        }
        Argument::Fields(fields) => {
            let filled = fields.iter().map(|(key, template)| Ok((key.clone(), text(template, left)?)));
            filled.collect::<Result<_, String>>().map(Value::Fields)
        }
    }
}

/// Counts a result's bytes each time it is used: references multiply it.
fn spend(text: String, left: &mut usize) -> Result<String, String> {
    let rest = left.checked_sub(text.len() + 3);
    *left = rest.ok_or_else(|| format!("all params together have more than {MAX_PARAM_BYTES} bytes"))?;
    Ok(text)
}

/// The value a template stands for as a whole: `$(tasks.x.results.y[*])`.
fn whole<'a>(template: &Template, end_of: EndOf<'a>) -> Option<&'a Value> {
    match template.sole_reference() {
        Some(Reference::Result(task, result, Selector::Star)) => end_of(task)?.results.get(result),
        _ => None,
    }
}

fn read(reference: &Reference, end_of: EndOf<'_>) -> Result<String, String> {
    match reference {
        Reference::Result(task, result, selector) => {
            let end = end_of(task).ok_or_else(|| format!("the task `{task}` has not ended"))?;
            let absent = || format!("the task `{task}` gave no result `{result}`");
            pick(end.results.get(result).ok_or_else(absent)?, selector)
        }
        // The plan has filled in params, and lets no artifact be a value.
        Reference::Param(..) | Reference::Output(..) | Reference::Source => {
            Err("it refers to something that is not a result".to_owned())
        }
    }
}

/// Holds the results a task returned against its manifest.
pub(super) fn check_results(
    manifest: &Manifest,
    results: &BTreeMap<String, Value>,
) -> Result<(), (TaskRunReason, String)> {
    let size: usize = results.iter().map(|(name, value)| name.len() + value.bytes()).sum();
    if size > MAX_RESULT_BYTES {
        let message = format!("its results have {size} bytes; at most {MAX_RESULT_BYTES} are kept");
        return Err((TaskRunReason::TaskRunResultLargerThanAllowedLimit, message));
    }
    let specs = &manifest.spec.results;
    let invalid = |message: String| Err((TaskRunReason::InvalidTaskResults, message));
    for spec in specs {
        match results.get(spec.name.as_str()) {
            None => return invalid(format!("it returned no result `{}`", spec.name)),
            Some(value) if value.value_type() != spec.value_type => {
                let expected = spec.value_type.as_str();
                return invalid(format!("its result `{}` is not of type {expected}", spec.name));
            }
            Some(_) => {}
        }
    }
    match results.keys().find(|name| !specs.iter().any(|spec| spec.name.as_str() == *name)) {
        Some(name) => {
            invalid(format!("it returned `{}`, which its manifest does not name", name.escape_debug()))
        }
        None => Ok(()),
    }
}
