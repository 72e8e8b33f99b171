//! One task of a pipeline: what it runs, what that may do, what it is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_manifest::{Span, contradictions};
use cofferdam_registry::TrustDecision;

use super::arguments::known_value;
use super::{Builder, Known, MAX_DEPTH, MAX_TASKS, Nested, Position, Resolved, Scope, Site, Wiring, alike};
use crate::capability::{Deciders, GrantDecision, INSTEAD_OF_EXEC, Import, NO_EXEC, Withheld};
use crate::event::Doubts;
use crate::model::{EffectiveLimits, ErrorMode, GrantSpec, PipelineTask, Retries, Shared};
use crate::plan::flow::{Argument, Dependency, Flow, PlannedTask, RetryPolicy, TaskWork, Work};
use crate::plan::{PlanError, ResolvedTask};

/// More retries than this are no remedy.
const MAX_RETRIES: u32 = 100;
/// What whoever runs a pipeline that is not trusted can do about it.
const DOUBTED: &str = "see what it would need to be trusted: cofferdam trust explain REFERENCE; \
                       or allow it for this run with --allow, \
                       for example --allow network";
/// The first wait, where nothing is said.
const BACKOFF: Duration = Duration::from_secs(1);

impl Builder<'_> {
    /// Connects one task; gives what it waits for, and the task where it could
    /// be resolved.
    pub(super) fn task(
        &mut self,
        task: &PipelineTask,
        site: &Site,
        scope: &Scope<'_>,
        position: Position,
        index: usize,
    ) -> (Arc<[Dependency]>, Option<PlannedTask>) {
        let retry = self.retries(task, site);
        let mut wiring = Wiring { builder: self, scope, site, position, after: Vec::new() };
        wiring.order(task);
        let when = wiring.guards(&task.when);
        let Some(resolved @ (Resolved::Task(_) | Resolved::Pipeline(_))) = scope.resolved.get(index) else {
            wiring.given(task);
            return (wiring.finish(), None);
        };
        if resolved.is_unknown() {
            wiring.given(task);
            let after = wiring.finish();
            if let Resolved::Pipeline(nested) = resolved {
                self.nested(task, nested, &BTreeMap::new(), site, scope.params);
            }
            return (after, None);
        }
        let matrix = task.matrix.as_ref().map(|spec| Box::new(wiring.matrix(spec, resolved)));
        let params = wiring.arguments(task, resolved);
        let inputs = wiring.inputs(task, resolved);
        let after = wiring.finish();
        let work = match resolved {
            Resolved::Missing => return (after, None),
            Resolved::Task(found) => Work::Task(Box::new(self.component_work(task, found, site))),
            Resolved::Pipeline(nested) => match self.nested(task, nested, &params, site, scope.params) {
                Some(flow) => Work::Pipeline(Box::new(flow)),
                None => return (after, None),
            },
        };
        let planned = PlannedTask {
            name: task.name.as_str().into(),
            display_name: task.display_name.clone(),
            after: Arc::clone(&after),
            when,
            matrix,
            retry,
            on_error: task.on_error.unwrap_or_default(),
            params,
            inputs,
            awaited: false,
            work,
        };
        (after, Some(planned))
    }

    fn component_work(&mut self, task: &PipelineTask, found: &ResolvedTask, site: &Site) -> TaskWork {
        let manifest = &found.component.manifest;
        let asked = &manifest.spec.capabilities;
        let name = || task.name.to_string();
        let mut exec_told = false;
        for import in &found.component.imports {
            let class = Import::of(import);
            if let Some(why) = class.contradiction(asked).or_else(|| class.unavailable()) {
                exec_told |= why == NO_EXEC;
                let (import, place) = (import.clone(), site.place("taskRef"));
                self.report(site, PlanError::ForbiddenImport { task: name(), import, why, place });
            }
        }
        let trusted = matches!(found.identity.trust, TrustDecision::Trusted { .. });
        let by_pipeline = site.doubt().map(|pipeline| format!("the pipeline {pipeline} is not trusted"));
        let doubt = by_pipeline.as_deref().or((!trusted).then_some("the task is not trusted"));
        // What a pipeline grants that is not trusted itself is worth nothing.
        let worth = |spec: &&GrantSpec| site.doubt().is_none() || **spec == GrantSpec::default();
        let pipeline = task.grants.as_deref().filter(worth);
        let overrides = self.request.overrides;
        let remediable = site.doubt().is_none();
        let deciders = Deciders { task: task.name.as_str(), doubt, remediable, pipeline, overrides };
        let decision = GrantDecision::new(asked, deciders);
        // What could not be read may have granted it.
        let unread = site.lacks("grants") || site.has_stray();
        for line in decision.undecided() {
            let is_exec = line.why == NO_EXEC;
            let is_told = if is_exec { exec_told } else { unread };
            if is_told {
                continue;
            }
            let (capability, why) = (line.asked.clone(), line.why.clone());
            let paste = line.remedy.as_ref().map(|yaml| {
                format!("to allow it, add under this task: {yaml}; to run it without, add grants: {{}}")
            });
            let help = match (is_exec, site.doubt()) {
                (true, _) => Some(INSTEAD_OF_EXEC.to_owned()),
                (false, Some(_)) => paste.or_else(|| Some(DOUBTED.to_owned())),
                (false, None) => paste,
            };
            let place = site.place("taskRef");
            self.report(site, PlanError::NotGranted { task: name(), capability, why, help, place });
        }
        for (below, rule) in &decision.unasked {
            let (task, rule, place) = (name(), rule.clone(), site.place(&format!("grants{below}")));
            self.report(site, PlanError::UnaskedGrant { task, rule, place });
        }
        if let Some(spec) = task.grants.as_ref().filter(|_| !unread) {
            for (below, message) in contradictions(&spec.network, &spec.tcp) {
                let place = site.place(&format!("grants{below}"));
                self.report(site, PlanError::InvalidValue { message, place });
            }
        }
        let limits = EffectiveLimits::new(&manifest.spec.limits, self.request.ceiling, task.timeout);
        let leaf = self.leaves;
        self.leaves += 1;
        TaskWork {
            identity: Shared::clone(&found.identity),
            component: Arc::clone(&found.component),
            trusted: doubt.is_none(),
            doubts: site.doubt().map(|pipeline| {
                Box::new(Doubts { untrusted_pipeline: Some(pipeline.to_owned()), ..Doubts::default() })
            }),
            grants: alike(&mut self.alike.grants, decision.grants),
            grant_lines: decision.lines,
            withheld: self.withheld(decision.withheld),
            limits: alike(&mut self.alike.limits, limits),
            leaf,
        }
    }

    fn withheld(&mut self, withheld: Withheld) -> Arc<Withheld> {
        if withheld != *self.alike.withheld {
            self.alike.withheld = withheld.into();
        }
        Arc::clone(&self.alike.withheld)
    }

    /// Builds a pipeline that runs as a task.
    fn nested(
        &mut self,
        task: &PipelineTask,
        nested: &Nested,
        arguments: &BTreeMap<String, Argument>,
        at: &Site,
        around: &BTreeMap<String, Known>,
    ) -> Option<Flow> {
        if task.grants.is_some() {
            let message = "`grants` stands with a task; write it in the pipeline itself".to_owned();
            self.report(at, PlanError::InvalidValue { message, place: at.place("grants") });
        }
        let round = nested.file.as_ref().and_then(|file| self.open.iter().position(|open| open == file));
        if let Some(round) = round {
            let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inside = self.open.iter().skip(round).chain(&nested.file);
            let path = inside.map(name).collect();
            self.report(at, PlanError::Cycle { path, place: at.place("pipelineRef") });
            return None;
        }
        if self.open.len() >= MAX_DEPTH || self.leaves > MAX_TASKS {
            let message =
                format!("pipelines stand at most {MAX_DEPTH} deep in each other, with {MAX_TASKS} tasks");
            self.report(at, PlanError::InvalidValue { message, place: at.place("name") });
            return None;
        }
        let mut params = BTreeMap::new();
        for (name, argument) in arguments {
            let spec = nested.spec.params.iter().find(|spec| spec.name.as_str() == name);
            let in_matrix = task.matrix.as_ref().is_some_and(|matrix| {
                let include = matrix.include.iter().flat_map(|include| &include.params);
                matrix.params.iter().chain(include).any(|param| param.name.as_str() == name)
            });
            let value = if in_matrix { None } else { known_value(argument) };
            let found = value.as_ref().map(cofferdam_manifest::Value::value_type);
            let value_type = spec.map(cofferdam_manifest::ParamSpec::effective_type).or(found);
            let choices = spec.map(|spec| spec.choices.clone()).unwrap_or_default();
            params.insert(
                name.clone(),
                Known { value_type: value_type.unwrap_or_default(), choices, value, unread: false },
            );
        }
        for param in &nested.spec.params {
            // Only a combination of a matrix gives it a value.
            params.entry(param.name.to_string()).or_insert_with(|| Known::open(param));
        }
        for (name, known) in params.iter_mut().filter(|_| nested.partial) {
            known.unread = nested.spec.params.iter().any(|spec| spec.name.as_str() == name);
        }
        if task.pipeline_spec.is_some() {
            // What is written in its place sees the params around it.
            let unread = around.iter().filter(|(_, known)| known.unread || nested.partial);
            for (name, known) in unread {
                let seen = Known { unread: true, ..known.clone() };
                params.entry(name.clone()).and_modify(|own| own.unread |= known.unread).or_insert(seen);
            }
        }
        self.open.push(nested.file.clone().unwrap_or_default());
        let mut flow = self.flow(&nested.name, &nested.spec, &nested.site, &params);
        self.open.pop();
        if let Some(timeout) = task.timeout.map(Span::duration) {
            let whole = flow.timeouts.pipeline.map_or(timeout, |whole| whole.min(timeout));
            flow.timeouts.pipeline = Some(whole);
        }
        Some(flow)
    }

    fn retries(&mut self, task: &PipelineTask, at: &Site) -> RetryPolicy {
        let policy = match task.retries.as_deref() {
            None => return RetryPolicy::default(),
            Some(Retries::Count(max)) => RetryPolicy { max: *max, backoff: BACKOFF, on: Vec::new() },
            Some(Retries::Policy(spec)) => {
                let backoff = spec.backoff.map_or(BACKOFF, Span::duration);
                RetryPolicy { max: spec.max, backoff, on: spec.on.clone() }
            }
        };
        if policy.max > MAX_RETRIES {
            let message = format!("a task is tried again at most {MAX_RETRIES} times");
            self.report(at, PlanError::InvalidValue { message, place: at.place("retries") });
        }
        if policy.max > 0 && task.on_error == Some(ErrorMode::Continue) {
            let message = "`retries` and `onError: continue` cannot stand together".to_owned();
            self.report(at, PlanError::InvalidValue { message, place: at.place("retries") });
        }
        policy
    }
}

impl Wiring<'_, '_> {
    fn order(&mut self, task: &PipelineTask) {
        if self.position != Position::Finally
            && let Some((index, tasks)) = &*self.scope.ordered.borrow()
            && self.scope.written(*index).is_some_and(|last| last.run_after == task.run_after)
        {
            self.after.extend_from_slice(tasks);
            return;
        }
        for (index, name) in task.run_after.iter().enumerate() {
            let below = || format!("runAfter/{index}");
            if self.position == Position::Finally {
                let message = "tasks of `finally` run side by side: they have no `runAfter`".to_owned();
                self.invalid_value(message, &below());
            } else if let Some(task) =
                self.known_task(name.as_str()).or_else(|| self.main_task(name.as_str(), &below()))
            {
                self.after.push(Dependency { task, needs: false });
            }
        }
        // Where one is none, that is to be said of each task that names it.
        if let Position::Task(index) = self.position
            && self.after.len() == task.run_after.len()
        {
            self.scope.ordered.replace(Some((index, self.after.clone())));
        }
    }

    /// Checks what a task is given where nobody knows what it takes.
    fn given(&mut self, task: &PipelineTask) {
        let matrix = task.matrix.as_deref();
        for (index, param) in matrix.into_iter().flat_map(|matrix| matrix.params.iter().enumerate()) {
            self.value(&param.value, &format!("matrix/params/{index}/value"));
        }
        for (index, include) in matrix.into_iter().flat_map(|matrix| matrix.include.iter().enumerate()) {
            for (number, param) in include.params.iter().enumerate() {
                self.value(&param.value, &format!("matrix/include/{index}/params/{number}/value"));
            }
        }
        for (index, param) in task.params.iter().enumerate() {
            self.value(&param.value, &format!("params/{index}/value"));
        }
        for (index, input) in task.inputs.iter().enumerate() {
            self.wire(&input.from, &format!("inputs/{index}/from"));
        }
    }

    /// Each task once, as one that is needed where it is both.
    fn finish(mut self) -> Arc<[Dependency]> {
        self.after.sort_unstable_by_key(|dependency| (dependency.task, !dependency.needs));
        self.after.dedup_by_key(|dependency| dependency.task);
        let last = &mut self.builder.alike.after;
        if **last != *self.after {
            *last = self.after.into();
        }
        Arc::clone(last)
    }
}
