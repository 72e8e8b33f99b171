//! Whether a reference means something where it stands, and which task the one
//! that has it must then wait for.

use cofferdam_manifest::ValueType;

use super::{Position, Wiring};
use crate::plan::PlanError;
use crate::plan::flow::Dependency;
use crate::plan::params::known_names;
use crate::plan::reference::{Context, Reference, Selector, TaskKey};

impl Wiring<'_, '_> {
    /// Checks everything a template refers to.
    pub(super) fn check_all<'r>(
        &mut self,
        references: impl Iterator<Item = &'r Reference>,
        below: &str,
    ) -> Option<()> {
        let before = self.builder.faults.errors.len();
        let mut known = true;
        for reference in references {
            known &= self.check(reference, false, below).is_some();
        }
        (known && self.builder.faults.errors.len() == before).then_some(())
    }

    /// Checks one reference. With `any` a value of any type will do; nothing
    /// comes back for a param whose want of a value was reported already.
    pub(super) fn check(&mut self, reference: &Reference, any: bool, below: &str) -> Option<()> {
        match reference {
            Reference::Param(name, selector) => return self.param(name, selector, any, below),
            Reference::Result(key, result, selector) => self.result(key, result, selector, any, below),
            Reference::TaskStatus(task) | Reference::TaskReason(task) => {
                if self.position == Position::Finally {
                    self.main_task(task, below);
                } else {
                    self.invalid_reference(
                        &reference.to_string(),
                        "only `finally` knows how tasks ended",
                        below,
                    );
                }
            }
            Reference::AllStatus if self.position == Position::Finally => {}
            Reference::AllStatus => {
                self.invalid_reference(&reference.to_string(), "only `finally` knows how tasks ended", below);
            }
            Reference::MatrixLength(task) => self.combinations(task, reference, below),
            Reference::MatrixResultLength(task, result) => {
                self.combinations(task, reference, below);
                self.result_exists(task, result, below);
            }
            Reference::Context(context) => self.context(*context, reference, below),
            Reference::Output(..) | Reference::Source | Reference::Input(_) => {
                let why = "an artifact is not a value; wire it under `inputs`";
                self.invalid_reference(&reference.to_string(), why, below);
            }
        }
        Some(())
    }

    fn param(&mut self, name: &str, selector: &Selector, any: bool, below: &str) -> Option<()> {
        let Some(known) = self.scope.params.get(name) else {
            if self.scope.spec.params.iter().any(|spec| spec.name.as_str() == name) {
                return None;
            }
            if self.scope.site.lacks_names("params") {
                return None;
            }
            let names: Vec<&str> = self.scope.params.keys().map(String::as_str).collect();
            self.unknown("param", name, &names, "the pipeline takes no params", below);
            return Some(());
        };
        if known.unread {
            return None;
        }
        // One whose value is known is held against the selector when it is filled in.
        if known.value.is_none()
            && !any
            && let Some(why) = mismatch(known.value_type, selector)
        {
            self.invalid_reference(&format!("params.{name}"), why, below);
        }
        Some(())
    }

    fn context(&mut self, context: Context, reference: &Reference, below: &str) {
        let of_task = match context {
            Context::RunName | Context::RunUid | Context::PipelineName => false,
            Context::TaskRunName | Context::TaskName | Context::RetryCount | Context::Retries => true,
        };
        if of_task && self.position == Position::Results {
            self.invalid_reference(
                &reference.to_string(),
                "a result of the pipeline belongs to no task",
                below,
            );
        }
    }

    /// A task that is not of `finally`, by its name, if there is such a one.
    pub(super) fn known_task(&self, name: &str) -> Option<usize> {
        self.scope.names.get(name).copied().filter(|index| *index < self.scope.finally_from)
    }

    /// A task that is not of `finally`, by its name.
    pub(super) fn main_task(&mut self, name: &str, below: &str) -> Option<usize> {
        if let Some(index) = self.known_task(name) {
            return Some(index);
        }
        if self.scope.names.contains_key(name) {
            let place = self.site.place(below);
            let (text, why) = (format!("tasks.{name}"), "it runs in `finally`, after all others".to_owned());
            self.report(PlanError::InvalidReference { text, why, place });
            return None;
        }
        if ["tasks", "finally"].iter().any(|list| self.scope.site.lacks_names(list)) {
            return None;
        }
        let mut known: Vec<&str> = self.scope.spec.tasks.iter().map(|task| task.name.as_str()).collect();
        known.sort_unstable();
        self.unknown("task", name, &known, "the pipeline has no tasks", below);
        None
    }

    /// A task whose results or artifacts are used here.
    pub(super) fn needed_task(&mut self, name: &str, below: &str) -> Option<usize> {
        match self.position {
            Position::Task(_) => {
                let task = self.main_task(name, below)?;
                self.after.push(Dependency { task, needs: true });
                Some(task)
            }
            Position::Finally => self.main_task(name, below),
            // What a pipeline hands back may come from its `finally`.
            Position::Results => match self.scope.names.get(name) {
                Some(index) => Some(*index),
                None => self.main_task(name, below),
            },
        }
    }

    fn combinations(&mut self, task: &str, reference: &Reference, below: &str) {
        if let Some(index) = self.needed_task(task, below)
            && self.scope.matrix_of(index).is_none()
            && !self.scope.matrix_unread(index)
        {
            self.invalid_reference(&reference.to_string(), "the task has no matrix", below);
        }
    }

    fn result_exists(&mut self, task: &str, result: &str, below: &str) {
        let Some(resolved) = self.scope.names.get(task).and_then(|i| self.scope.resolved.get(*i)) else {
            return;
        };
        if resolved.is_unknown() || resolved.result_type(result).is_some() {
            return;
        }
        let names = resolved.result_names();
        self.unknown("result", result, &names, "the task has no results", below);
    }

    /// Whether a task has the combination that is named, where that is known.
    pub(super) fn key_exists(&mut self, index: usize, key: &TaskKey, text: &str, below: &str) {
        let (Some(key), Some(spec)) = (&key.key, self.scope.matrix_of(index)) else { return };
        let Some(keys) = self.keys(spec) else { return };
        let numbered = key.parse::<usize>().is_ok_and(|number| number < keys.len());
        if !numbered && !keys.contains(key) {
            let known: Vec<&str> = keys.iter().map(String::as_str).collect();
            let why = format!("it has no such combination; {}", known_names(key, &known, "it has none"));
            self.invalid_reference(text, why, below);
        }
    }

    fn result(&mut self, key: &TaskKey, result: &str, selector: &Selector, any: bool, below: &str) {
        let Some(index) = self.needed_task(&key.task, below) else { return };
        self.result_exists(&key.task, result, below);
        if self.scope.matrix_unread(index) {
            return;
        }
        let Some(resolved) = self.scope.resolved.get(index) else { return };
        let Some(value_type) = resolved.result_type(result) else { return };
        let text = format!("tasks.{key}.results.{result}");
        let matrix = self.scope.matrix_of(index).is_some();
        self.key_exists(index, key, &text, below);
        match (matrix, &key.key) {
            (false, Some(_)) => self.invalid_reference(&text, "the task has no matrix", below),
            (true, None) if value_type != ValueType::String => {
                let why = "a list or an object of each combination: name one, such as tasks.NAME[KEY]";
                self.invalid_reference(&text, why, below);
            }
            (true, None) if !any && *selector != Selector::Star => {
                let why = "it is one of each combination: add [*], or name one, such as tasks.NAME[KEY]";
                self.invalid_reference(&text, why, below);
            }
            (true, None) => {}
            (_, _) => {
                if !any && let Some(why) = mismatch(value_type, selector) {
                    self.invalid_reference(&text, why, below);
                }
            }
        }
    }
}

/// Why a selector picks nothing out of a value of a type.
fn mismatch(value_type: ValueType, selector: &Selector) -> Option<&'static str> {
    match (value_type, selector) {
        (ValueType::String, Selector::Whole)
        | (ValueType::Array, Selector::Index(_) | Selector::Star)
        | (ValueType::Object, Selector::Key(_) | Selector::Star) => None,
        (ValueType::String, _) => Some("it is a string"),
        (ValueType::Array, _) => Some("it is a list: add [*] or [0]"),
        (ValueType::Object, _) => Some("it is an object: add .KEY or [*]"),
    }
}
