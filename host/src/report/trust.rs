//! Decisions of the trust rules in words, and when they will end.

use cofferdam_registry::{Grounds, TrustDecision};
use jiff::Timestamp;

use super::words::visible;
use crate::event::{PipelineIdentity, TaskIdentity};

/// So many days ahead the end of trust is announced.
const AHEAD_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A decision of the trust rules, in words.
#[must_use]
pub fn trust_words(trust: &TrustDecision) -> String {
    match trust {
        TrustDecision::Trusted { rule, grounds } => match grounds {
            Grounds::Key { key } => format!("trusted: signed by key {key}, rule `{rule}`"),
            Grounds::Identity { identity, issuer } => {
                format!("trusted: signed by {identity}, for whom {issuer} vouched, rule `{rule}`")
            }
            Grounds::Record { record, expires_on } => {
                let until = expires_on.map(|on| format!(", until {on}")).unwrap_or_default();
                format!("trusted: its digest is recorded under `{record}` in `{rule}`{until}")
            }
        },
        TrustDecision::Untrusted { cause } => format!("not trusted: {cause}"),
        TrustDecision::Denied { rule, message } => {
            let message = message.as_ref().map(|m| format!(": {m}")).unwrap_or_default();
            format!("denied by rule `{rule}`{message}")
        }
    }
}

/// One line for each pipeline that came out of a registry.
pub(super) fn bundle_words(bundles: &[PipelineIdentity]) -> impl Iterator<Item = String> {
    bundles.iter().map(|found| {
        let (reference, trust) = (visible(&found.reference), trust_words(&found.trust));
        format!("{reference}, {}", visible(&trust))
    })
}

/// One line for each task and each pipeline whose trust ends within 30 days, the
/// first first.
pub(super) fn expiring<'a>(
    tasks: impl Iterator<Item = &'a TaskIdentity>,
    pipelines: &[PipelineIdentity],
    now: Timestamp,
) -> Vec<String> {
    let tasks = tasks.map(|task| (format!("{}:{}", task.name, task.version), &task.trust));
    let pipelines = pipelines.iter().map(|found| (format!("the pipeline {}", found.name), &found.trust));
    let all = tasks.chain(pipelines);
    let mut ending: Vec<_> = all.filter_map(|(name, trust)| Some((trust.expires_on()?, name))).collect();
    ending.sort();
    ending.dedup();
    let within = |(on, _): &(Timestamp, String)| on.as_second() - now.as_second() <= AHEAD_DAYS * DAY_SECONDS;
    let words = |(on, task): (Timestamp, String)| {
        let days = (on.as_second() - now.as_second()).div_euclid(DAY_SECONDS).max(0);
        let plural = if days == 1 { "" } else { "s" };
        let task = visible(&task);
        format!("in {task} ends in {days} day{plural}, on {on}; record a newer version in trust.yaml")
    };
    ending.into_iter().filter(within).map(words).collect()
}
