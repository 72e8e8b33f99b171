//! What a task had to do with the world outside, in words.

use super::words::{bytes, duration, visible};
use crate::capability::network_words;
use crate::event::{Connection, Denial, Exchange, Grants};

/// One request: where it went and what came back.
pub(super) fn exchange_words(exchange: &Exchange) -> String {
    let mut words = format!("{} {}", exchange.method, visible(&exchange.url));
    if let Some(secret) = &exchange.secret {
        words += &format!(" with secret {secret}");
    }
    if exchange.attempt > 1 {
        words += &format!(" (attempt {})", exchange.attempt);
    }
    match (exchange.status, &exchange.response) {
        (Some(status), Some(body)) => {
            let whole = if body.complete { "" } else { ", cut short" };
            words += &format!(" -> {status}, {}, {}{whole}", bytes(body.size), body.digest);
        }
        (Some(status), None) => words += &format!(" -> {status}"),
        (None, _) => {
            let silent = exchange.tried.iter().chain(&exchange.address);
            let silent: Vec<String> = silent.map(ToString::to_string).collect();
            if !silent.is_empty() {
                words += &format!(", no answer from {}", silent.join(", "));
            }
        }
    }
    if exchange.request.size > 0 {
        words += &format!(", {} sent", bytes(exchange.request.size));
    }
    if let Some(error) = &exchange.error {
        words += &format!(": {}", visible(error));
    }
    words + &format!(" in {}", duration(exchange.duration_micros))
}

/// One raw connection.
pub(super) fn connection_words(connection: &Connection) -> String {
    let mut words = format!("tcp {} at {}: ", connection.host, connection.address);
    if connection.unanswered {
        words += "no answer";
    } else {
        let more = if connection.sent.complete { "" } else { " or more" };
        let (sent, received) = (bytes(connection.sent.size), bytes(connection.received.size));
        words += &format!("{sent}{more} sent, {received} received");
    }
    match &connection.error {
        Some(error) => format!("{words}: {}", visible(error)),
        None => words,
    }
}

/// Something that was refused, and what would allow it.
pub(super) fn denial_words(denial: &Denial) -> String {
    let what = format!("{} {}: {}", denial.capability, visible(&denial.subject), visible(&denial.why));
    match &denial.remedy {
        Some(yaml) => format!("{what}; to allow it: {}", visible(yaml)),
        None => what,
    }
}

/// What a task could do beyond its inputs and outputs, a line for each.
pub(super) fn grant_words(grants: &Grants) -> Vec<String> {
    let mut words: Vec<String> = grants.network.iter().map(network_words).collect();
    words.extend(grants.tcp.iter().map(|rule| format!("tcp {}:{}", rule.host, rule.port)));
    words.extend(grants.real_clock.then(|| "the real time".to_owned()));
    words.extend(grants.real_random.then(|| "real randomness".to_owned()));
    words
}
