//! Raw TCP connections of one TaskRun: only to granted hosts and ports, only to
//! addresses that the host resolved and checked itself. Refusals are decided at
//! once, from the rules alone: only what is granted is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_manifest::{AddressRange, Host, HostPattern, TcpRule};
use tokio::sync::Semaphore;

use super::connect::resolve_checked;
use super::{DialError, Open, Session};
use crate::capability::{WithheldRule, check_address, cut, tcp_yaml};
use crate::event::{Denial, Fact};
use crate::model::TaskRunReason;

/// Bytes of a name that are recorded.
const MAX_NAME: usize = 256;
/// Names that are looked up at once; more wait. Each may hold a thread.
const MAX_LOOKUPS: usize = 8;

/// The raw connections of one TaskRun.
#[derive(Debug)]
pub(crate) struct Connections {
    session: Arc<Session>,
    rules: Vec<TcpRule>,
    lookups: Semaphore,
    /// Addresses that were resolved and checked, with the rules that allow them.
    checked: Mutex<BTreeMap<IpAddr, BTreeSet<usize>>>,
}

impl Connections {
    pub(crate) fn new(session: Arc<Session>, rules: &[TcpRule]) -> Self {
        let lookups = Semaphore::new(MAX_LOOKUPS);
        Self { session, rules: rules.to_vec(), lookups, checked: Mutex::default() }
    }

    /// Whether there is anywhere to connect to.
    pub(crate) fn is_granted(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Begins to resolve a name for a task; nothing when no rule names it, for
    /// asking would already tell whoever answers. It gives no addresses when none
    /// is allowed.
    pub(crate) fn resolve(
        self: &Arc<Self>,
        name: &str,
    ) -> Option<impl Future<Output = Option<Vec<IpAddr>>> + Send + 'static + use<>> {
        if !self.count() {
            return None;
        }
        let host = name.parse::<Host>().ok();
        let names = |rule: &TcpRule| host.as_ref().is_some_and(|host| rule.host.matches(host));
        let indices = self.rules.iter().enumerate().filter(|(_, rule)| names(rule));
        let named: Vec<usize> = indices.map(|(index, _)| index).collect();
        let Some(host) = host.clone().filter(|_| !named.is_empty()) else {
            let subject = cut(name, MAX_NAME).into_owned();
            self.refuse_rule(subject, "no rule names the host", names, None);
            return None;
        };
        Some(Arc::clone(self).look_up(host, named))
    }

    async fn look_up(self: Arc<Self>, host: Host, named: Vec<usize>) -> Option<Vec<IpAddr>> {
        let _turn = self.lookups.acquire().await.ok()?;
        let mut found = BTreeSet::new();
        let mut refused = None;
        for index in named {
            let Some(rule) = self.rules.get(index) else { continue };
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
                    rule.addresses.extend(address.to_string().parse::<AddressRange>());
                    refused = Some((error.to_string(), rule));
                }
                Err(error) => tracing::debug!(%error, "a name of a task has no address"),
            }
        }
        if let (true, Some((why, rule))) = (found.is_empty(), refused) {
            self.deny(format!("{host}:{}", rule.port), why, Some(remedy(&[&rule])));
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
        let host = HostPattern::Exact(Host::Address(ip));
        let rule = TcpRule { host: host.clone(), port: address.port(), addresses: Vec::new() };
        let names = |rule: &TcpRule| rule.host == host && rule.port == address.port();
        let why = "no rule names the address and port";
        self.refuse_rule(address.to_string(), why, names, Some(&rule));
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

    /// Records that a task tried something of sockets that nothing can grant.
    pub(crate) fn refuse(&self, what: &str) {
        if self.count() {
            let why = "a task can only connect: it cannot bind or listen, nor send datagrams";
            self.deny(what.to_owned(), why.to_owned(), None);
        }
    }

    /// Records that a task without a grant asked for a socket.
    pub(crate) fn refuse_socket(&self) {
        if self.count() {
            self.refuse_rule("a socket".to_owned(), "no rule grants a connection", |_| true, None);
        }
    }

    /// Refuses what no rule allows. What the manifest asks for was refused before
    /// the run, for a reason that is known.
    fn refuse_rule(
        &self,
        subject: String,
        why: &str,
        is_meant: impl Fn(&TcpRule) -> bool,
        otherwise: Option<&TcpRule>,
    ) {
        let withheld = self.session.withheld.tcp.iter();
        let meant: Vec<&WithheldRule<TcpRule>> =
            withheld.filter(|withheld| is_meant(&withheld.rule)).collect();
        let Some(first) = meant.first() else {
            return self.deny(subject, why.to_owned(), otherwise.map(|rule| remedy(&[rule])));
        };
        let grantable = meant.iter().filter(|withheld| withheld.remedy.is_some());
        let rules: Vec<&TcpRule> = grantable.map(|withheld| &withheld.rule).collect();
        self.deny(subject, first.why.clone(), (!rules.is_empty()).then(|| remedy(&rules)));
    }

    /// A connection that is begun.
    pub(crate) fn begin(&self, host: String, address: SocketAddr) -> Arc<Open> {
        let session = &self.session;
        let (traffic, recorder) = (Arc::clone(session.traffic()), Arc::clone(&session.recorder));
        let open = Arc::new(Open::begin((session.task.to_string(), host, address), traffic, recorder));
        session.watch_connection(&open);
        open
    }

    fn deny(&self, subject: String, why: String, remedy: Option<String>) {
        self.session.denials.fetch_add(1, Ordering::Relaxed);
        let (task, capability) = (self.session.task.to_string(), "tcp".to_owned());
        let denial = Denial { task, capability, subject, why, remedy };
        // A journal that fails stops the run at its next event.
        let _ = self.session.recorder.record(Fact::CapabilityDenied(Box::new(denial)));
    }
}

/// What to add to a pipeline, so that rules are granted.
fn remedy(rules: &[&TcpRule]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| tcp_yaml(rule)).collect();
    format!("grants: {{ tcp: [{}] }}", rules.join(", "))
}
