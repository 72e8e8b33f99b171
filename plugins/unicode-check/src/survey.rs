//! What looking through a tree gave: findings up to a bound, and counts of
//! everything.

use std::collections::BTreeMap;

use crate::finding::{Finding, Findings, KEPT, Level, Rule};

/// A finding and the file it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) path: String,
    pub(crate) finding: Finding,
}

/// What looking through a tree gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    findings: Vec<Located>,
    counts: BTreeMap<Rule, usize>,
    files: usize,
    clean: usize,
    binary: usize,
    too_large: Vec<String>,
}

impl Survey {
    /// Takes what a text file gave.
    pub(crate) fn scanned(&mut self, path: &str, findings: Findings) {
        self.files += 1;
        let listed = findings.listed.iter().map(|finding| finding.rule);
        if listed.chain(findings.unlisted.keys().copied()).all(|rule| rule.level() == Level::Note) {
            self.clean += 1;
        }
        self.keep(path, findings);
    }

    /// Takes what the name of a binary file gave.
    pub(crate) fn binary(&mut self, path: &str, findings: Findings) {
        self.binary += 1;
        self.keep(path, findings);
    }

    /// Takes what the name of a file that is too large gave.
    pub(crate) fn too_large(&mut self, path: &str, findings: Findings) {
        self.too_large.push(path.to_owned());
        self.keep(path, findings);
    }

    fn keep(&mut self, path: &str, findings: Findings) {
        for (rule, count) in findings.unlisted {
            *self.counts.entry(rule).or_default() += count;
        }
        for finding in findings.listed {
            *self.counts.entry(finding.rule).or_default() += 1;
            if self.findings.len() < KEPT {
                self.findings.push(Located { path: path.to_owned(), finding });
            }
        }
    }

    /// The findings that were kept, by path and place.
    pub(crate) fn findings(&self) -> &[Located] {
        &self.findings
    }

    /// The findings that were counted and not kept.
    pub(crate) fn unlisted(&self) -> usize {
        self.counts.values().sum::<usize>() - self.findings.len()
    }

    /// The files that were not looked through for their size.
    pub(crate) fn too_large_files(&self) -> &[String] {
        &self.too_large
    }

    /// The files that were looked through.
    pub(crate) fn files(&self) -> usize {
        self.files
    }

    /// The files that were looked through and gave nothing to act on.
    pub(crate) fn clean(&self) -> usize {
        self.clean
    }

    /// How many findings have a level.
    pub(crate) fn count(&self, level: Level) -> usize {
        self.counts.iter().filter(|(rule, _)| rule.level() == level).map(|(_, count)| count).sum()
    }

    /// One line for people.
    pub(crate) fn summary(&self) -> String {
        let mut summary = format!("looked through {}", files(self.files));
        let found: Vec<String> =
            self.counts.iter().map(|(rule, count)| format!("{count} {}", rule.id())).collect();
        let found = if found.is_empty() { "found nothing".to_owned() } else { found.join(", ") };
        summary = format!("{summary}: {found}");
        if self.binary > 0 {
            summary = format!("{summary}; skipped {} with binary content", files(self.binary));
        }
        if !self.too_large.is_empty() {
            summary = format!("{summary}; skipped {} larger than 16 MiB", files(self.too_large.len()));
        }
        summary
    }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_counted() {
        let finding = || Finding { rule: Rule::BidiControl, region: None, message: String::new() };
        let mut many = Findings::default();
        for _ in 0..KEPT + 5 {
            many.push(Rule::BidiControl, finding);
        }
        let mut survey = Survey::default();
        survey.scanned("a", many);
        survey.scanned("b", Findings { listed: vec![finding()], ..Findings::default() });
        survey.scanned("c", Findings::default());
        survey.binary("d", Findings::default());
        assert_eq!((survey.unlisted(), survey.count(Level::Error), survey.clean()), (6, KEPT + 6, 1));
        assert_eq!(
            survey.summary(),
            "looked through 3 files: 20006 bidi-control; skipped 1 file with binary content"
        );
    }
}
