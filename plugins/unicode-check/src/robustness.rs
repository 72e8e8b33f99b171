//! No bytes make the scan panic, and what it says of them is well formed.

use proptest::prelude::*;

use crate::allow::Allow;
use crate::scan;

/// Characters that some rule looks at, next to plain ones.
const ODD: &str = "[a-c_ \n\r\u{ad}\u{430}\u{3b1}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{fe00}-\u{fe0f}\
                   \u{915}\u{94d}\u{1f3f4}\u{1f600}\u{e0020}-\u{e007f}\u{e0100}]{0,40}";

proptest! {
    #[test]
    fn no_bytes_make_the_scan_panic(bytes in any::<Vec<u8>>()) {
        scan::text(&bytes, &Allow::default());
    }

    #[test]
    fn every_finding_is_a_place_in_the_text(text in ODD) {
        let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        for finding in scan::text(text.as_bytes(), &Allow::default()).listed {
            prop_assert!(finding.message.is_ascii());
            let region = finding.region.ok_or_else(|| TestCaseError::fail("no region"))?;
            let columns = lines.get(region.line - 1).copied().ok_or_else(|| TestCaseError::fail("no line"))?;
            prop_assert!(1 <= region.start && region.start < region.end && region.end <= columns + 1);
        }
    }

    #[test]
    fn what_is_removed_is_not_found_again(text in ODD) {
        let mut text = text;
        // Each round removes at least one character, so the rounds end.
        while let Some(region) = first(&text) {
            let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
            let line = lines.get_mut(region.line - 1).ok_or_else(|| TestCaseError::fail("no line"))?;
            let kept = line.chars().enumerate().filter(|(at, _)| !(region.start..region.end).contains(&(at + 1)));
            *line = kept.map(|(_, c)| c).collect();
            text = lines.join("\n");
        }
        prop_assert!(scan::text(text.as_bytes(), &Allow::default()).listed.is_empty());
    }
}

fn first(text: &str) -> Option<crate::finding::Region> {
    scan::text(text.as_bytes(), &Allow::default()).listed.first().and_then(|finding| finding.region)
}
