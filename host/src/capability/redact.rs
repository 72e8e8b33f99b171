//! Masks the values of secrets in everything that leaves the host's hands:
//! what a task receives, what it says, what is logged.
//!
//! Every form of a value is replaced by as many `*`, so that lengths hold. This
//! hides what an innocent server gives back; it does not stop one that means
//! to give a value away in a form of its own.

mod forms;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroize as _;

use crate::model::SecretValue;

const MASK: u8 = b'*';

/// How many bytes of each form are searched for. What is found is compared
/// whole: so the automaton is small however long the values are.
const HEAD: usize = SecretValue::MIN;

/// Masks the values of some secrets. Copies share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Nothing without secrets: the common case costs nothing.
    forms: Option<Arc<Forms>>,
}

/// Everything to be masked.
struct Forms {
    /// Sorted, each once, each at least [`HEAD`] long.
    all: Vec<Vec<u8>>,
    /// The different beginnings, and which forms begin so.
    heads: Vec<(Vec<u8>, Range<usize>)>,
    /// Finds a head. Without one, which no number of secrets brings about,
    /// every place is compared.
    automaton: Option<AhoCorasick>,
}

/// What comes next in a text.
enum Next {
    /// A form, in its longest reading.
    Form(Range<usize>),
    /// From here on a form may have begun: more must be seen to know.
    Perhaps(usize),
    /// Nothing.
    End,
}

impl Redactor {
    /// Knows the values in all forms an innocent server may give them back in,
    /// and for `user:password` the password alone.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = SecretValue>) -> Self {
        let values: Vec<SecretValue> = values.into_iter().collect();
        let all = forms::of_all(&values);
        Self { forms: (!all.is_empty()).then(|| Arc::new(Forms::new(all))) }
    }

    /// Whether there is anything to mask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.forms.is_none()
    }

    /// Masks bytes.
    #[must_use]
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(forms) = &self.forms else { return Cow::Borrowed(bytes) };
        let (found, _) = forms.settle(bytes, true);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = bytes.to_vec();
        mask(&mut masked, &found);
        Cow::Owned(masked)
    }

    /// Masks a text. A character of which a form covers a part goes, too.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => {
                let mut text = String::with_capacity(masked.len());
                for chunk in masked.utf8_chunks() {
                    text.push_str(chunk.valid());
                    text.extend(chunk.invalid().iter().map(|_| char::from(MASK)));
                }
                Cow::Owned(text)
            }
        }
    }

    /// Masks a header's value; nothing when there is nothing to mask.
    #[must_use]
    pub fn header(&self, value: &HeaderValue) -> Option<HeaderValue> {
        match self.bytes(value.as_bytes()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(masked) => {
                // Stars in place of bytes that could stand in a header can.
                let all = || HeaderValue::from_static("***");
                let mut masked = HeaderValue::from_bytes(&masked).unwrap_or_else(|_| all());
                masked.set_sensitive(value.is_sensitive());
                Some(masked)
            }
        }
    }

    /// Whether some form stands in these bytes.
    #[must_use]
    pub fn contains(&self, bytes: &[u8]) -> bool {
        let Some(forms) = &self.forms else { return false };
        matches!(forms.next(bytes, 0, true), Next::Form(_))
    }

    /// Masks a body that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> RedactedStream {
        RedactedStream { redactor: self.clone(), held: Vec::new(), masked: false }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.forms.as_ref().map_or(0, |forms| forms.all.len());
        f.debug_struct("Redactor").field("forms", &count).finish_non_exhaustive()
    }
}

/// Masks a body however it is cut. It holds back only an end that may be the
/// beginning of a form, which is shorter than the longest form.
#[derive(Debug)]
pub struct RedactedStream {
    redactor: Redactor,
    held: Vec<u8>,
    masked: bool,
}

impl RedactedStream {
    /// Takes a piece; gives what can be let through, which may be nothing.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        let Some(forms) = &self.redactor.forms else { return piece };
        if self.held.is_empty() {
            let (found, end) = forms.settle(&piece, false);
            self.masked |= !found.is_empty();
            self.held.extend(piece.get(end..).unwrap_or_default());
            let mut through = piece;
            through.truncate(end);
            if found.is_empty() {
                return through;
            }
            let mut masked = Vec::from(through);
            mask(&mut masked, &found);
            return masked.into();
        }
        self.held.extend_from_slice(&piece);
        let (found, end) = forms.settle(&self.held, false);
        self.masked |= !found.is_empty();
        if end == 0 {
            return Bytes::new();
        }
        let rest = self.held.split_off(end);
        let mut through = std::mem::replace(&mut self.held, rest);
        mask(&mut through, &found);
        through.into()
    }

    /// Whether anything was masked so far.
    #[must_use]
    pub fn masked(&self) -> bool {
        self.masked
    }

    /// Gives what was held back: the body has ended.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        let Some(forms) = &self.redactor.forms else { return Bytes::new() };
        let mut rest = std::mem::take(&mut self.held);
        let (found, _) = forms.settle(&rest, true);
        self.masked |= !found.is_empty();
        mask(&mut rest, &found);
        rest.into()
    }
}

impl Forms {
    fn new(all: Vec<Vec<u8>>) -> Self {
        let mut heads: Vec<(Vec<u8>, Range<usize>)> = Vec::new();
        for (index, form) in all.iter().enumerate() {
            let head = form.get(..HEAD).unwrap_or(form);
            match heads.last_mut() {
                Some((last, forms)) if last == head => forms.end = index + 1,
                Some(_) | None => heads.push((head.to_vec(), index..index + 1)),
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(heads.iter().map(|(head, _)| head))
            .ok();
        Self { all, heads, automaton }
    }

    /// Finds what is to be masked, and up to where that is certain: to the end,
    /// if these bytes are the `last`.
    fn settle(&self, bytes: &[u8], last: bool) -> (Vec<Range<usize>>, usize) {
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            match self.next(bytes, from, last) {
                Next::Form(range) => {
                    from = range.end;
                    found.push(range);
                }
                Next::Perhaps(start) => return (found, start),
                Next::End => return (found, bytes.len()),
            }
        }
    }

    /// The leftmost form, in its longest reading, or the leftmost place where
    /// one may have begun, whichever begins first.
    fn next(&self, bytes: &[u8], mut from: usize, last: bool) -> Next {
        while let Some((start, forms)) = self.head(bytes, from) {
            let rest = bytes.get(start..).unwrap_or_default();
            let forms = self.all.get(forms).unwrap_or_default();
            if !last && forms.iter().any(|form| is_beginning(rest, form)) {
                return Next::Perhaps(start);
            }
            // Of two that both fit, the longer is sorted behind.
            if let Some(form) = forms.iter().rev().find(|form| rest.starts_with(form)) {
                return Next::Form(start..start + form.len());
            }
            from = start + 1;
        }
        if !last {
            // No head fits into what is left: only part of one may.
            let begins = |start: &usize| {
                let rest = bytes.get(*start..).unwrap_or_default();
                self.heads.iter().any(|(head, _)| is_beginning(rest, head))
            };
            let start = from.max(bytes.len().saturating_sub(HEAD - 1));
            if let Some(start) = (start..bytes.len()).find(begins) {
                return Next::Perhaps(start);
            }
        }
        Next::End
    }

    /// The next place where some forms begin, and which.
    fn head(&self, bytes: &[u8], from: usize) -> Option<(usize, Range<usize>)> {
        match &self.automaton {
            Some(automaton) => {
                let found = automaton.find(Input::new(bytes).range(from..))?;
                let (_, forms) = self.heads.get(found.pattern().as_usize())?;
                Some((found.start(), forms.clone()))
            }
            None => (from..bytes.len()).find_map(|start| {
                let rest = bytes.get(start..)?;
                let (_, forms) = self.heads.iter().find(|(head, _)| rest.starts_with(head))?;
                Some((start, forms.clone()))
            }),
        }
    }
}

impl Drop for Forms {
    fn drop(&mut self) {
        self.all.zeroize();
        self.heads.iter_mut().for_each(|(head, _)| head.zeroize());
    }
}

/// Whether bytes are the beginning of a form and not all of it.
fn is_beginning(bytes: &[u8], form: &[u8]) -> bool {
    bytes.len() < form.len() && form.starts_with(bytes)
}

fn mask(bytes: &mut [u8], found: &[Range<usize>]) {
    for range in found {
        if let Some(form) = bytes.get_mut(range.clone()) {
            form.fill(MASK);
        }
    }
}
