//! One request and its response while they are under way: what is counted,
//! hashed and held against limits, and the one event that it becomes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use hyper_util::client::legacy::connect::CaptureConnection;

use super::connect::Peer;
use super::meter::Meter;
use crate::capability::{Redactor, Trip, cut};
use crate::event::{Exchange, Fact, Recorder};
use crate::model::{EffectiveLimits, TaskRunReason};

/// Bytes of an error that are recorded.
const MAX_ERROR: usize = 512;
/// Addresses without an answer that are recorded for one attempt.
const MAX_TRIED: usize = 32;

tokio::task_local! {
    /// The request that is being sent. Connecting happens within it, and the
    /// client hands a connector nothing but a URL.
    pub(super) static SENDING: Weak<Live>;
}

/// What a TaskRun has sent and received, of how much.
#[derive(Debug)]
pub(crate) struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    limits: EffectiveLimits,
    trip: Trip,
}

impl Traffic {
    pub(crate) fn new(limits: EffectiveLimits, trip: Trip) -> Self {
        Self { sent: AtomicU64::new(0), received: AtomicU64::new(0), limits, trip }
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Counts bytes about to be sent.
    pub(crate) fn send(&self, bytes: usize) -> Result<(), TaskRunReason> {
        self.take(&self.sent, bytes, self.limits.egress.bytes(), TaskRunReason::EgressLimit)
    }

    /// Counts bytes that were received.
    pub(crate) fn receive(&self, bytes: usize) -> Result<(), TaskRunReason> {
        self.take(&self.received, bytes, self.limits.ingress.bytes(), TaskRunReason::IngressLimit)
    }

    /// Holds the size of one body against the limit for each.
    fn check_body(&self, size: u64) -> Result<(), TaskRunReason> {
        if size > self.limits.body.bytes() { Err(self.over(TaskRunReason::BodyLimit)) } else { Ok(()) }
    }

    fn take(
        &self,
        counter: &AtomicU64,
        bytes: usize,
        limit: u64,
        reason: TaskRunReason,
    ) -> Result<(), TaskRunReason> {
        let before = counter.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > limit { Err(self.over(reason)) } else { Ok(()) }
    }

    fn over(&self, reason: TaskRunReason) -> TaskRunReason {
        self.trip.note(reason);
        reason
    }
}

/// A request and its response, shared by both bodies. The last of them to end
/// records it; so does whoever drops them.
#[derive(Debug)]
pub(super) struct Live {
    traffic: Arc<Traffic>,
    recorder: Arc<Recorder>,
    redactor: Redactor,
    began: Instant,
    state: Mutex<State>,
}

impl Drop for Live {
    fn drop(&mut self) {
        // A request that went out is told, whoever lost interest in it.
        self.record(Some("the task let go of it before its answer".to_owned()));
    }
}

#[derive(Debug)]
struct State {
    /// What is known already; nothing once it is recorded.
    told: Option<Exchange>,
    sent: Meter,
    received: Option<Meter>,
    /// Knows the connection, as soon as the request has one.
    connection: Option<CaptureConnection>,
}

impl Live {
    /// `told` says what is known before anything is sent.
    pub(super) fn new(
        told: Exchange,
        traffic: &Arc<Traffic>,
        recorder: &Arc<Recorder>,
        redactor: &Redactor,
    ) -> Arc<Self> {
        let state = State { told: Some(told), sent: Meter::default(), received: None, connection: None };
        let (traffic, recorder, redactor) = (Arc::clone(traffic), Arc::clone(recorder), redactor.clone());
        Arc::new(Self { traffic, recorder, redactor, began: Instant::now(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the request's body, before they are sent.
    pub(super) fn send(&self, bytes: &Bytes) -> Result<(), TaskRunReason> {
        self.traffic.send(bytes.len())?;
        let mut state = self.state();
        state.sent.add(bytes);
        self.traffic.check_body(state.sent.size)
    }

    pub(super) fn sent_all(&self) {
        self.state().sent.complete = true;
    }

    /// How many bytes of the body were sent, and whether that is all.
    pub(super) fn progress(&self) -> (u64, bool) {
        let state = self.state();
        (state.sent.size, state.sent.complete)
    }

    /// An address that a connection is tried to, and the proxy it is asked of.
    pub(super) fn trying(&self, address: Option<SocketAddr>, proxy: Option<&str>) {
        if let Some(told) = &mut self.state().told {
            told.proxy = proxy.map(str::to_owned);
            let room = MAX_TRIED.saturating_sub(told.tried.len());
            told.tried.extend(address.into_iter().take(room));
        }
    }

    /// The other end of the connection that was made for it.
    pub(super) fn reached(&self, peer: &Peer) {
        if let Some(told) = &mut self.state().told {
            told.address = peer.address;
        }
    }

    /// Where the client will say which connection it took: it can be one that
    /// was there before.
    pub(super) fn capture(&self, connection: CaptureConnection) {
        self.state().connection = Some(connection);
    }

    /// The head of the response.
    pub(super) fn answered(&self, status: u16, protocol: String) {
        let mut state = self.state();
        state.received = Some(Meter::default());
        if let Some(told) = &mut state.told {
            told.status = Some(status);
            told.protocol = Some(protocol);
        }
    }

    /// Bytes of the response's body, as they came.
    pub(super) fn receive(&self, bytes: &Bytes) -> Result<(), TaskRunReason> {
        self.traffic.receive(bytes.len())?;
        let mut state = self.state();
        let Some(meter) = &mut state.received else { return Ok(()) };
        meter.add(bytes);
        let size = meter.size;
        self.traffic.check_body(size)
    }

    pub(super) fn masked(&self) {
        if let Some(told) = &mut self.state().told {
            told.masked = true;
        }
    }

    /// The response has ended as it should.
    pub(super) fn received_all(&self) {
        if let Some(meter) = &mut self.state().received {
            meter.complete = true;
        }
        self.record(None);
    }

    /// Records it, once; `error` is what ended it early.
    pub(super) fn record(&self, error: Option<String>) {
        let mut state = self.state();
        let Some(mut told) = state.told.take() else { return };
        if let Some(peer) = state.connection.take().as_ref().and_then(Peer::of) {
            (told.address, told.proxy) = (peer.address, peer.proxy);
        }
        let address = told.address;
        told.tried.retain(|tried| Some(*tried) != address);
        told.request = std::mem::take(&mut state.sent).transfer();
        told.response = state.received.take().map(Meter::transfer);
        told.duration_micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        // It can quote what the server said.
        told.error = error.map(|error| cut(&self.redactor.text(&error), MAX_ERROR).into_owned());
        drop(state);
        // A journal that fails stops the run at its next event.
        let _ = self.recorder.record(Fact::RequestFinished(Box::new(told)));
    }
}
