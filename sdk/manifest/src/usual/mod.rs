//! The part of YAML that documents are usually written in, read in one pass.
//!
//! Mappings, lists and strings each on lines of their own or in brackets,
//! strings with and without quotes, and `|`. Whatever is beside that, or is
//! wrong, is not read here: the whole document is then read by the reader that
//! knows all of YAML and says what is wrong. What is read here has the values
//! and the places that reader would give.

mod flow;

use crate::document::{Keys, MAX_DEPTH, Node, NodeKind, Place, plain};

/// A longer key, with the spaces behind it, is none to other readers.
const MAX_KEY: usize = 512;

/// The value of a document of the usual part of YAML; none says nothing about a
/// text but that it has to be read by another reader.
pub(crate) fn read(text: &str) -> Option<Node> {
    // Tabs, carriage returns and byte order marks have rules of their own.
    let is_odd = |byte: u8| (byte < b' ') & (byte != b'\n');
    if text.bytes().fold(false, |odd, byte| odd | is_odd(byte)) || text.contains('\u{feff}') {
        return None;
    }
    let mut reader =
        Reader { text, bytes: text.as_bytes(), at: 0, line: 1, begin: 0, items: Vec::new(), row: None };
    if text.starts_with("---\n") {
        reader.at = 3;
        reader.skip_line_end();
    }
    if reader.next_line()?? != 0 {
        return None;
    }
    let (root, after) = reader.block(0, 0)?;
    after.is_none().then_some(root)
}

/// How far the next line that says something is indented; none at the end.
type Indent = Option<usize>;

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// Where the line would begin if each of its characters had one byte.
    begin: usize,
    /// The items of the lists that are open: each list then takes its own.
    items: Vec<Node>,
    /// The last list of strings in brackets on one line: the next is often the
    /// same.
    row: Option<flow::WrittenRow>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Counted from zero, in characters.
    fn column(&self) -> usize {
        self.at - self.begin
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.column() + 1 }
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn is_line_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n'))
    }

    fn skip_line_end(&mut self) {
        if self.peek().is_some() {
            self.at += 1;
            self.line += 1;
            self.begin = self.at;
        }
    }

    /// Skips what may stand behind a value, on its line and on those that follow
    /// and say nothing. None where something else stands there.
    fn next_line(&mut self) -> Option<Indent> {
        let mut at_begin = self.at == self.begin;
        loop {
            let before = self.at;
            self.skip_spaces();
            match self.peek() {
                None => return Some(None),
                Some(b'\n') => {
                    self.skip_line_end();
                    at_begin = true;
                }
                Some(b'#') if at_begin || self.at > before => {
                    self.at += self.rest().iter().take_while(|byte| **byte != b'\n').count();
                }
                Some(_) if !at_begin => return None,
                Some(_) => {
                    let indent = self.column();
                    // What might begin or end a document, or say how to read it.
                    let marks: [&[u8]; 3] = [b"%", b"---", b"..."];
                    let is_odd = indent == 0 && marks.iter().any(|mark| self.rest().starts_with(mark));
                    return if is_odd { None } else { Some(Some(indent)) };
                }
            }
        }
    }

    /// A mapping or a list that begins here, in this column, each item on lines of
    /// its own; and how far what comes then is indented.
    fn block(&mut self, column: usize, depth: usize) -> Option<(Node, Indent)> {
        if depth >= MAX_DEPTH {
            return None;
        }
        if self.at_item() {
            let place = self.place();
            return self.block_list(column, depth, place);
        }
        let place = self.place();
        let (text, _) = self.scalar(false)?;
        self.block_map((text.into_owned(), place), column, depth)
    }

    /// Whether an item of a list begins here.
    fn at_item(&self) -> bool {
        self.rest().starts_with(b"- ")
    }

    fn block_list(&mut self, column: usize, depth: usize, place: Place) -> Option<(Node, Indent)> {
        let first = self.items.len();
        loop {
            self.at += 1;
            self.skip_spaces();
            let (item, after) = self.item(column, depth + 1)?;
            self.items.push(item);
            match after {
                Some(indent) if indent > column => return None,
                Some(indent) if indent == column && self.at_item() => {}
                after => return Some((self.list(first, place), after)),
            }
        }
    }

    /// The items from one on, as a list.
    fn list(&mut self, first: usize, place: Place) -> Node {
        Node { place, kind: NodeKind::List(self.items.split_off(first).into()) }
    }

    /// What stands behind the `-` of an item.
    fn item(&mut self, column: usize, depth: usize) -> Option<(Node, Indent)> {
        if self.at_item() {
            return self.block(self.column(), depth);
        }
        if matches!(self.peek()?, b'[' | b'{' | b'|') {
            return self.value(column, depth);
        }
        let (inner, place) = (self.column(), self.place());
        let (text, is_plain) = self.scalar(false)?;
        if self.peek() == Some(b':') {
            return if depth < MAX_DEPTH {
                self.block_map((text.into_owned(), place), inner, depth)
            } else {
                None
            };
        }
        let kind = if is_plain { plain(&text) } else { NodeKind::Text(text.into_owned()) };
        Some((Node { place, kind }, self.next_line()?))
    }

    /// A mapping of which the first key was read, but not the `:` behind it.
    fn block_map(
        &mut self,
        (mut key, mut key_place): (String, Place),
        column: usize,
        depth: usize,
    ) -> Option<(Node, Indent)> {
        let place = key_place;
        let mut entries = Vec::new();
        let mut keys = Keys::default();
        loop {
            let length = self.column() + 1 - key_place.column;
            if self.peek() != Some(b':') || length > MAX_KEY || !keys.is_new(&entries, &key) {
                return None;
            }
            self.at += 1;
            let (value, after) = self.value_of_key(column, depth + 1)?;
            entries.push((key, key_place, value));
            match after {
                Some(indent) if indent > column => return None,
                Some(indent) if indent == column => {
                    key_place = self.place();
                    key = self.scalar(false)?.0.into_owned();
                }
                after => {
                    entries.shrink_to_fit();
                    return Some((Node { place, kind: NodeKind::Map(entries) }, after));
                }
            }
        }
    }

    /// What stands behind the `:` of a key, or below it.
    fn value_of_key(&mut self, column: usize, depth: usize) -> Option<(Node, Indent)> {
        let begin = self.at;
        self.skip_spaces();
        if !self.is_line_end() && self.peek() != Some(b'#') {
            // Without a space, it is part of the key.
            return if self.at > begin { self.value(column, depth) } else { None };
        }
        // Where a comment follows, the spaces before it make it one.
        self.at = begin;
        match self.next_line()?? {
            indent if indent > column => self.block(indent, depth),
            indent if indent == column && self.at_item() && depth < MAX_DEPTH => {
                let mut place = self.place();
                place.column += 1 + self.rest().iter().skip(1).take_while(|byte| **byte == b' ').count();
                self.block_list(column, depth, place)
            }
            _ => None,
        }
    }

    /// A value that begins on the line of its key or its `-`, which stands in
    /// this column, or is further in.
    fn value(&mut self, column: usize, depth: usize) -> Option<(Node, Indent)> {
        let place = self.place();
        match self.peek()? {
            b'[' | b'{' => {
                let node = self.flow(column, depth)?;
                Some((node, self.next_line()?))
            }
            b'|' => self.literal(column),
            _ => {
                let (text, is_plain) = self.scalar(false)?;
                let kind = if is_plain { plain(&text) } else { NodeKind::Text(text.into_owned()) };
                Some((Node { place, kind }, self.next_line()?))
            }
        }
    }

    /// The lines behind a `|`, further in than this column.
    fn literal(&mut self, column: usize) -> Option<(Node, Indent)> {
        self.at += 1;
        let strip = self.peek() == Some(b'-');
        self.at += usize::from(strip);
        if self.peek()? != b'\n' || !self.bytes.ends_with(b"\n") {
            return None;
        }
        self.skip_line_end();
        let mut text = String::new();
        while self.peek() == Some(b'\n') {
            text.push('\n');
            self.skip_line_end();
        }
        self.skip_spaces();
        let (indent, place) = (self.column(), self.place());
        if indent <= column || self.is_line_end() {
            return None;
        }
        let mut breaks = 0;
        loop {
            while self.peek() == Some(b' ') && self.column() < indent {
                self.at += 1;
            }
            if self.peek() == Some(b'\n') {
                breaks += 1;
            } else if self.peek().is_some() && self.column() == indent {
                text.extend(std::iter::repeat_n('\n', breaks));
                let length = self.rest().iter().take_while(|byte| **byte != b'\n').count();
                text.push_str(self.text.get(self.at..self.at + length)?);
                self.at += length;
                breaks = 1;
            } else {
                break;
            }
            self.skip_line_end();
        }
        if !strip {
            text.push('\n');
        }
        text.shrink_to_fit();
        // The spaces of a line that ends it were skipped.
        self.at = self.begin;
        Some((Node { place, kind: NodeKind::Text(text) }, self.next_line()?))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use proptest::prelude::*;

    use super::*;
    use crate::Document;

    /// What the reader of all of YAML makes of a text of one document.
    fn whole(text: &str) -> Option<Node> {
        let documents = Document::parse_all(text).ok()?;
        let [document] = documents.as_slice() else { return None };
        Some(document.root().clone())
    }

    #[test]
    fn what_is_usual_is_read_here_and_as_by_the_whole_reader() {
        for text in [
            "a: 1\n",
            "---\n# of two\na: b\nc: true # said\n\n# end",
            "a:\n  b: ~\n  c:\n    - d\n    - e: 1.5\n      f: \"x: # y\"\n    -   g:\n          h: 0\n  i: 'it''s'\n",
            "a:\n- b\n-   c: d\n    e:\n    - f\ng: http://x/y#z?a=b\n",
            "- - a\n  - b\n- - c\n",
            "a: { b: c, d: [e, f g , -1, --h], i: { j: k }, }\nl: []\nm: {}\n",
            "a: [\n  b, # first\n\n  'c',\n    { d: e }\n  ]\nf: g\n",
            "a: |\n\n  #!/bin/sh\n   b: c\n\n  d  \n   \n\ne: |-\n      f\n\n# g\nh: i\n",
            "- |\n a\n\n b\n- c: |-\n    d\n  e: f\n",
            "a: \"\\n\\t\\\"\\\\ b\"\n\"c d\": -$(params.x)\ne f : g-h\ni: j:k\n",
            "a: [b, 'c', \"d\"]\ne: { f: [b, 'c', \"d\"], g: [b, 'c', \"d\"] }\nh: [b, 'c']\ni: [[b, 'c'], [b, 'c'], 1]\n",
            "a: [ä, ü]\nb: { c: [ä, ü], d: [ä, ü], e: f }\ng: [[ä, ü], [ä, ü], { h: [ä, ü] }, i]\nj: [true, k]\n",
            "a: # b\n  c: d\ne:  # f\n- g\nh: # i\n\n  # j\n  - k\n",
            "a: { 'ä': 'ü', b: éß , c: \"–\\n\" } # €\nü: ä\n",
        ] {
            let expected = whole(text).unwrap();
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_usual_is_left_to_the_whole_reader() {
        for text in [
            "",
            "a",
            "a:\n",
            "a: b: c\n",
            "a: &b c\n",
            "a: *b\n",
            "a: !c d\n",
            "? a\n",
            "a: >\n  b\n",
            "a:\tb\n",
            "a: b\r\n",
            "a: b\n c\n",
            "a: b\na: c\n",
            "a: b\n---\nc: d\n",
            "a: b\n...\n",
            "%YAML 1.2\n---\na: b\n",
            "a: [b\n]\n",
            "a: [b: c]\n",
            "a: {b}\n",
            "a: {\"b\":c}\n",
            "a: [b,, c]\n",
            "a: [b -]\n",
            "a: 'b' c\n",
            "a: \"\\x41\"\n",
            "a: - b\n",
            "a:# b\n  c: d\n",
            "a: [b]#c\n",
            "a: |2\n  b\n",
            "a: b\n  - c\n",
            "\u{feff}a: b\n",
            " a: b\n",
            "a: |\n  b",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = format!("a: {}{}\n", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert_eq!(read(&deep), None);
        let long = format!("a{}: b\n", " ".repeat(1024));
        assert_eq!(read(&long), None);
    }

    proptest! {
        #[test]
        fn what_is_read_here_is_what_the_whole_reader_reads(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "b c", "ä", "1", "~", "- ", "-", ": ", ":", "\n", "\n  ", "\n    ", "\n- ", " ", "  ", "[", "]", "{", "}", ", ", ",",
            " #", "#", "'", "[a, ä]", "[a, ä]", "\"", "''", "\\", "\\n", " |\n", "|-\n  ", "---", "...", "&", "*", "!", "?", "%", ".", "$(x)",
        ]), 0..24)) {
            let text = parts.concat();
            if let Some(root) = read(&text) {
                prop_assert_eq!(Some(root), whole(&text), "{}", text);
            }
        }
    }
}
