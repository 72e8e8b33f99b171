//! What a finding is, the rules that make them, and as many of them as are kept.

use std::collections::BTreeMap;

/// The findings that are kept of one file and of all together. A hostile tree
/// could have any number; the rest is counted.
pub(crate) const KEPT: usize = 20_000;

/// How much a finding matters, in SARIF's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Note,
}

/// What was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Changes the order in which text is shown (CVE-2021-42574).
    BidiControl,
    /// Takes no room, so nobody sees it.
    InvisibleCharacter,
    /// Spells hidden text that some software reads.
    TagCharacter,
    /// Changes nothing where it stands, and can carry hidden bytes.
    VariationSelector,
    /// Any other format character (general category Cf).
    FormatCharacter,
    /// One word of letters that look alike from several scripts (CVE-2021-42694).
    MixedScript,
    /// An identifier that looks like another one of the same file.
    ConfusableIdentifier,
    /// Bytes that are no text.
    InvalidUtf8,
}

/// Where a finding is: one line, counted from 1, and columns in code points,
/// the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region {
    pub(crate) line: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// One place that reads differently from what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// Absent when the file's name is what was found.
    pub(crate) region: Option<Region>,
    /// Never holds the character itself, only its code point.
    pub(crate) message: String,
}

/// The findings of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// At most [`KEPT`].
    pub(crate) listed: Vec<Finding>,
    /// How many more each rule found.
    pub(crate) unlisted: BTreeMap<Rule, usize>,
}

impl Findings {
    /// Takes one more; made only if it is kept.
    pub(crate) fn push(&mut self, rule: Rule, make: impl FnOnce() -> Finding) {
        if self.listed.len() < KEPT {
            self.listed.push(make());
        } else {
            *self.unlisted.entry(rule).or_default() += 1;
        }
    }

    /// Takes those of the same file that were looked for apart.
    pub(crate) fn extend(&mut self, other: Self) {
        for finding in other.listed {
            self.push(finding.rule, || finding);
        }
        for (rule, count) in other.unlisted {
            *self.unlisted.entry(rule).or_default() += count;
        }
    }
}

impl Level {
    /// SARIF's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Rule {
    /// Every rule, in the order reports list them.
    pub(crate) const ALL: [Self; 8] = [
        Self::BidiControl,
        Self::InvisibleCharacter,
        Self::TagCharacter,
        Self::VariationSelector,
        Self::FormatCharacter,
        Self::MixedScript,
        Self::ConfusableIdentifier,
        Self::InvalidUtf8,
    ];

    /// The stable name.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::BidiControl => "bidi-control",
            Self::InvisibleCharacter => "invisible-character",
            Self::TagCharacter => "tag-character",
            Self::VariationSelector => "variation-selector",
            Self::FormatCharacter => "format-character",
            Self::MixedScript => "mixed-script",
            Self::ConfusableIdentifier => "confusable-identifier",
            Self::InvalidUtf8 => "invalid-utf8",
        }
    }

    /// How much what it finds matters.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::BidiControl => Level::Error,
            Self::InvisibleCharacter
            | Self::TagCharacter
            | Self::VariationSelector
            | Self::FormatCharacter
            | Self::MixedScript
            | Self::ConfusableIdentifier => Level::Warning,
            Self::InvalidUtf8 => Level::Note,
        }
    }

    /// One line on what it finds.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::BidiControl => "a control character changes the order in which text is shown",
            Self::InvisibleCharacter => "a character takes no room and cannot be seen",
            Self::TagCharacter => "tag characters spell text that cannot be seen",
            Self::VariationSelector => "a variation selector stands where it selects nothing",
            Self::FormatCharacter => "a format character cannot be seen",
            Self::MixedScript => "a word mixes letters of several scripts that look alike",
            Self::ConfusableIdentifier => "an identifier looks like another one of the same file",
            Self::InvalidUtf8 => "a text file holds bytes that are not UTF-8",
        }
    }

    /// What to do about it.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::BidiControl => {
                "remove the character, or write it as an escape of the language; \
                 what a reviewer sees is not what a compiler reads (CVE-2021-42574)"
            }
            Self::InvisibleCharacter | Self::FormatCharacter => {
                "remove the character, or write it as an escape of the language; \
                 two names that differ only in it look the same"
            }
            Self::TagCharacter => {
                "remove the characters; the text they spell is read by software and seen by nobody"
            }
            Self::VariationSelector => {
                "remove the selector; a run of them can carry hidden bytes, and one alone makes \
                 two names that look the same"
            }
            Self::MixedScript => {
                "write the word in one script; a letter that looks like another makes \
                 a different name (CVE-2021-42694)"
            }
            Self::ConfusableIdentifier => {
                "rename one of the two, or write both with the same letters (CVE-2021-42694)"
            }
            Self::InvalidUtf8 => "save the file as UTF-8; what is not UTF-8 was not looked at",
        }
    }
}
