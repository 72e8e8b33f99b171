//! A pipeline, or a run of one, as a graph that is drawn: parts, what stands
//! inside them, and which follows which. Parts are joined only with parts of
//! the same pipeline, so each pipeline is drawn for itself.

mod dot;
mod layout;
mod mermaid;
mod run;
mod svg;
#[cfg(test)]
mod tests;

use cofferdam_registry::TrustDecision;
use serde::Serialize;

use crate::plan::{Flow, Plan, PlannedTask, Work};

pub use dot::dot;
pub use mermaid::mermaid;
pub use run::RunGraph;
pub use svg::svg;

/// A graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Graph {
    /// What it shows.
    pub title: String,
    /// The same in a sentence.
    pub description: String,
    /// What is drawn.
    #[serde(flatten)]
    pub body: Body,
}

/// The parts of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// Those of `finally` come last.
    pub parts: Vec<Part>,
    /// Where those of `finally` begin.
    pub finally_from: usize,
    /// Which part follows which.
    pub edges: Vec<Edge>,
}

/// A task, or a pipeline that runs as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The name in the pipeline.
    pub task: String,
    /// What people call it.
    pub label: String,
    /// What else is to be said of it, a line for each.
    pub notes: Vec<String>,
    /// How it stands out.
    pub tone: Tone,
    /// Whether it runs once for each of some combinations.
    pub matrix: bool,
    /// Whether it runs under a condition.
    pub conditional: bool,
    /// Whether it is a task that nobody vouches for.
    pub untrusted: bool,
    /// The pipeline that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<Body>,
}

/// How a part stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Tone {
    /// Not at all.
    #[default]
    Plain,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// It is under way, or was stopped.
    Caution,
    /// It did not run.
    Faint,
}

/// One part that follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The earlier.
    pub from: usize,
    /// The later.
    pub to: usize,
    /// Whether it uses something of the earlier, or only waits for it.
    pub uses: bool,
}

impl Graph {
    /// The graph of a plan.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> Self {
        let body = Body::of_flow(&plan.flow);
        let title = format!("pipeline {}", plan.pipeline);
        Self { description: format!("{title}: {}", body.words()), title, body }
    }
}

impl Body {
    fn of_flow(flow: &Flow) -> Self {
        let parts = flow.tasks.iter().map(Part::of_task).collect();
        let edges = flow.tasks.iter().take(flow.finally_from).enumerate().flat_map(|(to, task)| {
            task.after.iter().map(move |before| Edge { from: before.task, to, uses: before.needs })
        });
        Self { parts, finally_from: flow.finally_from, edges: edges.collect() }
    }

    /// The edges between parts that there are, forwards in every order.
    fn sound_edges(&self) -> impl Iterator<Item = &Edge> {
        let count = self.finally_from.min(self.parts.len());
        self.edges.iter().filter(move |edge| edge.from < count && edge.to < count && edge.from != edge.to)
    }

    /// How much of it there is.
    fn words(&self) -> String {
        let finally = self.parts.len().saturating_sub(self.finally_from);
        let plural =
            |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let mut words = plural(self.parts.len() - finally, "task");
        if finally > 0 {
            words += &format!(", {finally} in finally");
        }
        words
    }
}

impl Part {
    fn of_task(task: &PlannedTask) -> Self {
        let mut notes = Vec::new();
        let mut untrusted = false;
        let inside = match &task.work {
            Work::Task(work) => {
                notes.push(format!("{} {}", work.identity.name, work.identity.version));
                untrusted = !matches!(work.identity.trust, TrustDecision::Trusted { .. });
                None
            }
            Work::Pipeline(flow) => {
                notes.push(format!("pipeline {}", flow.name));
                Some(Body::of_flow(flow))
            }
        };
        if untrusted {
            notes.push("not trusted".to_owned());
        }
        if let Some(matrix) = &task.matrix {
            let names: Vec<&str> = matrix.params.iter().map(|(name, _)| name.as_str()).collect();
            notes.push(format!(
                "matrix: {}",
                if names.is_empty() { "include".to_owned() } else { names.join(", ") }
            ));
        }
        match task.when.len() {
            0 => {}
            1 => notes.push("under a condition".to_owned()),
            count => notes.push(format!("under {count} conditions")),
        }
        Self {
            task: task.name.to_string(),
            label: task.display_name.clone().unwrap_or_else(|| task.name.to_string()),
            notes,
            tone: Tone::Plain,
            matrix: task.matrix.is_some(),
            conditional: !task.when.is_empty(),
            untrusted,
            inside,
        }
    }
}
