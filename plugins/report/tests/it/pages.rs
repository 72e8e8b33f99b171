//! The two pages, whole.

use cofferdam_sdk::Value;

use crate::inputs::{BOM, FINDINGS, NO_COMPONENTS, NO_FINDINGS, VERDICT, output, run};

#[test]
fn a_report_in_markdown() {
    let run = run(BOM, FINDINGS, &[("test-output", VERDICT), ("title", "Harbour 0.1.0")]);
    insta::assert_snapshot!(output(&run, "report.md"));
}

#[test]
fn a_report_in_html() {
    let run = run(BOM, FINDINGS, &[("test-output", VERDICT), ("title", "Harbour 0.1.0")]);
    let html = output(&run, "report.html");
    // The style is a file of its own, and no part of what is rendered.
    let (head, rest) = html.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    insta::assert_snapshot!(format!("{head}<style></style>{body}"));
}

#[test]
fn a_report_on_nothing() {
    let run = run(NO_COMPONENTS, NO_FINDINGS, &[]);
    insta::assert_snapshot!(output(&run, "report.md"));
    let html = output(&run, "report.html");
    assert!(html.contains("nothing was found") && !html.contains("<table"));
}

#[test]
fn the_summary_is_one_line() {
    let run = run(BOM, FINDINGS, &[]);
    let expected = "6 components in 3 lock files, 1 without a digest; 2 errors, 1 warning, 1 note";
    assert_eq!(run.result("summary"), Some(&Value::from(expected)));
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (first, second) = (run(BOM, FINDINGS, &[]), run(BOM, FINDINGS, &[]));
    for name in ["report.md", "report.html"] {
        assert_eq!(output(&first, name), output(&second, name));
    }
}
