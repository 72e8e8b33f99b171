//! What is found in a tree, what is allowed, and how the verdict follows.

use cofferdam_sdk::Level;
use cofferdam_sdk::harness::Harness;
use cofferdam_unicode_check::Contract;
use serde_json::json;

use crate::trees::{places, run, tree, trojan, verdict};

#[test]
fn every_attack_is_found_where_it_is_and_nothing_else() {
    let directory = trojan();
    assert_eq!(
        places(&run(directory.path(), &[])),
        [
            "latin1.txt:1:4 invalid-utf8",
            "names/in%E2%80%AEfdp.exe:0:0 bidi-control",
            "src/access.c:2:14 bidi-control",
            "src/access.c:2:18 bidi-control",
            "src/look.js:1:1 mixed-script",
            "src/look.js:3:1 confusable-identifier",
            "src/look.js:4:6 format-character",
            "src/zero.py:1:3 invisible-character",
            "src/zero.py:2:6 tag-character",
            "src/zero.py:3:7 variation-selector",
        ]
    );
}

#[test]
fn the_verdict_counts_files_and_findings() {
    let directory = trojan();
    assert_eq!(
        verdict(&run(directory.path(), &[])),
        json!({
            "result": "FAILURE", "namespace": "default", "successes": 3, "failures": 3, "warnings": 6,
            "note": "looked through 7 files: 3 bidi-control, 1 invisible-character, 1 tag-character, \
                     1 variation-selector, 1 format-character, 1 mixed-script, 1 confusable-identifier, \
                     1 invalid-utf8; skipped 1 file with binary content",
        })
    );
}

#[test]
fn the_task_fails_on_a_finding_when_it_was_asked_to() {
    let warning = tree(&[("a.py", "ad\u{200b}min = 1\n".as_bytes())]);
    let error = trojan();
    for (directory, fail_on, fails) in [
        (error.path(), "error", true),
        (warning.path(), "error", false),
        (warning.path(), "warning", true),
        (warning.path(), "never", false),
    ] {
        let run = Harness::<Contract>::new().param("fail-on", fail_on).input("source", directory).run();
        assert_eq!(run.outcome.is_err(), fails, "{fail_on}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let directory = trojan();
    let allow = ["U+202A-U+202E", "U+2066", "src/*.py", "**/look.js"];
    let run = run(directory.path(), &allow);
    assert_eq!(places(&run), ["latin1.txt:1:4 invalid-utf8"]);
    assert_eq!(verdict(&run).get("result"), Some(&json!("SUCCESS")));
}

#[test]
fn nothing_to_look_at_is_skipped() {
    for files in [&[][..], &[("a.bin", b"\0".as_slice())][..], &[(".git/x", b"x".as_slice())][..]] {
        let run = run(tree(files).path(), &[]);
        assert_eq!(verdict(&run).get("result"), Some(&json!("SKIPPED")));
    }
}

#[test]
fn an_entry_that_allows_nothing_is_refused() {
    let failure = run(tree(&[]).path(), &["U+20B\u{200b}"]).outcome.unwrap_err();
    assert_eq!(failure.reason, "InvalidAllow");
    assert!(failure.message.is_ascii() && failure.remedy.is_some(), "{failure}");
}

#[test]
fn findings_are_logged_up_to_a_bound() {
    let text = "x\u{202e}\n".repeat(60);
    let run = run(tree(&[("a", text.as_bytes())]).path(), &[]);
    let errors = run.lines.iter().filter(|line| line.level == Level::Error).count();
    assert_eq!(errors, 50);
    let rest = run.lines.iter().find(|line| line.message.starts_with("more findings")).unwrap();
    assert_eq!(rest.fields, [("findings".to_owned(), "10".to_owned())]);
}

#[test]
fn a_large_file_is_skipped_and_counted() {
    let mut bytes = vec![b'a'; 16 * 1024 * 1024 + 1];
    bytes.push(b'\n');
    let run = run(tree(&[("big.txt", &bytes), ("small.txt", b"x")]).path(), &[]);
    let note = "looked through 1 file: found nothing; skipped 1 file larger than 16 MiB";
    assert_eq!(verdict(&run).get("note"), Some(&json!(note)));
    assert!(run.lines.iter().any(|line| line.level == Level::Warn));
}

#[test]
fn the_sources_of_this_task_are_clean() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(places(&run(source, &["tests/it/snapshots/**"])), Vec::<String>::new());
}
