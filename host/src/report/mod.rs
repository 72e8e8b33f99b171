//! Shows runs and plans: on a terminal, as plain lines, as JSON.
//!
//! Everything here is a fold over events or a plan; nothing here decides. What
//! a task said is shown with its control characters escaped: a log line must
//! not be able to move the cursor of whoever reads it.

mod contacts;
mod critical;
mod difference;
mod graph;
mod line_difference;
mod lint;
mod live;
mod log;
mod pipeline;
mod plan;
mod plan_text;
mod problem;
mod rebuild;
mod run;
mod run_difference;
mod run_difference_text;
mod run_text;
mod runs;
mod story;
mod story_text;
mod tag_pin;
mod task;
mod task_list;
mod task_test;
#[cfg(test)]
mod tests;
mod trust;
mod words;

pub use difference::{TaskDifference, difference_text};
pub use graph::{Body, Edge, Graph, Part, RunGraph, Tone, dot, mermaid, svg};
pub use line_difference::changed_lines;
pub use lint::{Finding, LintFile, LintView, lint_annotations, lint_text};
pub use live::{
    GithubLog, GitlabLog, JsonLines, PlainLines, PrettyLines, Reader, Remarks, Screen, busy, inert_json,
    inert_text,
};
pub use log::{Heading, LogLine, log_text};
pub use pipeline::{NamedTask, PipelineDescription, pipeline_text, task_lines};
pub use plan::{ControlView, NestedPlanView, PlanView, SecretPlanView, TaskPlanView};
pub use plan_text::plan_text;
pub use problem::{Gravity, ProblemWords, problem_text};
pub use rebuild::{RebuildView, rebuild_text};
pub use run::{AttemptView, AttestationView, NestedView, ReadsView, RunView, TaskState, TaskView};
pub use run_difference::{Changed, FileChange, RunDifference, TaskChange, TreeChange};
pub use run_difference_text::run_difference_text;
pub use run_text::{Detail, MANY_TASKS, Surroundings, run_text, task_view_text};
pub use runs::{RunLine, runs_text};
pub use story::{GrantUse, Step, Story, TimeSplit};
pub use tag_pin::TagPinView;
pub use task::{AttachedView, TaskDescription, predicate_words, task_text};
pub use task_list::{TaskLine, TaskList, TaskTold, task_list_text};
pub use task_test::{CaseView, TaskTestView, task_test_text};
pub use trust::trust_words;
pub use words::{Palette, bytes, duration, escaped_json, shell_word, visible};
