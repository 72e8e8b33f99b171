//! However much an input holds, a page stays readable, and no bytes make the
//! task panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::inputs::{BOM, FINDINGS, NO_COMPONENTS, NO_FINDINGS, output, run};

#[test]
fn so_many_findings_are_listed_and_the_rest_is_counted() {
    let finding = json!({ "ruleId": "r", "level": "error", "message": { "text": "m" } });
    let findings = json!({
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": { "name": "t" } }, "results": vec![finding; 1_200] }],
    });
    let run = run(NO_COMPONENTS, &findings.to_string(), &[]);
    let markdown = output(&run, "report.md");
    assert_eq!(markdown.lines().filter(|line| line.starts_with("| -")).count(), 1_000 + 1);
    assert!(markdown.contains("and 200 findings more, not listed here"));
    assert!(output(&run, "report.html").contains("and 200 findings more, not listed here"));
}

#[test]
fn so_many_components_are_listed_and_the_rest_is_counted() {
    let component = |number: usize| json!({ "name": format!("c{number}"), "version": "1" });
    let components: Vec<Value> = (0..6_000).map(component).collect();
    let bom = json!({ "bomFormat": "CycloneDX", "components": components });
    let html = output(&run(&bom.to_string(), NO_FINDINGS, &[]), "report.html");
    assert!(html.contains("and 1000 components more, not listed here"));
    assert!(html.contains("and 5900 components more, not listed here"));
    assert!(html.contains("<h2>Components <span>6000</span></h2>"));
}

/// A text that is nearly right: a piece is cut out, and another put in.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    let length = text.chars().count();
    (0..length, 0..12_usize, "[\\[\\]{}\",:0-9a-z \\n-]{0,3}").prop_map(move |(at, cut, piece)| {
        let before: String = text.chars().take(at).collect();
        let after: String = text.chars().skip(at + cut).collect();
        before + &piece + &after
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn inputs_that_are_nearly_right_end_in_a_report_or_a_reason(
        bom in nearly(BOM), findings in nearly(FINDINGS), verdict in ".{0,20}",
    ) {
        match run(&bom, &findings, &[("test-output", &verdict)]).outcome {
            Ok(results) => prop_assert_eq!(results.len(), 1),
            Err(failure) => prop_assert_eq!(failure.reason, "InputUnreadable"),
        }
    }
}
