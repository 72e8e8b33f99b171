//! Writes the YAML that an import gives: block style, comments on lines of
//! their own, and nothing in it that a terminal would obey or that would end a
//! comment, whatever the file said that it comes from.

use std::fmt::Write as _;

/// A value to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    Whole(i64),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

/// An item of a list with the comments before it; only comments, where there is
/// no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) comments: Vec<String>,
    pub(super) value: Option<Yaml>,
}

/// An entry of a mapping with the comments before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) comments: Vec<String>,
    pub(super) key: String,
    pub(super) value: Yaml,
}

impl From<Yaml> for Item {
    fn from(value: Yaml) -> Self {
        Self { comments: Vec::new(), value: Some(value) }
    }
}

impl Yaml {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A mapping without comments.
    pub(super) fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Self {
        let mut map = Self::Map(Vec::with_capacity(N));
        for (key, value) in entries {
            map.push(key, value);
        }
        map
    }

    pub(super) fn list(values: impl IntoIterator<Item = Yaml>) -> Self {
        Self::List(values.into_iter().map(Item::from).collect())
    }

    /// Adds an entry to a mapping.
    pub(super) fn push(&mut self, key: &str, value: Yaml) {
        self.push_noted(Vec::new(), key, value);
    }

    /// Adds an entry and the comments before it to a mapping.
    pub(super) fn push_noted(&mut self, comments: Vec<String>, key: &str, value: Yaml) {
        if let Self::Map(entries) = self {
            entries.push(Entry { comments, key: key.to_owned(), value });
        }
    }

    /// Whether nothing but comments is in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) | Self::Whole(_) => false,
            Self::List(items) => items.iter().all(|item| item.value.is_none()),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// Calls `see` with every string in it.
    pub(super) fn texts<'a>(&'a self, see: &mut impl FnMut(&'a str)) {
        match self {
            Self::Text(text) => see(text),
            Self::Whole(_) => {}
            Self::List(items) => items.iter().filter_map(|i| i.value.as_ref()).for_each(|v| v.texts(see)),
            Self::Map(entries) => entries.iter().for_each(|entry| entry.value.texts(see)),
        }
    }

    /// The document.
    pub(super) fn document(&self, comments: &[String]) -> String {
        let mut out = String::new();
        note(&mut out, 0, comments);
        if let Self::Map(entries) = self {
            map(&mut out, 0, entries);
        }
        out
    }
}

fn note(out: &mut String, indent: usize, comments: &[String]) {
    for comment in comments {
        let _ = writeln!(out, "{:indent$}# {}", "", one_line(comment));
    }
}

fn map(out: &mut String, indent: usize, entries: &[Entry]) {
    for (index, entry) in entries.iter().enumerate() {
        note(out, indent, &entry.comments);
        // In an item of a list the first key stands behind the dash.
        let lead = if index == 0 && out.ends_with("- ") { 0 } else { indent };
        let _ = write!(out, "{:lead$}{}:", "", scalar(&entry.key));
        below(out, indent + 2, &entry.value);
    }
}

/// A value that stands below its key.
fn below(out: &mut String, indent: usize, value: &Yaml) {
    match value {
        Yaml::Text(text) => match literal(text, indent) {
            Some(block) => out.push_str(&block),
            None => {
                let _ = writeln!(out, " {}", scalar(text));
            }
        },
        Yaml::Whole(number) => {
            let _ = writeln!(out, " {number}");
        }
        Yaml::List(items) => {
            if value.is_empty() {
                out.push_str(" []\n");
            } else {
                out.push('\n');
            }
            list(out, indent, items);
        }
        Yaml::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Yaml::Map(entries) => {
            out.push('\n');
            map(out, indent, entries);
        }
    }
}

fn list(out: &mut String, indent: usize, items: &[Item]) {
    for item in items {
        note(out, indent, &item.comments);
        match &item.value {
            None => {}
            Some(Yaml::Map(entries)) if !entries.is_empty() => {
                let _ = write!(out, "{:indent$}- ", "");
                map(out, indent + 2, entries);
            }
            Some(value) => {
                let _ = write!(out, "{:indent$}-", "");
                below(out, indent + 2, value);
            }
        }
    }
}

/// Several lines as they are, where nothing in them needs escaping.
fn literal(text: &str, indent: usize) -> Option<String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = |line: &str| !line.chars().any(is_hidden) && line.trim_end() == line;
    let sound = body.contains('\n')
        && body.split('\n').all(plain)
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n');
    if !sound {
        return None;
    }
    let mut out = if text.ends_with('\n') { " |\n" } else { " |-\n" }.to_owned();
    for line in body.split('\n') {
        let width = if line.is_empty() { 0 } else { indent };
        let _ = writeln!(out, "{:width$}{line}", "");
    }
    Some(out)
}

/// A string as a scalar that every reader of YAML reads as that string.
fn scalar(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || "_/$".contains(c));
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || " _./$()[]*@+=-".contains(c));
    if first && plain && !text.ends_with(' ') && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Foreign text on one line.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that are not seen, that end a line, or that change the order in
/// which a line is read.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use cofferdam_manifest::Document;
    use proptest::prelude::*;

    fn read(yaml: &Yaml, comments: &[String]) -> serde_json::Value {
        Document::parse(&yaml.document(comments)).unwrap().to_json()
    }

    #[test]
    fn comments_stand_before_what_they_belong_to() {
        let first =
            Item { comments: vec!["gone: a".into()], value: Some(Yaml::map([("name", Yaml::text("b"))])) };
        let last = Item { comments: vec!["gone: c\n- name: d".into()], value: None };
        let mut root = Yaml::map([("kind", Yaml::text("x"))]);
        root.push("tasks", Yaml::List(vec![first, last]));
        root.push("none", Yaml::List(vec![Item { comments: vec!["gone".into()], value: None }]));
        let text = root.document(&["top".into()]);
        assert_eq!(
            text,
            "# top\nkind: x\ntasks:\n  # gone: a\n  - name: b\n  # gone: c\\u{a}- name: d\nnone: []\n  # gone\n"
        );
        let read = read(&root, &[]);
        assert_eq!(read, serde_json::json!({"kind": "x", "tasks": [{"name": "b"}], "none": []}));
    }

    #[test]
    fn several_lines_stay_several_lines() {
        let root = Yaml::map([
            ("a", Yaml::text("one\n\n  two\n")),
            ("b", Yaml::text("x\ny")),
            ("c", Yaml::text(" x\ny")),
        ]);
        let text = root.document(&[]);
        assert!(text.starts_with("a: |\n  one\n\n    two\nb: |-\n  x\n  y\nc: \" x\\ny\"\n"), "{text}");
        assert_eq!(read(&root, &[]), serde_json::json!({"a": "one\n\n  two\n", "b": "x\ny", "c": " x\ny"}));
    }

    proptest! {
        #[test]
        fn every_string_is_read_as_it_was(text: String, key in "\\PC{1,40}", comment: String) {
            let inner = Yaml::list([Yaml::text(text.clone()), Yaml::map([(key.as_str(), Yaml::text(text.clone()))])]);
            let root = Yaml::map([("a", inner), ("b", Yaml::text(text.clone()))]);
            let found = read(&root, std::slice::from_ref(&comment));
            prop_assert_eq!(found, serde_json::json!({"a": [text, {&key: text}], "b": text}));
        }

        #[test]
        fn words_and_lines_are_read_as_they_were(text in "[ -~\n\t]{0,24}") {
            let found = read(&Yaml::map([("b", Yaml::text(text.clone()))]), &[]);
            prop_assert_eq!(found, serde_json::json!({"b": text}));
        }
    }
}
