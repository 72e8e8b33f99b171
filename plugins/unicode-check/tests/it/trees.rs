//! Source trees to run the task on, and what it says of them.

use std::fs;
use std::path::Path;

use cofferdam_sdk::Value as TaskValue;
use cofferdam_sdk::harness::{Harness, Run};
use cofferdam_unicode_check::Contract;
use serde_json::Value;
use tempfile::TempDir;

/// A tree of these files.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    directory
}

/// One of everything that is found, beside what is not.
pub(crate) fn trojan() -> TempDir {
    tree(&[
        ("src/access.c", "int x;\nif (admin) /*\u{202e} } \u{2066}begin*/ {\n".as_bytes()),
        (
            "src/zero.py",
            "ad\u{200b}min = 1\nx = '\u{e0068}\u{e0069}'\ny = 'a\u{e0101}\u{e0102}'\n".as_bytes(),
        ),
        (
            "src/look.js",
            "p\u{430}ypal();\ncopy();\n\u{441}\u{43e}\u{440}\u{443}();\nz = '\u{206a}'\n".as_bytes(),
        ),
        ("docs/ru.md", "Обычный текст, a = копия\n".as_bytes()),
        ("docs/emoji.md", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}\n".as_bytes()),
        ("logo.bin", b"\0\xe2\x80\xae"),
        ("latin1.txt", b"caf\xe9 au lait\n"),
        (".git/HEAD", "\u{202e}".as_bytes()),
        ("names/in\u{202e}fdp.exe", b"x"),
    ])
}

pub(crate) fn run(source: &Path, allow: &[&str]) -> Run {
    let allow: Vec<String> = allow.iter().map(|entry| (*entry).to_owned()).collect();
    Harness::<Contract>::new().param("allow", allow).input("source", source).run()
}

pub(crate) fn bytes(run: &Run) -> Vec<u8> {
    fs::read(run.output("findings").join("findings.sarif")).unwrap()
}

pub(crate) fn sarif(run: &Run) -> Value {
    serde_json::from_slice(&bytes(run)).unwrap()
}

/// `path:line:column rule` of every finding.
pub(crate) fn places(run: &Run) -> Vec<String> {
    let sarif = sarif(run);
    let results = sarif.pointer("/runs/0/results").and_then(Value::as_array).unwrap();
    let place = |result: &Value| {
        let text =
            |pointer: &str| result.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let location = "/locations/0/physicalLocation";
        let number = |name: &str| {
            let number = result.pointer(&format!("{location}/region/{name}"));
            number.and_then(Value::as_u64).unwrap_or_default()
        };
        let uri = text(&format!("{location}/artifactLocation/uri"));
        format!("{uri}:{}:{} {}", number("startLine"), number("startColumn"), text("/ruleId"))
    };
    results.iter().map(place).collect()
}

/// The result `TEST_OUTPUT`, without its time.
pub(crate) fn verdict(run: &Run) -> Value {
    let Some(TaskValue::Text(text)) = run.result("TEST_OUTPUT") else { return Value::Null };
    let mut value: Value = serde_json::from_str(text).unwrap();
    let time = value.as_object_mut().unwrap().remove("timestamp").unwrap();
    assert_eq!(time.as_str().map(str::len), Some("2025-01-01T00:00:00Z".len()));
    value
}
