//! Looks through one file: single characters with their neighbours, then
//! identifiers. A run of characters of one kind is one finding, so that hidden
//! text of a thousand characters does not hide the rest of the report.

use crate::allow::Allow;
use crate::character;
use crate::context;
use crate::finding::{Finding, Findings, Region, Rule};
use crate::identifier;
use crate::lines::lines;

/// The code points of a run that a message lists.
const LISTED: usize = 4;

/// The letters of hidden text that a message spells.
const SPELLED: usize = 80;

/// Looks through the bytes of a file. What is not UTF-8 is noted, and the rest
/// is looked through all the same: one bad byte must not hide the others.
pub(crate) fn text(bytes: &[u8], allow: &Allow) -> Findings {
    let mut findings = Findings::default();
    if bytes.is_ascii() {
        return findings;
    }
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        findings.push(Rule::InvalidUtf8, || invalid(&text, error.valid_up_to()));
    }
    let start = text.strip_prefix('\u{feff}').map_or(0, |_| 1);
    for (number, line) in lines(&text).filter(|(_, line)| !line.is_ascii()) {
        let from = if number == 1 { start } else { 0 };
        let chars: Vec<char> = line.chars().collect();
        for run in characters(&chars, from, allow) {
            findings.push(run.rule, || run.finding(number, &chars));
        }
    }
    identifier::find(&text, allow, &mut findings);
    findings.listed.sort_by_key(|finding| (finding.region, finding.rule));
    findings
}

/// Looks through the name of a file.
pub(crate) fn path(path: &str, allow: &Allow) -> Findings {
    let mut findings = Findings::default();
    if path.is_ascii() {
        return findings;
    }
    let chars: Vec<char> = path.chars().collect();
    for run in characters(&chars, 0, allow) {
        findings.push(run.rule, || {
            let message = format!("in the name of the file: {}", run.finding(1, &chars).message);
            Finding { rule: run.rule, region: None, message }
        });
    }
    findings
}

fn invalid(text: &str, valid: usize) -> Finding {
    let before = text.get(..valid).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let region = Some(Region { line, start, end: start + 1 });
    Finding { rule: Rule::InvalidUtf8, region, message: "from here on, some bytes are not UTF-8".to_owned() }
}

/// A run of suspicious characters of one rule, as indices of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    rule: Rule,
    from: usize,
    to: usize,
}

fn characters(line: &[char], from: usize, allow: &Allow) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut index = from;
    while let Some(c) = line.get(index) {
        if let Some(length) = line.get(index..).and_then(context::flag_length) {
            index += length;
            continue;
        }
        let rule = character::rule(*c).filter(|_| !allow.character(*c) && !context::belongs(line, index));
        if let Some(rule) = rule {
            match runs.last_mut().filter(|run| run.rule == rule && run.to == index) {
                Some(run) => run.to = index + 1,
                None => runs.push(Run { rule, from: index, to: index + 1 }),
            }
        }
        index += 1;
    }
    runs
}

impl Run {
    fn finding(self, line: usize, chars: &[char]) -> Finding {
        let region = Region { line, start: self.from + 1, end: self.to + 1 };
        let found = chars.get(self.from..self.to).unwrap_or_default();
        Finding { rule: self.rule, region: Some(region), message: message(self.rule, found) }
    }
}

fn message(rule: Rule, found: &[char]) -> String {
    let listed: Vec<String> = found.iter().take(LISTED).map(|c| character::describe(*c)).collect();
    let mut message = listed.join(", ");
    if found.len() > LISTED {
        message = format!("{message} and {} more", found.len() - LISTED);
    }
    match rule {
        Rule::BidiControl => format!("{message}: changes the order in which text is shown"),
        Rule::TagCharacter => format!("{message}: hidden text that spells `{}`", spelled(found)),
        Rule::VariationSelector => format!("{message}: selects nothing here"),
        Rule::InvisibleCharacter
        | Rule::FormatCharacter
        | Rule::MixedScript
        | Rule::ConfusableIdentifier
        | Rule::InvalidUtf8 => format!("{message}: cannot be seen"),
    }
}

/// The ASCII that tag characters stand for.
fn spelled(tags: &[char]) -> String {
    let ascii = tags.iter().filter_map(|c| u32::from(*c).checked_sub(0xe0000).and_then(char::from_u32));
    let text: String = ascii.filter(|c| c.is_ascii_graphic() || *c == ' ').take(SPELLED).collect();
    text.replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::KEPT;

    fn found(text: &str) -> Vec<(Rule, usize, usize, usize)> {
        let places = super::text(text.as_bytes(), &Allow::default()).listed.into_iter().map(|finding| {
            let region = finding.region.unwrap_or(Region { line: 0, start: 0, end: 0 });
            (finding.rule, region.line, region.start, region.end)
        });
        places.collect()
    }

    #[test]
    fn a_reordered_line_is_found_where_it_is() {
        let text = "int x;\r\nif (isAdmin) /*\u{202e} } \u{2066}if (isAdmin)\u{2069} \u{2066} begin */ {\r\n";
        let columns: Vec<usize> = found(text).iter().map(|(_, _, start, _)| *start).collect();
        assert_eq!(columns, [16, 20, 33, 35]);
        assert!(found(text).iter().all(|(rule, line, ..)| (*rule, *line) == (Rule::BidiControl, 2)));
    }

    #[test]
    fn a_mark_at_the_start_of_the_file_is_fine_and_elsewhere_not() {
        assert_eq!(found("\u{feff}int x;"), []);
        assert_eq!(found("x\n\u{feff}y"), [(Rule::InvisibleCharacter, 2, 1, 2)]);
        assert_eq!(found("\u{feff}\u{feff}y"), [(Rule::InvisibleCharacter, 1, 2, 3)]);
    }

    #[test]
    fn hidden_text_is_one_finding_and_is_spelled() {
        let hidden: String =
            "ignore `all`".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        let findings = super::text(format!("ok{hidden}").as_bytes(), &Allow::default()).listed;
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            ["U+E0069, U+E0067, U+E006E, U+E006F and 8 more: hidden text that spells `ignore 'all'`"]
        );
    }

    #[test]
    fn a_bad_byte_is_noted_and_hides_nothing() {
        let findings = super::text(b"ok\nab\xff\xe2\x80\xae\n", &Allow::default()).listed;
        let rules: Vec<Rule> = findings.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, [Rule::InvalidUtf8, Rule::BidiControl]);
        assert_eq!(findings.first().and_then(|f| f.region), Some(Region { line: 2, start: 3, end: 4 }));
    }

    #[test]
    fn no_message_holds_the_character_it_is_about() {
        let text = "a\u{202e}\u{200b}\u{e0041}\u{fe00} p\u{430}y\u{206a}";
        for finding in super::text(text.as_bytes(), &Allow::default()).listed {
            assert!(finding.message.is_ascii(), "{}", finding.message);
        }
    }

    #[test]
    fn so_many_are_kept_and_the_rest_is_counted() {
        let findings = super::text("a\u{202e}".repeat(KEPT + 3).as_bytes(), &Allow::default());
        assert_eq!(findings.listed.len(), KEPT);
        assert_eq!(findings.unlisted.get(&Rule::BidiControl), Some(&3));
    }

    #[test]
    fn the_name_of_a_file_is_looked_at_too() {
        let findings = path("a/invoice\u{202e}txt.exe", &Allow::default()).listed;
        assert_eq!(findings.len(), 1);
        assert!(findings.iter().all(|finding| finding.region.is_none()));
    }
}
