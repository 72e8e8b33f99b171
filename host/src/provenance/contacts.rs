//! What a TaskRun fetched and reached, as parts of its Statement.

use std::collections::BTreeSet;

use cofferdam_registry::Digest;
use serde_json::json;

use super::slsa::ResourceDescriptor;
use crate::event::{Contacts, Exchange};

/// What was fetched: by URL and the digest of the bytes as they came.
pub(super) fn fetched(contacts: &Contacts) -> Vec<ResourceDescriptor> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for exchange in contacts.exchanges.iter().filter(|exchange| is_fetch(exchange)) {
        let Some(body) = exchange.response else { continue };
        if seen.insert((&exchange.url, body.digest.to_hex())) {
            let described = ResourceDescriptor::named("fetched")
                .uri(exchange.url.clone())
                .digest("sha256", body.digest.to_hex())
                .annotation("size", body.size);
            found.push(match exchange.address {
                Some(address) => described.annotation("address", address.to_string()),
                None => described,
            });
        }
    }
    for connection in contacts.connections.iter().filter(|connection| !connection.unanswered) {
        let described = ResourceDescriptor::named("connected")
            .uri(format!("tcp://{}", connection.host))
            .digest("sha256", connection.received.digest.to_hex())
            .annotation("size", connection.received.size)
            .annotation("address", connection.address.to_string());
        found.push(described);
    }
    found
}

fn is_fetch(exchange: &Exchange) -> bool {
    let complete = exchange.response.is_some_and(|body| body.complete && body.size > 0);
    exchange.method == "GET" && matches!(exchange.status, Some(200 | 203)) && complete
}

/// The whole of it, by digest; the journal has it event by event. Nothing for a
/// TaskRun that reached nothing and tried nothing.
pub(super) fn byproduct(contacts: &Contacts) -> Option<ResourceDescriptor> {
    if contacts.is_empty() {
        return None;
    }
    let Contacts { exchanges, connections, denials } = contacts;
    let all = json!({ "exchanges": exchanges, "connections": connections, "denials": denials });
    let described = ResourceDescriptor::named("taskRun/contacts")
        .digest("sha256", Digest::of(all.to_string().as_bytes()).to_hex())
        .annotation("requests", exchanges.len())
        .annotation("connections", connections.len())
        .annotation("denials", denials.len());
    let unanswered: Vec<String> = contacts.unanswered().iter().map(ToString::to_string).collect();
    Some(if unanswered.is_empty() { described } else { described.annotation("unanswered", unanswered) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Transfer;

    fn exchange(method: &str, status: u16, complete: bool) -> Exchange {
        let body = |size| Transfer { size, digest: Digest::of(b"body"), complete };
        Exchange {
            task: "fetch".to_owned(),
            number: 1,
            attempt: 1,
            method: method.to_owned(),
            url: format!("https://example.org/{method}/{status}"),
            secret: None,
            address: None,
            tried: Vec::new(),
            proxy: None,
            protocol: None,
            status: Some(status),
            request: body(0),
            response: Some(body(4)),
            masked: false,
            duration_micros: 1,
            error: None,
        }
    }

    #[test]
    fn only_what_was_fetched_whole_is_a_dependency_and_each_once() {
        let exchanges = vec![
            exchange("GET", 200, true),
            exchange("GET", 200, true),
            exchange("GET", 404, true),
            exchange("POST", 200, true),
            exchange("GET", 206, true),
            exchange("GET", 200, false),
        ];
        let contacts = Contacts { exchanges, ..Contacts::default() };
        let uris: Vec<_> = fetched(&contacts).into_iter().filter_map(|found| found.uri).collect();
        assert_eq!(uris, ["https://example.org/GET/200"]);
        assert!(byproduct(&contacts).is_some());
        assert_eq!(byproduct(&Contacts::default()), None);
    }
}
