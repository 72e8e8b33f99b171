//! No text of an input becomes markup, in either page.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use crate::inputs::{output, run};

/// Both pages with one text in every place that an input can fill.
fn pages(text: &str) -> (String, String) {
    let bom = json!({
        "bomFormat": "CycloneDX",
        "metadata": { "component": { "bom-ref": text, "name": text, "version": text } },
        "components": [{
            "bom-ref": "x", "group": text, "name": text, "version": text, "purl": format!("pkg:{text}/{text}"),
            "properties": [
                { "name": "cofferdam:lockfile", "value": text },
                { "name": "cofferdam:digest-conflict", "value": "true" },
            ],
        }],
        "dependencies": [{ "ref": text, "dependsOn": ["x"] }],
    });
    let findings = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": text, "version": text, "rules": [
                { "id": text, "shortDescription": { "text": text }, "help": { "text": text } },
            ] } },
            "results": [{ "ruleId": text, "level": "error", "message": { "text": text }, "locations": [
                { "physicalLocation": { "artifactLocation": { "uri": text }, "region": { "startLine": 1 } } },
            ] }],
        }],
    });
    let verdict = json!({
        "result": "WARNING", "timestamp": text, "note": text, "successes": 0, "failures": 0, "warnings": 1,
    });
    let verdict = verdict.to_string();
    let run = run(&bom.to_string(), &findings.to_string(), &[("test-output", &verdict), ("title", text)]);
    (output(&run, "report.md"), output(&run, "report.html"))
}

/// Every tag of the page, with its attributes' names and without their values.
fn tags(html: &str) -> BTreeSet<String> {
    let (_, body) = html.split_once("<body>").unwrap();
    body.split('<').skip(1).map(|rest| rest.split(['>', '=']).next().unwrap_or_default().to_owned()).collect()
}

/// The cells of each row of each table: separators that are not escaped.
fn columns(markdown: &str) -> Vec<usize> {
    markdown.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect()
}

#[test]
fn markup_in_a_name_is_text() {
    let text = "<script>alert(1)</script>|`x`\n# y [a](javascript:b) \"' &lt; \u{202e}";
    let (markdown, html) = pages(text);
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("javascript:b)\"") && !html.contains('\u{202e}'));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!markdown.contains("<script") && !markdown.contains("\n# y") && !markdown.contains('\u{202e}'));
    assert_eq!(tags(&html), tags(&pages("harmless").1));
    assert_eq!(columns(&markdown), columns(&pages("harmless").0));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let (_, html) = pages("harmless");
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'"));
    for part in ["<script", "<link", "<img", "<iframe", " src=", " href=", "url(", "@import"] {
        assert!(!html.contains(part), "{part}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_text_changes_the_shape_of_a_page(text in "[a<>|`\\\\\n\r&\"'*_#\\[\\]()!~\u{202e}é-]{1,12}x") {
        let (plain_markdown, plain_html) = pages("harmless");
        let (markdown, html) = pages(&text);
        prop_assert_eq!(tags(&html), tags(&plain_html));
        prop_assert_eq!(columns(&markdown), columns(&plain_markdown));
        prop_assert_eq!(markdown.lines().count(), plain_markdown.lines().count());
    }
}
