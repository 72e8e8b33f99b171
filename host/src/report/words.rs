//! Numbers, colours and foreign text as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;

use console::Style;

/// The few meanings that colour has.
#[derive(Clone, Debug)]
pub struct Palette {
    /// What worked.
    pub good: Style,
    /// What did not.
    pub bad: Style,
    /// What to look at.
    pub caution: Style,
    /// What is there only for completeness.
    pub faint: Style,
    /// What to see first.
    pub strong: Style,
}

impl Palette {
    /// With colour, or with plain text that says the same.
    #[must_use]
    pub fn new(colour: bool) -> Self {
        let style = || Style::new().force_styling(colour);
        Self {
            good: style().green(),
            bad: style().red().bold(),
            caution: style().yellow(),
            faint: style().dim(),
            strong: style().bold(),
        }
    }

    /// The style of a verdict such as `FAILURE: 2 failures, 0 warnings`.
    #[must_use]
    pub fn verdict(&self, verdict: &str) -> &Style {
        match verdict.split(':').next() {
            Some("SUCCESS") => &self.good,
            Some("FAILURE" | "ERROR") => &self.bad,
            _ => &self.caution,
        }
    }

    /// The style of a status such as `Succeeded`.
    #[must_use]
    pub fn status(&self, status: &str) -> &Style {
        match status {
            "Succeeded" => &self.good,
            "Failed" | "Interrupted" => &self.bad,
            "Cancelled" | "Running" => &self.caution,
            _ => &self.faint,
        }
    }
}

/// Text from a task or a file, on one line, with nothing in it that a terminal
/// would obey or that would change the order in which it is read.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            c if is_invisible(c) => {
                let _ = write!(shown, "{}", c.escape_unicode());
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// A JSON document in which the characters that [`visible`] would escape are
/// escaped as JSON does it. The document says the same.
#[must_use]
pub fn escaped_json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        // Line ends stand between the values; in them they are escaped already.
        if c == '\n' || !is_invisible(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Control characters, and the bidirectional and invisible ones of Unicode's
/// general category Cf that matter in running text.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A word as a shell takes it: quoted where it would be read otherwise.
#[must_use]
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", visible(word).replace('\'', r"'\''")))
}

/// A number of bytes, in decimal units.
#[must_use]
pub fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// A span of microseconds, with three digits or so.
#[must_use]
pub fn duration(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = micros as f64;
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", value / 1e3),
        1_000_000..60_000_000 => format!("{:.2} s", value / 1e6),
        _ => format!("{} min {:02} s", micros / 60_000_000, micros / 1_000_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_command_the_terminal() {
        for (text, shown) in [
            ("plain – text ✓", "plain – text ✓"),
            ("a\tb", "a b"),
            ("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}"),
            ("one\r\ntwo", "one\\u{d}\\u{a}two"),
            ("ab\u{202e}dc", "ab\\u{202e}dc"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn escaping_a_document_changes_nothing_of_what_it_says() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{202e}x", "\u{e0041}", "plain – ✓", "\n\t\u{7f}"] });
        let shown = escaped_json(&serde_json::to_string_pretty(&value).unwrap_or_default());
        assert!(!shown.chars().any(|c| c != '\n' && is_invisible(c)), "{shown}");
        assert!(shown.contains("\\udb40\\udc41"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).ok(), Some(value));
    }

    #[test]
    fn a_command_can_be_pasted() {
        for (word, shown) in [
            ("a-b/c.d", "a-b/c.d"),
            ("task[linux,1.80]", "'task[linux,1.80]'"),
            ("it's", r"'it'\''s'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), shown);
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(duration(999), "999 µs");
        assert_eq!(duration(1_240_000), "1.24 s");
        assert_eq!(duration(125_000_000), "2 min 05 s");
        assert_eq!(bytes(1_234_567), "1.23 MB");
    }
}
