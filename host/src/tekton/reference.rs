//! `$(..)` and `{{ .. }}` in the strings of a Tekton file, taken apart and not
//! yet understood. Tekton leaves as it is what it does not know, so whatever
//! stands between the marks is possible.

/// A piece of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    /// What stands in `$(..)`.
    Reference(&'t str),
    /// What stands in `{{..}}`, which Pipelines-as-Code fills in.
    Marker(&'t str),
    /// A `$(` that nothing closes.
    Unclosed,
}

/// The pieces of a string, in order. Each character is looked at once.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    // What is not in a piece yet, and how much of it is plain.
    let (mut rest, mut plain) = (text, 0);
    while let Some((before, from)) = next_mark(rest, plain) {
        let (piece, after) = if let Some(inside) = from.strip_prefix("$(") {
            inside
                .split_once(')')
                .map_or((Piece::Unclosed, ""), |(inside, after)| (Piece::Reference(inside), after))
        } else if let Some(inside) = from.strip_prefix("{{") {
            // Braces that nothing closes are text to Pipelines-as-Code, too.
            let Some((inside, after)) = inside.split_once("}}") else { break };
            (Piece::Marker(inside.trim()), after)
        } else {
            plain = before.len() + 1;
            continue;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(piece);
        (rest, plain) = (after, 0);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Cuts a string before the next character that may begin a reference or a
/// marker, behind what is known to be plain.
fn next_mark(text: &str, plain: usize) -> Option<(&str, &str)> {
    let at = text.get(plain..)?.find(['$', '{'])?;
    text.split_at_checked(plain + at)
}

/// The only piece of a string, where that is a reference.
pub(super) fn sole(text: &str) -> Option<&str> {
    match pieces(text).as_slice() {
        [Piece::Reference(reference)] => Some(reference),
        _ => None,
    }
}

/// The names of a reference, such as `tasks`, `build`, `results`, `IMAGE_URL`,
/// and for each the rest that follows it. An index or `[*]` ends them.
pub(super) fn names(reference: &str) -> Vec<(&str, &str)> {
    let mut names = Vec::new();
    let mut rest = reference;
    loop {
        let quoted = |mark: &str| {
            let (name, after) = rest.strip_prefix('[')?.strip_prefix(mark)?.split_once(mark)?;
            Some((name, after.strip_prefix(']')?))
        };
        let found = quoted("'").or_else(|| quoted("\"")).or_else(|| {
            let word = match names.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            let end = word.find(['.', '[']).unwrap_or(word.len());
            Some(word.split_at(end))
        });
        match found {
            Some((name, after)) if is_word(name) => {
                names.push((name, after));
                rest = after;
            }
            Some(_) | None => return names,
        }
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// The param that a reference reads.
pub(super) fn param(reference: &str) -> Option<&str> {
    match names(reference).as_slice() {
        [("params", _), (name, _), ..] => Some(name),
        _ => None,
    }
}

/// The task that a reference reads, in `tasks` or in `finally`.
pub(super) fn task(reference: &str) -> Option<&str> {
    match names(reference).as_slice() {
        [("tasks" | "finally", _), (name, _), _, ..] => Some(name),
        _ => None,
    }
}

/// The references of a string.
pub(super) fn references(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Reference(reference) => Some(reference),
        Piece::Text(_) | Piece::Marker(_) | Piece::Unclosed => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_falls_into_its_pieces() {
        use Piece::{Marker, Reference, Text, Unclosed};
        for (text, expected) in [
            ("", vec![]),
            ("a$b", vec![Text("a$b")]),
            ("$(params.x)", vec![Reference("params.x")]),
            (
                "a:$(params.x)-{{ revision }}",
                vec![Text("a:"), Reference("params.x"), Text("-"), Marker("revision")],
            ),
            ("$(params.x", vec![Unclosed]),
            ("a {{ b", vec![Text("a {{ b")]),
            ("$$(x)${{{y}}}", vec![Text("$"), Reference("x"), Text("$"), Marker("{y"), Text("}")]),
            ("$()", vec![Reference("")]),
        ] {
            assert_eq!(pieces(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_end_where_something_else_begins() {
        let only = |text| names(text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(only("tasks.a-b.results.R[0]"), ["tasks", "a-b", "results", "R"]);
        assert_eq!(only("params['x'].key"), ["params", "x", "key"]);
        assert_eq!(only("params[\"x\"][*]"), ["params", "x"]);
        assert_eq!(names("tasks.a.results.R[*]").last(), Some(&("R", "[*]")));
        assert_eq!(only(""), [""; 0]);
        assert_eq!(only("date +%s"), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[$(){}a.'\\[\\]]{0,30}") {
            for reference in references(&text) {
                let _ = (names(reference), param(reference), task(reference));
            }
        }
    }
}
