//! Stamps facts and hands them on: to the journal, which must keep every one,
//! and to live sinks, which may fail without harm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_registry::Digest;
use jiff::Timestamp;

use super::contact::Contacts;
use super::journal::JournalError;
use super::record::RunRecord;
use super::writer::{JournalWriter, StoredAttestation};
use super::{Event, Fact, chain, genesis};
use crate::model::RunId;

/// Something that shows a run while it happens.
pub trait LiveSink: Send {
    /// Shows one event.
    ///
    /// # Errors
    /// A sink that fails is dropped; the run goes on without it.
    fn show(&mut self, event: &Event) -> std::io::Result<()>;

    /// Shows how far a task has come, which is not recorded.
    ///
    /// # Errors
    /// As [`LiveSink::show`].
    fn progress(&mut self, task: &str, done: u64, total: Option<u64>, message: &str) -> std::io::Result<()> {
        let _ = (task, done, total, message);
        Ok(())
    }
}

/// Makes the events of one run.
pub struct Recorder {
    run: RunId,
    now: fn() -> Timestamp,
    head: Mutex<Head>,
    sinks: Mutex<Vec<Box<dyn LiveSink>>>,
    shown: AtomicBool,
    writer: JournalWriter,
}

struct Head {
    seq: u64,
    hash: Digest,
    at: Timestamp,
    record: Option<RunRecord>,
    /// How a run begins to be told.
    begin: fn(&Event) -> Option<RunRecord>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins the chain of a new run.
    #[must_use]
    pub fn new(
        run: RunId,
        writer: JournalWriter,
        sinks: Vec<Box<dyn LiveSink>>,
        now: fn() -> Timestamp,
    ) -> Self {
        let begin = RunRecord::begin;
        let head = Mutex::new(Head { seq: 0, hash: genesis(&run), at: Timestamp::MIN, record: None, begin });
        let shown = AtomicBool::new(!sinks.is_empty());
        Self { run, now, head, sinks: Mutex::new(sinks), shown, writer }
    }

    /// Does not list the tasks of the run: another one tells of them.
    #[must_use]
    pub fn without_tasks(self) -> Self {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).begin = RunRecord::begin_without_tasks;
        self
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Records a fact.
    ///
    /// # Errors
    /// [`JournalError`] when an earlier event could not be kept: the run must
    /// then stop.
    pub fn record(&self, fact: Fact) -> Result<Arc<Event>, JournalError> {
        // A fact is strings, numbers and maps with string keys.
        let text = serde_json::to_string(&fact).unwrap_or_default();
        let event = {
            let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
            let seq = head.seq;
            // Time never goes back within a run, even when the clock does.
            let micros = (self.now)().as_microsecond();
            let at = Timestamp::from_microsecond(micros).unwrap_or(head.at).max(head.at);
            let hash = chain(head.hash, seq, at, &text);
            let event = Arc::new(Event { run: self.run.clone(), seq, at, fact, hash });
            (head.seq, head.hash, head.at) = (seq + 1, hash, at);
            match &mut head.record {
                Some(record) => record.apply(&event),
                None => head.record = (head.begin)(&event),
            }
            self.writer.append(Arc::clone(&event), text)?;
            event
        };
        if self.shown.load(Ordering::Relaxed) {
            self.each_sink(|sink| sink.show(&event));
        }
        Ok(event)
    }

    /// Stores a signed bundle beside the events.
    ///
    /// # Errors
    /// As [`Recorder::record`].
    pub fn attest(&self, attestation: StoredAttestation) -> Result<(), JournalError> {
        self.writer.attest(attestation)
    }

    /// Shows progress, which is not recorded.
    pub fn progress(&self, task: &str, done: u64, total: Option<u64>, message: &str) {
        if self.shown.load(Ordering::Relaxed) {
            self.each_sink(|sink| sink.progress(task, done, total, message));
        }
    }

    /// Looks at the run as its events tell it so far; nothing before the first.
    pub fn read<T>(&self, look: impl FnOnce(&RunRecord) -> T) -> Option<T> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).record.as_ref().map(look)
    }

    /// Gives the run away as its events tell it, once there will be no more.
    #[must_use]
    pub fn take(&self) -> Option<RunRecord> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).record.take()
    }

    /// What a task has had to do with the world outside so far.
    #[must_use]
    pub fn contacts(&self, task: &str) -> Contacts {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let found = head.record.as_ref().and_then(|record| record.tasks.get(task));
        found.map(|task| task.contacts.clone()).unwrap_or_default()
    }

    /// Puts everything recorded so far on disk, and waits for none of it.
    ///
    /// # Errors
    /// As [`Recorder::record`].
    pub fn begin_flush(&self) -> Result<(), JournalError> {
        self.writer.begin_flush().map(|_| ())
    }

    /// Waits until everything recorded so far is on disk.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be kept.
    pub fn flush(&self) -> Result<(), JournalError> {
        self.writer.flush()
    }

    fn each_sink(&self, mut show: impl FnMut(&mut dyn LiveSink) -> std::io::Result<()>) {
        let mut sinks = self.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain_mut(|sink| match show(sink.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a live sink failed and is left out from here on");
                false
            }
        });
    }
}
