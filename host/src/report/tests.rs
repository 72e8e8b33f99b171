//! What people see, as they see it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::path::Path;

use cofferdam_registry::{Digest, Grounds, TrustDecision, UntrustedCause};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::event::{Event, Fact, RunRecord, RunSummary};
use crate::model::{DEFAULT_LIMITS, RunId};

/// The events of a run in which one task succeeded, one failed, one was
/// skipped; `facts` of them.
fn record(facts: usize) -> RunRecord {
    let digest = |n: u8| Digest::from_bytes([n; 32]);
    let tree = |n: u8| json!({ "digest": digest(n), "files": 2, "bytes": 12_345 });
    let identity = |name: &str, trust: &TrustDecision| {
        json!({
            "name": name, "version": "0.1.0", "digest": digest(1), "component": digest(2),
            "reference": format!("cofferdam.local/{name}:0.1.0@{}", digest(1)), "trust": trust,
        })
    };
    let start = |task: &str, trust: &TrustDecision, clock: bool| {
        json!({
            "fact": "taskStarted", "task": task, "attempt": 1, "identity": identity(task, trust),
            "params": { "level": "high\u{1b}[31m" },
            "inputs": [{ "name": "source", "tree": tree(3) }],
            "grants": { "realClock": clock, "realRandom": false }, "limits": DEFAULT_LIMITS,
        })
    };
    let usage = json!({ "wallMicros": 1_234_567, "peakMemory": 2_000_000, "written": 300, "logged": 40 });
    let end = |task: &str, reason: &str| json!({ "fact": "taskFinished", "task": task, "attempt": 1, "reason": reason, "usage": usage });
    let trusted = TrustDecision::Trusted {
        rule: "local".to_owned(),
        grounds: Grounds::Key { key: "a-key".to_owned() },
    };
    let untrusted = TrustDecision::Untrusted { cause: UntrustedCause::NoRule };
    let mut good = end("good", "Succeeded");
    good["results"] = json!({ "verdict": "x".repeat(100) });
    good["outputs"] = json!({ "report": tree(4) });
    let mut bad = end("bad", "Failed");
    bad["failure"] = json!({ "reason": "NoLock", "message": "there is no lock file", "remedy": "make one" });
    let all = [
        json!({
            "fact": "runStarted", "uid": "00", "pipeline": "build", "file": ".cofferdam/build.yaml",
            "fileDigest": digest(9), "params": { "title": "A title" }, "tasks": ["good", "bad", "later"],
            "sourceDateEpoch": 0,
            "builder": { "id": "https://cofferdam.dev/builder/local@v1", "version": "0.1.0", "key": "a-key" },
        }),
        json!({
            "fact": "sourceAcquired", "tree": tree(3), "commit": "ab".repeat(20), "branch": "main", "dirty": true,
        }),
        start("good", &trusted, false),
        good,
        start("bad", &untrusted, true),
        bad,
        json!({ "fact": "taskSkipped", "task": "later", "reason": "PipelineRun was stopping" }),
        json!({
            "fact": "runFinished", "reason": "Failed",
            "message": "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1",
        }),
        json!({ "fact": "attested", "task": "good", "predicateType": "p", "bundle": digest(5) }),
        json!({ "fact": "attested", "predicateType": "p", "bundle": digest(6) }),
        json!({ "fact": "runSealed" }),
    ];
    let run: RunId = "build-k7dm2vqx4h".parse().unwrap();
    let events = (0..).zip(all.into_iter().take(facts)).map(|(seq, fact)| Event {
        run: run.clone(),
        seq,
        at: Timestamp::from_second(1_700_000_000 + i64::try_from(seq).unwrap()).unwrap(),
        fact: serde_json::from_value::<Fact>(fact).unwrap(),
        hash: digest(0),
    });
    RunRecord::fold(&events.collect::<Vec<_>>()).unwrap()
}

fn text(facts: usize, alive: bool, detail: Detail) -> String {
    let here = Surroundings { program: "cofferdam", history: Path::new("/home/ada/state.db") };
    run_text(&RunView::new(&record(facts), alive), detail, here, &Palette::new(false))
}

#[test]
fn the_end_of_a_run_says_what_happened_and_what_to_type_next() {
    insta::assert_snapshot!(text(11, false, Detail::Summary));
}

#[test]
fn a_run_is_told_whole_when_asked() {
    insta::assert_snapshot!(text(11, false, Detail::Full));
}

#[test]
fn a_run_whose_process_is_gone_is_told_from_one_that_runs() {
    assert!(text(5, true, Detail::Summary).contains("bad Running"));
    let gone = text(5, false, Detail::Summary);
    assert!(gone.contains("build-k7dm2vqx4h Interrupted") && gone.contains("bad Interrupted"), "{gone}");
    // Ended, and its attestations are not all there.
    assert!(text(9, false, Detail::Summary).starts_with("build-k7dm2vqx4h Interrupted"));
}

#[test]
fn runs_are_listed_one_on_a_line() {
    let line = |facts, alive| {
        let record = record(facts);
        let summary = RunSummary {
            id: record.id.clone(),
            started: record.started,
            pipeline: record.start.pipeline.clone(),
            file: record.start.file.clone(),
            finished: record.finished.as_ref().map(|(at, ..)| *at),
            state: record.state(),
        };
        RunLine::new(&summary, alive)
    };
    insta::assert_snapshot!(runs_text(&[line(11, false), line(4, true)], &Palette::new(false)));
}
