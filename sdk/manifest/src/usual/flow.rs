//! Lists and mappings in brackets, and strings.

use std::borrow::Cow;
use std::sync::Arc;

use super::Reader;
use crate::document::{Keys, MAX_DEPTH, Node, NodeKind, Place, plain};
use crate::list::{Row, Word};

/// Whether a byte is the end of a string without quotes, or may be, by what is
/// beside it.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'\n' | b' ' | b':') || is_bracket(byte)
}

const fn is_bracket(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

/// A list of strings in brackets on one line.
pub(super) struct WrittenRow {
    /// Where what is behind its `[` begins.
    begin: usize,
    /// Where it ends, with its `]`.
    end: usize,
    /// How many more bytes than characters it has.
    wide: usize,
    words: Arc<[Word]>,
}

fn word(item: Node, list: Place) -> Option<Word> {
    match item.kind {
        NodeKind::Text(text) => Some(Word { text, behind: item.place.column - list.column }),
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::List(_)
        | NodeKind::Map(_) => None,
    }
}

impl<'a> Reader<'a> {
    /// A list or a mapping in brackets; all of it is further in than this column.
    pub(super) fn flow(&mut self, column: usize, depth: usize) -> Option<Node> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let place = self.place();
        let is_list = self.peek()? == b'[';
        self.at += 1;
        if is_list { self.flow_list(column, depth, place) } else { self.flow_map(column, depth, place) }
    }

    fn flow_list(&mut self, column: usize, depth: usize, place: Place) -> Option<Node> {
        let begin = self.at;
        if let Some(row) = &self.row
            && self.bytes.get(row.begin..row.end).is_some_and(|text| self.rest().starts_with(text))
        {
            self.at += row.end - row.begin;
            self.begin += row.wide;
            return Some(Node {
                place,
                kind: NodeKind::List(Row::new(Arc::clone(&row.words), place).into()),
            });
        }
        let (first, line, line_begin) = (self.items.len(), self.line, self.begin);
        loop {
            self.skip_in_flow(column)?;
            if self.peek()? == b']' {
                break;
            }
            let item = self.flow_value(column, depth + 1)?;
            self.items.push(item);
            self.skip_in_flow(column)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        let items = self.items.get(first..).unwrap_or_default();
        let is_row = self.line == line
            && !items.is_empty()
            && items.iter().all(|item| matches!(item.kind, NodeKind::Text(_)));
        if !is_row {
            return Some(self.list(first, place));
        }
        let words: Arc<[Word]> = self.items.drain(first..).filter_map(|item| word(item, place)).collect();
        let wide = self.begin - line_begin;
        self.row = Some(WrittenRow { begin, end: self.at, wide, words: Arc::clone(&words) });
        Some(Node { place, kind: NodeKind::List(Row::new(words, place).into()) })
    }

    fn flow_map(&mut self, column: usize, depth: usize, place: Place) -> Option<Node> {
        let mut entries = Vec::new();
        let mut keys = Keys::default();
        loop {
            self.skip_in_flow(column)?;
            if self.peek()? == b'}' {
                break;
            }
            let key_place = self.place();
            let key = self.scalar(true)?.0.into_owned();
            if !self.rest().starts_with(b": ") || !keys.is_new(&entries, &key) {
                return None;
            }
            self.at += 2;
            self.skip_in_flow(column)?;
            let value = self.flow_value(column, depth + 1)?;
            entries.push((key, key_place, value));
            self.skip_in_flow(column)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        entries.shrink_to_fit();
        Some(Node { place, kind: NodeKind::Map(entries) })
    }

    fn flow_value(&mut self, column: usize, depth: usize) -> Option<Node> {
        if matches!(self.peek()?, b'[' | b'{') {
            return self.flow(column, depth);
        }
        let place = self.place();
        let (text, is_plain) = self.scalar(true)?;
        let kind = if is_plain { plain(&text) } else { NodeKind::Text(text.into_owned()) };
        Some(Node { place, kind })
    }

    /// Skips what may stand between the values in brackets. None where a line is
    /// not further in than the column.
    fn skip_in_flow(&mut self, column: usize) -> Option<()> {
        loop {
            self.skip_spaces();
            match self.peek()? {
                b'\n' => {
                    self.next_line()??;
                    if self.column() <= column {
                        return None;
                    }
                }
                b'#' => {
                    let before = self.at.checked_sub(1).and_then(|at| self.bytes.get(at));
                    if before != Some(&b' ') {
                        return None;
                    }
                    self.at += self.rest().iter().take_while(|byte| **byte != b'\n').count();
                }
                _ => return Some(()),
            }
        }
    }

    /// A string on one line, and whether it has no quotes.
    pub(super) fn scalar(&mut self, in_flow: bool) -> Option<(Cow<'a, str>, bool)> {
        let begin = self.at;
        let (text, is_plain) = match self.peek()? {
            b'\'' => (self.single_quoted()?, false),
            b'"' => (self.double_quoted()?, false),
            _ => (Cow::Borrowed(self.plain(in_flow)?), true),
        };
        let read = self.bytes.get(begin..self.at)?;
        if !read.is_ascii() {
            // The bytes that begin no character are no columns.
            self.begin += read.iter().filter(|byte| (**byte & 0xc0) == 0x80).count();
        }
        Some((text, is_plain))
    }

    fn single_quoted(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let begin = self.at;
        let mut has_quotes = false;
        loop {
            match self.peek()? {
                b'\n' => return None,
                b'\'' if self.bytes.get(self.at + 1) == Some(&b'\'') => {
                    has_quotes = true;
                    self.at += 2;
                }
                b'\'' => break,
                _ => self.at += 1,
            }
        }
        let text = self.text.get(begin..self.at)?;
        self.at += 1;
        Some(if has_quotes { Cow::Owned(text.replace("''", "'")) } else { Cow::Borrowed(text) })
    }

    fn double_quoted(&mut self) -> Option<Cow<'a, str>> {
        self.at += 1;
        let mut begin = self.at;
        let mut text = String::new();
        loop {
            match self.peek()? {
                b'\n' => return None,
                b'"' => break,
                b'\\' => {
                    let escaped = match self.bytes.get(self.at + 1)? {
                        b'n' => '\n',
                        b't' => '\t',
                        b'"' => '"',
                        b'\\' => '\\',
                        _ => return None,
                    };
                    text.push_str(self.text.get(begin..self.at)?);
                    text.push(escaped);
                    self.at += 2;
                    begin = self.at;
                }
                _ => self.at += 1,
            }
        }
        let last = self.text.get(begin..self.at)?;
        self.at += 1;
        if text.is_empty() {
            return Some(Cow::Borrowed(last));
        }
        text.push_str(last);
        text.shrink_to_fit();
        Some(Cow::Owned(text))
    }

    fn plain(&mut self, in_flow: bool) -> Option<&'a str> {
        let begin = self.at;
        match self.peek()? {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'/'
            | b'.'
            | b'$'
            | b'('
            | b'+'
            | b'~'
            | b'<'
            | 0x80.. => {}
            b'-' if self.bytes.get(begin + 1).is_some_and(|next| next.is_ascii_graphic()) => {}
            _ => return None,
        }
        let mut end = begin;
        loop {
            self.at += self.rest().iter().take_while(|byte| !is_special(**byte)).count();
            let before = self.at;
            match self.peek() {
                None | Some(b'\n') => break,
                Some(b' ') => {
                    end = before;
                    self.skip_spaces();
                    if matches!(self.peek(), None | Some(b'\n' | b'#')) {
                        self.at = end;
                        return self.text.get(begin..end);
                    }
                    continue;
                }
                Some(b':') => match self.bytes.get(before + 1) {
                    None | Some(b' ' | b'\n') => break,
                    Some(next) if in_flow && is_bracket(*next) => return None,
                    Some(_) => self.at += 1,
                },
                Some(byte) if in_flow && is_bracket(byte) => break,
                Some(_) => self.at += 1,
            }
        }
        // Spaces before the end are none of it.
        if self.bytes.get(self.at.checked_sub(1)?) != Some(&b' ') {
            end = self.at;
        }
        // A `-` at the end of one is another thing to other readers.
        if in_flow && self.bytes.get(end.checked_sub(1)?) == Some(&b'-') {
            return None;
        }
        self.text.get(begin..end)
    }
}
