//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Digest, Layout, MAX_COMPONENT, Reference, TaskArtifact};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::publishing::{self, Place, place};
use super::signers::{SignArgs, Signed, Signers};
use super::{exit, task_build};
use crate::component::Component;
use crate::report::bytes;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam task publish sbom.wasm --sign\n  \
    cofferdam task publish my-task --sign\n  \
    cofferdam task publish sbom.wasm --to registry.example/tasks --sign\n  \
    cofferdam task publish sbom.wasm --to oci:vendor/registry\n  \
    cofferdam task publish sbom.wasm --to registry.example/tasks --keyless --device-flow")]
pub(crate) struct TaskPublishArgs {
    /// The task, or the directory with its `task.yaml`, which is built first.
    #[arg(value_name = "FILE|DIRECTORY")]
    component: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
    /// Below what the task's own name goes: HOST/PATH of a registry, or a layout,
    /// as oci:PATH; left out, the embedded registry.
    #[arg(long, value_name = "HOST/PATH|oci:PATH")]
    to: Option<String>,
    /// The commit it was made from, noted beside it for who looks for its source.
    #[arg(long, value_name = "COMMIT")]
    revision: Option<String>,
}

/// A task that was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    pub(crate) reference: String,
    pub(crate) digest: Digest,
    pub(crate) component: Digest,
    pub(crate) size: usize,
    #[serde(flatten)]
    signed: Signed,
    /// What the version's tag stood for before, where that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Digest>,
    #[serde(skip)]
    replaced_words: String,
}

pub(crate) fn run(args: &TaskPublishArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let place = place(args.to.as_deref())?;
    let revision = args.revision.as_deref().unwrap_or_default();
    let built = task_build::file_of(&args.component, None)?;
    let published = publish(built.path(), home, &place, revision, &args.sign.signers(home)?)?;
    printer.result(&published, |palette| {
        let name = palette.strong.apply_to(&published.reference);
        let size = bytes(published.size as u64);
        let (signed, replaced) = (published.signed.words(), &published.replaced_words);
        format!("published {name} ({size})\n  {}\n  {signed}\n{replaced}", published.digest)
    });
    Ok(exit::OK)
}

/// Publishes the task in a file, and lets it be signed.
pub(crate) fn publish(
    path: &Path,
    home: &Home,
    place: &Place,
    revision: &str,
    signers: &Signers,
) -> Result<Published, Failure> {
    let bytes = super::read_file(path, MAX_COMPONENT)?;
    let component = Component::read(&path.display().to_string(), bytes)?;
    let metadata = &component.manifest.metadata;
    // Names, numbers and texts always serialise.
    let contract = serde_json::to_value(&component.manifest).unwrap_or_default();
    let artifact = TaskArtifact {
        name: metadata.name.as_str(),
        version: &metadata.version,
        description: &metadata.description,
        component: &component.bytes,
        imports: &component.imports,
        exports: &component.exports,
        contract: Some(&contract),
        source: &metadata.source,
        revision,
        licenses: &metadata.licenses,
    };
    let names = (artifact.name, artifact.version);
    let make = |layout: &Layout| Ok(layout.publish(&artifact)?);
    let placed = publishing::publish(home, place, names, signers, make)?;
    Ok(Published {
        replaced_words: placed.replaced_words(),
        digest: placed.digest,
        replaces: placed.replaces,
        reference: Reference { digest: None, ..placed.reference }.to_string(),
        component: component.digest,
        size: component.bytes.len(),
        signed: placed.signed,
    })
}
