//! Homoglyphs (UTS #39): words whose letters come from several scripts and look
//! alike, and identifiers that look like another one of the same file. Text in
//! one script, whichever, is never reported for being in it.

use std::collections::{BTreeMap, BTreeSet};

use unicode_script::{Script, UnicodeScript};
use unicode_security::confusable_detection::skeleton;
use unicode_security::mixed_script::AugmentedScriptSet;

use crate::allow::Allow;
use crate::character::escape;
use crate::finding::{Finding, Findings, Rule};
use crate::lines::{Identifier, identifiers, lines};

/// Shorter words of another script look like some variable too often: the
/// Russian for "and" is one letter that looks like `a`.
const SHORTEST: usize = 3;

/// The characters of an identifier that a message shows.
const SHOWN: usize = 64;

/// Looks through a whole text.
pub(crate) fn find(text: &str, allow: &Allow, findings: &mut Findings) {
    let mut wanted = BTreeSet::new();
    for identifier in foreign(text) {
        if let Some(message) = mixed(identifier.text, allow) {
            findings.push(Rule::MixedScript, || finding(Rule::MixedScript, &identifier, message));
        } else {
            wanted.extend(lookalike(identifier.text, allow));
        }
    }
    if wanted.is_empty() {
        return;
    }
    let present = ascii_identifiers(text, &wanted);
    // Read once more rather than kept: a file may be made of such identifiers.
    for identifier in foreign(text).filter(|found| !present.is_empty() && mixed(found.text, allow).is_none())
    {
        let twin = lookalike(identifier.text, allow).and_then(|ascii| present.get(&ascii));
        if let Some(twin) = twin {
            let rule = Rule::ConfusableIdentifier;
            findings.push(rule, || {
                let (own, twin) = (shown(identifier.text), shown(twin));
                let message = format!("the identifier `{own}` looks like `{twin}`, which this file uses too");
                finding(rule, &identifier, message)
            });
        }
    }
}

/// The identifiers that are not ASCII.
fn foreign(text: &str) -> impl Iterator<Item = Identifier<'_>> {
    let lines = lines(text).filter(|(_, line)| !line.is_ascii());
    lines.flat_map(|(number, line)| identifiers(number, line)).filter(|found| !found.text.is_ascii())
}

fn finding(rule: Rule, identifier: &Identifier<'_>, message: String) -> Finding {
    Finding { rule, region: Some(identifier.region), message }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", escape(text.get(..end).unwrap_or_default())),
        None => escape(text),
    }
}

/// Judges an identifier by its parts between underscores: `delta_Δ` joins two
/// words, and each is in one script.
fn mixed(identifier: &str, allow: &Allow) -> Option<String> {
    identifier.split('_').filter(|word| !word.is_ascii()).find_map(|word| {
        let impostor = impostor(word, allow)?;
        let scripts: BTreeSet<&str> = word
            .chars()
            .map(|c| c.script())
            .filter(|script| is_own(*script))
            .map(Script::full_name)
            .collect();
        let scripts: Vec<&str> = scripts.into_iter().collect();
        Some(format!(
            "`{}` mixes {}: U+{:04X} looks like `{}`",
            shown(identifier),
            scripts.join(" and "),
            u32::from(impostor),
            escape(&skeleton(impostor.encode_utf8(&mut [0; 4])).collect::<String>())
        ))
    })
}

/// The letter of a mixed word that passes for one of another script. A mix
/// without one, such as `Δt`, deceives nobody.
fn impostor(word: &str, allow: &Allow) -> Option<char> {
    if !AugmentedScriptSet::for_str(word).is_empty() {
        return None;
    }
    // Latin words stand inside Chinese, Japanese and Korean ones without a
    // space (UTS #39, "Highly Restrictive").
    let mut rest = AugmentedScriptSet::default();
    for c in word.chars().filter(|c| c.script() != Script::Latin) {
        rest.intersect_with(AugmentedScriptSet::for_char(c));
    }
    if rest.jpan || rest.hanb || rest.kore {
        return None;
    }
    word.chars().find(|c| !c.is_ascii() && !allow.character(*c) && passes_for_another(*c))
}

fn passes_for_another(c: char) -> bool {
    let own = c.script();
    let seen = skeleton(c.encode_utf8(&mut [0; 4])).next().map(|c| c.script());
    is_own(own) && seen.is_some_and(|seen| is_own(seen) && seen != own)
}

fn is_own(script: Script) -> bool {
    !matches!(script, Script::Common | Script::Inherited | Script::Unknown)
}

/// The skeleton of an identifier that could pass for one in ASCII.
fn lookalike(identifier: &str, allow: &Allow) -> Option<String> {
    let all_allowed = identifier.chars().filter(|c| !c.is_ascii()).all(|c| allow.character(c));
    if all_allowed || identifier.chars().count() < SHORTEST {
        return None;
    }
    let ascii: String = skeleton(identifier).collect();
    ascii.is_ascii().then_some(ascii)
}

/// The identifiers in ASCII whose skeletons are wanted, by skeleton.
fn ascii_identifiers<'a>(text: &'a str, wanted: &BTreeSet<String>) -> BTreeMap<String, &'a str> {
    let mut seen = BTreeSet::new();
    let mut present = BTreeMap::new();
    for (number, line) in lines(text) {
        for identifier in identifiers(number, line).into_iter().filter(|found| found.text.is_ascii()) {
            if seen.insert(identifier.text) {
                let ascii: String = skeleton(identifier.text).collect();
                if wanted.contains(&ascii) {
                    present.entry(ascii).or_insert(identifier.text);
                }
            }
        }
    }
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, allow: &Allow) -> Vec<Finding> {
        let mut findings = Findings::default();
        super::find(text, allow, &mut findings);
        findings.listed
    }

    fn rules(text: &str) -> Vec<Rule> {
        find(text, &Allow::default()).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn words_that_mix_look_alike_letters_are_found() {
        for word in
            ["p\u{430}ypal", "user_\u{430}dmin", "\u{3bf}pen", "\u{441}\u{3bf}\u{43d}", "sc\u{43e}\u{440}e"]
        {
            assert_eq!(rules(word), [Rule::MixedScript], "{}", escape(word));
        }
    }

    #[test]
    fn prose_and_honest_names_are_left_alone() {
        for text in [
            "// Это комментарий о том, как работает copy и a",
            "# Ένα σχόλιο στα ελληνικά",
            "Δt = t1 - t0; \u{3bc}s; delta_\u{3b1}",
            "データJSON 使用API格式 한국어test ファイル",
            "naïve café Straße øre ąę Ünïcode",
            "مرحبا בעולם हिन्दी",
            "let 変数名_ok = 1;",
        ] {
            assert_eq!(rules(text), [], "{text}");
        }
    }

    #[test]
    fn an_identifier_that_looks_like_another_of_the_file_is_found() {
        let text = "fn copy() {}\nfn \u{441}\u{43e}\u{440}\u{443}() {}\n";
        let findings = find(text, &Allow::default());
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            ["the identifier `\\u{441}\\u{43e}\\u{440}\\u{443}` looks like `copy`, which this file uses too"]
        );
        assert_eq!(rules("fn \u{441}\u{43e}\u{440}\u{443}() {}"), []);
        assert_eq!(rules("pay p\u{251}y"), [Rule::ConfusableIdentifier]);
        assert_eq!(rules("admin adm\u{34f}in"), [Rule::ConfusableIdentifier]);
    }

    #[test]
    fn an_allowed_letter_is_no_impostor() {
        let allow = Allow::parse(&["U+0430".to_owned()]).unwrap_or_default();
        assert_eq!(find("p\u{430}ypal", &allow), []);
        assert_eq!(find("p\u{43e}ypal", &allow).len(), 1);
    }
}
