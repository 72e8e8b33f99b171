//! One raw connection of a task, from when it is begun to its end, and the one
//! event that it becomes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::exchange::Traffic;
use super::meter::Meter;
use crate::event::{Connection, Fact, Recorder};
use crate::model::TaskRunReason;

/// A raw connection. Whoever lets go of it last records it.
#[derive(Debug)]
pub(crate) struct Open {
    task: String,
    host: String,
    address: SocketAddr,
    began: Instant,
    traffic: Arc<Traffic>,
    recorder: Arc<Recorder>,
    /// Nothing once it is recorded.
    state: Mutex<Option<State>>,
}

#[derive(Debug, Default)]
struct State {
    answered: bool,
    sent: Meter,
    received: Meter,
    /// Bytes on their way to the system, which may not take them all.
    handed: Option<Bytes>,
    /// Whether the task has said that it sends nothing more.
    closing: bool,
    /// Whether it did not want the rest of what comes.
    deaf: bool,
    /// Whether there were bytes that may have been sent in part, or not at all.
    lost: bool,
    error: Option<String>,
}

impl Open {
    /// A connection that is begun: to the address, by the rule for `host`.
    pub(super) fn begin(
        (task, host, address): (String, String, SocketAddr),
        traffic: Arc<Traffic>,
        recorder: Arc<Recorder>,
    ) -> Self {
        let state = Mutex::new(Some(State::default()));
        Self { task, host, address, began: Instant::now(), traffic, recorder, state }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        if let Some(state) = &mut *self.lock() {
            change(state);
        }
    }

    fn is(&self, what: impl FnOnce(&State) -> bool) -> bool {
        self.lock().as_ref().is_some_and(what)
    }

    /// The other end has answered.
    pub(crate) fn answered(&self) {
        self.change(|state| state.answered = true);
    }

    /// Whether it is still waited for the other end's answer.
    pub(crate) fn is_beginning(&self) -> bool {
        self.is(|state| !state.answered)
    }

    /// Counts bytes that are about to be sent.
    pub(crate) fn count(&self, bytes: usize) -> Result<(), TaskRunReason> {
        self.traffic.send(bytes)
    }

    /// Bytes that are on their way to the system.
    pub(crate) fn hand(&self, bytes: Bytes) {
        self.change(|state| {
            state.lost |= state.handed.is_some();
            state.handed = Some(bytes);
        });
    }

    /// Whether bytes are on their way to the system.
    pub(crate) fn has_handed(&self) -> bool {
        self.is(|state| state.handed.is_some())
    }

    /// The system has taken what was handed to it.
    pub(crate) fn accepted(&self) {
        self.change(|state| {
            if let Some(bytes) = state.handed.take() {
                state.sent.add(&bytes);
            }
        });
    }

    /// Nobody can tell how much of what was handed over was sent.
    pub(crate) fn lost(&self) {
        self.change(|state| {
            state.handed = None;
            state.lost = true;
        });
    }

    /// The task sends nothing more after what it has handed over.
    pub(crate) fn close_sending(&self) {
        self.change(|state| state.closing = true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is(|state| state.closing)
    }

    /// Bytes that were received.
    pub(crate) fn receive(&self, bytes: &Bytes) -> Result<(), TaskRunReason> {
        self.traffic.receive(bytes.len())?;
        self.change(|state| state.received.add(bytes));
        Ok(())
    }

    /// The other end has said all that it will.
    pub(crate) fn received_all(&self) {
        self.change(|state| state.received.complete = !state.deaf);
    }

    /// The task wants nothing more of what comes.
    pub(crate) fn close_receiving(&self) {
        self.change(|state| state.deaf |= !state.received.complete);
    }

    /// Notes what went wrong, unless something had before.
    pub(crate) fn fail(&self, why: impl Into<String>) {
        self.change(|state| {
            state.error.get_or_insert_with(|| why.into());
        });
    }

    /// Records it, once. What is on its way counts as not sent.
    pub(crate) fn record(&self) {
        let Some(mut state) = self.lock().take() else { return };
        state.sent.complete = state.answered && !state.lost && state.handed.is_none();
        let unanswered = || "it was let go of before the other end answered".to_owned();
        let connection = Connection {
            task: self.task.clone(),
            host: self.host.clone(),
            address: self.address,
            unanswered: !state.answered,
            sent: state.sent.transfer(),
            received: state.received.transfer(),
            duration_micros: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            error: state.error.or_else(|| (!state.answered).then(unanswered)),
        };
        // A journal that fails stops the run at its next event.
        let _ = self.recorder.record(Fact::ConnectionFinished(Box::new(connection)));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.record();
    }
}
