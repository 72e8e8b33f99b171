//! The sandbox alone, in this process: without planning, scheduling, journal
//! and signing around a TaskRun.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::component::Component;
use cofferdam::event::{Grants, Journal, Recorder};
use cofferdam::model::{DEFAULT_LIMITS, RunId, TaskRunReason};
use cofferdam::network::{Network, NetworkSettings};
use cofferdam::sandbox::{CancelToken, Job, Prepared, Sandbox};
use jiff::Timestamp;

use super::world::World;

/// A sandbox for one TaskRun at a time, and where its lines go.
pub(super) struct Lone {
    sandbox: Sandbox,
    recorder: Arc<Recorder>,
    runtime: tokio::runtime::Runtime,
}

impl Lone {
    pub(super) fn new(world: &World) -> Self {
        let at = |name: &str| world.directory.join(name);
        let journal = Journal::open(&at("lone.db")).unwrap();
        let run = RunId::new("bench", 1);
        let recorder = Recorder::new(run, journal.writer().unwrap(), Vec::new(), Timestamp::now);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let network = Network::new(NetworkSettings::default());
        let sandbox = Sandbox::new(1, &at("lone-compiled"), &at("lone.key"), network).unwrap();
        Self { sandbox, recorder: Arc::new(recorder), runtime }
    }

    pub(super) fn prepare(&self, world: &World, file: &str) -> Prepared {
        let bytes = fs::read(world.directory.join(file)).unwrap();
        self.sandbox.prepare(&Component::read(file, bytes).unwrap()).unwrap()
    }

    pub(super) fn run(&self, prepared: &Prepared, job: &Job) -> Duration {
        let started = Instant::now();
        let exit = self.runtime.block_on(self.sandbox.run(prepared, job, &self.recorder));
        let took = started.elapsed();
        assert_eq!(exit.reason, TaskRunReason::Succeeded, "{exit:?}");
        took
    }
}

/// A TaskRun that is given nothing.
pub(super) fn job() -> Job {
    Job {
        task: Arc::from("bench"),
        params: BTreeMap::new(),
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        scratch: None,
        grants: Grants::default().into(),
        credentials: Vec::new(),
        redactor: cofferdam::capability::Redactor::new([]),
        limits: DEFAULT_LIMITS,
        epoch: 0,
        seed: [0; 32],
        deadline: None,
        withheld: std::sync::Arc::default(),
        cancel: CancelToken::default(),
    }
}
