//! How a TaskRun ended, from what the guest returned or what stopped it.

use std::cell::Cell;
use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use super::bindings::cofferdam::task::types;
use super::{Exit, Job};
use crate::capability::Redactor;
use crate::event::{TaskFailure, Usage};
use crate::model::TaskRunReason;

fn exit(reason: TaskRunReason) -> Exit {
    let (results, opened) = (BTreeMap::new(), BTreeMap::new());
    let usage = Usage::default();
    Exit { reason, message: None, failure: None, results, opened, saw_time: false, masked: false, usage }
}

pub(super) fn succeeded(outcome: types::Outcome) -> Exit {
    match gather(outcome.results) {
        Ok(results) => Exit { results, ..exit(TaskRunReason::Succeeded) },
        Err(message) => Exit { message: Some(message), ..exit(TaskRunReason::InvalidTaskResults) },
    }
}

pub(super) fn failed(failure: types::Failure) -> Exit {
    let types::Failure { reason, message, remedy, results } = failure;
    let failed =
        Exit { failure: Some(TaskFailure { reason, message, remedy }), ..exit(TaskRunReason::Failed) };
    match gather(results) {
        Ok(results) => Exit { results, ..failed },
        // Its own account of the failure matters more than what it got wrong.
        Err(message) => Exit { message: Some(not_kept(&message)), ..failed },
    }
}

/// Says of a task that failed why the results it came to are not kept.
pub(crate) fn not_kept(why: &str) -> String {
    format!("its results were not kept: {why}")
}

/// The results by name, or what is wrong with them.
fn gather(bindings: Vec<types::Binding>) -> Result<BTreeMap<String, Value>, String> {
    let mut results = BTreeMap::new();
    for types::Binding { name, value } in bindings {
        let value = match value {
            types::Value::Text(text) => Value::Text(text),
            types::Value::Texts(texts) => Value::Texts(texts),
            types::Value::Fields(fields) => Value::Fields(fields.into_iter().collect()),
        };
        if results.contains_key(&name) {
            return Err(format!("it returned `{}` twice", name.escape_debug()));
        }
        results.insert(name, value);
    }
    Ok(results)
}

pub(super) fn trapped(error: &wasmtime::Error, memory_refused: bool, handles: usize, job: &Job) -> Exit {
    if memory_refused {
        return early(TaskRunReason::MemoryLimit, job);
    }
    let message = match error.downcast_ref::<I32Exit>() {
        // WASI tells only whether it was 0.
        Some(I32Exit(code)) => {
            let how = if *code == 0 { "without" } else { "with" };
            format!("it exited {how} a failure instead of returning")
        }
        None if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) => {
            let message = format!("it had more than its {handles} files, streams and timers open at once");
            return Exit { message: Some(message), ..exit(TaskRunReason::HandleLimit) };
        }
        None => {
            let cause = error.root_cause().to_string();
            // The runtime counts these itself, and has only words for them.
            if cause.starts_with("resource limit exceeded: instance count") {
                return early(TaskRunReason::InstanceLimit, job);
            }
            if cause.starts_with("resource limit exceeded: table count") {
                return early(TaskRunReason::TableLimit, job);
            }
            format!("the component trapped: {cause}")
        }
    };
    Exit { message: Some(message), ..exit(TaskRunReason::TaskTrapped) }
}

pub(super) fn early(reason: TaskRunReason, job: &Job) -> Exit {
    let limits = &job.limits;
    let message = match reason {
        TaskRunReason::TaskRunTimeout => {
            Some(format!("it ran longer than its timeout of {}", limits.timeout))
        }
        TaskRunReason::CpuLimit => Some(format!("it used more than its {} of processor time", limits.cpu)),
        TaskRunReason::InstanceLimit => {
            Some(format!("it is made of more than its {} core instances", limits.instances))
        }
        TaskRunReason::TableLimit => Some(format!("it has more than its {} tables", limits.tables)),
        TaskRunReason::MemoryLimit => Some(format!("it needed more than its {} of memory", limits.memory)),
        TaskRunReason::OutputLimit => Some(format!("it wrote more than its {} of files", limits.output)),
        TaskRunReason::FileLimit => Some(format!("it made more than its {} files", limits.files)),
        TaskRunReason::LogLimit => Some(format!("it logged more than its {}", limits.log)),
        TaskRunReason::RequestLimit => Some(format!("it made more than its {} requests", limits.requests)),
        TaskRunReason::BodyLimit => {
            Some(format!("it sent or received a body larger than its {}", limits.body))
        }
        TaskRunReason::HostFault => {
            Some("the host's own disk failed while it ran, which may be full".to_owned())
        }
        TaskRunReason::EgressLimit => Some(format!("it sent more than its {}", limits.egress)),
        TaskRunReason::IngressLimit => Some(format!("it received more than its {}", limits.ingress)),
        TaskRunReason::Succeeded
        | TaskRunReason::Failed
        | TaskRunReason::TaskRunCancelled
        | TaskRunReason::TaskRunResultLargerThanAllowedLimit
        | TaskRunReason::InvalidTaskResults
        | TaskRunReason::InvalidOutput
        | TaskRunReason::HandleLimit
        | TaskRunReason::InvalidParamValue
        | TaskRunReason::TaskTrapped => None,
    };
    Exit { message, ..exit(reason) }
}

/// Masks secrets in everything that a task says of itself; whether there were
/// any.
pub(super) fn mask(exit: &mut Exit, redactor: &Redactor) -> bool {
    if redactor.is_empty() {
        return false;
    }
    let changed = Cell::new(false);
    let masked = |text: &str| {
        let masked = redactor.text(text);
        changed.set(changed.get() || masked != text);
        masked.into_owned()
    };
    let mask = |text: &mut String| *text = masked(text);
    if let Some(message) = &mut exit.message {
        mask(message);
    }
    if let Some(failure) = &mut exit.failure {
        mask(&mut failure.reason);
        mask(&mut failure.message);
        failure.remedy.iter_mut().for_each(mask);
    }
    for value in exit.results.values_mut() {
        match value {
            Value::Text(text) => mask(text),
            Value::Texts(texts) => texts.iter_mut().for_each(mask),
            Value::Fields(fields) => {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(key, text)| (masked(&key), masked(&text)))
                    .collect();
            }
        }
    }
    let results = std::mem::take(&mut exit.results);
    exit.results = results.into_iter().map(|(name, value)| (masked(&name), value)).collect();
    changed.get()
}
