//! The sandbox alone, in this process: what a TaskRun costs from instance to
//! exit, beside `bwrap`, and what noting the files that are opened adds.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::component::Component;
use cofferdam::event::{Grants, Journal, Recorder};
use cofferdam::model::{DEFAULT_LIMITS, RunId, TaskRunReason};
use cofferdam::sandbox::{CancelToken, Job, Prepared, Sandbox};
use cofferdam::store::LaidOut;
use cofferdam_manifest::Value;
use jiff::Timestamp;

use super::{Times, World, line, quiet};

const RUNS: usize = 10_000;
const FILES: usize = 20_000;

/// A sandbox for one TaskRun at a time, and where its lines go.
struct Lone {
    sandbox: Sandbox,
    recorder: Arc<Recorder>,
    runtime: tokio::runtime::Runtime,
}

impl Lone {
    fn new(world: &World) -> Self {
        let at = |name: &str| world.directory.join(name);
        let journal = Journal::open(&at("lone.db")).unwrap();
        let run = RunId::new("bench", 1);
        let recorder = Recorder::new(run, journal.writer().unwrap(), Vec::new(), Timestamp::now);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let sandbox = Sandbox::new(1, &at("lone-compiled"), &at("lone.key")).unwrap();
        Self { sandbox, recorder: Arc::new(recorder), runtime }
    }

    fn prepare(&self, world: &World, file: &str) -> Prepared {
        let bytes = fs::read(world.directory.join(file)).unwrap();
        self.sandbox.prepare(&Component::read(file, bytes).unwrap()).unwrap()
    }

    fn run(&self, prepared: &Prepared, job: &Job) -> Duration {
        let started = Instant::now();
        let exit = self.runtime.block_on(self.sandbox.run(prepared, job, &self.recorder));
        let took = started.elapsed();
        assert_eq!(exit.reason, TaskRunReason::Succeeded, "{exit:?}");
        took
    }
}

fn job() -> Job {
    Job {
        task: Arc::from("bench"),
        params: BTreeMap::new(),
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        scratch: None,
        grants: Grants::default(),
        limits: DEFAULT_LIMITS,
        epoch: 0,
        seed: [0; 32],
        cancel: CancelToken::default(),
    }
}

/// A task that does nothing, from instance to exit, on one thread; beside it a
/// whole process that isolates `true`.
pub(super) fn no_op(world: &World) {
    let lone = Lone::new(world);
    let prepared = lone.prepare(world, "noop.wasm");
    let job = job();
    let ours = Times((0..RUNS).map(|_| lone.run(&prepared, &job)).collect());
    let isolate = ["--unshare-all", "--ro-bind", "/", "/", "true"];
    let bwrap = Times((0..100).map(|_| quiet(&mut world.command("bwrap", &isolate))).collect());
    let micros = |seconds: f64| seconds * 1e6;
    line("sandbox, one no-op TaskRun", micros(ours.median()), micros(ours.best()), "us", "25us");
    line("bwrap --unshare-all, whole process", micros(bwrap.median()), micros(bwrap.best()), "us", "");
    line("ratio to bwrap", ours.median() / bwrap.median(), ours.best() / bwrap.best(), "", "0.01");
}

/// A task that reads many small files: from an input, where each is noted, and
/// from its scratch directory, where none is. Nothing else differs.
pub(super) fn reading(world: &World) {
    let lone = Lone::new(world);
    let prepared = lone.prepare(world, "reader.wasm");
    let (input, scratch) = (world.directory.join("small"), world.directory.join("scratch"));
    for n in 0..FILES {
        for root in [&input, &scratch] {
            let below = root.join(format!("d{}", n % 100));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(format!("file-{n}.txt")), n.to_string()).unwrap();
        }
    }
    let job = |how: &str| {
        let tree = |path: &Path| Some(Arc::new(LaidOut { path: path.to_owned(), links: Default::default() }));
        let params = [("how".to_owned(), Value::Text(how.to_owned()))];
        let mut params = BTreeMap::from(params);
        params.insert("files".to_owned(), Value::Texts(Vec::new()));
        let inputs = [("source".to_owned(), tree(&input)), ("other".to_owned(), tree(&input))];
        Job { params, inputs: inputs.into(), scratch: Some(scratch.clone()), ..self::job() }
    };
    let (noted, unnoted) = (job("all"), job("scratch"));
    let (mut with, mut without) = (Times(Vec::new()), Times(Vec::new()));
    for _ in 0..15 {
        with.0.push(lone.run(&prepared, &noted));
        without.0.push(lone.run(&prepared, &unnoted));
    }
    let millis = |seconds: f64| seconds * 1e3;
    line("20,000 small files, each noted", millis(with.median()), millis(with.best()), "ms", "");
    line("the same, none noted", millis(without.median()), millis(without.best()), "ms", "");
    line("ratio", with.median() / without.median(), with.best() / without.best(), "", "1.10");
}
