//! `cofferdam task publish`: puts a task into a registry, and signs it there.

use std::path::{Path, PathBuf};

use clap::Args;
use cofferdam_registry::{Digest, Layout, MAX_COMPONENT, Reference, TaskArtifact};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::publishing::{self, Edition, Place, Replacing, place};
use super::signers::{Attached, Claim, SignArgs, Signed, Signers};
use super::task_evidence::Evidence;
use super::{exit, task_build};
use crate::component::Component;
use crate::report::{bytes, predicate_words, visible};

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
    /// Publish it although another is there under its version.
    #[arg(long)]
    replace: bool,
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
    /// What is claimed of it beside that, each in a bundle of its own.
    attached: Vec<Attached>,
    /// What is not, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_attached: Vec<String>,
    /// What the version's tag stood for before, where that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Digest>,
    #[serde(skip)]
    replaced_words: String,
}

pub(crate) fn run(args: &TaskPublishArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let place = place(args.to.as_deref())?;
    let revision = args.revision.as_deref().unwrap_or_default();
    let signers = args.sign.signers(home)?;
    let how = (revision, args.replace, &signers);
    let published = if args.component.is_dir() {
        let (built, evidence) = task_build::with_evidence(&args.component, printer)?;
        publish(built.path(), evidence, home, &place, how)?
    } else {
        publish(&args.component, None, home, &place, how)?
    };
    printer.result(&published, |palette| {
        let name = palette.strong.apply_to(&published.reference);
        let size = bytes(published.size as u64);
        let (signed, replaced) = (published.signed.words(), &published.replaced_words);
        let attached = published.attached_words();
        format!("published {name} ({size})\n  {}\n  {signed}\n{attached}{replaced}", published.digest)
    });
    Ok(exit::OK)
}

/// Publishes the task in a file, and lets it be signed. What is known of how it
/// was built goes with it: what is given, or what was kept of it.
pub(crate) fn publish(
    path: &Path,
    evidence: Option<Evidence>,
    home: &Home,
    place: &Place,
    (revision, replace, signers): (&str, bool, &Signers),
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
    let (claims, not_attached) = known(evidence, home, component.digest, signers);
    let (name, version) = (artifact.name, artifact.version);
    let replacing = Replacing::asked(replace);
    let edition = Edition { name, version, claims: &claims, replacing };
    let make = |layout: &Layout| Ok(layout.publish(&artifact)?);
    let placed = publishing::publish(home, place, edition, signers, make)?;
    Ok(Published {
        replaced_words: placed.replaced_words(),
        digest: placed.digest,
        replaces: placed.replaces,
        reference: Reference { digest: None, ..placed.reference }.to_string(),
        component: component.digest,
        size: component.bytes.len(),
        signed: placed.signed,
        attached: placed.attached,
        not_attached,
    })
}

/// What is known of how a component came to be, and what is not.
fn known(
    evidence: Option<Evidence>,
    home: &Home,
    component: Digest,
    signers: &Signers,
) -> (Vec<Claim>, Vec<String>) {
    let none = |why: &str| (Vec::new(), vec![format!("no SBOM and no provenance: {why}")]);
    if !signers.are_there() {
        return none("nobody signs");
    }
    let evidence = evidence.or_else(|| Evidence::kept(home, component));
    evidence.map_or_else(|| none("it was not built here"), Evidence::claims)
}

impl Published {
    /// What is attached and what is not, a line for each.
    fn attached_words(&self) -> String {
        let attached = self.attached.iter().map(|one| {
            let what = predicate_words(one.predicate_type);
            let already = if one.already { ", as before" } else { "" };
            format!("  attached {what}, signed by {}{already}\n", visible(&one.signed_by))
        });
        attached.chain(self.not_attached.iter().map(|why| format!("  {}\n", visible(why)))).collect()
    }
}
