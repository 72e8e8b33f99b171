//! Text cut into lines and identifiers, with places in code points. Lines end
//! at a line feed, with or without a carriage return, as SARIF counts them.

use unicode_ident::{is_xid_continue, is_xid_start};

use crate::finding::Region;

/// A word as programming languages see one (UAX #31), and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identifier<'a> {
    pub(crate) text: &'a str,
    pub(crate) region: Region,
}

/// The lines of a text, each with its number, counted from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// The identifiers of a line.
pub(crate) fn identifiers(number: usize, line: &str) -> Vec<Identifier<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut column = 1;
    let mut close = |open: &mut Option<(usize, usize)>, end: usize, column: usize| {
        if let Some((from, start)) = open.take()
            && let Some(text) = line.get(from..end)
        {
            found.push(Identifier { text, region: Region { line: number, start, end: column } });
        }
    };
    for (at, c) in line.char_indices() {
        let inside = if open.is_some() { is_xid_continue(c) } else { is_xid_start(c) || c == '_' };
        if !inside {
            close(&mut open, at, column);
        } else if open.is_none() {
            open = Some((at, column));
        }
        column += 1;
    }
    close(&mut open, line.len(), column);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_columns_in_code_points() {
        let found: Vec<(&str, usize, usize)> = identifiers(3, "é=_a1; 9x \u{1f600}日本")
            .into_iter()
            .map(|identifier| (identifier.text, identifier.region.start, identifier.region.end))
            .collect();
        assert_eq!(found, [("é", 1, 2), ("_a1", 3, 6), ("x", 9, 10), ("日本", 12, 14)]);
    }

    #[test]
    fn a_line_ends_with_or_without_a_carriage_return() {
        let found: Vec<(usize, &str)> = lines("a\r\nb\n\nc").collect();
        assert_eq!(found, [(1, "a"), (2, "b"), (3, ""), (4, "c")]);
    }
}
