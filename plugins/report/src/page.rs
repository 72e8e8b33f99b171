//! What the report says, before it is Markdown or HTML: numbers, and as much of
//! each list as a page bears.

use std::collections::BTreeMap;

use crate::bom::{Component, Sbom};
use crate::sarif::{Findings, Level};
use crate::verdict::Verdict;

/// The findings that are listed, over all rules.
const FINDINGS: usize = 1_000;

/// The components that are listed.
const COMPONENTS: usize = 5_000;

/// The components without a digest that are listed once more, at the top.
const UNPINNED: usize = 100;

/// The lock files that are listed.
const LOCK_FILES: usize = 200;

/// Everything one report shows.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) sbom: Sbom,
    pub(crate) findings: Findings,
    pub(crate) verdict: Option<Verdict>,
}

/// The beginning of a list, and how much was left out.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) shown: Vec<T>,
    pub(crate) rest: usize,
}

/// The findings of one rule, as far as they are listed.
#[derive(Clone, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) rule: &'a str,
    pub(crate) title: &'a str,
    pub(crate) help: &'a str,
    pub(crate) total: usize,
    /// Place and message.
    pub(crate) rows: Listed<(&'a str, &'a str)>,
}

/// The numbers of one ecosystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) components: usize,
    pub(crate) unpinned: usize,
}

impl Page {
    /// Puts a page together.
    pub(crate) fn new(title: &str, sbom: Sbom, findings: Findings, verdict: Option<Verdict>) -> Self {
        let title = if title.trim().is_empty() { "Build report" } else { title.trim() };
        Self { title: title.to_owned(), sbom, findings, verdict }
    }

    /// The page in one line, without a word that another task wrote.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} in {}, {} without a digest; {}, {}, {}",
            counted(self.sbom.components.len(), "component"),
            counted(self.sbom.lock_files.len(), "lock file"),
            self.unpinned_count(),
            counted(self.findings.count(Level::Error), "error"),
            counted(self.findings.count(Level::Warning), "warning"),
            counted(self.findings.count(Level::Note), "note"),
        )
    }

    /// Components by ecosystem.
    pub(crate) fn ecosystems(&self) -> BTreeMap<&str, Tally> {
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for component in &self.sbom.components {
            let tally = tallies.entry(component.ecosystem()).or_default();
            tally.components += 1;
            tally.unpinned += usize::from(component.is_unpinned());
        }
        tallies
    }

    /// The lock files.
    pub(crate) fn lock_files(&self) -> Listed<&str> {
        listed(self.sbom.lock_files.iter().map(String::as_str), LOCK_FILES)
    }

    /// The components.
    pub(crate) fn components(&self) -> Listed<&Component> {
        listed(self.sbom.components.iter(), COMPONENTS)
    }

    /// The components that no digest pins.
    pub(crate) fn unpinned(&self) -> Listed<&Component> {
        listed(self.sbom.components.iter().filter(|component| component.is_unpinned()), UNPINNED)
    }

    /// How many components no digest pins.
    pub(crate) fn unpinned_count(&self) -> usize {
        self.sbom.components.iter().filter(|component| component.is_unpinned()).count()
    }

    /// The components whose digests differ between lock files.
    pub(crate) fn conflicting(&self) -> Listed<&Component> {
        listed(self.sbom.components.iter().filter(|component| component.is_conflicting), UNPINNED)
    }

    /// Findings by level, most serious first, then by rule.
    pub(crate) fn levels(&self) -> Vec<(Level, Vec<Section<'_>>)> {
        let mut levels: Vec<(Level, Vec<Section<'_>>)> = Vec::new();
        let mut room = FINDINGS;
        for ((level, rule), group) in &self.findings.groups {
            let rows = group.findings.iter().map(|finding| (&*finding.place, &*finding.message));
            let rows = listed(rows, room);
            room -= rows.shown.len();
            let section =
                Section { rule, title: &group.title, help: &group.help, total: group.findings.len(), rows };
            match levels.last_mut().filter(|(last, _)| last == level) {
                Some((_, sections)) => sections.push(section),
                None => levels.push((*level, vec![section])),
            }
        }
        levels
    }
}

fn listed<T>(items: impl Iterator<Item = T>, most: usize) -> Listed<T> {
    let mut items = items;
    let shown: Vec<T> = items.by_ref().take(most).collect();
    Listed { shown, rest: items.count() }
}

/// `1 file`, `2 files`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A word as a heading starts with it.
pub(crate) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sarif::{Finding, Group};

    fn page(counts: &[(Level, &str, usize)]) -> Page {
        let mut findings = Findings::default();
        for (level, rule, count) in counts {
            let finding = Finding { place: String::new(), message: String::new() };
            let group = Group { findings: vec![finding; *count], ..Group::default() };
            findings.groups.insert((*level, (*rule).to_owned()), group);
        }
        Page::new(" ", Sbom::default(), findings, None)
    }

    #[test]
    fn the_page_lists_so_many_findings_and_counts_the_rest() {
        let page = page(&[(Level::Warning, "b", 30), (Level::Error, "a", 990), (Level::Error, "c", 5)]);
        let levels = page.levels();
        let found: Vec<(&str, usize, usize)> = levels
            .iter()
            .flat_map(|(_, sections)| sections)
            .map(|section| (section.rule, section.rows.shown.len(), section.rows.rest))
            .collect();
        assert_eq!(found, [("a", 990, 0), ("c", 5, 0), ("b", 5, 25)]);
        assert_eq!(levels.len(), 2);
    }

    #[test]
    fn the_summary_is_one_line_of_numbers() {
        let page = page(&[(Level::Error, "a", 1), (Level::Note, "b", 2)]);
        let expected = "0 components in 0 lock files, 0 without a digest; 1 error, 0 warnings, 2 notes";
        assert_eq!(page.summary(), expected);
        assert_eq!(page.title, "Build report");
    }
}
