//! Whoever can write to the disk and has no key: what is changed is noticed.

use std::fs;
use std::path::Path;

use cofferdam_registry::{Digest, Hasher};
use rusqlite::{Connection, params};

use crate::harness::{Task, World, name};

fn world() -> (World, String) {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline =
        world.pipeline("- { name: a, taskRef: { name: echo }, params: [{ name: text, value: true words }] }");
    (world, pipeline)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    // Objects of the store are read-only; their directory is not.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn no_byte_of_a_published_task_can_change_unnoticed() {
    let (world, pipeline) = world();
    let blobs = world.home_files("registry/blobs/");
    assert!(blobs.len() >= 4, "manifest, config, component, signature: {blobs:?}");
    for blob in blobs {
        let sound = fs::read(&blob).unwrap();
        for at in [0, sound.len() / 2, sound.len() - 1] {
            flip(&blob, at);
            let ran = world.run(&["run", "--require-trusted", &pipeline]);
            let config = sound.starts_with(br#"{"created""#) || sound == b"{}";
            // The config is for readers who do not pull the component: a run
            // never reads it.
            assert!(config || ran.status != 0, "{} {at}", blob.display());
            fs::write(&blob, &sound).unwrap();
        }
    }
    world.run(&["run", "--require-trusted", &pipeline]).ok();
}

#[test]
fn a_task_signed_by_another_key_is_not_trusted() {
    let (world, pipeline) = world();
    world.run(&["key", "generate", "--output", "other.key"]).ok();
    fs::copy(world.project().join("other.pub"), world.home().join("keys/cofferdam.pub")).unwrap();
    let refused = world.run(&["run", "--require-trusted", &pipeline]);
    refused.refused(4, "trust/not-trusted", "6:18").says("which the rule `local` does not name");
}

#[test]
fn a_signed_task_under_another_name_is_refused() {
    let (world, _) = world();
    let index = world.home().join("registry/index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, text.replace("echo:", "scanner:")).unwrap();
    let pipeline = world.pipeline("- { name: a, taskRef: { name: scanner } }");
    world.run(&["run", &pipeline]).refused(4, "trust/renamed", "6:18").says("calls itself `echo`");
}

#[test]
fn a_denied_task_does_not_run_under_any_spelling() {
    let (world, _) = world();
    let trust = world.home().join("trust.yaml");
    let text = fs::read_to_string(&trust).unwrap();
    let deny = "  deny:\n    withdrawn: [{ pattern: '*/echo:0.1.*', message: it leaks }]\n";
    fs::write(&trust, text + deny).unwrap();
    for task in ["name: echo", "name: echo, version: 0.1.0", "bundle: 'echo:latest'"] {
        let pipeline = world.pipeline(&format!("- {{ name: a, taskRef: {{ {task} }} }}"));
        world
            .run(&["run", &pipeline])
            .refused(4, "trust/denied", "6:18")
            .says("`withdrawn` denies it: it leaks");
    }
}

#[test]
fn compiled_code_that_was_changed_is_never_run() {
    let (world, pipeline) = world();
    world.run(&["run", &pipeline]).ok();
    let compiled = world.home_files("compiled/").remove(0);
    let length = fs::metadata(&compiled).unwrap().len();
    for at in [0, 40, usize::try_from(length).unwrap() - 1] {
        flip(&compiled, at);
        // Of a task whose outcome is known no code is loaded at all.
        let run = ["run", "--no-cache", &pipeline];
        world.run(&run).ok().says("was changed; it is compiled anew");
        // It was replaced by a sound one.
        let quiet = world.run(&run).ok();
        assert!(!quiet.err.contains("was changed"), "{quiet:?}");
    }
}

fn tampered(change: impl FnOnce(&World, &Connection)) -> String {
    let (world, pipeline) = world();
    world.run(&["run", &pipeline]).ok();
    let run = name(&world.runs()[0]);
    world.run(&["verify", &run]).ok();
    change(&world, &world.history());
    let verdict = world.run(&["verify", &run]);
    assert_eq!(verdict.status, 1, "{verdict:?}");
    verdict.out
}

#[test]
fn a_changed_artifact_does_not_verify() {
    let found = tampered(|world, _| {
        let mut objects = world.home_files("store/sha256/").into_iter();
        let object = objects.find(|path| fs::read(path).unwrap() == b"true words").unwrap();
        fs::remove_file(&object).unwrap();
        fs::write(&object, "false word").unwrap();
    });
    assert!(found.contains("BROKEN  artifact a/copy"), "{found}");
    assert!(found.contains("was changed"), "{found}");
}

#[test]
fn a_changed_attestation_does_not_verify() {
    let found = tampered(|_, db| {
        let sql = "UPDATE attestation SET bundle = replace(bundle, 'a', 'b') WHERE task = 'a'";
        assert_eq!(db.execute(sql, []).unwrap(), 1);
    });
    assert!(found.contains("BROKEN  provenance of task a"), "{found}");
}

#[test]
fn a_removed_attestation_does_not_verify() {
    let found = tampered(|_, db| {
        assert_eq!(db.execute("DELETE FROM attestation WHERE task = ''", []).unwrap(), 1);
    });
    assert!(found.contains("BROKEN  provenance of the run  it is missing"), "{found}");
}

#[test]
fn a_changed_event_does_not_verify() {
    let found = tampered(|_, db| {
        let sql = "UPDATE event SET fact = replace(fact, 'true words', 'false words')";
        assert!(db.execute(sql, []).unwrap() > 0);
    });
    assert!(found.contains("BROKEN  journal"), "{found}");
}

/// The TaskRuns of a run are kept beside the first of them: whoever changes that
/// changes all.
#[test]
fn what_others_are_packed_beside_cannot_be_changed() {
    let world = World::with(&[Task::Test("echo")]);
    let task = |name: &str| format!("- {{ name: {name}, taskRef: {{ name: echo }} }}\n");
    let pipeline = world.pipeline(&["a", "b", "c"].map(task).concat());
    let is_packed = "typeof(fact) = 'blob'";
    for change in [
        format!("UPDATE event SET fact = 'x' || fact WHERE run = ?1 AND NOT {is_packed} AND fact LIKE '%taskStarted%'"),
        format!("UPDATE event SET fact = substr(fact, 1, 2) || x'63' || substr(fact, 4) WHERE run = ?1 AND {is_packed}"),
        // Beside itself, and beside nothing that could be one.
        format!("UPDATE event SET fact = CAST(x'0108' || x'0200000000000000' || substr(fact, 11) AS BLOB) WHERE run = ?1 AND {is_packed}"),
        // Beside what the database cannot even look for.
        format!("UPDATE event SET fact = CAST(x'0108' || x'ffffffffffffffff' || substr(fact, 11) AS BLOB) WHERE run = ?1 AND {is_packed}"),
        format!("UPDATE event SET hash = 'x' WHERE run = ?1 AND {is_packed}"),
        "UPDATE attestation SET bundle = 5 WHERE run = ?1 AND task <> '' AND substr(hex(bundle), 1, 2) = '02'".to_owned(),
        "DELETE FROM attestation WHERE run = ?1 AND task <> '' AND substr(hex(bundle), 1, 2) = '02'".to_owned(),
        "UPDATE attestation SET bundle = (SELECT bundle FROM attestation WHERE run = ?1 AND task = '')
         WHERE run = ?1 AND task <> '' AND substr(hex(bundle), 1, 2) = '02'".to_owned(),
    ] {
        let ran = world.run(&["run", "--no-cache", "--format", "json", &pipeline]).ok().out;
        let run = name(&serde_json::from_str(&ran).unwrap());
        world.run(&["verify", &run]).ok();
        let db = Connection::open(world.home().join("state.db")).unwrap();
        assert!(db.execute(&change, [&run]).unwrap() > 0, "{change}");
        let verdict = world.run(&["verify", &run]);
        assert_eq!(verdict.status, 1, "{change}: {verdict:?}");
        let about = if change.contains("event") { "BROKEN  journal" } else { "BROKEN  provenance of task b" };
        assert!(verdict.out.contains(about), "{change}: {verdict:?}");
        assert!(!verdict.err.contains("panicked"), "{verdict:?}");
    }
}

/// What is packed says how much comes out, and that could be any size.
#[test]
fn what_was_packed_takes_no_more_memory_than_anything_that_is_packed_does() {
    let mut bomb = vec![1, 1, b'a'];
    for size in [0, 0, 990_000_000_u64] {
        bomb.extend_from_slice(&size.to_le_bytes());
    }
    bomb.extend(std::iter::repeat_n(0xff, 100_000));
    let (world, pipeline) = world();
    world.run(&["run", &pipeline]).ok();
    let db = Connection::open(world.home().join("state.db")).unwrap();
    db.execute("UPDATE attestation SET bundle = ?1 WHERE task = 'a'", [&bomb]).unwrap();
    let verdict = world.run(&["verify", &name(&world.runs()[0])]);
    assert!(verdict.status == 1 && verdict.out.contains("BROKEN  provenance of task a"), "{verdict:?}");
}

#[test]
fn an_attestation_that_was_changed_is_not_given_away() {
    for change in [
        "UPDATE attestation SET bundle = x'0102'",
        "UPDATE attestation SET bundle = replace(bundle, 'a', 'b')",
        "UPDATE attestation SET bundle = (SELECT bundle FROM attestation WHERE task = '')",
        "DELETE FROM attestation",
    ] {
        let (world, pipeline) = world();
        world.run(&["run", &pipeline]).ok();
        let run = name(&world.runs()[0]);
        let changed = world.history().execute(&format!("{change} WHERE task = 'a'"), []).unwrap();
        assert_eq!(changed, 1);
        let shown = world.run(&["show", &run, "--attestations", "att"]);
        shown.refused(1, "journal/changed-attestation", "task-a.sigstore.json").says("cofferdam verify");
        assert_eq!(fs::read_dir(world.project().join("att")).unwrap().count(), 0, "all or nothing");
    }
}

/// Whoever rewrites the chain can name what nobody has signed, of a type of its own.
#[test]
fn an_attestation_of_no_known_type_takes_the_place_of_none() {
    let (world, pipeline) = world();
    world.run(&["run", &pipeline]).ok();
    let run = name(&world.runs()[0]);
    let db = world.history();
    let sql = "INSERT INTO attestation SELECT run, task, 'zzz', '{\"evil\":1}' FROM attestation";
    assert!(db.execute(sql, []).unwrap() > 1);
    let bundle = Digest::of(b"{\"evil\":1}");
    for task in ["", "\"task\":\"a\","] {
        let fact =
            format!("{{\"fact\":\"attested\",{task}\"predicateType\":\"zzz\",\"bundle\":\"{bundle}\"}}");
        let sql = "INSERT INTO event SELECT run, max(seq) + 1, at, ?1, hash FROM event";
        db.execute(sql, params![fact]).unwrap();
    }
    chain_anew(&db, str::to_owned);
    let shown = world.run(&["show", &run, "--attestations", "att"]);
    shown.refused(1, "journal/changed-name", "zzz");
    assert_eq!(fs::read_dir(world.project().join("att")).unwrap().count(), 0);
    assert_eq!(world.run(&["verify", &run]).status, 1);
}

#[test]
fn a_removed_event_does_not_verify() {
    let found = tampered(|_, db| {
        assert_eq!(db.execute("DELETE FROM event WHERE seq = 2", []).unwrap(), 1);
    });
    assert!(found.contains("at event 2: it is missing"), "{found}");
    let found = tampered(|_, db| {
        db.execute("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)", []).unwrap();
    });
    assert!(found.contains("was interrupted"), "{found}");
}

/// Computes the chain of the only run anew, as `docs/provenance.md` describes it.
fn chain_anew(db: &Connection, change: impl Fn(&str) -> String) {
    let mut statement = db.prepare("SELECT run, seq, at, fact FROM event ORDER BY seq").unwrap();
    let rows: Vec<(String, u64, i64, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut before = Digest::of(format!("cofferdam journal v1\n{}", rows[0].0).as_bytes());
    for (run, seq, at, fact) in &rows {
        let fact = change(fact);
        let mut hasher = Hasher::default();
        hasher.update(before.as_bytes());
        hasher.update(&seq.to_be_bytes());
        hasher.update(&at.to_be_bytes());
        hasher.update(fact.as_bytes());
        before = hasher.finish();
        let sql = "UPDATE event SET fact = ?1, hash = ?2 WHERE run = ?3 AND seq = ?4";
        db.execute(sql, params![fact, before.as_bytes().as_slice(), run, seq]).unwrap();
    }
}

/// The strongest attacker without the key: changes an event and computes the
/// whole chain again.
#[test]
fn a_history_that_was_written_anew_does_not_verify() {
    let found = tampered(|_, db| chain_anew(db, |fact| fact.replace("true words", "fake words")));
    assert!(found.contains("holds   journal"), "the chain itself is sound again: {found}");
    assert!(found.contains("what was signed is not what the journal tells"), "{found}");
}

#[test]
fn nothing_can_be_added_after_the_end_of_a_run() {
    let line = r#"{"fact":"taskLogged","task":"a","level":"info","message":"scan: nothing found"}"#;
    let skip = r#"{"fact":"taskSkipped","task":"scan","reason":"PipelineRun was stopping"}"#;
    for fact in [line, skip, r#"{"fact":"runSealed"}"#] {
        let found = tampered(|_, db| {
            let sql = "INSERT INTO event SELECT run, max(seq) + 1, at, ?1, hash FROM event";
            db.execute(sql, params![fact]).unwrap();
            chain_anew(db, str::to_owned);
        });
        assert!(found.contains("events were added after the run had ended"), "{fact} {found}");
    }
}

#[test]
fn an_attestation_that_the_journal_does_not_name_does_not_verify() {
    let found = tampered(|_, db| {
        let sql = "INSERT INTO attestation SELECT run, 'scan', predicate_type, bundle FROM attestation WHERE task = 'a'";
        assert_eq!(db.execute(sql, []).unwrap(), 1);
    });
    assert!(found.contains("the journal names none about scan"), "{found}");
}

#[test]
fn the_attestations_of_a_run_that_failed_are_no_evidence() {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline(
        "- { name: a, taskRef: { name: echo } }\n- { name: b, taskRef: { name: fail }, runAfter: [a] }",
    );
    assert_eq!(world.run(&["run", &pipeline, "--attestations", "att"]).status, 1);
    for (file, status, words) in [
        ("att/task-a.sigstore.json", 0, "Succeeded; the task was trusted"),
        ("att/task-b.sigstore.json", 1, "it ended with Failed"),
        ("att/run.sigstore.json", 1, "it ended with Failed"),
    ] {
        let verdict = world.run(&["verify", file]);
        assert_eq!(verdict.status, status, "{file} {verdict:?}");
        assert!(verdict.out.contains(words), "{file} {verdict:?}");
        // What the first task made is no subject of the run that failed.
        assert_eq!(verdict.out.contains("a/copy"), file.contains("task-a"), "{verdict:?}");
    }
}

#[test]
fn an_attestation_signed_by_another_key_does_not_verify() {
    let (world, pipeline) = world();
    world.run(&["run", &pipeline, "--attestations", "att"]).ok();
    world.run(&["key", "generate", "--output", "other.key"]).ok();
    let verdict = world.run(&["verify", "att/task-a.sigstore.json", "--key", "other.pub"]);
    assert_eq!(verdict.status, 1);
    assert!(verdict.out.contains("BROKEN  signature"), "{verdict:?}");
    let text = fs::read_to_string(world.project().join("att/task-a.sigstore.json")).unwrap();
    world.write("cut.json", &text[..text.len() / 2]);
    assert_eq!(world.run(&["verify", "cut.json"]).status, 1);
}
