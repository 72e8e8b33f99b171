//! Foreign text as it may be shown: no character that is invisible or that
//! reorders its neighbours, and no more of it than a table bears.

use std::fmt::Write;

/// The characters of one text that are shown.
const SHOWN: usize = 400;

/// The text with such characters written as `\u{...}`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(SHOWN * 4));
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN {
            out.push_str("...");
            break;
        }
        if is_hidden(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_written_out_and_others_kept() {
        assert_eq!(escape("é\u{202e}\n日"), "é\\u{202e}\\u{a}日");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(escape(&"x".repeat(SHOWN + 1)), format!("{}...", "x".repeat(SHOWN)));
        assert_eq!(escape(&"x".repeat(SHOWN)).len(), SHOWN);
    }
}
