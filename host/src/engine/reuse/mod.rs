//! Takes the outcome of one TaskRun for that of another that was given the
//! same: from the cache, where nothing but what it was given can have decided
//! it, or from the run that this one goes on from.
//!
//! Nothing is taken that `verify` would not hold to be true: the attestation
//! must be there under its digest, and every byte of every output.

mod basis;
mod cache;
mod finding;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use super::results::check_stored;
use super::turn::TaskTurn;
use super::walk::Outcome;
use super::{EngineError, Run};
use crate::capability::Redactor;
use crate::event::{
    AfterFailure, Event, Fact, Journal, Reuse, ReusedBy, RunRecord, TaskEnd, TaskStart, Usage,
};
use crate::model::{Shared, Status, TaskRunReason};
use crate::store::Store;
use basis::{Parts, key};
use cache::{Found, Latest, Made, Row};

pub use basis::Platform;
pub use cache::TaskRunCache;
pub use finding::CacheFinding;

/// A TaskRun of an earlier run that had succeeded.
#[derive(Clone, Debug)]
pub struct Finished {
    /// With what it began.
    pub start: Shared<TaskStart>,
    /// How it ended.
    pub end: Shared<TaskEnd>,
    /// The TaskRun that its outcome comes from.
    pub origin: Reuse,
}

impl Finished {
    /// The TaskRuns that a run has done, by name: those that succeeded and were
    /// attested.
    #[must_use]
    pub fn of(record: &RunRecord, predicate_type: &str, platform: &Platform) -> HashMap<String, Self> {
        let done = record.tasks.iter().filter_map(|(name, task)| {
            let ((_, start), (_, end)) = (task.start.as_ref()?, task.end.as_ref()?);
            if end.reason.status() != Status::Succeeded {
                return None;
            }
            let origin = match &end.reused {
                // The TaskRun that ran, never the copy in between.
                Some(reuse) => Reuse { by: ReusedBy::Resume, ..Reuse::clone(reuse) },
                None => Reuse {
                    by: ReusedBy::Resume,
                    run: record.id.clone(),
                    task: name.clone(),
                    attestation: *record.attested.get(&(Some(name.clone()), predicate_type.to_owned()))?,
                    key: key(start, platform),
                },
            };
            let (start, end) = (Shared::clone(start), Shared::clone(end));
            Some((name.clone(), Self { start, end, origin }))
        });
        done.collect()
    }
}

/// Says whether what is signed of a TaskRun tells the outcome that is to be
/// taken, for one that would be given the same.
pub type Vouched = Box<dyn Fn(&Journal, (&TaskStart, &TaskEnd), &Reuse) -> bool + Send + Sync>;

impl std::fmt::Debug for Reuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reuses").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

/// What may be reused, and what becomes of it in one run.
pub struct Reuses {
    journal: Mutex<Journal>,
    /// The type of what is attested of a TaskRun.
    predicate_type: &'static str,
    platform: Platform,
    pipeline: String,
    epoch: i64,
    cache: Option<TaskRunCache>,
    read: bool,
    explain: bool,
    finished: HashMap<String, Finished>,
    vouched: Vouched,
    fresh: Mutex<Fresh>,
    findings: Mutex<BTreeMap<String, CacheFinding>>,
}

/// What a run of tasks adds to the cache.
#[derive(Debug, Default)]
struct Fresh {
    rows: HashMap<(Digest, Option<i64>), Row>,
    noted: Vec<Noted>,
}

/// A TaskRun that is to be the last of its name. What it was given is shared
/// with the run's record, and taken apart only when it is written.
#[derive(Debug)]
struct Noted {
    start: Shared<TaskStart>,
    key: Digest,
    epoch: Option<i64>,
    lack: String,
    /// Whether its outcome was taken from the cache.
    hit: bool,
}

/// How the cache is used.
#[derive(Debug)]
pub struct CacheUse {
    /// The cache, where there is one.
    pub cache: Option<TaskRunCache>,
    /// Whether outcomes are taken from it; they are kept in it in any case.
    pub read: bool,
    /// Whether it is noted for each task what became of it.
    pub explain: bool,
}

/// The outcome of another TaskRun.
pub(super) struct Taken {
    made: Made,
    reuse: Reuse,
}

impl Taken {
    /// Whether something in it is a secret of the run that would have it.
    pub(super) fn would_be_masked(&self, redactor: &Redactor) -> bool {
        let secret = |text: &String| redactor.text(text) != text.as_str();
        if redactor.is_empty() {
            return false;
        }
        // What is in the store is not looked through: the task runs.
        !self.made.stored_results.is_empty()
            || self.made.results.iter().any(|(name, value)| {
                secret(name)
                    || match value {
                        Value::Text(text) => secret(text),
                        Value::Texts(texts) => texts.iter().any(secret),
                        Value::Fields(fields) => fields.iter().any(|(key, text)| secret(key) || secret(text)),
                    }
            })
    }
}

impl Reuses {
    /// For one run of a pipeline at a time; `journal` holds earlier runs, and
    /// `predicate_type` is the type of what is attested of each TaskRun.
    #[must_use]
    pub fn new(
        journal: Journal,
        predicate_type: &'static str,
        platform: Platform,
        run: (&str, i64),
        cache: CacheUse,
    ) -> Self {
        let (pipeline, epoch) = (run.0.to_owned(), run.1);
        let CacheUse { cache, read, explain } = cache;
        let journal = Mutex::new(journal);
        let (finished, fresh, findings) = (HashMap::new(), Mutex::default(), Mutex::default());
        Self {
            journal,
            predicate_type,
            platform,
            pipeline,
            epoch,
            cache,
            read,
            explain,
            finished,
            vouched: Box::new(|_, _, _| false),
            fresh,
            findings,
        }
    }

    /// Adds the TaskRuns that an earlier run had done, by name. A journal can be
    /// written by others: only what `vouched` finds signed is taken.
    #[must_use]
    pub fn with_finished(self, finished: HashMap<String, Finished>, vouched: Vouched) -> Self {
        Self { finished, vouched, ..self }
    }

    /// The outcome that a TaskRun need not be run for.
    pub(super) fn find(&self, started: &Event, start: &Shared<TaskStart>, store: &Store) -> Option<Taken> {
        let found = self.found(started, start, store);
        if found.is_none() {
            // It runs, for whatever time that takes.
            self.let_go();
        }
        found
    }

    fn found(&self, started: &Event, start: &Shared<TaskStart>, store: &Store) -> Option<Taken> {
        if let Some(done) = self.finished.get(&start.task)
            && same(&done.start, start)
            && (self.vouched)(&self.journal(), (start, &done.end), &done.origin)
        {
            let made = Made::of(&done.end);
            return self.sound(made, done.origin.clone(), store).ok();
        }
        let (taken, finding) = if start.hermetic {
            match &self.cache {
                Some(cache) if self.read => self.look_up(cache, started, start, store),
                Some(_) => (None, CacheFinding::NotRead),
                None => (None, CacheFinding::NotKept { why: "there is no cache".to_owned() }),
            }
        } else {
            (None, CacheFinding::not_hermetic(&start.grants))
        };
        if self.explain {
            let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            findings.insert(start.task.clone(), finding);
        }
        if let Some(taken) = &taken {
            let (start, key) = (Shared::clone(start), taken.reuse.key);
            self.note_latest(Noted { start, key, epoch: None, lack: String::new(), hit: true });
        }
        taken
    }

    /// Stops holding on to the state that was found: nothing is looked for now.
    pub(super) fn let_go(&self) {
        if let Some(cache) = &self.cache {
            cache.let_go();
        }
        self.journal().let_go();
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_up(
        &self,
        cache: &TaskRunCache,
        started: &Event,
        start: &TaskStart,
        store: &Store,
    ) -> (Option<Taken>, CacheFinding) {
        let key = key(start, &self.platform);
        let row = match cache.find(key, self.epoch) {
            Found::Row(row) => row,
            Found::Nothing if self.explain => return (None, self.explain(cache, start)),
            Found::Nothing => return (None, CacheFinding::NeverRan),
            Found::Changed => {
                let why = "what was kept was changed on disk".to_owned();
                return (None, CacheFinding::Damaged { why });
            }
        };
        let Row { run, task, attestation, made, at, .. } = *row;
        let age = started.at.as_microsecond().saturating_sub(at.as_microsecond());
        let reuse = Reuse { by: ReusedBy::Cache, run, task, attestation, key };
        match self.sound(made, reuse, store) {
            Ok(taken) => {
                let Reuse { run, task, .. } = taken.reuse.clone();
                let age_micros = u64::try_from(age).unwrap_or(0);
                (Some(taken), CacheFinding::Hit { run, task, age_micros })
            }
            Err(Unsound::Gone(why)) => {
                tracing::debug!(
                    task = start.task,
                    why,
                    "a kept outcome has nothing to rely on; the task runs"
                );
                (None, CacheFinding::Damaged { why })
            }
            Err(Unsound::Damaged(why)) => {
                tracing::warn!(task = start.task, why, "a kept outcome cannot be relied on; the task runs");
                (None, CacheFinding::Damaged { why })
            }
        }
    }

    /// What is different from the last TaskRun of the name.
    fn explain(&self, cache: &TaskRunCache, start: &TaskStart) -> CacheFinding {
        let Some(last) = cache.latest(&self.pipeline, &start.task) else { return CacheFinding::NeverRan };
        let parts = Parts::of(start, &self.platform).changes(&last.parts);
        if !parts.is_empty() {
            return CacheFinding::Changed { parts };
        }
        if !last.lack.is_empty() {
            return CacheFinding::NotKept { why: last.lack };
        }
        match last.epoch {
            Some(before) if before != self.epoch => {
                let part =
                    format!("time: it looks at the clock, which stands at {} and was {before}", self.epoch);
                CacheFinding::Changed { parts: vec![part] }
            }
            Some(_) | None => CacheFinding::NotKept { why: "its outcome is no longer kept".to_owned() },
        }
    }

    /// The outcome of another TaskRun, if all of it is still there.
    fn sound(&self, made: Made, reuse: Reuse, store: &Store) -> Result<Taken, Unsound> {
        let Reuse { run, task, attestation, .. } = &reuse;
        let bundle = {
            let journal = self.journal();
            journal.hold();
            journal.bundle_digest(run, task, self.predicate_type).map_err(|error| error.to_string())?
        };
        let Some(bundle) = bundle else {
            let why = format!("the attestation of {task} of {run} is gone");
            // A run goes whole, so what is left of one was changed.
            let left = self.journal().has(run).map_err(|error| error.to_string())?;
            return Err(if left { Unsound::Damaged(why) } else { Unsound::Gone(why) });
        };
        if bundle != *attestation {
            return Err(format!("the attestation of {task} of {run} was changed").into());
        }
        for (name, tree) in &made.outputs {
            let found =
                store.check_tree(tree.digest).map_err(|error| format!("its output `{name}`: {error}"))?;
            if (found.files, found.bytes) != (tree.files, tree.bytes) {
                return Err(format!("its output `{name}` has another size than it was given").into());
            }
        }
        for (name, stored) in &made.stored_results {
            check_stored(stored, store).map_err(|why| format!("its result `{name}`: {why}"))?;
        }
        for list in made.reads.values().filter_map(|reads| reads.list) {
            store.check(list).map_err(|error| format!("the list of what it read: {error}"))?;
        }
        Ok(Taken { made, reuse })
    }

    /// Notes a TaskRun that ended and was attested, for whoever is given the same.
    pub(super) fn note(
        &self,
        start: &Shared<TaskStart>,
        finished: &Event,
        attestation: Digest,
        saw_time: bool,
    ) {
        let Fact::TaskFinished(end) = &finished.fact else { return };
        if self.cache.is_none() || !start.hermetic {
            return;
        }
        let epoch = saw_time.then_some(self.epoch);
        let (lack, key) = (lack(end), key(start, &self.platform));
        if lack.is_empty() {
            let made = Made::of(end);
            let (at, run, task) = (finished.at, finished.run.clone(), start.task.clone());
            let row = Row { key, epoch, at, run, task, attestation, made };
            self.fresh().rows.insert((key, epoch), row);
        }
        self.note_latest(Noted { start: Shared::clone(start), key, epoch, lack, hit: false });
    }

    fn note_latest(&self, noted: Noted) {
        self.fresh().noted.push(noted);
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the run has added. `durable` waits until the attestations that
    /// it names are on disk, and says whether they are: the rest of the work is
    /// done before.
    pub fn keep(&self, durable: impl FnOnce() -> bool) {
        let Some(cache) = &self.cache else { return };
        let Fresh { rows, mut noted } = std::mem::take(&mut *self.fresh());
        // Most often the last one was given the same, and that is noted: whether
        // the outcome was taken, or made once more.
        let tasks: Vec<&str> = noted.iter().map(|noted| noted.start.task.as_str()).collect();
        let last = cache.latest_keys(&self.pipeline, &tasks);
        let is_noted = |noted: &Noted| {
            let last = last.get(&noted.start.task);
            last.is_some_and(|(key, epoch)| *key == noted.key && (noted.hit || *epoch == noted.epoch))
        };
        noted.retain(|noted| !noted.lack.is_empty() || !is_noted(noted));
        let latest = |Noted { start, key, epoch, lack, .. }: Noted| Latest {
            pipeline: self.pipeline.clone(),
            task: start.task.clone(),
            key,
            epoch,
            parts: Parts::of(&start, &self.platform),
            lack,
        };
        if !noted.is_empty() || !rows.is_empty() {
            cache.keep(rows.values(), noted.into_iter().map(latest), durable);
        }
    }

    /// What became of looking for each task in the cache, where that was asked
    /// for.
    #[must_use]
    pub fn findings(&self) -> BTreeMap<String, CacheFinding> {
        std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why an outcome is not taken.
enum Unsound {
    /// Its run was removed, as `gc` does: nothing is wrong.
    Gone(String),
    /// What it names is not what it was.
    Damaged(String),
}

impl From<String> for Unsound {
    fn from(why: String) -> Self {
        Self::Damaged(why)
    }
}

/// Whether two TaskRuns were given the same, on one machine.
fn same(one: &TaskStart, other: &TaskStart) -> bool {
    let nowhere = Platform { name: String::new(), version: String::new() };
    key(one, &nowhere) == key(other, &nowhere)
}

/// Why the outcome of a hermetic TaskRun is not kept; empty, where it is. What a
/// task was refused is told in every run, so it has to be tried in every run.
fn lack(end: &TaskEnd) -> String {
    if end.reason != TaskRunReason::Succeeded {
        return format!("it did not succeed: {}", end.reason.as_str());
    }
    if end.usage.denials > 0 { "it tried what it is not granted".to_owned() } else { String::new() }
}

impl<'a> Run<'a> {
    /// Ends a TaskRun with the outcome of another.
    pub(super) fn end_reused(
        &self,
        turn: &TaskTurn<'_, 'a>,
        taken: Taken,
    ) -> Result<Option<Outcome>, EngineError> {
        let Taken { made: Made { results, stored_results, outputs, reads }, reuse } = taken;
        let end = TaskEnd {
            task: turn.name.clone(),
            attempt: turn.leaf.attempt,
            reason: TaskRunReason::Succeeded,
            message: None,
            failure: None,
            results,
            stored_results,
            outputs,
            reads,
            usage: Usage::default(),
            after: AfterFailure::Final,
            reused: Some(Box::new(reuse)),
        };
        let finished = self.engine.recorder.record(Fact::TaskFinished(end.into()))?;
        let about = (&**turn.flow, turn.task, turn.leaf, turn.key.clone());
        let ended = (Status::Succeeded, TaskRunReason::Succeeded.as_str(), AfterFailure::Final);
        Ok(self.pass_on(about, ended, Some(super::flow::Product::Task(finished))))
    }
}
