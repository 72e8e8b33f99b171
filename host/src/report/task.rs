//! A task as `task inspect` shows it.

use std::fmt::Write as _;

use cofferdam_manifest::{Manifest, ParamSpec, ValueType};
use cofferdam_registry::{Digest, SBOM_PREDICATE, TrustDecision};
use serde::Serialize;

use super::tag_pin::TagPinView;
use super::trust::trust_words;
use super::words::{Palette, bytes, visible};
use crate::capability::{Import, network_words};
use crate::component::Component;
use crate::provenance::PREDICATE_TYPE;

/// Something that is claimed of a task, as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachedView {
    /// The kind of claim.
    pub predicate_type: String,
    /// The digest of its bundle.
    pub bundle: Digest,
    /// Whether it is about the task's artifact, and not about something else.
    pub names_it: bool,
    /// The key, or the identity, that it names. Nothing of it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<String>,
}

/// A kind of claim in a word, where it is one that is made here.
#[must_use]
pub fn predicate_words(predicate_type: &str) -> String {
    match predicate_type {
        SBOM_PREDICATE => "SBOM".to_owned(),
        PREDICATE_TYPE => "provenance".to_owned(),
        other => other.to_owned(),
    }
}

/// A task as it is shown.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDescription {
    /// The file, or the reference pinned to its digest.
    pub task: String,
    /// What is signed and pinned; nothing for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The digest of the component.
    pub component: Digest,
    /// Its bytes.
    pub size: u64,
    /// What the repository pins the tag to that it was named by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<TagPinView>,
    /// Whether it is trusted here; nothing for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustDecision>,
    /// The keys that its signatures name. Only `trust` says whether they hold.
    pub signatures: Vec<String>,
    /// What is attached to it beside signatures; no rule of trust looks at it.
    pub attestations: Vec<AttachedView>,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// What it takes, makes and asks for.
    pub manifest: Manifest,
}

impl TaskDescription {
    /// A task without what a registry knows of it.
    #[must_use]
    pub fn new(task: String, component: &Component) -> Self {
        Self {
            task,
            digest: None,
            component: component.digest,
            size: component.bytes.len() as u64,
            pinned: None,
            trust: None,
            signatures: Vec::new(),
            attestations: Vec::new(),
            imports: component.imports.clone(),
            manifest: component.manifest.clone(),
        }
    }
}

/// A task in words.
#[must_use]
pub fn task_text(task: &TaskDescription, palette: &Palette) -> String {
    let Manifest { metadata, spec, .. } = &task.manifest;
    let mut out = String::new();
    let name = palette.strong.apply_to(format!("{}:{}", metadata.name, metadata.version));
    let _ = writeln!(out, "{name} {}", visible(&metadata.description));
    let mut row = |label: &str, text: &str| {
        let _ = writeln!(out, "  {} {text}", palette.faint.apply_to(format!("{label:<9}")));
    };
    row("from", &visible(&task.task));
    if let Some(digest) = task.digest {
        row("manifest", &digest.to_string());
    }
    for words in task.pinned.iter().flat_map(TagPinView::words) {
        row("pinned", &visible(&words));
    }
    row("component", &format!("{} ({})", task.component, bytes(task.size)));
    if let Some(trust) = &task.trust {
        row("trust", &visible(&trust_words(trust)));
        signature_words(&task.signatures).iter().for_each(|words| row("signed", words));
    }
    for one in &task.attestations {
        let mut words = predicate_words(&one.predicate_type);
        words += if one.names_it { "" } else { " of something else" };
        words += &one.names.as_deref().map(|names| format!(", names {names}")).unwrap_or_default();
        row("attached", &visible(&words));
    }
    for param in &spec.params {
        row("param", &param_words(param));
    }
    for input in &spec.inputs {
        row("reads", &with_description(input.name.as_str(), &input.description));
    }
    for output in &spec.outputs {
        row("makes", &with_description(output.name.as_str(), &output.description));
    }
    for result in &spec.results {
        row("result", &describe(result.name.as_str(), result.value_type, &result.description, ""));
    }
    let asks = asked(&task.manifest);
    if asks.is_empty() {
        row("asks for", "nothing beyond its inputs and outputs");
    }
    for ask in asks {
        row("asks for", &visible(&ask));
    }
    let (inert, other): (Vec<&String>, Vec<&String>) =
        task.imports.iter().partition(|import| Import::of(import) == Import::Inert);
    for import in other {
        row("imports", &format!("{} ({})", visible(import), import_words(Import::of(import))));
    }
    if !inert.is_empty() {
        row("imports", &format!("{} interfaces that give nothing from outside", inert.len()));
    }
    out
}

/// The keys that signatures name, a line for each.
pub(super) fn signature_words(keys: &[String]) -> Vec<String> {
    match keys {
        [] => vec!["by nobody".to_owned()],
        keys => keys.iter().map(|key| format!("by key {}", visible(key))).collect(),
    }
}

/// A param: its type, what it may be, and its default.
pub(super) fn param_words(param: &ParamSpec) -> String {
    let default = match &param.default {
        Some(value) => format!(" = {}", serde_json::to_string(value).unwrap_or_default()),
        None => " (required)".to_owned(),
    };
    let choices = if param.choices.is_empty() {
        String::new()
    } else {
        format!(", one of {}", param.choices.join(", "))
    };
    let after = format!("{choices}{default}");
    describe(param.name.as_str(), param.effective_type(), &param.description, &after)
}

fn describe(name: &str, value_type: ValueType, description: &str, after: &str) -> String {
    with_description(&format!("{name}: {}{}", value_type.as_str(), visible(after)), description)
}

pub(super) fn with_description(name: &str, description: &str) -> String {
    if description.is_empty() { name.to_owned() } else { format!("{name} - {}", visible(description)) }
}

/// What a task asks for, a line for each.
pub(super) fn asked(manifest: &Manifest) -> Vec<String> {
    let capabilities = &manifest.spec.capabilities;
    let mut asked: Vec<String> =
        capabilities.network.iter().map(|rule| format!("network {}", network_words(rule))).collect();
    asked.extend(capabilities.tcp.iter().map(|rule| format!("tcp {}:{}", rule.host, rule.port)));
    asked.extend(capabilities.exec.iter().map(|ask| format!("exec {}", ask.tool)));
    asked.extend(capabilities.clock.map(|_| "the real time".to_owned()));
    asked.extend(capabilities.random.map(|_| "real randomness".to_owned()));
    asked
}

fn import_words(import: Import) -> &'static str {
    match import {
        Import::Inert => "gives nothing from outside",
        Import::Log => "log lines",
        Import::Files => "its inputs, outputs and scratch",
        Import::Clock => "the time, fixed unless granted",
        Import::Random => "random numbers, seeded unless granted",
        Import::Network => "HTTP requests, where granted",
        Import::Sockets => "TCP connections, where granted",
        Import::Exec => "native tools, not run by this version",
        Import::Unknown => "unknown to this host",
    }
}
