//! The pipeline's own params: what was given, what the defaults say.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_manifest::{Value, ValueType, nearest};

use super::PlanError;
use super::build::{Builder, Known, Opened, RunWords};

impl Builder<'_> {
    /// Binds every param of the pipeline that is run, reporting what is missing,
    /// unknown or of the wrong type. What the command line gives goes before
    /// what the PipelineRun gives.
    pub(super) fn bind(
        &mut self,
        opened: &Opened,
        words: &RunWords,
    ) -> (BTreeMap<String, Value>, BTreeMap<String, Known>) {
        let (specs, of_run) = (&opened.spec.params, &words.params);
        let site = &opened.site;
        let given = self.given();
        let (mut values, mut known) = (BTreeMap::new(), BTreeMap::new());
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let all_given = || given.keys().chain(of_run.keys()).map(String::as_str);
        for (index, spec) in specs.iter().enumerate() {
            let place = site.place(&format!("params/{index}/name"));
            let name = spec.name.as_str();
            if known.contains_key(name) {
                self.report(site, PlanError::DuplicateName { name: name.to_owned(), place });
                continue;
            }
            if site.lacks(&format!("params/{index}")) {
                known.insert(name.to_owned(), Known::unread(spec));
                continue;
            }
            known.insert(name.to_owned(), Known::open(spec));
            let typed = given.contains_key(name);
            let (value, at) = match (given.get(name), of_run.get(name), &spec.default) {
                (Some(value), ..) => (coerce(value, spec.effective_type()), None),
                (None, Some((value, at)), _) => (coerce(value, spec.effective_type()), Some(at)),
                (None, None, Some(value)) => (Ok(value.clone()), None),
                (None, None, None)
                    if self.params_required() && !words.partial && !is_meant(name, all_given(), &names) =>
                {
                    let message = format!("the param `{name}` has no value");
                    let help = format!("give it one: --param {name}=VALUE, or a `default` in the file");
                    self.report(site, PlanError::Missing { message, help, place });
                    continue;
                }
                (None, None, None) => continue,
            };
            let value = value.map_err(|why| format!("`{name}` {why}"));
            let value = value.and_then(|value| spec.refusal(&value).map_or(Ok(value), Err));
            match value {
                Ok(value) => {
                    known.insert(name.to_owned(), Known::value(spec, value.clone()));
                    values.insert(name.to_owned(), value);
                }
                Err(message) => {
                    let message = if typed { format!("{message} (given with --param)") } else { message };
                    let of_default = || match &spec.default {
                        Some(_) if !typed => site.place(&format!("params/{index}/default")),
                        Some(_) | None => place,
                    };
                    let (site, place) = at.map_or_else(|| (site, of_default()), |at| (at, at.place("value")));
                    self.report(site, PlanError::InvalidValue { message, place });
                }
            }
        }
        if site.lacks_names("params") {
            return (values, known);
        }
        let of_run = of_run.iter().map(|(name, (_, at))| (name, at, at.place("name")));
        let typed = given.keys().map(|name| (name, site, site.place("params")));
        for (name, at, place) in typed.chain(of_run).filter(|(name, ..)| !names.contains(&name.as_str())) {
            let help = known_names(name, &names, "the pipeline takes no params");
            let help = if given.contains_key(name) { format!("{help} (given with --param)") } else { help };
            self.report(at, PlanError::UnknownName { what: "param", name: name.clone(), help, place });
        }
        (values, known)
    }
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

/// Whether a name is the one that was meant by another that nothing has: then it
/// is told of with that.
pub(crate) fn is_meant<'a>(name: &str, given: impl IntoIterator<Item = &'a str>, known: &[&str]) -> bool {
    let unknown = given.into_iter().filter(|given| !known.contains(given));
    unknown.into_iter().any(|given| nearest(given, known.iter().copied()) == Some(name))
}

/// So many of the names that there are are told.
const SHOWN_NAMES: usize = 12;

/// A sentence that lists names, for messages: first the one that was meant.
pub(crate) fn known_names(meant: &str, known: &[&str], none: &str) -> String {
    if known.is_empty() {
        return none.to_owned();
    }
    let mut seen = BTreeSet::new();
    let mut names = known.iter().copied().filter(|name| seen.insert(*name));
    let some: Vec<&str> = names.by_ref().take(SHOWN_NAMES).collect();
    let more = if names.next().is_some() { ", .." } else { "" };
    let list = format!("there is: {}{more}", some.join(", "));
    match nearest(meant, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? {list}"),
        None => list,
    }
}
