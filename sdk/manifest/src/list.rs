//! The items of a list, of which a document may have very many that are alike.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::document::{Node, NodeKind, Place};

/// The items of a list, in order.
///
/// Strings in brackets on one line are held once for all lists that are written
/// alike, and become nodes, each with its place, where a node is asked for.
#[derive(Clone)]
pub struct List(Items);

#[derive(Clone)]
enum Items {
    Nodes(Vec<Node>),
    Row(Box<Row>),
}

/// A list of strings in brackets on one line.
#[derive(Clone)]
pub(crate) struct Row {
    words: Arc<[Word]>,
    /// Where the list begins.
    place: Place,
    nodes: OnceLock<Box<[Node]>>,
}

/// A string of a row.
pub(crate) struct Word {
    pub(crate) text: String,
    /// How many characters behind the begin of the list it begins.
    pub(crate) behind: usize,
}

impl Row {
    pub(crate) fn new(words: Arc<[Word]>, place: Place) -> Self {
        Self { words, place, nodes: OnceLock::new() }
    }

    pub(crate) fn words(&self) -> &Arc<[Word]> {
        &self.words
    }

    /// Where one of its strings begins.
    pub(crate) fn place(&self, index: usize) -> Option<Place> {
        let Place { line, column } = self.place;
        self.words.get(index).map(|word| Place { line, column: column + word.behind })
    }

    fn nodes(&self) -> &[Node] {
        let Place { line, column } = self.place;
        let node = |word: &Word| Node {
            place: Place { line, column: column + word.behind },
            kind: NodeKind::Text(word.text.clone()),
        };
        self.nodes.get_or_init(|| self.words.iter().map(node).collect())
    }
}

impl List {
    /// The list as strings on one line, if it is written so.
    pub(crate) fn row(&self) -> Option<&Row> {
        match &self.0 {
            Items::Nodes(_) => None,
            Items::Row(row) => Some(row),
        }
    }
}

impl From<Vec<Node>> for List {
    fn from(nodes: Vec<Node>) -> Self {
        Self(Items::Nodes(nodes))
    }
}

impl From<Row> for List {
    fn from(row: Row) -> Self {
        Self(Items::Row(Box::new(row)))
    }
}

impl Deref for List {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        match &self.0 {
            Items::Nodes(nodes) => nodes,
            Items::Row(row) => row.nodes(),
        }
    }
}

impl<'a> IntoIterator for &'a List {
    type Item = &'a Node;
    type IntoIter = std::slice::Iter<'a, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
