//! A run of which everything is known is not planned again: one event stands for
//! all of its tasks. Nobody who looks at it can tell but by that, and whatever is
//! other than it was has it planned as any other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cofferdam::event::{Event, Journal};
use rusqlite::Connection;
use serde_json::Value;

use crate::harness::{Task, World, done, name, task, task_file};

const TASKS: &str = "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: same }] }
- { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) more }] }
- { name: never, taskRef: { name: echo }, when: [{ input: a, operator: in, values: [b] }] }
- { name: look, taskRef: { name: reader }, params: [{ name: how, value: all }],
    inputs: [{ name: source, from: $(tasks.a.outputs.copy) }, { name: other, from: $(source) }] }
- name: each
  taskRef: { name: echo }
  matrix: { params: [{ name: text, value: [x, y] }] }";

const SPEC: &str = "params: [{ name: level, default: low }]
results: [{ name: text, value: $(tasks.b.results.text) }]
tasks:
";

fn world() -> World {
    let world = World::with(&[Task::Test("echo"), Task::Test("reader")]);
    world.write("a.txt", "a");
    world
}

fn pipeline(world: &World) -> String {
    world.pipeline_spec(&format!("{}{}", indented(SPEC, 2), indented(TASKS, 4)))
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

fn history(world: &World) -> Connection {
    Connection::open(world.home().join("state.db")).unwrap()
}

/// The kinds of a run's events, in order.
fn facts(world: &World, run: &str) -> Vec<String> {
    let journal = Journal::open(&world.home().join("state.db")).unwrap();
    let kind = |event: Event| serde_json::to_value(event.fact).unwrap()["fact"].as_str().unwrap().to_owned();
    let mut kinds = Vec::new();
    journal.replay(&run.parse().unwrap(), |event| kinds.push(kind(event))).unwrap();
    kinds
}

fn run(world: &World, args: &[&str]) -> Value {
    let (status, run) = world.run_json(args);
    assert_eq!(status, 0, "{run}");
    world.run(&["verify", &name(&run)]).ok();
    run
}

/// Whether a run was not planned.
fn is_known(run: &Value) -> bool {
    run["reusedRun"].is_object()
}

/// Everything that a run is shown as, without what belongs to it alone.
fn shown(run: &Value) -> Value {
    let mut shown = run.clone();
    for own in ["run", "started", "finished", "durationMicros", "story", "attestations", "reusedRun"] {
        shown.as_object_mut().unwrap().remove(own);
    }
    for task in shown["tasks"].as_array_mut().unwrap() {
        for own in ["started", "durationMicros"] {
            task.as_object_mut().unwrap().remove(own);
        }
    }
    shown
}

/// A world with a run that is known, and how it is asked for.
fn known() -> (World, String) {
    let world = world();
    let pipeline = pipeline(&world);
    assert!(!is_known(&run(&world, &[&pipeline])));
    assert!(!is_known(&run(&world, &[&pipeline])));
    (world, pipeline)
}

#[test]
fn a_known_run_has_one_event_for_its_tasks_and_is_shown_as_the_one_it_is_known_from() {
    let world = world();
    let pipeline = pipeline(&world);
    let first = run(&world, &[&pipeline]);
    let second = run(&world, &[&pipeline]);
    for _ in 0..2 {
        let known = run(&world, &[&pipeline]);
        assert_eq!(known["reusedRun"]["run"], second["run"]);
        let events = ["runStarted", "sourceAcquired", "runReused", "runFinished", "attested", "runSealed"];
        assert_eq!(facts(&world, &name(&known)), events);
        assert_eq!(shown(&known), shown(&second));
        assert_eq!(known["results"]["text"], "same more");
        // Whoever looks later sees the same.
        let later = world.run(&["show", &name(&known), "--format", "json"]).ok().out;
        let later: Value = serde_json::from_str(&later).unwrap();
        assert_eq!((&later["reusedRun"], shown(&later)), (&known["reusedRun"], shown(&known)));
        let graph = |run: &Value| world.run(&["graph", "--run", &name(run)]).ok().out;
        let unnamed = |run: &Value| {
            let graph = graph(run).replace(&name(run), "RUN");
            graph.lines().filter(|line| !line.contains("RUN")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(unnamed(&known).len(), unnamed(&second).len());
        let elsewhere = format!(
            "each[x] did not run here; what it logged: cofferdam logs {}",
            first["run"].as_str().unwrap()
        );
        world.run(&["logs", &name(&known), "each[x]"]).ok().says(&elsewhere);
        world.run(&["logs", &name(&known), "other"]).refused(3, "journal/no-such-task", "other");
        let difference = world.run(&["diff", &name(&second), &name(&known)]).ok().out;
        assert!(difference.contains("nothing differs in 6 tasks"), "{difference}");
    }
}

#[test]
fn what_a_known_run_made_and_who_attested_it_can_be_had_as_files() {
    let (world, pipeline) = known();
    let [out, att, own] = ["out", "att", "own"].map(|name| world.home().join(name));
    let known = run(&world, &["--outputs", out.to_str().unwrap(), &pipeline]);
    assert!(is_known(&known));
    world.run(&["show", &name(&known), "--attestations", att.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(out.join("b/copy/text.txt")).unwrap(), "same more");
    for file in ["run", "reused-run", "task-a", "task-b", "task-look"] {
        world.run(&["verify", att.join(format!("{file}.sigstore.json")).to_str().unwrap()]).ok();
    }
    let statement = statement(&att.join("run.sigstore.json"));
    let definition = &statement["predicate"]["buildDefinition"];
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    let named: Vec<&Value> = dependencies.iter().filter(|one| one["name"] == "reusedPipelineRun").collect();
    let [named] = named.as_slice() else { panic!("{dependencies:?}") };
    let bundle = sha256(&fs::read(att.join("reused-run.sigstore.json")).unwrap());
    assert_eq!(named["digest"]["sha256"], bundle);
    assert_eq!(named["annotations"]["pipelineRun"], known["reusedRun"]["run"]);
    assert_eq!(named["annotations"]["taskRuns"], 5);
    assert_eq!(definition["internalParameters"]["hermetic"], true);
    // Both are about the same artifacts.
    let reused = self::statement(&att.join("reused-run.sigstore.json"));
    assert_eq!(statement["subject"], reused["subject"]);
    assert!(dependencies.iter().all(|one| one["name"] != "pipelineTask"));
    let told = world.run(&["verify", att.join("run.sigstore.json").to_str().unwrap()]).ok().out;
    assert!(told.contains(&format!("the attestation sha256:{bundle} tells of each of them")), "{told}");
    // Whoever wants evidence for others has it in one place.
    let whole = run(&world, &["--attestations", own.to_str().unwrap(), &pipeline]);
    assert!(!is_known(&whole) && !own.join("reused-run.sigstore.json").exists());
}

fn statement(bundle: &Path) -> Value {
    let bundle: Value = serde_json::from_slice(&fs::read(bundle).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).unwrap();
    serde_json::from_slice(&statement).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn a_directory_for_what_is_made_is_no_part_of_what_it_is_made_from() {
    let (world, pipeline) = known();
    let known = run(&world, &["--outputs", "out", &pipeline]);
    assert!(is_known(&known), "it was not there when the source was read: {known}");
    assert!(world.project().join("out/a/copy/text.txt").is_file());
    fs::remove_dir_all(world.project().join("out")).unwrap();
    world.run(&["run", "--outputs", "new", "nope.yaml"]).refused(3, "io/unreadable", "nope.yaml");
    world.run(&["run", "--outputs", "new", "--param", "nope=1", &pipeline]).refused(
        3,
        "plan/unknown-name",
        "",
    );
    assert!(!world.project().join("new").exists());
    // What cannot be made is said before anything is recorded.
    let before = world.runs().len();
    world.run(&["run", "--outputs", "/proc/none", &pipeline]).refused(1, "io/refused", "/proc/none");
    assert_eq!(world.runs().len(), before);
}

#[test]
fn an_outcome_whose_run_was_removed_is_made_again_without_a_warning() {
    let (world, pipeline) = known();
    let other =
        world.pipeline("- { name: z, taskRef: { name: echo }, params: [{ name: text, value: new }] }");
    run(&world, &[&other]);
    world.run(&["gc", "--keep-last", "1", "--older-than", "0s", "--grace", "0s"]).ok();
    let pipeline_again = self::pipeline(&world);
    assert_eq!(pipeline_again, pipeline);
    let done = world.run(&["run", "--quiet", &pipeline]).ok();
    assert!(!done.err.contains("WARN") && !done.out.contains("reused"), "{done:?}");
}

#[test]
fn whatever_is_other_than_it_was_has_the_run_planned() {
    let (world, pipeline) = known();
    let file = world.project().join(&pipeline);
    let text = fs::read_to_string(&file).unwrap();
    let trust = world.home().join("trust.yaml");
    let trusted = fs::read_to_string(&trust).unwrap();
    let config = world.home().join("config.toml");
    let write = |path: &Path, text: &str| fs::write(path, text).unwrap();
    let changes: [(&str, &dyn Fn()); 7] = [
        ("a remark in the pipeline", &|| write(&file, &format!("{text}# a remark\n"))),
        ("the pipeline as it was", &|| write(&file, &text)),
        ("the source", &|| write(&world.project().join("a.txt"), "other")),
        ("the trust rules", &|| write(&trust, &format!("{trusted}# a remark\n"))),
        ("trust rules of the repository", &|| {
            write(
                &world.project().join(".cofferdam/trust.yaml"),
                "apiVersion: cofferdam.dev/v1\nkind: Trust\n",
            );
        }),
        ("the configuration", &|| write(&config, "[limits]\nmemory = \"512Mi\"\n")),
        ("the registry", &|| {
            world.run(&["setup", task_file(Task::Test("stamp")).to_str().unwrap()]).ok();
        }),
    ];
    for (what, change) in changes {
        change();
        let planned = run(&world, &[&pipeline]);
        assert!(!is_known(&planned), "{what}");
        // Once it has been found again, it is known again.
        run(&world, &[&pipeline]);
        assert!(is_known(&run(&world, &[&pipeline])), "{what}");
    }
    for other in [
        &["--param", "level=high"][..],
        &["--no-cache"],
        &["--explain-cache"],
        &["--hermetic"],
        &["--deny", "network"],
        &["--require-trusted"],
        &["--locked"],
        &["--no-git"],
    ] {
        let planned = run(&world, &[other, &[&pipeline]].concat());
        assert_eq!(is_known(&planned), other == ["--no-git"], "{other:?}");
    }
    assert!(is_known(&run(&world, &[&pipeline])), "and nothing of that is forgotten");
}

#[test]
fn a_commit_of_the_same_files_is_another_source() {
    let world = world();
    let pipeline = pipeline(&world);
    world.commit("one");
    for _ in 0..2 {
        run(&world, &[&pipeline]);
    }
    assert!(is_known(&run(&world, &[&pipeline])));
    world.commit("two");
    let planned = run(&world, &[&pipeline]);
    assert!(!is_known(&planned) && planned["source"]["commit"].is_string(), "{planned}");
}

#[test]
fn only_a_run_whose_every_outcome_was_known_is_known() {
    let world = World::with(&[Task::Test("echo"), Task::Hostile("timekeeper"), Task::Test("fail")]);
    let never = [
        // Its name is another each time.
        "- { name: a, taskRef: { name: echo }, params: [{ name: text, value: $(context.pipelineRun.name) }] }",
        "- { name: a, taskRef: { name: echo } }\n- { name: time, taskRef: { name: timekeeper } }",
        "- { name: a, taskRef: { name: echo } }\n- { name: no, taskRef: { name: fail }, onError: continue }",
        // What runs is decided by its name, and by its identity.
        "- { name: a, taskRef: { name: echo } }\n- { name: b, taskRef: { name: echo }, when: [{ input: $(context.pipelineRun.name), operator: in, values: [x] }] }",
        "- { name: a, taskRef: { name: echo } }\n- { name: b, taskRef: { name: echo }, when: [{ cel: \"'$(context.pipelineRun.uid)' == 'x'\" }] }",
    ];
    for tasks in never {
        let pipeline = world.pipeline(tasks);
        for _ in 0..4 {
            let (_, run) = world.run_json(&[&pipeline]);
            assert!(!is_known(&run), "{tasks}");
        }
    }
    let named = "  results: [{ name: which, value: $(context.pipelineRun.name) }]
  tasks: [{ name: a, taskRef: { name: echo } }]";
    let pipeline = world.pipeline_spec(named);
    for _ in 0..4 {
        let run = run(&world, &[&pipeline]);
        assert_eq!(run["results"]["which"], run["run"]);
    }
}

#[test]
fn trust_that_begins_or_ends_is_asked_about_again() {
    let (world, pipeline) = known();
    let trust = world.home().join("trust.yaml");
    let text = fs::read_to_string(&trust).unwrap();
    // A rule about something else, which counts in two seconds.
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let record = format!(
        "{text}\ntrusted_tasks:\n  oci://registry.example/other:1:\n    - {{ ref: 'sha256:{}', effective_on: '{soon}' }}\n",
        "a".repeat(64)
    );
    fs::write(&trust, record).unwrap();
    for _ in 0..2 {
        run(&world, &[&pipeline]);
    }
    let before = run(&world, &[&pipeline]);
    let asked: jiff::Timestamp = before["started"].as_str().unwrap().parse().unwrap();
    assert!(is_known(&before) || asked >= soon, "{before}");
    while jiff::Timestamp::now() < soon {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let after = run(&world, &[&pipeline]);
    assert!(asked >= soon || !is_known(&after), "{after}");
}

#[test]
fn what_is_kept_of_it_is_not_believed_when_it_was_changed() {
    let (world, pipeline) = known();
    let kept = || world.home_files("known-runs/").into_iter().next().unwrap();
    let sound = fs::read(kept()).unwrap();
    for at in [0, sound.len() / 2, sound.len() - 1] {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(kept(), changed).unwrap();
        assert!(!is_known(&run(&world, &[&pipeline])), "byte {at}");
    }
    for wrong in [&b""[..], b"short", &sound[..sound.len() - 1]] {
        fs::write(kept(), wrong).unwrap();
        assert!(!is_known(&run(&world, &[&pipeline])));
    }
    // What another home kept carries another MAC, and what was kept of another
    // way of asking is not for this one.
    fs::write(kept(), kept_elsewhere(&world)).unwrap();
    assert!(!is_known(&run(&world, &[&pipeline])));
    let own = kept();
    run(&world, &["--param", "level=high", &pipeline]);
    run(&world, &["--param", "level=high", &pipeline]);
    let other = world.home_files("known-runs/").into_iter().find(|path| *path != own).unwrap();
    fs::copy(other, &own).unwrap();
    assert!(!is_known(&run(&world, &[&pipeline])));
}

/// What another home has kept of the same pipeline.
fn kept_elsewhere(world: &World) -> Vec<u8> {
    let home = world.home().join("other");
    let [echo, reader] = ["echo", "reader"].map(|name| task_file(Task::Test(name)).display().to_string());
    let ran: &[&str] = &["run", "--quiet", ".cofferdam/test.yaml"];
    for args in [&["setup", &echo, &reader][..], ran, ran] {
        done(world.command(args).env("COFFERDAM_HOME", &home)).ok();
    }
    let kept = home.join("known-runs").read_dir().unwrap().next().unwrap().unwrap();
    fs::read(kept.path()).unwrap()
}

/// Something that is done to a world.
type Change<'a> = &'a dyn Fn(&World);

#[test]
fn what_was_made_and_attested_must_be_there() {
    let object = |world: &World| {
        let mut files = world.home_files("store/sha256/").into_iter();
        files.find(|path| fs::read(path).unwrap() == b"same").unwrap()
    };
    let changes: [(&str, Change<'_>); 6] = [
        ("an output is gone", &|world| fs::remove_file(object(world)).unwrap()),
        ("an output was changed", &|world| {
            let object = object(world);
            fs::remove_file(&object).unwrap();
            fs::write(&object, "evil").unwrap();
            fs::set_permissions(&object, fs::Permissions::from_mode(0o444)).unwrap();
        }),
        ("an attestation was changed", &|world| {
            let change = "UPDATE attestation SET bundle = x'010161ffff' WHERE task = 'b'";
            assert_eq!(history(world).execute(change, []).unwrap(), 1);
        }),
        ("an attestation is that of another task", &|world| {
            let a = "SELECT bundle FROM attestation WHERE task = 'a'";
            let change = format!("UPDATE attestation SET bundle = ({a}) WHERE task = 'b'");
            assert_eq!(history(world).execute(&change, []).unwrap(), 1);
        }),
        ("the attestation of the run is gone", &|world| {
            let last = "SELECT run FROM event WHERE seq = 0 ORDER BY at DESC LIMIT 1";
            let change = format!("DELETE FROM attestation WHERE task = '' AND run = ({last})");
            assert_eq!(history(world).execute(&change, []).unwrap(), 1);
        }),
        ("the run is gone", &|world| {
            let last = "SELECT run FROM event WHERE seq = 0 ORDER BY at DESC LIMIT 1";
            let change = format!("DELETE FROM event WHERE run = ({last})");
            assert!(history(world).execute(&change, []).unwrap() > 5);
        }),
    ];
    for (what, change) in changes {
        let (world, pipeline) = known();
        change(&world);
        let planned = run(&world, &[&pipeline]);
        assert!(!is_known(&planned), "{what}");
        assert_eq!(task(&planned, "b")["results"]["text"], "same more");
    }
}

#[test]
fn a_run_that_relies_on_a_changed_one_does_not_verify() {
    let changes = [
        ("UPDATE event SET fact = fact || ' ' WHERE run = ?1 AND seq = 2", "changed at event"),
        (
            // That of the run before, signed by the same key.
            "UPDATE attestation SET bundle = (SELECT bundle FROM attestation WHERE run <> ?1 AND task = '')
             WHERE run = ?1",
            "not what another run took",
        ),
    ];
    for (change, why) in changes {
        let (world, pipeline) = known();
        let known = run(&world, &[&pipeline]);
        let other = known["reusedRun"]["run"].as_str().unwrap();
        assert!(history(&world).execute(change, [other]).unwrap() >= 1);
        let verdict = world.run(&["verify", &name(&known)]);
        assert!(verdict.status == 1 && verdict.out.contains(other), "{verdict:?}");
        assert!(!is_known(&run(&world, &[&pipeline])), "{why}");
    }
}

/// As [`known`], of more tasks than a summary tells of one by one.
fn known_of_many() -> (World, String) {
    let world = World::with(&[Task::Test("echo")]);
    let tasks: String = (0..50).map(|n| format!("- {{ name: t{n}, taskRef: {{ name: echo }} }}\n")).collect();
    let pipeline = world.pipeline(&tasks);
    for _ in 0..2 {
        run(&world, &[&pipeline]);
    }
    (world, pipeline)
}

#[test]
fn of_many_tasks_a_changed_one_is_found_by_who_looks_at_it_and_relied_on_no_more() {
    let (world, pipeline) = known_of_many();
    let known = run(&world, &[&pipeline]);
    let other = known["reusedRun"]["run"].as_str().unwrap();
    let change = "UPDATE event SET fact = fact || ' ' WHERE run = ?1 AND seq = 9";
    assert_eq!(history(&world).execute(change, [other]).unwrap(), 1);
    // A summary tells only how many there are.
    assert!(world.run(&["run", "--quiet", &pipeline]).ok().out.contains(&format!("as in {other}")));
    assert!(!is_known(&run(&world, &[&pipeline])), "who tells of each looks at all of it");
    run(&world, &[&pipeline]);
    world.run(&["run", "--quiet", &pipeline]).ok();
    let verdict = world.run(&["verify", &name(&known)]);
    assert_eq!(verdict.status, 1, "{verdict:?}");
    assert!(verdict.out.contains("was changed at event 9"), "{verdict:?}");
    let kept = world.home().join("known-runs");
    assert!(!kept.exists(), "nothing is relied on that could be like it");
}

#[test]
fn a_run_cannot_say_that_it_has_other_outcomes_than_the_other_one() {
    let (world, pipeline) = known();
    let known = run(&world, &[&pipeline]);
    let (own, other) = (name(&known), known["reusedRun"]["run"].as_str().unwrap().to_owned());
    let another = name(&run(&world, &["--param", "level=high", &pipeline]));
    // Nobody else can sign it; so the journal's own word is all that can be changed.
    for change in [
        format!(
            "UPDATE event SET fact = replace(fact, '\"taskRuns\":5', '\"taskRuns\":4') WHERE run = '{own}'"
        ),
        format!("UPDATE event SET fact = replace(fact, '{other}', '{another}') WHERE run = '{own}'"),
    ] {
        assert!(history(&world).execute(&change, []).unwrap() > 0);
        assert_eq!(world.run(&["verify", &own]).status, 1, "{change}");
        assert_ne!(world.run(&["show", &own]).status, 0, "{change}");
    }
}

#[test]
fn the_run_that_it_is_known_from_stays_as_long_as_it_does() {
    let (world, pipeline) = known();
    let known = run(&world, &[&pipeline]);
    let args = ["gc", "--keep-last", "1", "--older-than", "0s", "--grace", "0s"];
    world.run(&args).ok();
    let left: Vec<String> = world.runs().iter().map(name).collect();
    assert_eq!(left.len(), 3, "the first has what was made, the second is named: {left:?}");
    world.run(&["verify", &name(&known)]).ok();
    assert!(is_known(&run(&world, &[&pipeline])));
}

#[test]
fn a_known_run_can_be_repeated() {
    let (world, pipeline) = known();
    let known = run(&world, &[&pipeline]);
    world.run(&["rebuild", &name(&known)]).ok();
    let verdict = world.run(&["verify"]).ok().out;
    assert!(
        verdict.contains("comparison with the run it repeats") && verdict.contains("PASSED"),
        "{verdict}"
    );
}

#[test]
fn of_many_tasks_the_summary_tells_how_many() {
    let (world, pipeline) = known_of_many();
    let done = world.run(&["run", &pipeline]).ok();
    assert!(done.err.contains("Reused 50 TaskRuns, as in "), "{done:?}");
    for words in [
        "reused    50 of 50 tasks: their outcome was known, as in ",
        "50 tasks: 50 Succeeded, 0 shown above, 0 Skipped",
        "of 50 tasks, 50 of them reused in",
    ] {
        assert!(done.out.contains(words), "{done:?}");
    }
}
