//! What of a document can be read although some of it is wrong, so that a fault
//! in one place hides none in another.
//!
//! What is wrong is left out, and where it stood is remembered: whoever looks at
//! the rest must not take for missing what was only not readable. Nothing that
//! is read this way is ever run.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::document::{Document, Node, NodeKind, Place};
use crate::fault::{Fault, FaultKind};
use crate::shape::{Walk, is_type, nearest, pointer_of, schema, types_of};

/// So many values that only the type itself refuses are told at once.
const MAX_ROUNDS: usize = 32;

/// What could be read of a document.
#[derive(Debug)]
pub struct Salvaged<T> {
    /// The value, without what was wrong.
    pub value: T,
    /// The document it was read from: the same, each value with the place it
    /// has in the text.
    pub document: Document,
    /// What was left out.
    pub lost: Lost,
}

/// Where something was left out of a document, as JSON pointers (RFC 6901) into
/// what is left. One that ends in `/` means an item of a list, or a key that
/// nobody can tell the meaning of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    all: BTreeSet<String>,
    /// The lists that are not known to have all their items and names.
    lists: BTreeSet<String>,
}

impl Lost {
    fn new(all: Vec<String>) -> Self {
        let list = |lost: &String| match lost.strip_suffix("/name").and_then(|item| item.rsplit_once('/')) {
            Some((list, _)) => list.to_owned(),
            None => lost.strip_suffix('/').unwrap_or(lost).to_owned(),
        };
        Self { lists: all.iter().map(list).collect(), all: all.into_iter().collect() }
    }

    /// Whether anything is missing at a place, or below it.
    #[must_use]
    pub fn within(&self, pointer: &str) -> bool {
        self.all.contains(pointer) || self.below(pointer).next().is_some()
    }

    /// Whether exactly this is missing; with `/` at its end, something that
    /// should stand directly below it.
    #[must_use]
    pub fn is(&self, pointer: &str) -> bool {
        self.all.contains(pointer)
    }

    /// Whether a list is not known to have all its items, each with the name
    /// that it was given.
    #[must_use]
    pub fn names_in(&self, list: &str) -> bool {
        self.lists.contains(list)
    }

    /// What is missing below a place, each by the rest of its pointer.
    fn below(&self, pointer: &str) -> impl Iterator<Item = &str> {
        let from = format!("{pointer}/");
        let found = self.all.range(from.clone()..);
        found.map_while(move |lost| lost.strip_prefix(from.as_str()))
    }
}

/// Reads as much as can be read of a `T`, and finds everything that is wrong.
/// What stands at the pointers in `unwanted` was told of already and is not
/// looked at. The types in `named` are read without their `name`, too: others
/// refer to them, and what they hold is worth a look.
pub fn salvage<T: JsonSchema + DeserializeOwned>(
    document: &Document,
    unwanted: &[String],
    named: &[&str],
) -> (Vec<Fault>, Option<Salvaged<T>>) {
    let root = schema::<T>();
    let definitions = root.get("$defs");
    let mend = |document: &Document, bad: &BTreeSet<String>, before: &Lost| {
        let mut mending = Mending { definitions, bad, before, named, lost: Vec::new(), nameless: 0 };
        let node = mending.node(document.root(), &root, "", "")?;
        Some((Document::of(node), Lost::new(mending.lost)))
    };
    let unwanted: BTreeSet<String> = unwanted.iter().cloned().collect();
    let (mut document, mut lost) = (document.clone(), Lost::default());
    if !unwanted.is_empty() {
        // Only to leave that out: what is wrong besides is to be told of.
        let mut cut = Vec::new();
        let Some(node) = without(document.root(), &unwanted, "", "", &mut cut) else {
            return (Vec::new(), None);
        };
        (document, lost) = (Document::of(node), Lost::new(cut));
    }
    let mut walk = Walk::new(definitions);
    walk.check_root(document.root(), &root);
    let mut faults = walk.into_faults();
    let mut bad = BTreeSet::new();
    for _ in 0..MAX_ROUNDS {
        if !faults.is_empty() {
            let Some(mended) = mend(&document, &bad, &lost) else { return (faults, None) };
            (document, lost) = mended;
        }
        let read: Result<T, serde_path_to_error::Error<_>> =
            serde_path_to_error::deserialize(document.root());
        match read {
            Ok(value) => return (faults, Some(Salvaged { value, document, lost })),
            Err(error) => {
                let pointer = pointer_of(error.path());
                let place = document.place(&pointer);
                faults.push(Fault::new(FaultKind::InvalidValue, place, error.into_inner().to_string()));
                bad = BTreeSet::from([pointer]);
            }
        }
    }
    (faults, None)
}

fn is_within(lost: &str, pointer: &str) -> bool {
    lost.strip_prefix(pointer).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

fn step(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A value without what stands at some pointers.
fn without(
    node: &Node,
    bad: &BTreeSet<String>,
    old: &str,
    new: &str,
    lost: &mut Vec<String>,
) -> Option<Node> {
    if bad.contains(old) {
        return None;
    }
    let kind = match &node.kind {
        NodeKind::Map(entries) => {
            let mut kept = Vec::with_capacity(entries.len());
            for (key, place, value) in entries {
                let below = step(new, key);
                match without(value, bad, &step(old, key), &below, lost) {
                    Some(value) => kept.push((key.clone(), *place, value)),
                    None => lost.push(below),
                }
            }
            NodeKind::Map(kept)
        }
        NodeKind::List(items) => {
            let mut kept = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let below = format!("{new}/{}", kept.len());
                match without(item, bad, &format!("{old}/{index}"), &below, lost) {
                    Some(item) => kept.push(item),
                    None => lost.push(format!("{new}/")),
                }
            }
            NodeKind::List(kept.into())
        }
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_) => node.kind.clone(),
    };
    Some(Node { place: node.place, kind })
}

/// Makes of a value that is partly wrong one that is not.
struct Mending<'a> {
    definitions: Option<&'a Value>,
    /// What the type refused, by its pointers in the value.
    bad: &'a BTreeSet<String>,
    /// What was left out before.
    before: &'a Lost,
    named: &'a [&'a str],
    lost: Vec<String>,
    nameless: usize,
}

impl<'a> Mending<'a> {
    fn faults(&self, node: &Node, schema: &'a Value) -> usize {
        let mut walk = Walk::new(self.definitions);
        walk.check_root(node, schema);
        walk.into_faults().len()
    }

    /// What can be kept of a value that stood at `old` and is to stand at `new`.
    fn node(&mut self, node: &Node, schema: &'a Value, old: &str, new: &str) -> Option<Node> {
        if self.bad.contains(old) {
            return None;
        }
        if self.before.is(old) {
            self.lost.push(new.to_owned());
        }
        let refused = self.bad.iter().any(|bad| is_within(bad, old));
        if !refused && self.faults(node, schema) == 0 {
            self.lost.extend(self.before.below(old).map(|below| format!("{new}/{below}")));
            return Some(node.clone());
        }
        // What is missing in it already, and not below something that it has.
        if self.before.is(&format!("{old}/")) {
            self.lost.push(format!("{new}/"));
        }
        let walk = Walk::new(self.definitions);
        let alternatives = walk.alternatives(schema);
        let fitting = |schema: &&&'a Value| types_of(schema).iter().any(|name| is_type(&node.kind, name));
        let best = alternatives.iter().filter(fitting).min_by_key(|schema| self.faults(node, schema));
        let kind = match (&node.kind, best) {
            (NodeKind::Map(entries), Some(schema)) => self.map(entries, schema, node.place, old, new)?,
            (NodeKind::List(items), Some(schema)) => self.list(items, schema, old, new)?,
            (NodeKind::Text(text), _) => {
                let allowed = alternatives.iter().flat_map(|schema| words_of(schema));
                let meant = nearest(text, allowed)?;
                self.lost.push(new.to_owned());
                NodeKind::Text(meant.to_owned())
            }
            (_, _) => return None,
        };
        Some(Node { place: node.place, kind })
    }

    fn map(
        &mut self,
        entries: &[(String, Place, Node)],
        schema: &'a Value,
        place: Place,
        old: &str,
        new: &str,
    ) -> Option<NodeKind> {
        let before = self.lost.len();
        let known = schema.get("properties").and_then(Value::as_object);
        let property = |key: &str| known.and_then(|known| known.get(key));
        let additional = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let mut kept: Vec<(String, Place, Node)> = Vec::with_capacity(entries.len());
        for (key, at, value) in entries {
            let found = property(key).or(additional).map(|schema| (key.as_str(), schema));
            let Some((meant, schema)) = found.or_else(|| self.meant(key, value, entries, known)) else {
                if closed {
                    self.lost.push(format!("{new}/"));
                } else {
                    kept.push((key.clone(), *at, value.clone()));
                }
                continue;
            };
            let below = step(new, meant);
            let length = self.lost.len();
            match self.node(value, schema, &step(old, key), &below) {
                Some(value) => kept.push((meant.to_owned(), *at, value)),
                None => {
                    self.lost.truncate(length);
                    self.lost.push(below);
                }
            }
        }
        // What was left out of it before.
        let own = self.before.below(old).filter(|key| !key.is_empty() && !key.contains('/'));
        self.lost.extend(own.map(|key| format!("{new}/{key}")));
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            if kept.iter().any(|(name, ..)| name == key) {
                continue;
            }
            let is_name = key == "name" && self.is_named(schema);
            let Some(kind) = self.filler(property(key)?, is_name, place, &step(new, key)) else {
                self.lost.truncate(before);
                return None;
            };
            let below = step(new, key);
            if !self.lost.iter().skip(before).any(|lost| *lost == below) {
                self.lost.push(below);
            }
            kept.push((key.to_owned(), place, Node { place, kind }));
        }
        Some(NodeKind::Map(kept))
    }

    /// The key that was meant by one that is misspelled.
    fn meant<'k>(
        &self,
        key: &str,
        value: &Node,
        entries: &[(String, Place, Node)],
        known: Option<&'a serde_json::Map<String, Value>>,
    ) -> Option<(&'k str, &'a Value)>
    where
        'a: 'k,
    {
        let known = known?;
        let near = nearest(key, known.keys().map(String::as_str))?;
        let schema = known.get(near)?;
        let free = !entries.iter().any(|(other, ..)| other == near);
        (free && self.faults(value, schema) == 0).then_some((near, schema))
    }

    fn list(&mut self, items: &[Node], schema: &'a Value, old: &str, new: &str) -> Option<NodeKind> {
        let of = schema.get("items")?;
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let length = self.lost.len();
            match self.node(item, of, &format!("{old}/{index}"), &format!("{new}/{}", kept.len())) {
                Some(item) => kept.push(item),
                None => {
                    self.lost.truncate(length);
                    self.lost.push(format!("{new}/"));
                }
            }
        }
        Some(NodeKind::List(kept.into()))
    }

    fn is_named(&self, schema: &Value) -> bool {
        let named = |name: &&&str| {
            let known = self.definitions.and_then(|definitions| definitions.get(**name));
            known.is_some_and(|known| std::ptr::eq(known, schema))
        };
        self.named.iter().any(|name| named(&name))
    }

    /// Something to stand where what must stand there is missing.
    fn filler(&mut self, schema: &'a Value, is_name: bool, place: Place, at: &str) -> Option<NodeKind> {
        if is_name {
            self.nameless += 1;
            return Some(NodeKind::Text(format!("nameless-{}", self.nameless)));
        }
        let walk = Walk::new(self.definitions);
        let [schema] = walk.alternatives(schema)[..] else { return None };
        if let Some(word) = words_of(schema).next() {
            return Some(NodeKind::Text(word.to_owned()));
        }
        match types_of(schema)[..] {
            ["array"] => Some(NodeKind::List(Vec::new().into())),
            // Below a pointer that nothing has: all of it is filled in.
            ["object"] => self.map(&[], schema, place, "/", at),
            _ => None,
        }
    }
}

/// The only strings that a schema takes, where it takes no others.
fn words_of(schema: &Value) -> impl Iterator<Item = &str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::{Manifest, Metadata};

    const HEAD: &str =
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: x, version: '1' }\nspec:\n";

    fn of(text: &str, unwanted: &[&str], named: &[&str]) -> (Vec<String>, Manifest, Lost, Document) {
        let document = Document::parse(text).unwrap();
        let unwanted: Vec<String> = unwanted.iter().map(|one| (*one).to_owned()).collect();
        let (faults, salvaged) = salvage::<Manifest>(&document, &unwanted, named);
        let Salvaged { value, document, lost } = salvaged.unwrap();
        (faults.iter().map(|fault| fault.place.to_string()).collect(), value, lost, document)
    }

    #[test]
    fn what_is_right_is_kept_with_its_place_and_what_is_not_is_remembered() {
        let text = format!(
            "{HEAD}  params:\n    - {{ name: 1a }}\n    - {{ name: b, type: strng, enum: [1, y] }}\n    - 7\n    - {{ name: c }}\n  \
             reslts: [{{ name: r }}]\n  limits: {{ memory: much, timeout: 1m }}\n  other: 1\n"
        );
        let (faults, manifest, lost, document) = of(&text, &[], &[]);
        assert_eq!(faults, ["6:15", "7:24", "7:38", "8:7", "10:3", "11:21", "12:3"]);
        let names: Vec<&str> = manifest.spec.params.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
        assert_eq!(manifest.spec.results.len(), 1, "a key that is misspelled is taken for what was meant");
        assert_eq!(document.place("/spec/params/1/name").to_string(), "9:15");
        let expected =
            ["/spec/", "/spec/limits/memory", "/spec/params/", "/spec/params/0/enum/", "/spec/params/0/type"];
        assert_eq!(lost.all.iter().collect::<Vec<_>>(), expected);
        assert!(lost.within("/spec/params/0") && !lost.within("/spec/params/1") && !lost.within("/spec/par"));
    }

    #[test]
    fn what_must_be_there_is_filled_in_where_that_says_nothing() {
        let (faults, manifest, lost, _) =
            of("metadata: { version: '1' }\nspec: { params: [{ name: a }] }\n", &[], &["Metadata"]);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(lost.is("/metadata/name") && lost.is("/kind"), "{lost:?}");
        assert_eq!(manifest.spec.params.len(), 1);
        let document = Document::parse("version: 1\n").unwrap();
        let (faults, salvaged) = salvage::<Metadata>(&document, &[], &[]);
        assert!(faults.len() == 2 && salvaged.is_none(), "a version is not made up");
    }

    #[test]
    fn what_was_told_of_already_is_not_told_again() {
        let text = format!("{HEAD}  params: [{{ name: a, foo: 1 }}, {{ name: b, bar: 1, type: 5 }}]\n");
        let unwanted = ["/spec/params/0/foo", "/spec/params/1/bar"];
        let (faults, manifest, lost, _) = of(&text, &unwanted, &[]);
        assert_eq!((faults.len(), manifest.spec.params.len()), (1, 2));
        assert!(lost.is("/spec/params/0/foo") && lost.is("/spec/params/1/bar"), "{lost:?}");
        assert!(lost.within("/spec/params/1/type") && !lost.within("/spec/params/0/type"));
        assert!(!lost.names_in("/spec/params"));
        let text = format!("{HEAD}  params: [{{ nme: a, nam: b }}, {{ name: b, type: 5 }}]\n");
        let (_, _, lost, _) = of(&text, &[], &[]);
        assert!(lost.names_in("/spec/params"));
    }
}
