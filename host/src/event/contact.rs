//! What a task did with the world outside, as the host saw it on the wire.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use cofferdam_registry::Digest;
use serde::{Deserialize, Serialize};

/// One HTTP request that was sent, or tried. A request that the host tried
/// again has one of these for each attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// The task.
    pub task: String,
    /// The request, counted from one within the TaskRun.
    pub number: u64,
    /// Counted from one within the request.
    pub attempt: u32,
    /// `GET`, ...
    pub method: String,
    /// Where it went. The values of its query are left out where the host added
    /// a secret.
    pub url: String,
    /// The name of the secret that the host added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The address the connection was made to: the one that was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The addresses, checked as well, where no connection came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<SocketAddr>,
    /// The proxy it went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The status of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body that was sent.
    pub request: Transfer,
    /// The body that came back, as it came, before anything was masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Transfer>,
    /// Whether the value of a secret was masked in the response.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// From the first byte of the request to the end of the response, in
    /// microseconds.
    pub duration_micros: u64,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Bytes that went one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// How many.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
    /// Whether these were all, or the transfer ended early.
    pub complete: bool,
}

/// One raw TCP connection that was made, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The task.
    pub task: String,
    /// The host and port of the rule that allowed it.
    pub host: String,
    /// The address it was made to, or tried.
    pub address: SocketAddr,
    /// Whether nobody answered: then there was no connection.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// What was sent: what the system had taken for certain.
    pub sent: Transfer,
    /// What was received.
    pub received: Transfer,
    /// From connecting to the end, in microseconds.
    pub duration_micros: u64,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something a task tried that it is not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Denial {
    /// The task.
    pub task: String,
    /// `network` or `tcp`.
    pub capability: String,
    /// What it tried. Payload.
    pub subject: String,
    /// Why it is refused.
    pub why: String,
    /// The YAML that would grant it, where anything can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Everything one TaskRun had to do with the world outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contacts {
    /// In the order in which they ended.
    pub exchanges: Vec<Exchange>,
    /// In the order in which they ended.
    pub connections: Vec<Connection>,
    /// In the order in which they were tried.
    pub denials: Vec<Denial>,
}

impl Contacts {
    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.connections.is_empty() && self.denials.is_empty()
    }

    /// The addresses that were tried and from which no answer came, each once.
    #[must_use]
    pub fn unanswered(&self) -> BTreeSet<SocketAddr> {
        let exchange = |exchange: &Exchange| {
            let silent = exchange.address.filter(|_| exchange.status.is_none());
            exchange.tried.iter().copied().chain(silent).collect::<Vec<_>>()
        };
        let connections = self.connections.iter().filter(|connection| connection.unanswered);
        let silent = connections.map(|connection| connection.address);
        self.exchanges.iter().flat_map(exchange).chain(silent).collect()
    }

    /// Whether any request or connection came to nothing, or was answered with a
    /// server's error.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        self.exchanges
            .iter()
            .any(|exchange| exchange.error.is_some() || exchange.status.is_some_and(|s| s >= 500))
            || self.connections.iter().any(|connection| connection.error.is_some())
    }
}
