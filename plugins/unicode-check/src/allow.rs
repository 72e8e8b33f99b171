//! The param `allow`: code points that may stand anywhere, and paths that are
//! not looked at. An entry that is neither is refused, never passed over.

use std::ops::RangeInclusive;

use cofferdam_sdk::Failure;
use glob::{MatchOptions, Pattern};

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// What the person who runs the task allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allow {
    ranges: Vec<RangeInclusive<u32>>,
    paths: Vec<Pattern>,
}

impl Allow {
    /// Reads the param.
    pub(crate) fn parse(entries: &[String]) -> Result<Self, Failure> {
        let mut allow = Self::default();
        for entry in entries {
            let refused = |problem: &str| {
                Failure::new("InvalidAllow", format!("`{}` {problem}", entry.escape_debug())).remedy(
                    "write code points such as `U+200B` or `U+FE00-U+FE0F`, and globs such as `docs/**`",
                )
            };
            if entry.is_empty() {
                return Err(refused("is empty"));
            }
            if entry.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("U+")) {
                let range = range(entry).ok_or_else(|| refused("is not a code point or a range of them"))?;
                allow.ranges.push(range);
            } else {
                let pattern = Pattern::new(entry)
                    .map_err(|error| refused(&format!("is not a path glob: {}", error.msg)))?;
                allow.paths.push(pattern);
            }
        }
        Ok(allow)
    }

    /// Whether a character may stand anywhere.
    pub(crate) fn character(&self, c: char) -> bool {
        self.ranges.iter().any(|range| range.contains(&u32::from(c)))
    }

    /// Whether a path is left out; a directory with all below it.
    pub(crate) fn path(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| pattern.matches_with(path, MATCHING))
    }
}

fn range(entry: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = match entry.split_once('-') {
        Some((first, last)) => (code_point(first)?, code_point(last)?),
        None => (code_point(entry)?, code_point(entry)?),
    };
    (first <= last).then_some(first..=last)
}

fn code_point(text: &str) -> Option<u32> {
    let (start, digits) = text.split_at_checked(2)?;
    let valid = start.eq_ignore_ascii_case("U+")
        && (4..=6).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !valid {
        return None;
    }
    u32::from_str_radix(digits, 16).ok().filter(|number| *number <= u32::from(char::MAX))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn allow(entries: &[&str]) -> Result<Allow, Failure> {
        Allow::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn code_points_ranges_and_globs_are_told_apart() {
        let allow = allow(&["U+200B", "u+fe00-U+FE0F", "docs/**", "*.svg"]).unwrap();
        assert!(allow.character('\u{200b}') && allow.character('\u{fe05}'));
        assert!(!allow.character('\u{200c}'));
        assert!(allow.path("docs/a/b.md") && allow.path("x.svg"));
        assert!(!allow.path("src/x.svg") && !allow.path("doc"));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for entry in
            ["", "U+", "U+20", "U+GGGG", "U+110000", "U+200D-U+200B", "U+200B-", "a/***", "U+é000", "[a"]
        {
            assert_eq!(allow(&[entry]).unwrap_err().reason, "InvalidAllow", "{entry}");
        }
    }
}
