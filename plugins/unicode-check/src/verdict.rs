//! The result `TEST_OUTPUT`, in the shape that Konflux's ADR-0030 ("Tekton
//! Results Naming Convention", "Results for Test-like Tasks") gives it.

use serde::Serialize;

use crate::finding::Level;
use crate::survey::Survey;

#[derive(Serialize)]
struct TestOutput<'a> {
    result: &'static str,
    namespace: &'static str,
    timestamp: String,
    successes: usize,
    note: &'a str,
    failures: usize,
    warnings: usize,
}

/// The JSON text, for a time in seconds since 1970.
pub(crate) fn render(survey: &Survey, seconds: u64) -> String {
    let (failures, warnings) = (survey.count(Level::Error), survey.count(Level::Warning));
    let result = if failures > 0 {
        "FAILURE"
    } else if warnings > 0 {
        "WARNING"
    } else if survey.files() == 0 {
        "SKIPPED"
    } else {
        "SUCCESS"
    };
    let output = TestOutput {
        result,
        namespace: "default",
        timestamp: timestamp(seconds),
        successes: survey.clean(),
        note: &survey.summary(),
        failures,
        warnings,
    };
    // Strings and numbers always serialise.
    serde_json::to_string(&output).unwrap_or_default()
}

/// RFC 3339, in UTC. The date follows Howard Hinnant's `civil_from_days`:
/// years start in March, so that the day that comes and goes is the last.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Finding, Findings, Rule};

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        let finding = |rule| {
            let listed = vec![Finding { rule, region: None, message: String::new() }];
            Findings { listed, ..Findings::default() }
        };
        let mut survey = Survey::default();
        assert!(render(&survey, 0).starts_with(r#"{"result":"SKIPPED","namespace":"default","timestamp":"#));
        survey.scanned("a", finding(Rule::InvalidUtf8));
        assert!(render(&survey, 0).starts_with(r#"{"result":"SUCCESS""#));
        survey.scanned("b", finding(Rule::MixedScript));
        assert!(render(&survey, 0).starts_with(r#"{"result":"WARNING""#));
        survey.scanned("c", finding(Rule::BidiControl));
        assert_eq!(
            render(&survey, 0),
            r#"{"result":"FAILURE","namespace":"default","timestamp":"1970-01-01T00:00:00Z","successes":1,"note":"looked through 3 files: 1 bidi-control, 1 mixed-script, 1 invalid-utf8","failures":1,"warnings":1}"#
        );
    }
}
