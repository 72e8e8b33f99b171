//! Which characters are suspicious by themselves, what they are called, and
//! how any character is written so that it can be seen.

use std::fmt::Write;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::finding::Rule;

/// The rule a character falls under wherever it stands; `context` knows where
/// it may stand all the same.
pub(crate) fn rule(c: char) -> Option<Rule> {
    match c {
        '\u{00}'..='\u{7f}' => None,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {
            Some(Rule::BidiControl)
        }
        // The last four are letters by category, and blank: fillers of Hangul.
        '\u{ad}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{ffa0}' => Some(Rule::InvisibleCharacter),
        '\u{e0000}'..='\u{e007f}' => Some(Rule::TagCharacter),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Some(Rule::VariationSelector),
        _ if is_visible_format(c) => None,
        _ if c.general_category() == GeneralCategory::Format => Some(Rule::FormatCharacter),
        _ => None,
    }
}

/// The characters of category Cf that are drawn: number and abbreviation signs
/// that stand around digits (property Prepended_Concatenation_Mark).
fn is_visible_format(c: char) -> bool {
    matches!(
        c,
        '\u{600}'
            ..='\u{605}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'
                | '\u{891}'
                | '\u{8e2}'
                | '\u{110bd}'
                | '\u{110cd}'
    )
}

/// The name of a character that attacks are known to use.
pub(crate) fn name(c: char) -> Option<&'static str> {
    let name = match c {
        '\u{ad}' => "SOFT HYPHEN",
        '\u{61c}' => "ARABIC LETTER MARK",
        '\u{115f}' => "HANGUL CHOSEONG FILLER",
        '\u{1160}' => "HANGUL JUNGSEONG FILLER",
        '\u{180e}' => "MONGOLIAN VOWEL SEPARATOR",
        '\u{200b}' => "ZERO WIDTH SPACE",
        '\u{200c}' => "ZERO WIDTH NON-JOINER",
        '\u{200d}' => "ZERO WIDTH JOINER",
        '\u{200e}' => "LEFT-TO-RIGHT MARK",
        '\u{200f}' => "RIGHT-TO-LEFT MARK",
        '\u{202a}' => "LEFT-TO-RIGHT EMBEDDING",
        '\u{202b}' => "RIGHT-TO-LEFT EMBEDDING",
        '\u{202c}' => "POP DIRECTIONAL FORMATTING",
        '\u{202d}' => "LEFT-TO-RIGHT OVERRIDE",
        '\u{202e}' => "RIGHT-TO-LEFT OVERRIDE",
        '\u{2060}' => "WORD JOINER",
        '\u{2061}' => "FUNCTION APPLICATION",
        '\u{2062}' => "INVISIBLE TIMES",
        '\u{2063}' => "INVISIBLE SEPARATOR",
        '\u{2064}' => "INVISIBLE PLUS",
        '\u{2066}' => "LEFT-TO-RIGHT ISOLATE",
        '\u{2067}' => "RIGHT-TO-LEFT ISOLATE",
        '\u{2068}' => "FIRST STRONG ISOLATE",
        '\u{2069}' => "POP DIRECTIONAL ISOLATE",
        '\u{3164}' => "HANGUL FILLER",
        '\u{feff}' => "ZERO WIDTH NO-BREAK SPACE",
        '\u{ffa0}' => "HALFWIDTH HANGUL FILLER",
        _ => return None,
    };
    Some(name)
}

/// `U+202E RIGHT-TO-LEFT OVERRIDE`, or the code point alone.
pub(crate) fn describe(c: char) -> String {
    match name(c) {
        Some(name) => format!("U+{:04X} {name}", u32::from(c)),
        None => format!("U+{:04X}", u32::from(c)),
    }
}

/// The text with everything but printable ASCII written as `\u{...}`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() || c == ' ' {
            out.push(c);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_rule() {
        for (c, expected) in [
            ('a', None),
            ('\u{9}', None),
            ('é', None),
            ('\u{202e}', Some(Rule::BidiControl)),
            ('\u{2069}', Some(Rule::BidiControl)),
            ('\u{61c}', Some(Rule::BidiControl)),
            ('\u{200b}', Some(Rule::InvisibleCharacter)),
            ('\u{3164}', Some(Rule::InvisibleCharacter)),
            ('\u{e0041}', Some(Rule::TagCharacter)),
            ('\u{e0100}', Some(Rule::VariationSelector)),
            ('\u{206a}', Some(Rule::FormatCharacter)),
            ('\u{fff9}', Some(Rule::FormatCharacter)),
            ('\u{600}', None),
        ] {
            assert_eq!(rule(c), expected, "{}", describe(c));
        }
    }

    #[test]
    fn an_escaped_text_is_printable_ascii() {
        assert_eq!(escape("a\u{202e} é\n"), "a\\u{202e} \\u{e9}\\u{a}");
    }
}
