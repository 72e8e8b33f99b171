//! Strings with `$(..)` in them.
//!
//! A reference is replaced by a value once, and the result is not read again:
//! a value that itself contains `$(..)` stays as it is.

use super::reference::Reference;

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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use proptest::prelude::*;

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
