//! Runs one TaskRun under its grants. The only module that names wasmtime.
//!
//! An instance is new for every TaskRun and gone after it; what is shared
//! between TaskRuns is compiled code, which cannot change.

mod cache;
mod cancel;
mod clock;
mod compile;
mod cpu;
mod files;
mod http;
mod link;
mod results;
mod sockets;
mod speech;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, Store, UpdateDeadline};
use wasmtime_wasi::{FsPerms, WasiCtx};

use crate::capability::{FileMeter, FixedClock, Import, InputFiles, LogMeter, Redactor, Trip, Withheld};
use crate::component::Component;
use crate::event::{Grants, LogLevel, Recorder, TaskFailure, Usage};
use crate::model::{EffectiveLimits, MAX_INSTANCES, MAX_RESULT_BYTES, MAX_TABLES, Shared, TaskRunReason};
use crate::network::{Connections, Credential, Network, Session, SessionRequest};
use crate::store::LaidOut;
use cache::CodeCache;
use clock::{TaskClock, Waiting};
use compile::{MAX_COMPILE, compile};
use cpu::CpuTime;
use http::Http;
use results::{early, failed, succeeded, trapped};
use speech::Spoken;
use state::{MemoryLimiter, TaskState, Voice};

pub use cancel::CancelToken;
pub(crate) use results::not_kept;

/// Generated from `wit/`.
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "task",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

use bindings::cofferdam::task::types;

/// How often a running guest is made to look whether it should stop.
const TICK: Duration = Duration::from_millis(10);
/// Bytes that one call between guest and host may carry to the host: all
/// results, and what describes them.
const MAX_CALL: usize = MAX_RESULT_BYTES + (16 << 20);
/// Random bytes that one call may ask for: it cannot be stopped half way.
const MAX_RANDOM: u64 = 1 << 20;

/// Why the sandbox could not be used. What a task does wrong is never an error
/// here, but the [`Exit`] of its TaskRun.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum SandboxError {
    /// The runtime could not be set up.
    #[error("the WebAssembly runtime cannot start: {0}")]
    #[diagnostic(code("sandbox/unavailable"), help("check that enough address space is allowed (ulimit -v)"))]
    Unavailable(String),
    /// The component does not compile, or does not fit the contract.
    #[error("`{name}` cannot be prepared: {why}")]
    #[diagnostic(code("sandbox/unfit-component"), help("build it again with this version's SDK"))]
    Unfit {
        /// The task.
        name: String,
        /// What the runtime said.
        why: String,
    },
}

/// Everything one TaskRun is given.
#[derive(Debug)]
pub struct Job {
    /// The task's name in the pipeline, for its log lines.
    pub task: Arc<str>,
    /// Params, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// Inputs by name: directories that nobody writes to; none is needed for a
    /// component that cannot open files.
    pub inputs: BTreeMap<String, Option<Arc<LaidOut>>>,
    /// Outputs by name: empty directories.
    pub outputs: BTreeMap<String, PathBuf>,
    /// An empty directory that is thrown away afterwards.
    pub scratch: Option<PathBuf>,
    /// What it may do besides.
    pub grants: Shared<Grants>,
    /// The secrets that its rules name, as far as there are any.
    pub credentials: Vec<Credential>,
    /// Masks every secret of the run: what one task had sent, another may fetch.
    pub redactor: Redactor,
    /// How much it may use.
    pub limits: EffectiveLimits,
    /// The fixed time, in seconds since 1970.
    pub epoch: i64,
    /// What its random numbers follow from.
    pub seed: [u8; 32],
    /// Stops it.
    pub cancel: CancelToken,
    /// What it asks for of the network and is refused.
    pub withheld: Arc<Withheld>,
    /// When the run has no more time for it.
    pub deadline: Option<Instant>,
}

/// How one TaskRun ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exit {
    /// Why.
    pub reason: TaskRunReason,
    /// The same in a sentence, where the host has more to say.
    pub message: Option<String>,
    /// The task's own account, where it returned a failure.
    pub failure: Option<TaskFailure>,
    /// What it returned, not yet held against its manifest.
    pub results: BTreeMap<String, Value>,
    /// The files it opened of each input, in order; none for a component that
    /// cannot open files.
    pub opened: BTreeMap<String, Vec<String>>,
    /// Whether it looked at the fixed wall clock: only then can the run's time
    /// have decided anything.
    pub saw_time: bool,
    /// Whether anything it said was masked: then it depends on a secret.
    pub masked: bool,
    /// What it used.
    pub usage: Usage,
}

/// A component that is compiled and linked, ready to run any number of times.
#[derive(Clone)]
pub struct Prepared {
    pre: Arc<bindings::TaskPre<TaskState>>,
    /// Whether it can send requests at all.
    http: bool,
    /// Whether it can connect at all.
    tcp: bool,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

/// The runtime of this process.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<TaskState>,
    network: Arc<Network>,
    cache: Option<CodeCache>,
    prepared: Mutex<HashMap<Digest, Prepared>>,
    ticking: Arc<AtomicBool>,
    handles: usize,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.ticking.store(false, Ordering::Relaxed);
    }
}

impl Sandbox {
    /// Sets up the runtime for up to `jobs` TaskRuns at once. Compiled code is
    /// kept in `cache`, under the key in `cache_key`.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`].
    pub fn new(jobs: u32, cache: &Path, cache_key: &Path, network: Network) -> Result<Self, SandboxError> {
        let unavailable = |error: wasmtime::Error| SandboxError::Unavailable(format!("{error:#}"));
        let engine = Engine::new(&configuration(jobs)).map_err(unavailable)?;
        let mut linker = Linker::new(&engine);
        link::link(&mut linker).map_err(unavailable)?;
        let cache = CodeCache::open(cache, cache_key, &engine)
            .inspect_err(|error| tracing::warn!(%error, "compiled code is not kept"))
            .ok();
        let ticking = Arc::new(AtomicBool::new(true));
        start_ticking(&engine, &ticking).map_err(|error| SandboxError::Unavailable(error.to_string()))?;
        let handles = share_handles(jobs);
        let network = Arc::new(network);
        Ok(Self { engine, linker, network, cache, prepared: Mutex::default(), ticking, handles })
    }

    /// Compiles a component, unless that was done before. One whose outcome is
    /// known is not even loaded.
    ///
    /// # Errors
    /// As [`Sandbox::prepare`].
    pub fn compile(&self, component: &Component) -> Result<(), SandboxError> {
        match &self.cache {
            Some(cache) if cache.has(component.digest) => Ok(()),
            Some(_) | None => self.prepare(component).map(|_| ()),
        }
    }

    /// Compiles a component, or finds it compiled, and links it.
    ///
    /// # Errors
    /// [`SandboxError::Unfit`] when it imports something that is not linked, or
    /// has other types than the contract.
    pub fn prepare(&self, component: &Component) -> Result<Prepared, SandboxError> {
        let digest = component.digest;
        // Until it is there: several tasks may wait for the same.
        let mut known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&digest) {
            return Ok(found.clone());
        }
        let refuse = |why| SandboxError::Unfit { name: component.manifest.metadata.name.to_string(), why };
        let unfit = |error: wasmtime::Error| refuse(format!("{error:#}"));
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, digest));
        let (compiled, fresh) = match cached {
            Some(compiled) => (compiled, false),
            None => (compile(&self.engine, &component.bytes, MAX_COMPILE).map_err(refuse)?, true),
        };
        let http = component.imports.iter().any(|import| Import::of(import) == Import::Network);
        let tcp = component.imports.iter().any(|import| Import::of(import) == Import::Sockets);
        let linked = if http || tcp {
            // What a task does not import is not even there for it.
            let mut linker = self.linker.clone();
            http.then(|| http::link(&mut linker)).transpose().map_err(unfit)?;
            tcp.then(|| sockets::link(&mut linker)).transpose().map_err(unfit)?;
            linker.instantiate_pre(&compiled)
        } else {
            self.linker.instantiate_pre(&compiled)
        };
        let pre = linked.and_then(bindings::TaskPre::new).map_err(unfit)?;
        // What is kept is not only compiled but fit.
        if let Some(cache) = self.cache.as_ref().filter(|_| fresh) {
            cache.save(digest, &compiled);
        }
        let prepared = Prepared { pre: Arc::new(pre), http, tcp };
        known.insert(digest, prepared.clone());
        Ok(prepared)
    }

    /// Runs a TaskRun to its end, whatever that is.
    pub async fn run(&self, prepared: &Prepared, job: &Job, recorder: &Arc<Recorder>) -> Exit {
        let (started, cpu) = (Instant::now(), CpuTime::start());
        let handles = self.handles.min(usize::try_from(job.limits.handles).unwrap_or(usize::MAX));
        let trip = Trip::default();
        let meter = Arc::new(LogMeter::new(job.limits.log.bytes()));
        let redactor = job.redactor.clone();
        let reaches_out = prepared.http || prepared.tcp;
        let session = reaches_out.then(|| self.session(job, &redactor, &trip, recorder));
        let connects = session.as_ref().filter(|_| prepared.tcp);
        let connections =
            connects.map(|session| Arc::new(Connections::new(Arc::clone(session), &job.grants.tcp)));
        let voice = Voice {
            task: Arc::clone(&job.task),
            recorder: Arc::clone(recorder),
            meter: Arc::clone(&meter),
            redactor: redactor.clone(),
            trip: trip.clone(),
        };
        let spoken = [Spoken::new(voice.clone(), LogLevel::Info), Spoken::new(voice.clone(), LogLevel::Warn)];
        let files = Arc::new(FileMeter::new(job.limits.output.bytes(), job.limits.files));
        let mut usage = Usage::default();
        let (mut opened, mut saw_time) = (BTreeMap::new(), false);
        let ended = match context(job, &spoken, connections.as_ref()) {
            Ok(wasi) => {
                let mut table = ResourceTable::new();
                table.set_max_capacity(handles);
                let state = TaskState {
                    wasi,
                    table,
                    memory: MemoryLimiter::new(&job.limits),
                    files: Arc::clone(&files),
                    inputs: InputFiles::new(laid_out(job)),
                    seen_objects: HashMap::new(),
                    listed: 0,
                    clock: clock(job),
                    voice,
                    trip: trip.clone(),
                    http: Http::new(session.clone()),
                    connections,
                    open: HashMap::new(),
                };
                let mut store = self.store(state, job, cpu);
                let call = call(&prepared.pre, &mut store, job);
                let ended = tokio::select! {
                    // What is stopped already does not begin.
                    biased;
                    () = job.cancel.cancelled() => Err(TaskRunReason::TaskRunCancelled),
                    () = until(job.deadline) => Err(TaskRunReason::TaskRunCancelled),
                    ended = tokio::time::timeout(job.limits.timeout.duration(), call) => {
                        ended.map_err(|_| TaskRunReason::TaskRunTimeout)
                    }
                };
                opened = store.data_mut().inputs.take();
                saw_time = store.data().clock.as_ref().is_some_and(|clock| clock.fixed.was_looked_at());
                let memory = &store.data().memory;
                usage.peak_memory = memory.peak as u64;
                ended.map(|result| result.map_err(|error| (error, memory.refused)))
            }
            Err(error) => Ok(Err((error, false))),
        };
        spoken.iter().for_each(Spoken::finish);
        if let Some(session) = &session {
            // Whatever is still under way ends with the TaskRun, and is told.
            session.close();
            usage.requests = session.requests();
            usage.denials = session.denials();
            usage.sent = session.traffic().sent();
            usage.received = session.traffic().received();
        }
        usage.wall_micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        usage.cpu_micros = u64::try_from(cpu.used().as_micros()).unwrap_or(u64::MAX);
        usage.written = files.written();
        usage.logged = meter.used();
        let mut exit = match (trip.reason(), ended) {
            // A limit that was passed decides, even if the guest went on.
            (Some(reason), _) | (None, Err(reason)) => early(reason, job),
            (None, Ok(Ok(Ok(outcome)))) => succeeded(outcome),
            (None, Ok(Ok(Err(failure)))) => failed(failure),
            (None, Ok(Err((error, memory_refused)))) => trapped(&error, memory_refused, handles, job),
        };
        if let (Some(why), Some(message)) = (trip.why(), &mut exit.message) {
            *message = format!("{message}: {why}");
        }
        exit.masked = results::mask(&mut exit, &redactor);
        exit.usage = usage;
        (exit.opened, exit.saw_time) = (opened, saw_time);
        exit
    }

    fn session(&self, job: &Job, redactor: &Redactor, trip: &Trip, recorder: &Arc<Recorder>) -> Arc<Session> {
        let request = SessionRequest {
            task: &job.task,
            rules: &job.grants.network,
            withheld: &job.withheld,
            credentials: &job.credentials,
            redactor,
            limits: &job.limits,
            trip,
            recorder,
        };
        Arc::new(Session::new(&self.network, request))
    }

    fn store(&self, state: TaskState, job: &Job, cpu: CpuTime) -> Store<TaskState> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(MAX_CALL);
        store.set_epoch_deadline(1);
        let cancel = job.cancel.clone();
        let (trip, most) = (store.data().trip.clone(), job.limits.cpu.duration());
        store.epoch_deadline_callback(move |_| {
            if cancel.is_cancelled() {
                return Err(trip.end(TaskRunReason::TaskRunCancelled));
            }
            if let Some(reason) = trip.reason() {
                return Err(trip.end(reason));
            }
            if cpu.used() > most {
                return Err(trip.end(TaskRunReason::CpuLimit));
            }
            // Yielding lets the timeout be seen.
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

/// Waits until an instant, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn call(
    pre: &bindings::TaskPre<TaskState>,
    store: &mut Store<TaskState>,
    job: &Job,
) -> wasmtime::Result<Result<types::Outcome, types::Failure>> {
    let task = pre.instantiate_async(&mut *store).await?;
    let mount =
        |kind: &str, name: &String| types::Mount { name: name.clone(), path: format!("/{kind}/{name}") };
    let request = types::Request {
        params: job.params.iter().map(|(name, value)| lower(name, value)).collect(),
        inputs: job.inputs.keys().map(|name| mount("inputs", name)).collect(),
        outputs: job.outputs.keys().map(|name| mount("outputs", name)).collect(),
        scratch: job.scratch.as_ref().map(|_| "/scratch".to_owned()),
    };
    task.call_run(store, &request).await
}

fn lower(name: &str, value: &Value) -> types::Binding {
    let value = match value {
        Value::Text(text) => types::Value::Text(text.clone()),
        Value::Texts(texts) => types::Value::Texts(texts.clone()),
        Value::Fields(fields) => {
            types::Value::Fields(fields.iter().map(|(key, text)| (key.clone(), text.clone())).collect())
        }
    };
    types::Binding { name: name.to_owned(), value }
}

/// The inputs that are there for it to open.
fn laid_out(job: &Job) -> impl Iterator<Item = (&String, &Arc<LaidOut>)> {
    job.inputs.iter().filter_map(|(name, tree)| Some((name, tree.as_ref()?)))
}

fn context(
    job: &Job,
    spoken: &[Spoken; 2],
    connections: Option<&Arc<Connections>>,
) -> wasmtime::Result<WasiCtx> {
    let mut wasi = WasiCtx::builder();
    let [out, err] = spoken;
    wasi.stdout(out.clone()).stderr(err.clone());
    // Each TaskRun has a thread of its own, so its file operations may block it.
    wasi.allow_blocking_current_thread(true);
    wasi.max_random_size(MAX_RANDOM);
    link::set_chance(&mut wasi, job);
    sockets::set_sockets(&mut wasi, connections);
    for (name, tree) in laid_out(job) {
        wasi.preopened_dir(&tree.path, format!("/inputs/{name}"), FsPerms::ReadOnly)?;
    }
    for (name, path) in &job.outputs {
        wasi.preopened_dir(path, format!("/outputs/{name}"), FsPerms::ReadWrite)?;
    }
    if let Some(path) = &job.scratch {
        wasi.preopened_dir(path, "/scratch", FsPerms::ReadWrite)?;
    }
    Ok(wasi.build())
}

/// The task's own clock, unless it was granted the real one.
fn clock(job: &Job) -> Option<TaskClock> {
    // Whatever can wait for the world outside must do so in real time.
    let waits_really = job.grants.reaches_out();
    let waiting = if waits_really { Waiting::Real } else { Waiting::Virtual };
    let fixed = || TaskClock { fixed: Arc::new(FixedClock::new(job.epoch)), waiting };
    (!job.grants.real_clock).then(fixed)
}

fn configuration(jobs: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    let [instances, tables] = [MAX_INSTANCES, MAX_TABLES].map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    // Sized for `jobs` components at once, each as large as one can be.
    pool.total_component_instances(jobs)
        .max_core_instances_per_component(instances)
        .max_memories_per_component(16)
        .max_tables_per_component(tables)
        .total_core_instances(jobs * instances)
        .total_memories(jobs * 16)
        .total_tables(jobs * tables)
        .total_stacks(jobs + 1)
        .max_memory_size(4 << 30)
        .table_elements(1 << 20)
        .max_unused_warm_slots(jobs)
        .linear_memory_keep_resident(2 << 20)
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(32 << 10);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        // The same bits on every processor: what a task makes follows from what
        // it was given.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .wasm_backtrace_max_frames(None);
    config
}

/// How many handles each of `jobs` TaskRuns may have, so that all of them
/// together leave the process half of its file descriptors.
fn share_handles(jobs: u32) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Programs begin with few for the sake of select(2), which nothing here uses.
    let wanted = Some(maximum.unwrap_or(u64::MAX).min(1 << 16));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: wanted.max(current), maximum }).is_ok();
    let allowed = if raised { wanted.max(current) } else { current };
    let share = allowed.unwrap_or(u64::MAX) / 2 / u64::from(jobs.max(1));
    usize::try_from(share).unwrap_or(usize::MAX).max(64)
}

/// Advances the epoch for as long as the sandbox lives.
fn start_ticking(engine: &Engine, ticking: &Arc<AtomicBool>) -> std::io::Result<()> {
    let (engine, ticking) = (engine.weak(), Arc::clone(ticking));
    let tick = move || {
        while ticking.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    std::thread::Builder::new().name("epoch".to_owned()).spawn(tick).map(|_| ())
}
