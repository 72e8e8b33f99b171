//! What the task writes is what SARIF 2.1.0 and ADR-0030 define.

use cofferdam_sdk::Value as TaskValue;
use serde_json::{Value, json};

use crate::trees::{bytes, run, sarif, tree, trojan};

fn problems(schema: &Value, document: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn sarif_schema() -> Value {
    let text = include_str!("../schema/sarif-2.1.0.schema.json");
    // Mended: the official pattern closes a bracket that it never opened.
    serde_json::from_str(&text.replace("{2}]?$", "{2}?$")).unwrap()
}

#[test]
fn the_validator_notices_a_wrong_document() {
    let directory = trojan();
    let mut document = sarif(&run(directory.path(), &[]));
    *document.pointer_mut("/runs/0/results/0/level").unwrap() = json!("fatal");
    assert_eq!(problems(&sarif_schema(), &document).len(), 1);
}

#[test]
fn the_findings_are_valid_and_stable() {
    let directory = trojan();
    let first = run(directory.path(), &[]);
    assert_eq!(problems(&sarif_schema(), &sarif(&first)), Vec::<String>::new());
    assert_eq!(bytes(&first), bytes(&run(directory.path(), &[])));
    insta::assert_snapshot!(String::from_utf8(bytes(&first)).unwrap());
}

#[test]
fn an_empty_tree_gives_a_valid_log() {
    let directory = tree(&[]);
    assert_eq!(problems(&sarif_schema(), &sarif(&run(directory.path(), &[]))), Vec::<String>::new());
}

#[test]
fn the_log_never_holds_a_character_that_was_found() {
    let directory = trojan();
    assert!(bytes(&run(directory.path(), &[])).is_ascii());
}

#[test]
fn a_fingerprint_stays_when_lines_move_and_tells_twins_apart() {
    let fingerprints = |text: &str| {
        let directory = tree(&[("a", text.as_bytes())]);
        let sarif = sarif(&run(directory.path(), &[]));
        let results = sarif.pointer("/runs/0/results").and_then(Value::as_array).unwrap().clone();
        results.iter().map(|result| result.get("partialFingerprints").unwrap().clone()).collect::<Vec<_>>()
    };
    let (before, after) = (fingerprints("\u{202e}\n\u{202e}\n"), fingerprints("\n\n\u{202e}x\u{202e}"));
    assert_eq!(before, after);
    assert_ne!(before.first(), before.last());
}

/// The schema that ADR-0030 prints, under "`TEST_OUTPUT` Schema Validation".
#[test]
fn the_result_fits_the_schema_of_the_convention() {
    let count = json!({ "type": "integer", "minimum": 0 });
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "result": { "enum": ["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "ERROR"] },
            "namespace": { "type": "string" },
            "timestamp": { "type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$" },
            "successes": count, "failures": count, "warnings": count,
            "note": { "type": "string" },
        },
        "required": ["result", "namespace", "timestamp", "successes", "note", "failures", "warnings"],
    });
    for directory in [trojan(), tree(&[])] {
        let run = run(directory.path(), &[]);
        let Some(TaskValue::Text(text)) = run.result("TEST_OUTPUT") else { unreachable!() };
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(problems(&schema, &document), Vec::<String>::new());
    }
}
