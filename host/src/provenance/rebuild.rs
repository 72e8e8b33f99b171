//! Whether a run that was repeated made the same: the comparison of two runs as
//! their events tell them, and the Statement about it, an in-toto test result
//! (`spec/predicates/test-result.md`, v0.1).

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::{Statement, Subject};
use serde::{Deserialize, Serialize};

use super::{PREDICATE_TYPE, ResourceDescriptor};
use crate::event::{RunRecord, TaskEnd, TaskStart};
use crate::model::TaskRunReason;
use crate::store::Tree;

/// The predicate type of an in-toto test result.
pub const TEST_RESULT_TYPE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// What was found when two runs were compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// What is the same, by name: `TASK` for how it ended, `TASK/OUTPUT`,
    /// `TASK.results.RESULT`.
    pub same: Vec<String>,
    /// What differs.
    pub different: Vec<Difference>,
}

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// The task it is of.
    pub task: String,
    /// What differs of it.
    #[serde(flatten)]
    pub what: Different,
    /// Why that may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// What differs between two TaskRuns.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Different {
    /// How it ended.
    Outcome {
        /// The word before.
        before: TaskRunReason,
        /// The word now, if it ran.
        after: Option<TaskRunReason>,
    },
    /// An output.
    Output {
        /// The tree before, if it was made.
        before: Option<Tree>,
        /// The tree now, if it was made.
        after: Option<Tree>,
    },
    /// A result; of one that is kept in the store, type, digest and bytes.
    Result {
        /// The value before.
        before: Option<Value>,
        /// The value now.
        after: Option<Value>,
    },
}

/// The predicate of a test result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// `PASSED` or `FAILED`.
    pub result: String,
    /// What was tested against.
    pub configuration: Vec<ResourceDescriptor>,
    /// What passed.
    pub passed_tests: Vec<String>,
    /// What did not.
    pub failed_tests: Vec<String>,
}

impl Comparison {
    /// Holds a run against the one it repeats.
    #[must_use]
    pub fn new(before: &RunRecord, after: &RunRecord) -> Self {
        let mut found = Self::default();
        for (name, old) in before.tasks_in_order() {
            let (Some((_, start)), Some((_, end))) = (&old.start, &old.end) else { continue };
            let new = after.tasks.get(name);
            let new = new.and_then(|new| {
                Some((&**new.start.as_ref().map(|(_, s)| s)?, &**new.end.as_ref().map(|(_, e)| e)?))
            });
            found.task(name, (start, end), new);
        }
        // What only the new run has differs, too.
        for (name, new) in after.tasks_in_order() {
            let known = before.tasks.get(name).is_some_and(|old| old.end.is_some());
            if let (false, Some((_, start)), Some((_, end))) = (known, &new.start, &new.end) {
                for (output, tree) in &end.outputs {
                    let what = Different::Output { before: None, after: Some(*tree) };
                    found.differs(format!("{name}/{output}"), name, what, causes(start, None));
                }
            }
        }
        found
    }

    /// Whether everything is the same. Nothing compared is nothing reproduced.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.different.is_empty() && !self.same.is_empty()
    }

    fn task(
        &mut self,
        task: &str,
        (start, end): (&TaskStart, &TaskEnd),
        new: Option<(&TaskStart, &TaskEnd)>,
    ) {
        let causes = causes(start, new.map(|(start, _)| start));
        let now = new.map(|(_, end)| end);
        let after = now.map(|now| now.reason);
        if after == Some(end.reason) {
            self.same.push(task.to_owned());
        } else {
            let what = Different::Outcome { before: end.reason, after };
            self.differs(task.to_owned(), task, what, causes.clone());
        }
        let empty = BTreeMap::new();
        for (name, before, after) in pairs(&end.outputs, now.map_or(&empty, |now| &now.outputs)) {
            let full = format!("{task}/{name}");
            if before == after {
                self.same.push(full);
            } else {
                let what = Different::Output { before: before.copied(), after: after.copied() };
                self.differs(full, task, what, causes.clone());
            }
        }
        let now = now.map(TaskEnd::described_results).unwrap_or_default();
        for (name, before, after) in pairs(&end.described_results(), &now) {
            let full = format!("{task}.results.{name}");
            if before == after {
                self.same.push(full);
            } else {
                let what = Different::Result { before: before.cloned(), after: after.cloned() };
                self.differs(full, task, what, causes.clone());
            }
        }
    }

    fn differs(&mut self, name: String, task: &str, what: Different, causes: Vec<String>) {
        self.different.push(Difference { name, task: task.to_owned(), what, causes });
    }
}

/// Everything that is in one of two maps, by name.
fn pairs<'m, T>(
    before: &'m BTreeMap<String, T>,
    after: &'m BTreeMap<String, T>,
) -> impl Iterator<Item = (&'m str, Option<&'m T>, Option<&'m T>)> {
    let old = before.iter().map(|(name, value)| (name.as_str(), Some(value), after.get(name)));
    let new = after.iter().filter(|(name, _)| !before.contains_key(*name));
    old.chain(new.map(|(name, value)| (name.as_str(), None, Some(value))))
}

/// Why a task may make something else.
fn causes(before: &TaskStart, after: Option<&TaskStart>) -> Vec<String> {
    let grants = &before.grants;
    let mut causes = Vec::new();
    if grants.reaches_out() {
        causes.push("it can reach the network".to_owned());
    }
    if grants.real_clock {
        causes.push("it sees the real time".to_owned());
    }
    if grants.real_random {
        causes.push("it has real random numbers".to_owned());
    }
    if let Some(after) = after {
        let inputs = |start: &TaskStart| -> BTreeMap<String, _> {
            start.inputs.iter().map(|input| (input.name.clone(), input.tree.digest)).collect()
        };
        for (what, same) in [
            ("component", before.identity.component == after.identity.component),
            ("params", before.params == after.params),
            ("inputs", inputs(before) == inputs(after)),
            ("grants", before.grants == after.grants),
            ("limits", before.limits == after.limits),
        ] {
            if !same {
                causes.push(format!("it was given other {what}"));
            }
        }
    }
    causes
}

/// The Statement about a run that repeats another; nothing, while one of them
/// lacks what it must have.
#[must_use]
pub fn rebuild_statement(before: &RunRecord, after: &RunRecord) -> Option<Statement<TestResult>> {
    let provenance = before.attested.get(&(None, PREDICATE_TYPE.to_owned()))?;
    let (_, head) = before.finished_head?;
    after.finished.as_ref()?;
    let comparison = Comparison::new(before, after);
    let outputs = before.task_facts().flat_map(|task| {
        let name = task.start.task.clone();
        let outputs = task.end.outputs.iter();
        outputs.map(move |(output, tree)| Subject::new(format!("{name}/{output}"), tree.digest))
    });
    let mut subjects: Vec<Subject> = outputs.collect();
    if subjects.is_empty() {
        subjects.push(Subject::new(before.id.to_string(), head));
    }
    let configuration = ResourceDescriptor::named("provenance")
        .digest("sha256", provenance.to_hex())
        .annotation("pipelineRun", before.id.to_string())
        .annotation("rebuild", after.id.to_string());
    let predicate = TestResult {
        result: if comparison.holds() { "PASSED" } else { "FAILED" }.to_owned(),
        configuration: vec![configuration],
        failed_tests: comparison.different.iter().map(|different| different.name.clone()).collect(),
        passed_tests: comparison.same,
    };
    Some(Statement::new(TEST_RESULT_TYPE, subjects, predicate))
}
