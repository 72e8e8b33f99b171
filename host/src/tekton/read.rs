//! Walks a document and keeps the path it came by, so that whatever is said of
//! a value says where the value stands.

use std::borrow::Cow;

use cofferdam_manifest::{Document, Node, NodeKind, Place};

use super::yaml::Yaml;

/// The longest key of an object that is carried over.
pub(super) const MAX_KEY: usize = 256;

/// A value of a document, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    /// Such as `spec.tasks[2].params`.
    pub(super) path: String,
    /// Of the key, where the value has one: the eye looks for that.
    pub(super) place: Place,
}

impl<'a> At<'a> {
    pub(super) fn root(document: &'a Document) -> Self {
        let node = document.root();
        Self { node, path: String::new(), place: node.place }
    }

    /// The entries of a mapping that hold something.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let entries: &'a [(String, Place, Node)] = match &self.node.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null
            | NodeKind::Bool(_)
            | NodeKind::Integer(_)
            | NodeKind::Float(_)
            | NodeKind::Text(_)
            | NodeKind::List(_) => &[],
        };
        let above = self.path.clone();
        entries.iter().filter(|(.., value)| !is_nothing(value)).map(move |(key, place, node)| {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            (key.as_str(), Self { node, path, place: *place })
        })
    }

    /// What stands under a key, if it is anything.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let items: &'a [Node] = match &self.node.kind {
            NodeKind::List(items) => items,
            NodeKind::Null
            | NodeKind::Bool(_)
            | NodeKind::Integer(_)
            | NodeKind::Float(_)
            | NodeKind::Text(_)
            | NodeKind::Map(_) => &[],
        };
        let above = self.path.clone();
        let item = move |(index, node): (usize, &'a Node)| Self {
            node,
            path: format!("{above}[{index}]"),
            place: node.place,
        };
        items.iter().enumerate().map(item)
    }

    /// The items of the list under a key.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        self.get(key).map(|list| list.items().collect()).unwrap_or_default()
    }

    /// A string, or what Tekton reads as one: a number or a boolean.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        scalar(self.node)
    }

    /// The value under a key where that is an empty list or an empty object,
    /// which as a default says something.
    pub(super) fn empty(&self, key: &str) -> Option<Yaml> {
        let NodeKind::Map(entries) = &self.node.kind else { return None };
        let (.., value) = entries.iter().find(|(name, ..)| name == key)?;
        if value.kind == NodeKind::Null { None } else { plain(value).filter(Yaml::is_empty) }
    }

    /// A string, a list or an object of strings, as it is.
    pub(super) fn plain(&self) -> Option<Yaml> {
        plain(self.node)
    }

    /// The text under a key.
    pub(super) fn text_of(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key)?.text()
    }
}

fn plain(node: &Node) -> Option<Yaml> {
    let text = |node: &Node| scalar(node).map(Yaml::text);
    match &node.kind {
        NodeKind::List(items) => Some(Yaml::list(items.iter().map(text).collect::<Option<Vec<_>>>()?)),
        NodeKind::Map(entries) => {
            let mut map = Yaml::Map(Vec::new());
            for (key, _, value) in entries {
                // Readers of YAML stop looking for the colon at 1,024 characters.
                map.push(Some(key).filter(|key| key.len() <= MAX_KEY)?, text(value)?);
            }
            Some(map)
        }
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_) => text(node),
    }
}

/// A scalar as Tekton, which reads YAML as JSON, would see it in a string's place.
pub(super) fn scalar(node: &Node) -> Option<Cow<'_, str>> {
    match &node.kind {
        NodeKind::Text(text) => Some(Cow::Borrowed(text)),
        NodeKind::Bool(value) => Some(Cow::Owned(value.to_string())),
        NodeKind::Integer(value) => Some(Cow::Owned(value.to_string())),
        NodeKind::Float(value) => Some(Cow::Owned(value.to_string())),
        NodeKind::Null | NodeKind::List(_) | NodeKind::Map(_) => None,
    }
}

/// Calls `see` with every string below a value.
pub(super) fn texts<'a>(node: &'a Node, see: &mut impl FnMut(&'a str, Place)) {
    match &node.kind {
        NodeKind::Text(text) => see(text, node.place),
        NodeKind::List(items) => items.iter().for_each(|item| texts(item, see)),
        NodeKind::Map(entries) => entries.iter().for_each(|(.., value)| texts(value, see)),
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Integer(_) | NodeKind::Float(_) => {}
    }
}

/// Whether a value says nothing: generated files are full of `status: {}`.
fn is_nothing(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Null => true,
        NodeKind::List(items) => items.is_empty(),
        NodeKind::Map(entries) => entries.is_empty(),
        NodeKind::Bool(_) | NodeKind::Integer(_) | NodeKind::Float(_) | NodeKind::Text(_) => false,
    }
}
