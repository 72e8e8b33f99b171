//! What is not wrong with a pipeline file and still worth a look: tasks nobody
//! vouches for, params nothing uses, an order that follows anyway.
//!
//! Found in the file as it is written, so that a file with errors is looked at,
//! too, as far as its shape can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cofferdam_manifest::{Document, Place, decode, salvage};
use cofferdam_registry::{TrustDecision, UntrustedCause};
use serde_json::Value;

use super::build::{NAMED, kind_of};
use super::{CelGuard, Reference, ResolveError, Resolver, Template, unsupported};
use crate::model::{Pipeline, PipelineRun, PipelineSpec, PipelineTask};

/// One thing that is worth a look.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Advice {
    /// The task runs, without anything beyond its inputs and outputs.
    #[error("the task `{task}` is not trusted: {cause}")]
    NotTrusted {
        /// The task.
        task: String,
        /// Which condition of trust does not hold.
        cause: String,
        /// Whether it is signed, so that rules could trust it.
        signed: bool,
        /// Where.
        place: Place,
    },
    /// A param that can be given and decides nothing.
    #[error("nothing uses the param `{name}`")]
    UnusedParam {
        /// The param.
        name: String,
        /// Where.
        place: Place,
    },
    /// A word of `runAfter` that changes nothing.
    #[error("`{task}` comes after `{before}` anyway: it uses something of `{used}`")]
    ImpliedOrder {
        /// The task.
        task: String,
        /// The task it is to come after.
        before: String,
        /// The task whose results or artifacts it uses.
        used: String,
        /// Where.
        place: Place,
    },
}

impl Advice {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTrusted { .. } => "lint/not-trusted",
            Self::UnusedParam { .. } => "lint/unused-param",
            Self::ImpliedOrder { .. } => "lint/implied-order",
        }
    }

    /// What to write or type next.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotTrusted { signed: true, .. } => {
                "see what it would need to be trusted: cofferdam trust explain REFERENCE"
            }
            Self::NotTrusted { signed: false, .. } => {
                "publish it with a signature by a key that trust.yaml names: cofferdam task publish FILE --sign"
            }
            Self::UnusedParam { .. } => "use it as $(params.NAME), or remove it",
            Self::ImpliedOrder { .. } => "leave it out of `runAfter`",
        }
    }

    /// Where in the file.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::NotTrusted { place, .. }
            | Self::UnusedParam { place, .. }
            | Self::ImpliedOrder { place, .. } => *place,
        }
    }
}

/// Everything that a file is worth a look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advices {
    /// In the order in which it stands there.
    pub found: Vec<Advice>,
    /// The tasks that were not to be had, since there are none here.
    pub missing: Vec<String>,
}

impl Advices {
    /// Looks at a pipeline, or at the one that is written in a PipelineRun. In
    /// a file whose shape is wrong, only its tasks are looked at: what else is
    /// found there could be gone when that is mended.
    #[must_use]
    pub fn of(text: &str, base: &Path, resolver: &dyn Resolver) -> Self {
        let Ok(document) = Document::parse(text) else { return Self::default() };
        let Some((spec, pointer, left)) = spec_of(&document) else { return Self::default() };
        let whole = left.is_none();
        let document = left.unwrap_or(document);
        let mut look = Look { document: &document, whole, base, resolver, advices: Self::default() };
        look.pipeline(&spec, pointer);
        let mut advices = look.advices;
        advices.found.sort_by_key(Advice::place);
        advices
    }
}

/// The pipeline of a document and where it stands; of one whose shape is wrong,
/// what is left of it, with the document that is left.
fn spec_of(document: &Document) -> Option<(PipelineSpec, &'static str, Option<Document>)> {
    const NESTED: &str = "/spec/pipelineSpec";
    if kind_of(document.root())? == "Pipeline" {
        if let Ok(pipeline) = decode::<Pipeline>(document) {
            return Some((pipeline.spec, "/spec", None));
        }
        let (_, left) = salvage::<Pipeline>(document, &unwanted(document), NAMED);
        return left.map(|left| (left.value.spec, "/spec", Some(left.document)));
    }
    if let Ok(run) = decode::<PipelineRun>(document) {
        return run.spec.pipeline_spec.map(|spec| (spec, NESTED, None));
    }
    let (_, left) = salvage::<PipelineRun>(document, &unwanted(document), NAMED);
    left.and_then(|left| Some((left.value.spec.pipeline_spec?, NESTED, Some(left.document))))
}

/// What of a document is not run, by its pointers.
fn unwanted(document: &Document) -> Vec<String> {
    unsupported::find(document).into_iter().map(|(pointer, _)| pointer).collect()
}

struct Look<'a> {
    document: &'a Document,
    /// Whether that is all of it.
    whole: bool,
    base: &'a Path,
    resolver: &'a dyn Resolver,
    advices: Advices,
}

impl Look<'_> {
    /// Looks at one pipeline; gives the params it uses and does not declare.
    fn pipeline(&mut self, spec: &PipelineSpec, at: &str) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let mut needs = Vec::new();
        let lists = [("tasks", &spec.tasks), ("finally", &spec.finally)];
        for (list, tasks) in lists {
            for (index, task) in tasks.iter().enumerate() {
                let below = format!("{at}/{list}/{index}");
                let references = references(task);
                used.extend(references.iter().filter_map(param));
                if list == "tasks" {
                    needs.push(references.iter().filter_map(Reference::task).map(str::to_owned).collect());
                }
                if let Some(nested) = &task.pipeline_spec {
                    used.extend(self.pipeline(nested, &format!("{below}/pipelineSpec")));
                }
                self.trust(task, &below);
            }
        }
        if !self.whole {
            return used;
        }
        let handed_back = spec.results.iter().map(|result| serde_json::to_value(&result.value));
        let mut references = Vec::new();
        handed_back.flatten().for_each(|value| of_value(&value, &mut references));
        used.extend(references.iter().filter_map(param));
        for (index, declared) in spec.params.iter().enumerate() {
            if !used.remove(declared.name.as_str()) {
                let place = self.document.place(&format!("{at}/params/{index}/name"));
                self.advices.found.push(Advice::UnusedParam { name: declared.name.to_string(), place });
            }
        }
        self.order(spec, &needs, at);
        used
    }

    fn trust(&mut self, task: &PipelineTask, below: &str) {
        let Some(reference) = &task.task_ref else { return };
        match self.resolver.resolve(reference, self.base) {
            Ok(found) => {
                if let TrustDecision::Untrusted { cause } = &found.identity.trust {
                    let is_file = reference.component.is_some();
                    let signed = !is_file && !matches!(cause, UntrustedCause::Unsigned { .. });
                    let (task, cause) = (task.name.to_string(), cause.to_string());
                    let place = self.document.place(&format!("{below}/taskRef"));
                    self.advices.found.push(Advice::NotTrusted { task, cause, signed, place });
                }
            }
            Err(ResolveError::NoTasks) => self.advices.missing.push(task.name.to_string()),
            // An error of the plan.
            Err(_) => {}
        }
    }

    /// Finds what of `runAfter` follows from references.
    fn order(&mut self, spec: &PipelineSpec, needs: &[BTreeSet<String>], at: &str) {
        let tasks = spec.tasks.iter().zip(needs);
        let before: BTreeMap<&str, Vec<&str>> = tasks
            .clone()
            .map(|(task, needs)| {
                let ordered = task.run_after.iter().map(cofferdam_manifest::Name::as_str);
                (task.name.as_str(), needs.iter().map(String::as_str).chain(ordered).collect())
            })
            .collect();
        for (index, (task, needs)) in tasks.enumerate() {
            for (number, after) in task.run_after.iter().enumerate() {
                let implied = needs.iter().find(|used| {
                    **used != task.name.as_str()
                        && comes_after(&before, used, after.as_str(), task.name.as_str())
                });
                // Where they wait for each other, that is what has to be mended. Asked
                // last: to follow the order of all tasks for each of them takes long.
                if let Some(used) = implied
                    && !comes_after(&before, after.as_str(), task.name.as_str(), "")
                {
                    let place = self.document.place(&format!("{at}/tasks/{index}/runAfter/{number}"));
                    let (task, before) = (task.name.to_string(), after.to_string());
                    self.advices.found.push(Advice::ImpliedOrder { task, before, used: used.clone(), place });
                }
            }
        }
    }
}

/// Whether a task is another one, or comes after it, whatever a third one waits
/// for.
fn comes_after(before: &BTreeMap<&str, Vec<&str>>, task: &str, other: &str, third: &str) -> bool {
    let mut seen = BTreeSet::from([task, third]);
    let mut open = vec![task];
    while let Some(task) = open.pop() {
        if task == other {
            return true;
        }
        let earlier = before.get(task).into_iter().flatten();
        open.extend(earlier.filter(|earlier| seen.insert(earlier)));
    }
    false
}

/// The param that a reference names.
fn param(reference: &Reference) -> Option<String> {
    if let Reference::Param(name, _) = reference { Some(name.clone()) } else { None }
}

/// Every reference of a task, without those of a pipeline that is written in it.
fn references(task: &PipelineTask) -> Vec<Reference> {
    let mut found = Vec::new();
    for guard in task.when.iter().filter_map(|when| CelGuard::parse(when.cel.as_deref()?).ok()) {
        found.extend(guard.spliced().iter().chain(guard.named()).cloned());
    }
    let outer = PipelineTask { pipeline_spec: None, ..task.clone() };
    if let Ok(value) = serde_json::to_value(&outer) {
        of_value(&value, &mut found);
    }
    found
}

/// Every reference in the strings of a value.
fn of_value(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) => {
            let template = Template::parse(text).ok();
            found.extend(template.iter().flat_map(Template::references).cloned());
        }
        Value::Array(items) => items.iter().for_each(|item| of_value(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| of_value(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::model::{PipelineRef, TaskRef};
    use crate::plan::{PipelineText, ResolvedTask};

    /// Has no tasks.
    struct Nothing;

    impl Resolver for Nothing {
        fn resolve(&self, _: &TaskRef, _: &Path) -> Result<ResolvedTask, ResolveError> {
            Err(ResolveError::NoTasks)
        }

        fn pipeline(&self, _: &PipelineRef, _: &Path) -> Result<PipelineText, ResolveError> {
            Err(ResolveError::AmbiguousPipeline)
        }
    }

    fn look(spec: &str) -> Vec<String> {
        let text =
            format!("apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n{spec}");
        decode::<Pipeline>(&Document::parse(&text).unwrap()).unwrap();
        let advices = Advices::of(&text, Path::new("."), &Nothing);
        advices.found.iter().map(|advice| format!("{} {advice}", advice.place())).collect()
    }

    #[test]
    fn a_param_is_used_wherever_a_reference_can_stand() {
        let spec = "  params:
    - { name: value }
    - { name: item, type: array }
    - { name: condition }
    - { name: expression }
    - { name: spliced }
    - { name: combined, type: array }
    - { name: result }
    - { name: inner }
    - { name: shadowed }
    - { name: nowhere }
  tasks:
    - name: a
      taskRef: { name: t }
      when:
        - { input: $(params.condition), operator: in, values: [x] }
        - { cel: \"params.expression == '$(params.spliced)'\" }
      matrix: { params: [{ name: m, value: '$(params.combined[*])' }] }
      params: [{ name: p, value: $(params.value) }, { name: l, value: ['$(params.item[0])'] }]
    - name: nested
      pipelineSpec:
        params: [{ name: shadowed }, { name: own }]
        tasks: [{ name: b, taskRef: { name: t }, params: [{ name: p, value: '$(params.inner) $(params.shadowed)' }] }]
  results: [{ name: r, value: $(params.result) }]
";
        let found = look(spec);
        let unused: Vec<&str> = found.iter().filter_map(|line| line.split('`').nth(1)).collect();
        assert_eq!(unused, ["shadowed", "nowhere", "own"], "{found:?}");
    }

    #[test]
    fn an_order_that_follows_anyway_is_told_where_it_stands() {
        let spec = "  tasks:
    - { name: a, taskRef: { name: t } }
    - { name: b, taskRef: { name: t }, runAfter: [a] }
    - name: c
      taskRef: { name: t }
      inputs: [{ name: i, from: $(tasks.b.outputs.o) }]
      runAfter: [a, b]
    - { name: d, taskRef: { name: t }, runAfter: [a, b] }
";
        let expected = [
            "11:18 `c` comes after `a` anyway: it uses something of `b`",
            "11:21 `c` comes after `b` anyway: it uses something of `b`",
        ];
        assert_eq!(look(spec), expected);
    }

    #[test]
    fn layers_that_wait_for_each_other_are_looked_at_in_time() {
        // For each of the 40,000 names that are waited for, all before it would be
        // 800 million steps.
        let (layers, width) = (5, 100);
        let names = |layer: usize| (0..width).map(|n| format!("t{layer}x{n}")).collect::<Vec<_>>().join(", ");
        let task = |layer: usize, n: usize| {
            let after = layer.checked_sub(1).map(names).unwrap_or_default();
            format!("    - {{ name: t{layer}x{n}, taskRef: {{ name: t }}, runAfter: [{after}] }}\n")
        };
        let tasks = (0..layers).flat_map(|layer| (0..width).map(move |n| task(layer, n)));
        let spec = format!("  tasks:\n{}", tasks.collect::<String>());
        assert!(look(&spec).is_empty());
    }

    #[test]
    fn an_order_that_goes_round_is_no_order_that_follows() {
        let spec = "  tasks:
    - { name: a, taskRef: { name: t }, runAfter: [b] }
    - { name: b, taskRef: { name: t }, inputs: [{ name: i, from: $(tasks.a.outputs.o) }], runAfter: [a, c] }
    - { name: c, taskRef: { name: t }, inputs: [{ name: i, from: $(tasks.d.outputs.o) }], runAfter: [d] }
    - { name: d, taskRef: { name: t } }
";
        // Only what has no part in the way round is told.
        assert_eq!(look(spec), ["8:102 `c` comes after `d` anyway: it uses something of `d`"]);
    }
}
