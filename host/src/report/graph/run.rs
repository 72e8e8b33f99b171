//! The graph of a run: what came after what, how each part ended, how long it
//! took.

use std::collections::{BTreeMap, BTreeSet};

use super::{Body, Edge, Graph, Part, Tone};
use crate::event::{Event, Fact, RunRecord};
use crate::report::run::{RunView, TaskState, TaskView};
use crate::report::words::duration;

/// Gathers what a run's graph is made from.
#[derive(Debug, Default)]
pub struct RunGraph {
    /// The pipelines whose `finally` has begun; nothing for the run's own.
    ending: BTreeSet<String>,
    /// What began before that, and what after.
    early: BTreeSet<String>,
    late: BTreeSet<String>,
}

impl RunGraph {
    /// Adds the next event of the run, or of the one whose tasks it shows.
    pub fn extend(&mut self, event: &Event) {
        match &event.fact {
            Fact::FinallyStarted { pipeline, .. } => {
                self.ending.insert(pipeline.clone().unwrap_or_default());
            }
            Fact::TaskStarted(start) => self.begin(&start.task),
            Fact::PipelineStarted(start) => self.begin(&start.task),
            Fact::TaskSkipped { task, .. } => self.begin(task),
            Fact::TaskExpanded { runs, .. } => runs.iter().for_each(|run| self.begin(run)),
            Fact::RunStarted(_)
            | Fact::SourceAcquired(_)
            | Fact::TaskLogged { .. }
            | Fact::RequestFinished(_)
            | Fact::ConnectionFinished(_)
            | Fact::CapabilityDenied(_)
            | Fact::TaskFinished(_)
            | Fact::PipelineFinished(_)
            | Fact::RunReused(_)
            | Fact::RunFinished { .. }
            | Fact::Attested { .. }
            | Fact::RunSealed => {}
        }
    }

    fn begin(&mut self, task: &str) {
        let of = if self.ending.contains(parent(task)) { &mut self.late } else { &mut self.early };
        of.insert(task.to_owned());
    }

    /// The graph of the run; `alive` says whether its process still runs.
    #[must_use]
    pub fn graph(&self, record: &RunRecord, alive: bool) -> Graph {
        let view = RunView::new(record, alive);
        let mut members: BTreeMap<&str, Vec<Item<'_>>> = BTreeMap::new();
        let nested: BTreeSet<&str> = view.pipelines.iter().map(|nested| nested.task.as_str()).collect();
        for task in view.tasks.iter().filter(|task| !nested.contains(task.task.as_str())) {
            let mut name = task.task.as_str();
            members.entry(parent(name)).or_default().push(Item { name, task: Some(task) });
            // The pipelines around it stand where the first of their tasks does.
            while !parent(name).is_empty() {
                name = parent(name);
                let around = members.entry(parent(name)).or_default();
                if !around.iter().any(|item| item.name == name) {
                    around.push(Item { name, task: None });
                }
            }
        }
        let body = self.body("", &members, &view);
        let title = format!("run {}", view.run);
        let took = view.duration_micros.map(|micros| format!(" in {}", duration(micros)));
        let description = format!("{title}: {}{}, {}", view.status, took.unwrap_or_default(), body.words());
        Graph { title, description, body }
    }

    fn body(&self, pipeline: &str, members: &BTreeMap<&str, Vec<Item<'_>>>, view: &RunView) -> Body {
        let mut items: Vec<&Item<'_>> = members.get(pipeline).into_iter().flatten().collect();
        let last = |item: &Item<'_>| self.late.contains(item.name) && !self.early.contains(item.name);
        items.sort_by_key(|item| last(item));
        let mut body =
            Body { finally_from: items.iter().filter(|item| !last(item)).count(), ..Body::default() };
        for (to, item) in items.iter().enumerate() {
            let inside = item.task.is_none().then(|| self.body(item.name, members, view));
            body.parts.push(match item.task {
                Some(task) => Part::of_run(task),
                None => Part { inside, ..Part::of_pipeline(item.name, view) },
            });
            let after = item.task.iter().flat_map(|task| task.after.iter());
            for before in after {
                let found = items.iter().enumerate().filter(|(_, item)| base(item.name) == base(before));
                let uses = item.task.is_some_and(|task| {
                    let makers = task.inputs.iter().filter_map(|input| input.task.as_deref());
                    makers.into_iter().any(|maker| base(maker) == base(before))
                });
                body.edges.extend(found.map(|(from, _)| Edge { from, to, uses }));
            }
        }
        body
    }
}

/// Something of a pipeline: a task, or a pipeline.
#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    name: &'a str,
    task: Option<&'a TaskView>,
}

/// The pipeline that a part belongs to; empty for the run's own.
fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The name without the combination of a matrix and the number of a retry.
fn base(name: &str) -> &str {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let own = name.get(start..).unwrap_or_default();
    let end = own.find(['[', '#']).unwrap_or(own.len());
    name.get(..start + end).unwrap_or(name)
}

fn tone(state: TaskState) -> Tone {
    match state {
        TaskState::Succeeded => Tone::Good,
        TaskState::Failed | TaskState::Interrupted => Tone::Bad,
        TaskState::Running | TaskState::Cancelled => Tone::Caution,
        TaskState::Pending | TaskState::Skipped => Tone::Faint,
    }
}

impl Part {
    fn of_run(task: &TaskView) -> Self {
        let took = task.duration_micros.map(|micros| format!(" in {}", duration(micros)));
        let mut notes = vec![format!("{}{}", task.status.as_str(), took.unwrap_or_default())];
        notes.extend(task.reason.filter(|reason| *reason != task.status.as_str()).map(str::to_owned));
        if task.reused.is_some() {
            notes.push("reused".to_owned());
        }
        match task.earlier.len() {
            0 => {}
            1 => notes.push("tried again once".to_owned()),
            times => notes.push(format!("tried again {times} times")),
        }
        let identity = task.identity.as_ref();
        let untrusted = identity.is_some_and(|identity| {
            !matches!(identity.trust, cofferdam_registry::TrustDecision::Trusted { .. })
        });
        if untrusted {
            notes.push("not trusted".to_owned());
        }
        let label = task.task.rsplit('/').next().unwrap_or_default().to_owned();
        let matrix = label.contains('[');
        let tone = tone(task.status);
        Self {
            task: task.task.clone(),
            label,
            notes,
            tone,
            matrix,
            conditional: false,
            untrusted,
            inside: None,
        }
    }

    fn of_pipeline(name: &str, view: &RunView) -> Self {
        let nested = view.pipelines.iter().find(|nested| nested.task == name);
        let state = nested.map_or(TaskState::Pending, |nested| nested.status);
        let mut notes: Vec<String> =
            nested.iter().map(|nested| format!("pipeline {}", nested.pipeline)).collect();
        notes.push(state.as_str().to_owned());
        let label = name.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            task: name.to_owned(),
            matrix: label.contains('['),
            label,
            notes,
            tone: tone(state),
            conditional: false,
            untrusted: false,
            inside: None,
        }
    }
}
