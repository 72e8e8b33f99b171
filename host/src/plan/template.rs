//! Strings with `$(..)` in them.
//!
//! A reference is replaced by a value once, and the result is not read again:
//! a value that itself contains `$(..)` stays as it is.

use cofferdam_manifest::Value;

/// A string in which some parts stand for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// `$(..)`.
    Reference(Reference),
}

/// What stands between `$(` and `)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `params.NAME` and a selector.
    Param(String, Selector),
    /// `tasks.NAME.results.NAME` and a selector.
    Result(String, String, Selector),
    /// `tasks.NAME.outputs.NAME`.
    Output(String, String),
    /// `source`.
    Source,
}

/// Which part of a value is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The value, a string.
    Whole,
    /// `[*]`: the whole list or object.
    Star,
    /// `[N]`: one item of a list.
    Index(usize),
    /// `.KEY`: one key of an object.
    Key(String),
}

/// A reference that cannot be read: its text and why.
pub type BadReference = (String, String);

impl Template {
    /// A string without references.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { pieces: vec![Piece::Text(text.into())] }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// The first reference that cannot be read.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let unclosed = || (after.to_owned(), "the closing parenthesis is missing".to_owned());
            let (inside, tail) = after.split_once(')').ok_or_else(unclosed)?;
            let reference = Reference::parse(inside).map_err(|why| (inside.to_owned(), why))?;
            pieces.push(Piece::Reference(reference));
            rest = tail;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// Its only piece, where that is a reference.
    #[must_use]
    pub fn sole_reference(&self) -> Option<&Reference> {
        match self.pieces.as_slice() {
            [Piece::Reference(reference)] => Some(reference),
            _ => None,
        }
    }

    /// Its references.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Reference(reference) => Some(reference),
            Piece::Text(_) => None,
        })
    }

    /// Replaces every reference by the string that `value` gives for it.
    ///
    /// # Errors
    /// What `value` reports.
    pub fn fill<E>(&self, mut value: impl FnMut(&Reference) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(reference) => out.push_str(&value(reference)?),
            }
        }
        Ok(out)
    }
}

impl Reference {
    fn parse(text: &str) -> Result<Self, String> {
        let steps = steps(text)?;
        let names: Vec<&str> = steps.iter().map_while(Step::name).collect();
        let after = |count: usize| selector(steps.get(count..).unwrap_or_default());
        match names.as_slice() {
            ["source"] if steps.len() == 1 => Ok(Self::Source),
            ["params", name, ..] => Ok(Self::Param((*name).to_owned(), after(2)?)),
            ["tasks", task, "results", name, ..] => {
                Ok(Self::Result((*task).to_owned(), (*name).to_owned(), after(4)?))
            }
            ["tasks", task, "outputs", name] if steps.len() == 4 => {
                Ok(Self::Output((*task).to_owned(), (*name).to_owned()))
            }
            ["context", ..] => Err("context variables are not run by this version".to_owned()),
            _ => {
                Err("write params.NAME, tasks.NAME.results.NAME, tasks.NAME.outputs.NAME or source"
                    .to_owned())
            }
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Param(name, selector) => write!(f, "params.{name}{selector}"),
            Self::Result(task, name, selector) => write!(f, "tasks.{task}.results.{name}{selector}"),
            Self::Output(task, name) => write!(f, "tasks.{task}.outputs.{name}"),
            Self::Source => f.write_str("source"),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Star => f.write_str("[*]"),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) => write!(f, ".{key}"),
        }
    }
}

enum Step<'a> {
    Name(&'a str),
    Star,
    Index(usize),
}

impl<'a> Step<'a> {
    fn name(&self) -> Option<&'a str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Star | Self::Index(_) => None,
        }
    }
}

fn steps(text: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, tail) = after.split_once(']').ok_or("the closing bracket is missing")?;
            steps.push(bracket(inside)?);
            rest = tail;
        } else {
            let after =
                if steps.is_empty() { rest } else { rest.strip_prefix('.').ok_or("a dot is missing")? };
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            let sound =
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if !sound {
                return Err(format!("`{name}` is not a name"));
            }
            steps.push(Step::Name(name));
            rest = tail;
        }
    }
    Ok(steps)
}

fn bracket(inside: &str) -> Result<Step<'_>, String> {
    if inside == "*" {
        return Ok(Step::Star);
    }
    let quoted = |mark| inside.strip_prefix(mark).and_then(|i: &str| i.strip_suffix(mark));
    if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
        return Ok(Step::Name(name));
    }
    let index = inside.parse().map(Step::Index);
    index.map_err(|_| format!("`[{inside}]` is neither a number, nor `*`, nor a quoted name"))
}

fn selector(steps: &[Step<'_>]) -> Result<Selector, String> {
    match steps {
        [] => Ok(Selector::Whole),
        [Step::Star] => Ok(Selector::Star),
        [Step::Index(index)] => Ok(Selector::Index(*index)),
        [Step::Name(key)] => Ok(Selector::Key((*key).to_owned())),
        _ => Err("there is too much after the name".to_owned()),
    }
}

/// The string that a selector picks out of a value.
///
/// # Errors
/// Why it picks none.
pub fn pick(value: &Value, selector: &Selector) -> Result<String, String> {
    match (value, selector) {
        (Value::Text(text), Selector::Whole) => Ok(text.clone()),
        (Value::Texts(texts), Selector::Index(index)) => {
            texts.get(*index).cloned().ok_or_else(|| format!("it has {} items, counted from 0", texts.len()))
        }
        (Value::Fields(fields), Selector::Key(key)) => {
            let known = || fields.keys().cloned().collect::<Vec<_>>().join(", ");
            fields.get(key).cloned().ok_or_else(|| format!("it has the keys {}", known()))
        }
        (Value::Texts(_), Selector::Whole) => Err("it is a list: add [*] or [0]".to_owned()),
        (Value::Fields(_), Selector::Whole) => Err("it is an object: add .KEY".to_owned()),
        (_, Selector::Star) => {
            Err("`[*]` must stand alone, as the whole value or as an item of a list".to_owned())
        }
        (Value::Text(_), Selector::Index(_) | Selector::Key(_)) => Err("it is a string".to_owned()),
        (Value::Texts(_), Selector::Key(_)) => Err("it is a list".to_owned()),
        (Value::Fields(_), Selector::Index(_)) => Err("it is an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_a_reference_is_read() {
        for (text, expected) in [
            ("params.x", Reference::Param("x".into(), Selector::Whole)),
            ("params['x']", Reference::Param("x".into(), Selector::Whole)),
            ("params[\"x\"][*]", Reference::Param("x".into(), Selector::Star)),
            ("params.x[2]", Reference::Param("x".into(), Selector::Index(2))),
            ("params.x.key", Reference::Param("x".into(), Selector::Key("key".into()))),
            ("tasks.a-b.results.R", Reference::Result("a-b".into(), "R".into(), Selector::Whole)),
            ("tasks.a.outputs.o", Reference::Output("a".into(), "o".into())),
            ("source", Reference::Source),
        ] {
            assert_eq!(Reference::parse(text).unwrap(), expected, "{text}");
            assert_eq!(Reference::parse(&expected.to_string()).unwrap(), expected, "{expected}");
        }
        for bad in
            ["", "params", "params.", "tasks.a.b.c", "source.x", "params.x[a]", "params.x[0][1]", "a b"]
        {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_reference_gives_is_not_read_again() {
        let template = Template::parse("a $(params.x) b $(params.y)$").unwrap();
        let filled = template.fill(|_| Ok::<_, ()>("$(params.x)".to_owned())).unwrap();
        assert_eq!(filled, "a $(params.x) b $(params.x)$");
        assert!(Template::parse("$(params.x").is_err());
    }

    proptest! {
        #[test]
        fn text_without_references_stays_as_it_is(text in "[^$]*") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(template.fill(|_| Err(())).unwrap(), text);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            let _ = Template::parse(&format!("$({text})"));
        }
    }
}
