//! Inputs to run the task on, and what it refuses of them.

use std::fs;

use cofferdam_report::Contract;
use cofferdam_sdk::harness::{Harness, Run};
use tempfile::TempDir;

pub(crate) const BOM: &str = include_str!("../fixtures/bom.json");
pub(crate) const FINDINGS: &str = include_str!("../fixtures/findings.json");
pub(crate) const NO_FINDINGS: &str = r#"{"version":"2.1.0","runs":[]}"#;
pub(crate) const NO_COMPONENTS: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#;
pub(crate) const VERDICT: &str = r#"{"result":"FAILURE","namespace":"default","timestamp":"2025-01-01T00:00:00Z","successes":3,"note":"looked through 7 files","failures":2,"warnings":1}"#;

/// The task on these two documents, with these params.
pub(crate) fn run(bom: &str, findings: &str, params: &[(&str, &str)]) -> Run {
    let directory = |name: &str, text: &str| -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(name), text).unwrap();
        directory
    };
    let (sbom, sarif) = (directory("bom.cdx.json", bom), directory("findings.sarif", findings));
    let mut harness = Harness::<Contract>::new().input("sbom", sbom.path()).input("findings", sarif.path());
    for (name, value) in params {
        harness = harness.param(name, *value);
    }
    harness.run()
}

pub(crate) fn output(run: &Run, name: &str) -> String {
    assert_eq!(run.outcome.as_ref().err(), None);
    fs::read_to_string(run.output("report").join(name)).unwrap()
}

#[test]
fn a_malformed_input_is_named_with_what_was_expected() {
    for (bom, findings, place, remedy) in [
        ("{\n\"bomFormat\": 1}", NO_FINDINGS, "bom.cdx.json:2: ", "CycloneDX JSON document"),
        ("{\"bomFormat\":\"SPDX\"}", NO_FINDINGS, "bom.cdx.json: ", "CycloneDX JSON document"),
        (NO_COMPONENTS, "[]", "findings.sarif:1: ", "SARIF 2.1.0 log"),
        (NO_COMPONENTS, "{\"version\":\"1\",\"runs\":[]}", "findings.sarif: ", "SARIF 2.1.0 log"),
        (NO_COMPONENTS, &"[".repeat(100_000), "findings.sarif:1: ", "SARIF 2.1.0 log"),
    ] {
        let failure = run(bom, findings, &[]).outcome.unwrap_err();
        assert_eq!(failure.reason, "InputUnreadable");
        assert!(failure.message.starts_with(place), "{failure}");
        assert!(failure.remedy.unwrap().contains(remedy));
    }
}

#[test]
fn a_missing_input_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let run = Harness::<Contract>::new().input("sbom", empty.path()).input("findings", empty.path()).run();
    let failure = run.outcome.unwrap_err();
    assert_eq!(failure.reason, "InputUnreadable");
    assert!(failure.message.starts_with("bom.cdx.json: cannot be read"), "{failure}");
}

#[test]
fn a_malformed_verdict_is_refused() {
    let failure = run(NO_COMPONENTS, NO_FINDINGS, &[("test-output", "passed")]).outcome.unwrap_err();
    assert_eq!(failure.reason, "InputUnreadable");
    assert!(failure.message.starts_with("test-output: "), "{failure}");
}
