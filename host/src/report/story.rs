//! What happened in a run, beyond what each task did: where the time went,
//! which tasks decided how long it took, which grants were used.

use std::collections::BTreeMap;

use cofferdam_manifest::NetworkRule;
use jiff::Timestamp;
use serde::Serialize;

use super::critical::{Span, critical_path};
use crate::capability::{network_words, rule_of};
use crate::event::{Contacts, RunRecord, TaskRecord};

/// What happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Where the time went.
    pub time: TimeSplit,
    /// The longest chain of tasks that waited for each other, by the time they
    /// took: a run takes no less, however many tasks run at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical_path: Vec<Step>,
    /// How long the tasks of that chain took.
    pub critical_micros: u64,
    /// How many tasks began.
    pub ran: usize,
    /// How many of those took their outcome from an earlier TaskRun.
    pub reused: usize,
    /// How often a task was tried again.
    pub retries: usize,
    /// Every grant of every task, and how often it was used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<GrantUse>,
}

/// Where the time of a run went, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimeSplit {
    /// From the run's start to that of its first task.
    pub before_micros: u64,
    /// While at least one task ran.
    pub tasks_micros: u64,
    /// In between: waits before something was tried again, and what the host did.
    pub waiting_micros: u64,
    /// From the last task's end until all was signed and stored, once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_micros: Option<u64>,
}

/// A task of the critical path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The task.
    pub task: String,
    /// From its first attempt's start to its last one's end.
    pub micros: u64,
}

/// A grant of a task, and how often it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantUse {
    /// The task.
    pub task: String,
    /// What it could do.
    pub grant: String,
    /// How many requests or connections it allowed; nothing where the host
    /// does not count: the time and randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<usize>,
}

impl Story {
    /// Folds the record of a run.
    #[must_use]
    pub fn of(record: &RunRecord) -> Self {
        let spans = spans(record);
        let (critical_micros, path) = critical_path(&spans);
        let step = |index: &usize| {
            spans.get(*index).map(|span| Step { task: span.task.to_owned(), micros: span.micros() })
        };
        let started = || record.tasks.values().filter(|task| task.start.is_some());
        let reused = |task: &&TaskRecord| task.end.as_ref().is_some_and(|(_, end)| end.reused.is_some());
        let tasks = record.tasks_in_order();
        Self {
            time: TimeSplit::of(record, &spans),
            critical_path: path.iter().filter_map(step).collect(),
            critical_micros,
            ran: started().count(),
            reused: started().filter(reused).count(),
            retries: record.tasks.values().map(|task| task.earlier.len()).sum(),
            grants: tasks.flat_map(|(name, task)| grants(name, task)).collect(),
        }
    }
}

/// When each task that has ended ran, and what it waited for.
fn spans(record: &RunRecord) -> Vec<Span<'_>> {
    record
        .tasks_in_order()
        .filter_map(|(task, of)| {
            let (last, start) = of.start.as_ref()?;
            let first = of.earlier.first().map_or(*last, |attempt| attempt.start.0);
            let from = start.inputs.iter().filter_map(|input| input.task.as_deref()).collect();
            let finally = record.finally.get(parent(task)).is_some_and(|began| first >= *began);
            Some(Span { task, start: first, end: of.end.as_ref()?.0, after: &start.after, from, finally })
        })
        .collect()
}

/// The pipeline that a task belongs to; empty for the run's own.
fn parent(task: &str) -> &str {
    task.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl TimeSplit {
    fn of(record: &RunRecord, spans: &[Span<'_>]) -> Self {
        let between = |from: Timestamp, to: Timestamp| {
            u64::try_from((to.as_microsecond() - from.as_microsecond()).max(0)).unwrap_or(0)
        };
        let finished = record.finished.as_ref().map_or(record.latest, |(at, ..)| *at);
        let first = spans.iter().map(|span| span.start).min().unwrap_or(finished);
        // Each attempt for itself: between two of them nothing ran.
        let mut ran: Vec<(Timestamp, Timestamp)> = record
            .tasks
            .values()
            .flat_map(|task| {
                let earlier = task.earlier.iter().map(|attempt| (attempt.start.0, attempt.end.0));
                let last = task.start.as_ref().zip(task.end.as_ref()).map(|(start, end)| (start.0, end.0));
                earlier.chain(last)
            })
            .collect();
        ran.sort_unstable();
        let (mut tasks, mut seen) = (0, first);
        for (start, end) in ran {
            tasks += between(start.max(seen), end);
            seen = seen.max(end);
        }
        Self {
            before_micros: between(record.started, first),
            tasks_micros: tasks,
            waiting_micros: between(first, finished).saturating_sub(tasks),
            signing_micros: record.sealed.then(|| between(finished, record.latest)),
        }
    }
}

fn grants(name: &str, task: &TaskRecord) -> Vec<GrantUse> {
    let Some((_, start)) = &task.start else { return Vec::new() };
    let granted = &start.grants;
    let contacts = [&task.contacts];
    let requests = used_rules(&granted.network, &contacts);
    let entry = |grant: String, uses: Option<usize>| GrantUse { task: name.to_owned(), grant, uses };
    let mut found: Vec<GrantUse> = Vec::new();
    for (index, rule) in granted.network.iter().enumerate() {
        found.push(entry(network_words(rule), Some(requests.get(&index).copied().unwrap_or(0))));
    }
    for rule in &granted.tcp {
        let service = format!("{}:{}", rule.host, rule.port);
        let connections = contacts.iter().flat_map(|contacts| &contacts.connections);
        let uses = connections.filter(|connection| connection.host == service).count();
        found.push(entry(format!("tcp {service}"), Some(uses)));
    }
    found.extend(granted.real_clock.then(|| entry("the real time".to_owned(), None)));
    found.extend(granted.real_random.then(|| entry("real randomness".to_owned(), None)));
    found
}

/// How many requests each rule allowed: the first that fits, as the host decides.
fn used_rules(rules: &[NetworkRule], contacts: &[&Contacts]) -> BTreeMap<usize, usize> {
    let mut used = BTreeMap::new();
    for exchange in contacts.iter().flat_map(|contacts| &contacts.exchanges) {
        if let Some(rule) = rule_of(rules, &exchange.method, &exchange.url) {
            *used.entry(rule).or_default() += 1;
        }
    }
    used
}
