//! The requests of one TaskRun: each held against its rules, sent within its
//! limits, recorded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_manifest::NetworkRule;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::attempt::Client;
use super::exchange::{Live, Traffic};
use super::{Credential, Network, Open};
use crate::capability::{Redactor, Target, Trip, Withheld, cut, find_rule, rule_for};
use crate::event::{Denial, Fact, Recorder};
use crate::model::{EffectiveLimits, TaskRunReason};

/// A body that a task sends or receives.
pub(crate) type TaskBody = UnsyncBoxBody<Bytes, NetworkError>;

/// Bytes of a method that are recorded.
const MAX_METHOD: usize = 32;
/// Bytes of a URL that are recorded.
pub(super) const MAX_URL: usize = 2 << 10;

/// Why a request came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// It is not granted; the text names the rule to add.
    #[error("not granted: {0}")]
    Denied(String),
    /// The TaskRun went over a limit, which ends it.
    #[error("over its limit ({})", .0.as_str())]
    Limit(TaskRunReason),
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// The name has no address.
    #[error("{0}")]
    Unresolved(String),
    /// The certificate, or the session.
    #[error("TLS: {0}")]
    Tls(String),
    /// Something else between the two ends.
    #[error("{0}")]
    Transport(String),
    /// The response did not begin in time.
    #[error("no response within {0:?}")]
    Timeout(Duration),
    /// The response stopped.
    #[error("the response stopped for {0:?}")]
    Silence(Duration),
    /// A request with a secret cannot be made so that its echo could be masked.
    #[error("{0}")]
    Secret(String),
}

/// How long a task waits, as far as the host lets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the head of the response.
    pub(crate) first_byte: Duration,
    /// Between pieces of the body.
    pub(crate) between_bytes: Duration,
}

impl Timeouts {
    /// The longest that the host waits.
    pub(crate) const MOST: Self = Self {
        connect: Duration::from_secs(30),
        first_byte: Duration::from_secs(300),
        between_bytes: Duration::from_secs(60),
    };

    /// What a task asks for, as far as the host waits.
    pub(crate) fn asked(
        connect: Option<Duration>,
        first_byte: Option<Duration>,
        between_bytes: Option<Duration>,
    ) -> Self {
        let most = Self::MOST;
        // Whole seconds: there are connections of their own for each.
        let connect = connect.map(|asked| Duration::from_secs(asked.as_secs().saturating_add(1)));
        Self {
            connect: connect.unwrap_or(most.connect).min(most.connect),
            first_byte: first_byte.unwrap_or(most.first_byte).min(most.first_byte),
            between_bytes: between_bytes.unwrap_or(most.between_bytes).min(most.between_bytes),
        }
    }
}

/// What a session is made from.
#[derive(Debug)]
pub(crate) struct SessionRequest<'a> {
    /// The task's name.
    pub(crate) task: &'a Arc<str>,
    /// What it may request.
    pub(crate) rules: &'a [NetworkRule],
    /// What it asks for and is refused.
    pub(crate) withheld: &'a Arc<Withheld>,
    /// The secrets of its rules, by name.
    pub(crate) credentials: &'a [Credential],
    /// Masks them.
    pub(crate) redactor: &'a Redactor,
    /// How much it may send and receive.
    pub(crate) limits: &'a EffectiveLimits,
    /// Ends it.
    pub(crate) trip: &'a Trip,
    /// Records what it does.
    pub(crate) recorder: &'a Arc<Recorder>,
}

/// The requests of one TaskRun.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) network: Arc<Network>,
    pub(super) task: Arc<str>,
    rules: Vec<Arc<NetworkRule>>,
    pub(super) withheld: Arc<Withheld>,
    pub(super) credentials: Vec<Credential>,
    pub(super) redactor: Redactor,
    pub(super) traffic: Arc<Traffic>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) trip: Trip,
    /// Requests and raw connections, all together.
    pub(super) limit: u64,
    slots: Arc<Semaphore>,
    pub(super) requests: AtomicU64,
    pub(super) denials: AtomicU64,
    clients: Mutex<HashMap<(usize, Duration), Client>>,
    live: Mutex<Vec<Weak<Live>>>,
    open: Mutex<Vec<Weak<Open>>>,
}

/// The place of a request among those under way.
pub(super) type Slot = Option<OwnedSemaphorePermit>;

/// A request that a rule allows.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    pub(super) number: u64,
    pub(super) target: Target,
    pub(super) rule: Arc<NetworkRule>,
    pub(super) client: Client,
    pub(super) timeouts: Timeouts,
}

impl Session {
    pub(crate) fn new(network: &Arc<Network>, request: SessionRequest<'_>) -> Self {
        let SessionRequest { task, rules, withheld, credentials, redactor, limits, trip, recorder } = request;
        let open_requests = usize::try_from(limits.open_requests).unwrap_or(1).clamp(1, 1 << 10);
        Self {
            network: Arc::clone(network),
            task: Arc::clone(task),
            rules: rules.iter().cloned().map(Arc::new).collect(),
            withheld: Arc::clone(withheld),
            credentials: credentials.to_vec(),
            redactor: redactor.clone(),
            traffic: Arc::new(Traffic::new(*limits, trip.clone())),
            recorder: Arc::clone(recorder),
            trip: trip.clone(),
            limit: limits.requests,
            slots: Arc::new(Semaphore::new(open_requests)),
            requests: AtomicU64::new(0),
            denials: AtomicU64::new(0),
            clients: Mutex::default(),
            live: Mutex::default(),
            open: Mutex::default(),
        }
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Requests that were made, refused ones among them.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn denials(&self) -> u64 {
        self.denials.load(Ordering::Relaxed)
    }

    /// Sends a request that is allowed, and gives the head of its response.
    pub(crate) async fn send(
        self: Arc<Self>,
        request: Request<TaskBody>,
        allowed: Allowed,
    ) -> Result<Response<TaskBody>, NetworkError> {
        // More than so many at once wait for each other, until a body has ended.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        self.attempts(request, allowed, slot).await
    }

    /// Holds a request against the rules and the number of requests. Neither
    /// waits for anything nor reads a clock.
    pub(crate) fn allow<B>(&self, request: &Request<B>, timeouts: Timeouts) -> Result<Allowed, NetworkError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if number > self.limit {
            self.trip.note(TaskRunReason::RequestLimit);
            return Err(NetworkError::Limit(TaskRunReason::RequestLimit));
        }
        let (uri, method) = (request.uri(), request.method().as_str());
        let subject = || format!("{} {}", cut(method, MAX_METHOD), cut(&uri.to_string(), MAX_URL));
        let target = Target::of(uri).map_err(|why| self.deny(subject(), why, None))?;
        let found = find_rule(self.rules.iter().map(Arc::as_ref), &target, method);
        let index = found.map_err(|why| self.refuse(subject(), why, &target, method))?;
        let Some(rule) = self.rules.get(index) else {
            return Err(self.deny(subject(), "no rule names the host".to_owned(), None));
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match clients.get(&(index, timeouts.connect)) {
            Some(client) => client.clone(),
            None => {
                let made = Client::new(&self.network, rule, timeouts.connect).map_err(NetworkError::Tls)?;
                clients.insert((index, timeouts.connect), made.clone());
                made
            }
        };
        Ok(Allowed { number, target, rule: Arc::clone(rule), client, timeouts })
    }

    /// Refuses a request that no rule allows. One that the manifest asks for was
    /// refused before the run, for a reason that is known.
    fn refuse(&self, subject: String, why: String, target: &Target, method: &str) -> NetworkError {
        match find_rule(self.withheld.network.iter().map(|withheld| &withheld.rule), target, method) {
            Ok(index) => {
                let withheld = self.withheld.network.get(index);
                let why = withheld.map_or(why, |withheld| withheld.why.clone());
                self.deny_for(subject, why, withheld.and_then(|withheld| withheld.remedy.clone()), "add")
            }
            Err(_) => self.deny(subject, why, rule_for(target, method)),
        }
    }

    /// Records a refusal and gives the error that names what to add.
    pub(super) fn deny(&self, subject: String, why: String, rule: Option<String>) -> NetworkError {
        let remedy = rule.map(|rule| format!("grants: {{ network: [{rule}] }}"));
        self.deny_for(subject, why, remedy, "declare it in task.yaml and add")
    }

    fn deny_for(&self, subject: String, why: String, remedy: Option<String>, how: &str) -> NetworkError {
        self.denials.fetch_add(1, Ordering::Relaxed);
        let mut text = format!("{subject}: {why}");
        if let Some(remedy) = &remedy {
            text += &format!("; to allow it, {how} in the pipeline: {remedy}");
        }
        let (task, capability) = (self.task.to_string(), "network".to_owned());
        let denial = Denial { task, capability, subject, why, remedy };
        // A journal that fails stops the run at its next event.
        let _ = self.recorder.record(Fact::CapabilityDenied(Box::new(denial)));
        NetworkError::Denied(text)
    }

    /// Remembers an exchange, so that the end of the TaskRun ends it.
    pub(super) fn watch(&self, live: &Arc<Live>) {
        let mut watched = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|live| live.strong_count() > 0);
        watched.push(Arc::downgrade(live));
    }

    /// As [`Session::watch`].
    pub(super) fn watch_connection(&self, open: &Arc<Open>) {
        let mut watched = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|open| open.strong_count() > 0);
        watched.push(Arc::downgrade(open));
    }

    /// Records what is still under way: the TaskRun has ended.
    pub(crate) fn close(&self) {
        let watched = std::mem::take(&mut *self.live.lock().unwrap_or_else(PoisonError::into_inner));
        for live in watched.iter().filter_map(Weak::upgrade) {
            live.record(Some("the task ended first".to_owned()));
        }
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        open.iter().filter_map(Weak::upgrade).for_each(|open| open.record());
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
