//! The artifacts a task is given.

use std::collections::BTreeMap;

use super::{Resolved, Wiring};
use crate::model::PipelineTask;
use crate::plan::PlanError;
use crate::plan::flow::Wire;
use crate::plan::params::is_meant;
use crate::plan::reference::Reference;
use crate::plan::template::Template;

impl Wiring<'_, '_> {
    /// Every input of a task.
    pub(super) fn inputs(&mut self, task: &PipelineTask, resolved: &Resolved) -> BTreeMap<String, Wire> {
        let names = resolved.input_names();
        let mut inputs = BTreeMap::new();
        for (index, wired) in task.inputs.iter().enumerate() {
            let name = wired.name.as_str();
            if !names.contains(&name) {
                self.unknown(
                    "input",
                    name,
                    &names,
                    "the task has no inputs",
                    &format!("inputs/{index}/name"),
                );
                // Where it comes from may be wrong, too.
                self.wire(&wired.from, &format!("inputs/{index}/from"));
            } else if let Some(wire) = self.wire(&wired.from, &format!("inputs/{index}/from"))
                && inputs.insert(name.to_owned(), wire).is_some()
            {
                self.duplicate(name, &format!("inputs/{index}/name"));
            }
        }
        if self.site.lacks("inputs") || self.site.has_stray() {
            return inputs;
        }
        let given: Vec<&str> = task.inputs.iter().map(|wired| wired.name.as_str()).collect();
        let missing = |name: &&&str| !given.contains(name) && !is_meant(name, given.iter().copied(), &names);
        for name in names.iter().filter(missing) {
            let message = format!("task `{}` needs the input `{name}`", task.name);
            let help = format!("add under this task: inputs: [{{ name: {name}, from: $(source) }}]");
            self.report(PlanError::Missing { message, help, place: self.site.place("name") });
        }
        inputs
    }

    /// Where an artifact comes from.
    pub(super) fn wire(&mut self, from: &str, below: &str) -> Option<Wire> {
        let template = match Template::parse(from) {
            Ok(template) => template,
            Err((reference, why)) => {
                self.invalid_reference(&reference, why, below);
                return None;
            }
        };
        match template.sole_reference() {
            Some(Reference::Source) => Some(Wire::Source),
            Some(Reference::Input(name)) => {
                let inputs = &self.scope.spec.inputs;
                if inputs.iter().any(|input| input.name.as_str() == name) {
                    return Some(Wire::Input(name.clone()));
                }
                if self.scope.site.lacks_names("inputs") {
                    return None;
                }
                let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                self.unknown("input", name, &known, "the pipeline takes no inputs", below);
                None
            }
            Some(Reference::Output(key, output)) => {
                let index = self.needed_task(&key.task, below)?;
                if self.scope.matrix_unread(index) {
                    return None;
                }
                let matrix = self.scope.matrix_of(index).is_some();
                if matrix != key.key.is_some() {
                    let why = if matrix {
                        "each combination makes one: name it, such as tasks.NAME[KEY].outputs.NAME"
                    } else {
                        "the task has no matrix"
                    };
                    self.invalid_reference(&format!("tasks.{key}.outputs.{output}"), why, below);
                    return None;
                }
                let text = format!("tasks.{key}.outputs.{output}");
                self.key_exists(index, key, &text, below);
                // A task that could not be resolved has been reported already.
                let found = self.scope.resolved.get(index).filter(|found| !found.is_unknown())?;
                let known = found.output_names();
                if known.contains(&output.as_str()) {
                    return Some(Wire::Output { task: index, key: key.key.clone(), output: output.clone() });
                }
                let none = format!("the task `{}` makes no artifacts", key.task);
                self.unknown("output", output, &known, &none, below);
                None
            }
            Some(
                Reference::Param(..)
                | Reference::Result(..)
                | Reference::TaskStatus(_)
                | Reference::TaskReason(_)
                | Reference::AllStatus
                | Reference::MatrixLength(_)
                | Reference::MatrixResultLength(..)
                | Reference::Context(_),
            )
            | None => {
                let message =
                    format!("`{from}` names no artifact: write $(source) or $(tasks.NAME.outputs.NAME)");
                self.invalid_value(message, below);
                None
            }
        }
    }
}
