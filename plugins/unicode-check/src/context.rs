//! Where a suspicious character is what its script or an emoji needs: joiners
//! in Indic and Arabic words and in emoji, selectors after what they select
//! (UTS #51, UAX #31 section 2.3, Unicode chapter 23).

use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};

/// A flag such as that of Scotland: WAVING BLACK FLAG, tags, CANCEL TAG (UTS
/// #51, "emoji tag sequence"). Gives how many characters from the start are one.
pub(crate) fn flag_length(chars: &[char]) -> Option<usize> {
    let (base, rest) = chars.split_first()?;
    if *base != '\u{1f3f4}' {
        return None;
    }
    let is_code = |c: &char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let tags = rest.iter().take_while(|c| is_code(c)).count();
    let ended = rest.get(tags) == Some(&'\u{e007f}');
    ((3..=6).contains(&tags) && ended).then_some(tags + 2)
}

/// Whether the character at `index` of a line is where it belongs.
pub(crate) fn belongs(line: &[char], index: usize) -> bool {
    let before = |steps: usize| index.checked_sub(steps).and_then(|at| line.get(at)).copied();
    let (Some(c), Some(previous)) = (line.get(index).copied(), before(1)) else { return false };
    let next = line.get(index + 1).copied();
    match c {
        '\u{200d}' if joins_emoji(previous, next) => true,
        '\u{200c}' | '\u{200d}' => joins_letters(previous, next),
        '\u{fe0e}' | '\u{fe0f}' if previous.is_emoji_char() => true,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => selects(c, previous),
        '\u{115f}' | '\u{1160}' => is_jamo(previous) || next.is_some_and(is_jamo),
        _ => same_script(c, previous),
    }
}

fn joins_emoji(previous: char, next: Option<char>) -> bool {
    let is_tail = |c: char| matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let is_emoji = |c: char| !c.is_ascii() && c.is_emoji_char();
    (is_emoji(previous) || is_tail(previous)) && next.is_some_and(is_emoji)
}

/// Between letters of a script that shapes them, or after the sign that ends a
/// half form: there a joiner changes what is read.
fn joins_letters(previous: char, next: Option<char>) -> bool {
    let is_mark =
        matches!(previous.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark);
    shapes(previous) && (is_mark || next.is_some_and(shapes))
}

fn shapes(c: char) -> bool {
    // By name where Unicode lists joiners in the script's orthography.
    matches!(
        c.script(),
        Script::Arabic
            | Script::Syriac
            | Script::Mongolian
            | Script::Nko
            | Script::Adlam
            | Script::Hanifi_Rohingya
            | Script::Devanagari
            | Script::Bengali
            | Script::Gurmukhi
            | Script::Gujarati
            | Script::Oriya
            | Script::Tamil
            | Script::Telugu
            | Script::Kannada
            | Script::Malayalam
            | Script::Sinhala
            | Script::Khmer
            | Script::Myanmar
            | Script::Tibetan
            | Script::Balinese
            | Script::Javanese
            | Script::Tirhuta
            | Script::Newa
            | Script::Grantha
    )
}

/// Whether the standard or the ideographic database defines variants here.
fn selects(selector: char, base: char) -> bool {
    let script = base.script();
    match selector {
        '\u{fe00}' => {
            base.general_category() == GeneralCategory::MathSymbol
                || matches!(script, Script::Han | Script::Myanmar | Script::Phags_Pa | Script::Manichaean)
        }
        '\u{fe01}' | '\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => script == Script::Han,
        _ => false,
    }
}

fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115e}' | '\u{1161}'..='\u{11ff}')
}

/// A format character of one script inside that script's text: hieroglyph
/// joiners, shorthand overlaps.
fn same_script(c: char, previous: char) -> bool {
    let script = c.script();
    !matches!(script, Script::Common | Script::Inherited | Script::Unknown) && script == previous.script()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::character;

    /// Whether every suspicious character of the text belongs.
    fn all_belong(text: &str) -> bool {
        let line: Vec<char> = text.chars().collect();
        let suspicious = |(_, c): &(usize, &char)| character::rule(**c).is_some();
        line.iter().enumerate().filter(suspicious).all(|(index, _)| belongs(&line, index))
    }

    #[test]
    fn emoji_and_words_that_need_joiners_are_left_alone() {
        for text in [
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}", // family
            "\u{1f9d1}\u{1f3fd}\u{200d}\u{1f4bb}",         // technologist, skin tone
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",           // heart on fire
            "1\u{fe0f}\u{20e3}",                           // keycap
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}", // Persian, a prefix
            "\u{915}\u{94d}\u{200d}\u{937}",               // Devanagari, half form
            "\u{d9a}\u{dca}\u{200d}\u{dba}",               // Sinhala, conjunct
            "\u{845b}\u{e0100}",                           // Han, a variant
            "\u{2229}\u{fe00}",                            // intersection with serifs
            "\u{1820}\u{180e}\u{1820}",                    // Mongolian
        ] {
            assert!(all_belong(text), "{}", character::escape(text));
        }
    }

    #[test]
    fn the_same_characters_elsewhere_do_not_belong() {
        for text in [
            "a\u{200d}b",
            "a\u{200c}b",
            "\u{200d}\u{1f525}",
            "\u{1f525}\u{200d}a",
            "a\u{fe0f}",
            "\u{1f600}\u{fe0f}\u{fe0f}",
            "a\u{e0101}",
            "\u{1f600}\u{e0101}\u{e0102}",
            "x\u{1160}",
            "\u{627}\u{200c}a",
        ] {
            assert!(!all_belong(text), "{}", character::escape(text));
        }
    }

    #[test]
    fn only_a_whole_flag_is_a_flag() {
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        let scotland = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        assert_eq!(flag_length(&chars(scotland)), Some(7));
        assert_eq!(flag_length(chars(scotland).split_last().unwrap().1), None);
        assert_eq!(flag_length(&chars("\u{1f3f4}\u{e0041}\u{e0041}\u{e0041}\u{e007f}")), None);
        assert_eq!(flag_length(&chars("a")), None);
    }
}
