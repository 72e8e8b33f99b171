//! YAML as a tree that remembers where each value stands in the text.
//!
//! Anchors, aliases, merge keys, tags and several documents in one file are
//! refused: they let a small file expand without bound, and let the text a
//! person reviews differ from the value the program reads.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as TextSpan, StrInput};

use crate::fault::{Fault, FaultKind};
use crate::list::List;
use crate::usual;

/// Larger than any pipeline a person writes, and small enough to refuse a flood.
const MAX_BYTES: usize = 4 << 20;
pub(crate) const MAX_DEPTH: usize = 64;
/// So many keys of a mapping are compared one by one.
const FEW: usize = 16;

/// A position in a text file; line and column are counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Counted from one.
    pub line: usize,
    /// Counted from one, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins; for an empty value, where it would.
    pub place: Place,
    /// The value.
    pub kind: NodeKind,
}

/// A YAML 1.2 core-schema value.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// Absent, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Quoted, or plain and none of the above.
    Text(String),
    /// A sequence.
    List(List),
    /// A mapping in the order it was written: key, the key's place, value.
    Map(Vec<(String, Place, Node)>),
}

impl NodeKind {
    /// The word a message uses for this kind of value.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// One YAML document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    root: Node,
}

impl Document {
    /// Reads exactly one document.
    ///
    /// # Errors
    /// One [`Fault`] at the first place that cannot be read.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::parse_as(text, "pipeline")
    }

    /// Reads exactly one document, of which a schema says what belongs in it, by
    /// the name that `cofferdam schema` takes.
    ///
    /// # Errors
    /// One [`Fault`] at the first place that cannot be read.
    pub fn parse_as(text: &str, schema: &str) -> Result<Self, Fault> {
        check_size(text)?;
        if let Some(root) = usual::read(text) {
            return Ok(Self { root });
        }
        let mut reader = Reader::new(text)?;
        reader.begin()?.ok_or_else(|| reader.nothing(schema))?;
        let document = reader.document()?;
        if let Some(place) = reader.begin()? {
            let fault = Fault::new(FaultKind::Syntax, place, "a second document begins here");
            return Err(fault.help("write one document to a file"));
        }
        Ok(document)
    }

    /// Reads every document of a file in which several may stand, as in files
    /// that are written for other programs. Places count from the file's begin.
    ///
    /// # Errors
    /// One [`Fault`] at the first place that cannot be read.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, Fault> {
        let mut reader = Reader::new(text)?;
        let mut documents = Vec::new();
        while reader.begin()?.is_some() {
            documents.push(reader.document()?);
        }
        if documents.is_empty() { Err(reader.nothing("pipeline")) } else { Ok(documents) }
    }

    /// A document of this value.
    pub(crate) fn of(root: Node) -> Self {
        Self { root }
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Where the value at a JSON pointer (RFC 6901) begins. A pointer to
    /// something absent gives the place of its nearest enclosing value.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Place {
        let mut node = &self.root;
        let mut place = node.place;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                NodeKind::List(items) => {
                    let index = step.parse::<usize>().ok();
                    if let Some(row) = items.row() {
                        // Nothing stands below a string.
                        return index.and_then(|index| row.place(index)).unwrap_or(place);
                    }
                    index.and_then(|index| items.get(index))
                }
                NodeKind::Map(entries) => {
                    let found = entries.iter().find(|(key, ..)| *key == step);
                    if let Some((_, key_place, value)) = found {
                        place = *key_place;
                        // A nested value has no place of its own worth showing:
                        // the eye looks for the key.
                        node = value;
                        if !matches!(value.kind, NodeKind::Map(_) | NodeKind::List(_)) {
                            place = value.place;
                        }
                        continue;
                    }
                    None
                }
                NodeKind::Null
                | NodeKind::Bool(_)
                | NodeKind::Integer(_)
                | NodeKind::Float(_)
                | NodeKind::Text(_) => None,
            };
            match next {
                Some(value) => {
                    node = value;
                    place = value.place;
                }
                None => return place,
            }
        }
        place
    }

    /// The document without its places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }
}

impl Node {
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Integer(value) => Value::from(*value),
            NodeKind::Float(value) => Value::from(*value),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            NodeKind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, _, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }
}

/// The keys of a mapping so far.
#[derive(Default)]
pub(crate) struct Keys {
    /// Of a mapping of many.
    seen: HashSet<String>,
}

impl Keys {
    /// Whether a key is none of those before.
    pub(crate) fn is_new(&mut self, entries: &[(String, Place, Node)], key: &str) -> bool {
        // Most mappings are small, and their keys are looked through faster.
        if entries.len() == FEW {
            self.seen.extend(entries.iter().map(|(key, ..)| key.clone()));
        }
        match entries.len() {
            ..FEW => entries.iter().all(|(other, ..)| *other != key),
            _ => self.seen.insert(key.to_owned()),
        }
    }
}

/// Refuses a flood before any of it is read.
fn check_size(text: &str) -> Result<(), Fault> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len());
        return Err(Fault::new(FaultKind::Syntax, Place { line: 1, column: 1 }, message));
    }
    Ok(())
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    ended: Place,
}

fn place_of(span: TextSpan) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, Fault> {
        check_size(text)?;
        if text.contains('\0') {
            let place = Place { line: 1, column: 1 };
            let fault =
                Fault::new(FaultKind::Syntax, place, "the file is no text: it has bytes that are zero");
            return Err(fault.help("give a file in YAML"));
        }
        Ok(Self { events: Parser::new_from_str(text), ended: Place::default() })
    }

    /// Why a file without a document is refused.
    fn nothing(&self, schema: &str) -> Fault {
        Fault::new(FaultKind::Syntax, self.ended, "the file holds no YAML document")
            .help(format!("see what belongs in it: cofferdam schema {schema}"))
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), Fault> {
        match self.events.next_event() {
            Some(Ok((event, span))) => {
                let place = place_of(span);
                self.ended = place;
                Ok((event, place))
            }
            Some(Err(error)) => {
                let mark = error.marker();
                let place = Place { line: mark.line().max(1), column: mark.col() + 1 };
                let fault = Fault::new(FaultKind::Syntax, place, format!("not valid YAML: {}", error.info()));
                let info = error.info();
                Err(if info.contains("unprintable") {
                    fault.help(
                        "take the character out; in a text in quotes, write it as an escape such as \\u0007",
                    )
                } else if info.contains("tab") {
                    fault.help("indent with spaces")
                } else if info.contains("anchor or alias") {
                    fault.help("put a value with `*` in it, such as $(params.list[*]), in quotes")
                } else {
                    fault
                })
            }
            None => Err(Fault::new(FaultKind::Syntax, self.ended, "the file ends too early")),
        }
    }

    /// Where the next document begins, if there is one.
    fn begin(&mut self) -> Result<Option<Place>, Fault> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), place) => return Ok(Some(place)),
                (_, _) => {}
            }
        }
    }

    /// A document that has begun.
    fn document(&mut self) -> Result<Document, Fault> {
        let (event, place) = self.next()?;
        Ok(Document { root: self.value(event, place, 0)? })
    }

    fn value(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(
                FaultKind::Syntax,
                place,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(_) => (1, false),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                return Err(Fault::new(FaultKind::Syntax, place, "a value was expected here"));
            }
        };
        if anchor != 0 {
            let fault = Fault::new(FaultKind::Syntax, place, "anchors and aliases are not read");
            return Err(fault.help("write the value out where it is used"));
        }
        if tag {
            let fault = Fault::new(FaultKind::Syntax, place, "YAML tags are not read");
            return Err(fault.help("remove the tag; quote the value to make it a string"));
        }
        let kind = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
            Event::Scalar(text, ..) => NodeKind::Text(fitting(text)),
            Event::SequenceStart(..) => self.list(depth)?,
            // Only a mapping is left: the rest was refused above.
            Event::MappingStart(..)
            | Event::Alias(_)
            | Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => self.map(depth)?,
        };
        Ok(Node { place, kind })
    }

    fn list(&mut self, depth: usize) -> Result<NodeKind, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => {
                    items.shrink_to_fit();
                    return Ok(NodeKind::List(items.into()));
                }
                (event, place) => items.push(self.value(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<NodeKind, Fault> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        let mut keys = Keys::default();
        loop {
            let (key, place) = match self.next()? {
                (Event::MappingEnd, _) => {
                    // Room for more would be most of a document of many small values.
                    entries.shrink_to_fit();
                    return Ok(NodeKind::Map(entries));
                }
                (Event::Scalar(text, _, 0, None), place) => (fitting(text), place),
                (_, place) => {
                    return Err(Fault::new(FaultKind::Syntax, place, "a key must be a plain string"));
                }
            };
            if !keys.is_new(&entries, &key) {
                let message = format!("the key `{key}` is written twice");
                return Err(Fault::new(FaultKind::DuplicateKey, place, message));
            }
            let (event, value_place) = self.next()?;
            let value = self.value(event, value_place, depth + 1)?;
            entries.push((key, place, value));
        }
    }
}

/// A text without the room that the parser read it in, which may be most of it.
fn fitting(text: Cow<'_, str>) -> String {
    let mut text = text.into_owned();
    text.shrink_to_fit();
    text
}

/// Resolves a plain scalar by the core schema of YAML 1.2, section 10.3.2.
pub(crate) fn plain(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "true" | "True" | "TRUE" => return NodeKind::Bool(true),
        "false" | "False" | "FALSE" => return NodeKind::Bool(false),
        _ => {}
    }
    if let Ok(value) = text.parse::<i64>() {
        return NodeKind::Integer(value);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    let number = if numeric { text.parse::<f64>().ok() } else { None };
    match number {
        Some(value) if value.is_finite() => NodeKind::Float(value),
        Some(_) | None => NodeKind::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn fault(text: &str) -> (FaultKind, String) {
        let fault = Document::parse(text).unwrap_err();
        (fault.kind, fault.place.to_string())
    }

    #[test]
    fn every_value_knows_its_place() {
        let doc = Document::parse("a:\n  - b: 1\n    c: two\n").unwrap();
        assert_eq!(doc.place("/a/0/c").to_string(), "3:8");
        assert_eq!(doc.place("/a/0").to_string(), "2:5");
        assert_eq!(doc.place("/a/7/z").to_string(), "1:1");
        assert_eq!(doc.to_json(), serde_json::json!({"a": [{"b": 1, "c": "two"}]}));
    }

    #[test]
    fn several_documents_are_read_where_that_is_asked_for() {
        let docs = Document::parse_all("---\na: 1\n---\n- b\n...\n---\n").unwrap();
        let values: Vec<_> = docs.iter().map(Document::to_json).collect();
        assert_eq!(values, [serde_json::json!({"a": 1}), serde_json::json!(["b"]), serde_json::json!(null)]);
        assert_eq!(docs.get(1).unwrap().place("/0").to_string(), "4:3");
        for (text, place) in [
            ("", "1:1"),
            ("# nothing\n", "2:1"),
            ("a: 1\n---\nb: [\n", "4:1"),
            ("a: 1\n---\na: &x 1\n", "3:4"),
        ] {
            assert_eq!(Document::parse_all(text).unwrap_err().place.to_string(), place, "{text:?}");
        }
    }

    #[test]
    fn what_could_mislead_a_reader_is_refused() {
        for (text, kind, place) in [
            ("a: 1\na: 2\n", FaultKind::DuplicateKey, "2:1"),
            ("a: &x 1\nb: *x\n", FaultKind::Syntax, "1:4"),
            ("a: !!str 1\n", FaultKind::Syntax, "1:4"),
            ("a: 1\n---\nb: 2\n", FaultKind::Syntax, "2:1"),
            ("a: [1\n", FaultKind::Syntax, "2:1"),
            ("", FaultKind::Syntax, "1:1"),
            ("? [a]\n: 1\n", FaultKind::Syntax, "1:3"),
        ] {
            assert_eq!(fault(text), (kind, place.to_owned()), "{text:?}");
        }
        let deep = "[".repeat(70) + &"]".repeat(70);
        assert_eq!(fault(&deep).0, FaultKind::Syntax);
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("true", NodeKind::Bool(true)),
            ("yes", NodeKind::Text("yes".into())),
            ("12", NodeKind::Integer(12)),
            ("1.5", NodeKind::Float(1.5)),
            ("1.2.3", NodeKind::Text("1.2.3".into())),
            ("1e400", NodeKind::Text("1e400".into())),
            ("inf", NodeKind::Text("inf".into())),
            ("~", NodeKind::Null),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
