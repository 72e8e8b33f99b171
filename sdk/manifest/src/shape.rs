//! Holds a document against the JSON Schema of a type, then reads the type.
//!
//! The schema editors complete from is the one that decides here, so what an
//! editor underlines and what a run refuses are the same. Every fault of the
//! shape is found in one pass, each with its place.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::address::AddressRange;
use crate::document::{Document, Node, NodeKind, Place};
use crate::fault::{Fault, FaultKind};
use crate::host::{HostPattern, PathPrefix};
use crate::list::{Row, Word};
use crate::name::{Identifier, Name};
use crate::quantity::{Quantity, Span};

/// The JSON Schema (draft 2020-12) of a type.
#[must_use]
pub fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// Reads a `T` out of a document.
///
/// # Errors
/// Every fault of the document's shape, or the first value that `T` refuses.
pub fn decode<T: JsonSchema + DeserializeOwned>(document: &Document) -> Result<T, Vec<Fault>> {
    let root = schema::<T>();
    let mut walk = Walk::new(root.get("$defs"));
    walk.check_root(document.root(), &root);
    if !walk.faults.is_empty() {
        return Err(walk.faults);
    }
    // Where a value is refused is found out only when one is.
    T::deserialize(document.root()).or_else(|_| serde_path_to_error::deserialize(document.root())).map_err(
        |error: serde_path_to_error::Error<_>| {
            let place = document.place(&pointer_of(error.path()));
            vec![Fault::new(FaultKind::InvalidValue, place, error.into_inner().to_string())]
        },
    )
}

pub(crate) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

/// What is being looked at: put into words only where something is wrong.
#[derive(Clone, Copy)]
enum What<'a> {
    Document,
    Key(&'a str),
    Item(&'a What<'a>),
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("the document"),
            Self::Key(key) => write!(f, "`{key}`"),
            Self::Item(list) => write!(f, "an item of {list}"),
        }
    }
}

pub(crate) struct Walk<'a> {
    definitions: Option<&'a Value>,
    faults: Vec<Fault>,
    /// The last strings in a row of which each has the form of a type: many lists
    /// may be the same.
    fine: Option<(Arc<[Word]>, Option<&'a str>)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(definitions: Option<&'a Value>) -> Self {
        Self { definitions, faults: Vec::new(), fine: None }
    }

    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// Checks a value that stands for itself.
    pub(crate) fn check_root(&mut self, node: &Node, schema: &'a Value) {
        self.check(node, schema, What::Document);
    }

    fn report(&mut self, kind: FaultKind, place: Place, message: String, help: Option<String>) {
        let fault = Fault::new(kind, place, message);
        self.faults.push(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix("#/$defs/"))
            .and_then(|name| self.definitions?.get(name));
        target.unwrap_or(schema)
    }

    /// The alternatives of a schema, nested choices taken apart.
    pub(crate) fn alternatives(&self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            Some(branches) => branches.iter().flat_map(|branch| self.alternatives(branch)).collect(),
            None => vec![schema],
        }
    }

    fn check(&mut self, node: &Node, schema: &'a Value, what: What<'_>) {
        let alternatives = self.alternatives(schema);
        let fits = |schema: &&Value| {
            let types = types_of(schema);
            types.is_empty() || types.iter().any(|name| is_type(&node.kind, name))
        };
        let fitting: Vec<&'a Value> = alternatives.iter().copied().filter(fits).collect();
        match (fitting.as_slice(), &node.kind) {
            ([], _) => {
                let mut allowed: Vec<&str> = Vec::new();
                for name in alternatives.iter().flat_map(|schema| types_of(schema)) {
                    if name != "null" && !allowed.contains(&name) {
                        allowed.push(name);
                    }
                }
                let message = format!("{what} takes {}, not {}", nouns(&allowed), node.kind.noun());
                self.report(FaultKind::WrongType, node.place, message, quote_hint(&node.kind, &allowed));
            }
            (schemas, NodeKind::Text(text)) => self.check_text(node, text, schemas, what),
            ([schema], kind) => self.check_inside(node, kind, schema, what),
            (several, kind) => {
                // The branch that fits best is the one that was meant.
                let mut best: Option<Vec<Fault>> = None;
                for schema in several {
                    let mut trial = Walk::new(self.definitions);
                    trial.check_inside(node, kind, schema, what);
                    if best.as_ref().is_none_or(|faults| trial.faults.len() < faults.len()) {
                        best = Some(trial.faults);
                    }
                }
                self.faults.extend(best.unwrap_or_default());
            }
        }
    }

    fn check_inside(&mut self, node: &Node, kind: &NodeKind, schema: &'a Value, what: What<'_>) {
        match kind {
            NodeKind::Map(entries) => self.check_map(node, entries, schema, what),
            NodeKind::List(items) => {
                if let Some(item_schema) = schema.get("items") {
                    // A list may have many, and what is asked of a text is found out once.
                    let resolved = self.resolve(item_schema);
                    let of_text = takes_any_text(resolved).then(|| self.name_of(resolved));
                    if let (Some(row), Some(name)) = (items.row(), of_text)
                        && self.is_fine(row, name)
                    {
                        return;
                    }
                    for item in items {
                        match (&item.kind, of_text) {
                            (NodeKind::Text(text), Some(Some(name))) => {
                                self.check_form(item, text, name);
                            }
                            (NodeKind::Text(_), Some(None)) => {}
                            (_, _) => self.check(item, item_schema, What::Item(&what)),
                        }
                    }
                }
            }
            NodeKind::Integer(number) => {
                let most = schema.get("format").and_then(Value::as_str).and_then(most_of);
                if let Some(most) = most.filter(|most| *number > *most) {
                    let message = format!("{what} is {number}; it takes {most} or less");
                    self.report(FaultKind::InvalidValue, node.place, message, None);
                }
                let least = schema.get("minimum").and_then(Value::as_i64);
                if let Some(least) = least.filter(|least| i128::from(*number) < i128::from(*least)) {
                    let message = format!("{what} is {number}; it takes {least} or more");
                    self.report(FaultKind::InvalidValue, node.place, message, None);
                }
            }
            NodeKind::Null | NodeKind::Bool(_) | NodeKind::Float(_) | NodeKind::Text(_) => {}
        }
    }

    fn check_map(
        &mut self,
        node: &Node,
        entries: &[(String, Place, Node)],
        schema: &'a Value,
        what: What<'_>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        for (key, place, value) in entries {
            match (properties.and_then(|p| p.get(key)), additional) {
                (Some(property), _) => self.check(value, property, What::Key(key)),
                (None, Some(Value::Bool(false))) => {
                    let known = properties.into_iter().flat_map(|p| p.keys().map(String::as_str));
                    let help = suggestion(key, known);
                    let message = format!("`{key}` means nothing in {what}");
                    self.report(FaultKind::UnknownKey, *place, message, help);
                }
                (None, Some(other)) => self.check(value, other, What::Key(key)),
                (None, None) => {}
            }
        }
        // One that is there under a misspelled name is told of with that name.
        let meant = |required: &str| {
            let known = || properties.into_iter().flat_map(|p| p.keys().map(String::as_str));
            let strays = entries.iter().filter(|(key, ..)| properties.is_none_or(|p| !p.contains_key(key)));
            strays.into_iter().any(|(key, ..)| nearest(key, known()) == Some(required))
        };
        let closed = additional == Some(&Value::Bool(false));
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            let is_there = entries.iter().any(|(name, ..)| name == key);
            let is_misspelled = || closed && meant(key);
            if !is_there && !is_misspelled() {
                let message = format!("{what} needs `{key}`");
                self.report(FaultKind::MissingKey, node.place, message, None);
            }
        }
    }

    /// The name that a type has in schemas, of its schema there.
    fn name_of(&self, schema: &'a Value) -> Option<&'a str> {
        let definitions = self.definitions?.as_object()?;
        let (name, _) = definitions.iter().find(|(_, known)| std::ptr::eq(*known, schema))?;
        Some(name)
    }

    /// Holds a text against the form that a type has of its own: here, so that
    /// one that is wrong hides no other.
    fn check_form(&mut self, node: &Node, text: &str, name: &str) -> bool {
        let refused = refusal(name, text);
        let fits = refused.is_none();
        if let Some(why) = refused {
            self.report(FaultKind::InvalidValue, node.place, why, None);
        }
        fits
    }

    /// Whether each string of a row has the form of a type, by its name; then there
    /// is nothing to say of any.
    fn is_fine(&mut self, row: &Row, name: Option<&'a str>) -> bool {
        let is_known = |(words, of): &(Arc<[Word]>, _)| Arc::ptr_eq(words, row.words()) && *of == name;
        if self.fine.as_ref().is_some_and(is_known) {
            return true;
        }
        let is_fine =
            name.is_none_or(|name| row.words().iter().all(|word| refusal(name, &word.text).is_none()));
        if is_fine {
            self.fine = Some((Arc::clone(row.words()), name));
        }
        is_fine
    }

    fn check_text(&mut self, node: &Node, text: &str, schemas: &[&'a Value], what: What<'_>) {
        if let [schema] = schemas
            && let Some(name) = self.name_of(schema)
            && !self.check_form(node, text, name)
        {
            return;
        }
        let mut allowed = Vec::new();
        for schema in schemas {
            let listed = schema.get("enum").and_then(Value::as_array);
            let before = allowed.len();
            allowed.extend(listed.into_iter().flatten().chain(schema.get("const")).filter_map(Value::as_str));
            if allowed.len() == before {
                return; // Any string will do.
            }
        }
        if !allowed.contains(&text) {
            let list: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("{what} is `{text}`; it takes {}", list.join(", "));
            let help = suggestion(text, allowed.into_iter());
            self.report(FaultKind::InvalidValue, node.place, message, help);
        }
    }
}

/// The largest number that fits a type, by the name of its format in schemas.
fn most_of(format: &str) -> Option<i64> {
    match format {
        "uint8" => Some(u8::MAX.into()),
        "uint16" => Some(u16::MAX.into()),
        "uint32" => Some(u32::MAX.into()),
        _ => None,
    }
}

/// Why a text is no value of a type with a form of its own, by the name that the
/// type has in schemas.
fn refusal(name: &str, text: &str) -> Option<String> {
    fn of<T: TryFrom<String>>(text: &str) -> Option<String>
    where
        T::Error: fmt::Display,
    {
        T::try_from(text.to_owned()).err().map(|why| why.to_string())
    }
    match name {
        "AddressRange" => of::<AddressRange>(text),
        "HostPattern" => of::<HostPattern>(text),
        "Identifier" => of::<Identifier>(text),
        "Name" => of::<Name>(text),
        "PathPrefix" => of::<PathPrefix>(text),
        "Quantity" => of::<Quantity>(text),
        "Span" => of::<Span>(text),
        _ => None,
    }
}

pub(crate) fn types_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("const").is_some_and(Value::is_string) => vec!["string"],
        _ => Vec::new(),
    }
}

/// Whether every string is one that a schema takes, but for the form that its
/// type has of its own: what else it may say is nothing that [`Walk::check`]
/// looks at.
fn takes_any_text(schema: &Value) -> bool {
    let narrows = |key: &&str| schema.get(key).is_some();
    schema.get("type").and_then(Value::as_str) == Some("string")
        && !["anyOf", "oneOf", "enum", "const"].iter().any(narrows)
}

pub(crate) fn is_type(kind: &NodeKind, name: &str) -> bool {
    match kind {
        NodeKind::Null => name == "null",
        NodeKind::Bool(_) => name == "boolean",
        NodeKind::Integer(_) => name == "integer" || name == "number",
        NodeKind::Float(_) => name == "number",
        NodeKind::Text(_) => name == "string",
        NodeKind::List(_) => name == "array",
        NodeKind::Map(_) => name == "object",
    }
}

fn nouns(names: &[&str]) -> String {
    let noun = |name: &&str| match *name {
        "boolean" => "a boolean",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a mapping",
        "null" => "nothing",
        _ => "a string",
    };
    names.iter().map(noun).collect::<Vec<_>>().join(" or ")
}

fn quote_hint(kind: &NodeKind, allowed: &[&str]) -> Option<String> {
    let scalar = matches!(kind, NodeKind::Bool(_) | NodeKind::Integer(_) | NodeKind::Float(_));
    (scalar && allowed.contains(&"string")).then(|| "put the value in quotes".to_owned())
}

/// The nearest of some known words, if one is near enough to be what was meant.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |name: &'k str| (strsim::damerau_levenshtein(word, name), name);
    // A word of another length is another word: far, without a look at it.
    let alike = |name: &&str| name.len().abs_diff(word.len()) <= 1 + name.len() / 4;
    let near = known.into_iter().filter(alike).map(distance);
    near.filter(|(distance, name)| *distance <= 1 + name.len() / 4).min().map(|(_, name)| name)
}

/// What to write for a word that is not known: the one that was meant, or else
/// all there are.
fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.collect();
    match nearest(word, known.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None => Some(format!("it takes: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::Manifest;

    fn faults(text: &str) -> Vec<String> {
        let document = Document::parse(text).unwrap();
        let faults = decode::<Manifest>(&document).unwrap_err();
        let line = |f: Fault| {
            let help = f.help.map(|h| format!(" ({h})")).unwrap_or_default();
            format!("{} {} {}{help}", f.place, f.kind.code(), f.message)
        };
        faults.into_iter().map(line).collect()
    }

    #[test]
    fn every_fault_of_a_document_is_found_at_once() {
        let text = "apiVersion: cofferdam.dev/v1\nkind: Tsk\nmetadata: {name: x, version: 1}\n\
                    spec:\n  parms: []\n  results: {}\n";
        assert_eq!(
            faults(text),
            [
                "2:7 document/invalid-value `kind` is `Tsk`; it takes `Task` (did you mean `Task`?)",
                "3:30 document/wrong-type `version` takes a string, not a number (put the value in quotes)",
                "5:3 document/unknown-key `parms` means nothing in `spec` (did you mean `params`?)",
                "6:12 document/wrong-type `results` takes a list, not a mapping",
            ]
        );
    }

    #[test]
    fn a_key_that_is_misspelled_is_not_told_to_be_missing_too() {
        let text = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {nam: x, version: '1'}\nspce: {}\nother: 1\n";
        let codes: Vec<String> =
            faults(text).iter().filter_map(|fault| Some(fault.split_once(" `")?.0.to_owned())).collect();
        let unknown = "document/unknown-key";
        assert_eq!(codes, ["3:12", "4:1", "5:1"].map(|place| format!("{place} {unknown}")));
        let text = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {x: y, version: '1'}\n";
        assert_eq!(faults(text).len(), 3, "{:?}", faults(text));
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Lists {
        names: Vec<Vec<Name>>,
        #[serde(default)]
        kinds: Vec<Vec<Kind>>,
        #[serde(default)]
        texts: Vec<Vec<Option<String>>>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Old,
        New,
    }

    #[test]
    fn lists_that_are_written_alike_are_read_and_refused_each_in_its_place() {
        let read = |text: &str| decode::<Lists>(&Document::parse(text).unwrap());
        let lists =
            read("names: [[a, b], [a, b]]\nkinds: [[old, new], [old, new]]\ntexts: [[a], [a]]\n").unwrap();
        let names: Vec<Vec<&str>> =
            lists.names.iter().map(|names| names.iter().map(Name::as_str).collect()).collect();
        assert_eq!(names, [["a", "b"], ["a", "b"]]);
        assert_eq!(lists.kinds, [[Kind::Old, Kind::New], [Kind::Old, Kind::New]]);
        assert_eq!(lists.texts, [[Some("a".to_owned())], [Some("a".to_owned())]]);
        // The same strings are names, and no kinds.
        let faults = read("names: [[a, b], [a, b]]\nkinds:\n  - [a, b]\n").unwrap_err();
        let places = |faults: Vec<Fault>| -> Vec<String> {
            faults.iter().map(|fault| format!("{} {}", fault.place, fault.kind.code())).collect()
        };
        assert_eq!(places(faults), ["3:6 document/invalid-value", "3:9 document/invalid-value"]);
        let faults = read("names:\n  - [a, B]\n  - [a, B]\n  - [a]\n").unwrap_err();
        assert_eq!(places(faults), ["2:9 document/invalid-value", "3:9 document/invalid-value"]);
        let document = Document::parse("a: [b, c]\nd: [[b, c]]\n").unwrap();
        for (pointer, place) in
            [("/a/1", "1:8"), ("/d/0/1", "2:9"), ("/d/0/1/x", "2:9"), ("/d/0/7", "2:5"), ("/a/7", "1:1")]
        {
            assert_eq!(document.place(pointer).to_string(), place, "{pointer}");
        }
    }

    #[test]
    fn only_a_word_that_is_near_is_taken_for_what_was_meant() {
        let known = ["name", "params", "runAfter"];
        for (word, meant) in [
            ("parms", Some("params")),
            ("runafter", Some("runAfter")),
            ("mane", Some("name")),
            ("nmae", Some("name")),
            ("", None),
            ("xyz", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 22), known), None);
    }

    #[test]
    fn a_value_its_type_refuses_is_reported_in_its_place() {
        let text = "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {name: Bad Name, version: '1'}\nspec:\n  \
                    params: [{name: 1a}]\n  results: [{name: a.b, tpe: string}]\n  capabilities:\n    network: [{host: \
                    'a b', path: x, addresses: [y]}]\n  limits: {memory: much, timeout: long}\n";
        let found = faults(text);
        let places: Vec<&str> = found.iter().filter_map(|fault| fault.split(' ').next()).collect();
        assert_eq!(
            places,
            ["3:18", "5:19", "6:20", "6:25", "8:22", "8:35", "8:50", "9:20", "9:35"],
            "{found:#?}"
        );
        assert!(found[0].starts_with("3:18 document/invalid-value `Bad Name`"), "{found:?}");
    }
}
