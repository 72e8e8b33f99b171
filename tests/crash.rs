//! `kill -9` at any moment: no finished task is lost, and no run verifies that
//! should not. `COFFERDAM_CRASH_SEED` and `COFFERDAM_CRASHES` choose the moments
//! and how many there are.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::event::{Journal, RunRecord, RunState};
use cofferdam::model::{RunId, Status};
use cofferdam::provenance::{PREDICATE_TYPE, verify_run};
use cofferdam::store::{Store, Tree};
use cofferdam_manifest::Value;
use cofferdam_registry::PublicKey;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::harness::{Task, World};

/// Twelve tasks one after another, each given what the one before made, six
/// of a matrix, two nested pipelines of five, and two in `finally`.
fn pipeline(world: &World) -> String {
    let mut inner = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: inner }\nspec:
  params: [{ name: word }]\n  tasks:\n"
        .to_owned();
    for n in 0..5 {
        inner += &format!(
            "    - {{ name: i{n}, taskRef: {{ name: echo }}, params: [{{ name: text, value: \"$(params.word) {n}\" }}] }}\n"
        );
    }
    world.write(".cofferdam/inner.yaml", inner);
    let mut spec =
        "  tasks:\n    - { name: c0, taskRef: { name: echo }, params: [{ name: text, value: begin }] }\n"
            .to_owned();
    for n in 1..12 {
        let before = n - 1;
        spec += &format!(
            "    - {{ name: c{n}, taskRef: {{ name: echo }}, params: [{{ name: text, value: \"$(tasks.c{before}.results.text) {n}\" }}] }}
    - {{ name: r{n}, taskRef: {{ name: reader }}, params: [{{ name: how, value: all }}],
        inputs: [{{ name: source, from: $(tasks.c{n}.outputs.copy) }}, {{ name: other, from: $(source) }}] }}\n"
        );
    }
    spec += "    - { name: each, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [a, b, c] }] } }
    - { name: nest, pipelineRef: { file: inner.yaml }, params: [{ name: word, value: $(tasks.c2.results.text) }] }
  finally:
    - { name: end, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.c11.results.text) }] }\n";
    world.pipeline_spec(&spec)
}

/// A stream of numbers that only the seed decides.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most.max(1)
    }
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

/// Outputs and results.
type Made = (BTreeMap<String, Tree>, BTreeMap<String, Value>);

/// What a run made, by task.
fn made(record: &RunRecord) -> BTreeMap<String, Made> {
    let ended = record.tasks.iter().filter_map(|(name, task)| {
        let (_, end) = task.end.as_ref()?;
        Some((name.clone(), (end.outputs.clone(), end.results.clone())))
    });
    ended.collect()
}

/// One home to crash in, looked at from inside this process.
struct Site {
    world: World,
    pipeline: String,
    journal: Journal,
    key: PublicKey,
}

impl Site {
    fn new() -> Self {
        let world = World::with(&[Task::Test("echo"), Task::Test("reader")]);
        world.write("a.txt", "a");
        let pipeline = pipeline(&world);
        let journal = Journal::open(&world.home().join("state.db")).unwrap();
        let key = PublicKey::load(&world.home().join("keys/cofferdam.pub")).unwrap();
        Self { world, pipeline, journal, key }
    }

    fn record(&self, run: &RunId) -> RunRecord {
        self.journal.record(run).unwrap().unwrap()
    }

    fn verifies(&self, run: &RunId) -> bool {
        let store = Store::open(&self.world.home().join("store")).unwrap();
        verify_run(&self.journal, &store, run, &self.key).unwrap().holds()
    }

    fn newest(&self) -> Option<RunId> {
        self.journal.runs(1).unwrap().into_iter().next()
    }

    /// Runs the pipeline and kills it after some time; gives the run, if there
    /// is one by then.
    fn crash(&self, after: Duration) -> Option<RunId> {
        let before = self.newest();
        let mut child = start(self.world.command(&["run", "--quiet", "--no-cache", &self.pipeline]));
        std::thread::sleep(after);
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        child.wait().unwrap();
        self.newest().filter(|run| Some(run) != before.as_ref())
    }
}

/// Where a crash fell.
fn moment(record: &RunRecord) -> &'static str {
    match record.state() {
        RunState::Sealed(_) => "5 after the seal",
        RunState::Unsealed(_) => "4 between the last task and the seal",
        RunState::Running => match record.attested.len() {
            0 => "1 before the first task had ended",
            1..20 => "2 among the first half",
            _ => "3 among the second half",
        },
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "where the crashes fell is for whoever runs it alone")]
fn kill_loses_no_finished_task_and_leaves_no_run_that_verifies_and_should_not() {
    let seed = from_environment("COFFERDAM_CRASH_SEED", 20_261_125);
    let crashes = from_environment("COFFERDAM_CRASHES", 250);
    let site = Site::new();
    let whole = Instant::now();
    site.world.run(&["run", "--quiet", "--no-cache", &site.pipeline]).ok();
    let first = Instant::now();
    site.world.run(&["run", "--quiet", "--no-cache", &site.pipeline]).ok();
    let took = u64::try_from(first.elapsed().as_micros()).unwrap();
    let expected = made(&site.record(&site.newest().unwrap()));
    assert!(expected.len() >= 30, "{} tasks", expected.len());
    let mut chance = Chance(seed | 1);
    let mut moments: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut kept, mut unattested) = (0, 0);
    for crash in 0..crashes {
        let context = || format!("crash {crash} of seed {seed}");
        // Mostly while tasks run, which is not the longest part.
        let after = Duration::from_micros(chance.below(took + took / 10));
        let Some(run) = site.crash(after) else {
            *moments.entry("0 before the run was recorded").or_default() += 1;
            continue;
        };
        let old = site.record(&run);
        *moments.entry(moment(&old)).or_default() += 1;
        let sealed = matches!(old.state(), RunState::Sealed(_));
        assert_eq!(site.verifies(&run), sealed, "{}", context());
        if crash % 20 == 0 {
            let line = site.world.run(&["runs", "--limit", "1"]).ok().out;
            let word = if sealed { "Succeeded" } else { "Interrupted" };
            assert!(line.contains(word), "{}: {line}", context());
        }
        if sealed {
            continue;
        }
        let name = run.to_string();
        site.world.run(&["resume", "--quiet", "--no-cache", &name]).ok();
        let resumed = site.newest().unwrap();
        assert_ne!(resumed, run, "{}", context());
        let new = site.record(&resumed);
        assert_eq!(new.state(), RunState::Sealed(Status::Succeeded), "{}", context());
        assert!(site.verifies(&resumed), "{}", context());
        assert_eq!(made(&new), expected, "{}", context());
        unattested += old
            .tasks
            .iter()
            .filter(|(task, record)| {
                record.end.is_some()
                    && !old.attested.contains_key(&(Some((*task).clone()), PREDICATE_TYPE.to_owned()))
            })
            .count();
        for (task, _) in old.attested.keys().filter(|(_, kind)| kind == PREDICATE_TYPE) {
            let Some(task) = task else { continue };
            let (_, end) = new.tasks[task].end.as_ref().unwrap();
            let origin = end.reused.as_ref().unwrap_or_else(|| panic!("{}: {task} ran again", context()));
            assert_eq!((&origin.run, &origin.task), (&run, task), "{}", context());
            kept += 1;
        }
    }
    println!(
        "{crashes} crashes of seed {seed} in {:.0?}, {kept} finished tasks kept, {unattested} had ended and were not attested yet:",
        whole.elapsed()
    );
    for (moment, count) in &moments {
        println!("  {count:>4} {moment}");
    }
    let among =
        ["2 among the first half", "3 among the second half"].map(|m| moments.get(m).copied().unwrap_or(0));
    assert!(among.iter().sum::<u32>() > 0, "no crash fell among the tasks: {moments:?}");
}
