//! Raw TCP connections of one TaskRun: only to granted hosts and ports, only to
//! addresses that the host resolved and checked itself; counted and hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use cofferdam_manifest::{Host, HostPattern, TcpRule};

use super::connect::resolve_checked;
use super::exchange::Traffic;
use super::meter::Meter;
use super::{DialError, Session};
use crate::capability::{check_address, cut, tcp_yaml};
use crate::event::{Connection, Denial, Fact, Recorder};
use crate::model::TaskRunReason;

/// Bytes of a name that are recorded.
const MAX_NAME: usize = 256;

/// The raw connections of one TaskRun.
#[derive(Debug)]
pub(crate) struct Connections {
    session: Arc<Session>,
    rules: Vec<TcpRule>,
    /// Addresses that were resolved and checked, with the rules that allow them.
    checked: Mutex<BTreeMap<IpAddr, BTreeSet<usize>>>,
}

impl Connections {
    pub(crate) fn new(session: Arc<Session>, rules: &[TcpRule]) -> Self {
        Self { session, rules: rules.to_vec(), checked: Mutex::default() }
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        self.session.traffic()
    }

    /// Resolves a name for a task; nothing when no rule names it, for asking
    /// would already tell whoever answers.
    pub(crate) async fn resolve(self: Arc<Self>, name: String) -> Option<Vec<IpAddr>> {
        if !self.count() {
            return None;
        }
        let host = name.parse::<Host>().ok();
        let named: Vec<(usize, &TcpRule)> = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| host.as_ref().is_some_and(|host| rule.host.matches(host)))
            .collect();
        let Some(host) = host.filter(|_| !named.is_empty()) else {
            self.deny(cut(&name, MAX_NAME).into_owned(), "no rule names the host".to_owned(), None);
            return None;
        };
        let mut found = BTreeSet::new();
        let mut refused = None;
        for (index, rule) in named {
            match resolve_checked(&self.session.network, &host, &rule.host, &rule.addresses).await {
                Ok(addresses) => {
                    let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
                    for address in addresses {
                        checked.entry(address).or_default().insert(index);
                        found.insert(address);
                    }
                }
                Err(error @ DialError::Refused { address, .. }) => {
                    let mut rule = rule.clone();
                    rule.addresses.extend(address.to_string().parse::<cofferdam_manifest::AddressRange>());
                    refused = Some((error.to_string(), rule));
                }
                Err(error) => tracing::debug!(%error, "a name of a task has no address"),
            }
        }
        if let (true, Some((why, rule))) = (found.is_empty(), refused) {
            self.deny(format!("{host}:{}", rule.port), why, Some(&rule));
        }
        Some(found.into_iter().collect())
    }

    /// Whether a connection may be made; the host and port of the rule if so.
    pub(crate) fn allow(&self, address: SocketAddr) -> Result<String, ()> {
        let ip = address.ip().to_canonical();
        if !self.count() {
            return Err(());
        }
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let resolved = checked.get(&ip);
        let allows = |(index, rule): &(usize, &TcpRule)| {
            let own = rule.host == HostPattern::Exact(Host::Address(ip))
                && check_address(&rule.host, &rule.addresses, ip).is_ok();
            rule.port == address.port() && (own || resolved.is_some_and(|rules| rules.contains(index)))
        };
        let found = self.rules.iter().enumerate().find(allows);
        if let Some((_, rule)) = found {
            return Ok(format!("{}:{}", rule.host, rule.port));
        }
        drop(checked);
        let rule = TcpRule {
            host: HostPattern::Exact(Host::Address(ip)),
            port: address.port(),
            addresses: Vec::new(),
        };
        self.deny(address.to_string(), "no rule names the address and port".to_owned(), Some(&rule));
        Err(())
    }

    /// Counts whatever a task tries; whether it is still within its limit.
    fn count(&self) -> bool {
        let within = self.session.requests.fetch_add(1, Ordering::Relaxed) < self.session.limit;
        if !within {
            self.session.trip.note(TaskRunReason::RequestLimit);
        }
        within
    }

    /// Records that a task tried something else of sockets.
    pub(crate) fn refuse(&self, what: &str) {
        if !self.count() {
            return;
        }
        self.deny(what.to_owned(), "a task can only connect: it cannot bind or listen".to_owned(), None);
    }

    /// A connection that was made.
    pub(crate) fn opened(&self, host: String, address: SocketAddr) -> Arc<Open> {
        let open = Arc::new(Open {
            task: self.session.task.to_string(),
            host,
            address,
            began: Instant::now(),
            traffic: Arc::clone(self.traffic()),
            recorder: Arc::clone(&self.session.recorder),
            meters: Mutex::new(Some((Meter::default(), Meter::default()))),
        });
        self.session.watch_connection(&open);
        open
    }

    fn deny(&self, subject: String, why: String, rule: Option<&TcpRule>) {
        self.session.denials.fetch_add(1, Ordering::Relaxed);
        let (task, capability) = (self.session.task.to_string(), "tcp".to_owned());
        let remedy = rule.map(|rule| format!("grants: {{ tcp: [{}] }}", tcp_yaml(rule)));
        let denial = Denial { task, capability, subject, why, remedy };
        // A journal that fails stops the run at its next event.
        let _ = self.session.recorder.record(Fact::CapabilityDenied(Box::new(denial)));
    }
}

/// A raw connection while it is open. Whoever lets go of it last records it.
#[derive(Debug)]
pub(crate) struct Open {
    task: String,
    host: String,
    address: SocketAddr,
    began: Instant,
    traffic: Arc<Traffic>,
    recorder: Arc<Recorder>,
    /// What was sent and received; nothing once it is recorded.
    meters: Mutex<Option<(Meter, Meter)>>,
}

impl Open {
    /// Bytes before they are sent.
    pub(crate) fn send(&self, bytes: &Bytes) -> Result<(), TaskRunReason> {
        self.traffic.send(bytes.len())?;
        if let Some((sent, _)) = &mut *self.meters.lock().unwrap_or_else(PoisonError::into_inner) {
            sent.add(bytes);
        }
        Ok(())
    }

    /// Bytes that were received.
    pub(crate) fn receive(&self, bytes: &Bytes) -> Result<(), TaskRunReason> {
        self.traffic.receive(bytes.len())?;
        if let Some((_, received)) = &mut *self.meters.lock().unwrap_or_else(PoisonError::into_inner) {
            received.add(bytes);
        }
        Ok(())
    }

    /// The other end has said all that it will.
    pub(crate) fn received_all(&self) {
        if let Some((_, received)) = &mut *self.meters.lock().unwrap_or_else(PoisonError::into_inner) {
            received.complete = true;
        }
    }

    /// Records it, once.
    pub(crate) fn record(&self) {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut sent, received)) = meters else { return };
        sent.complete = true;
        let connection = Connection {
            task: self.task.clone(),
            host: self.host.clone(),
            address: self.address,
            sent: sent.transfer(),
            received: received.transfer(),
            duration_micros: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        let _ = self.recorder.record(Fact::ConnectionFinished(Box::new(connection)));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.record();
    }
}
