//! `cofferdam pipeline publish`: puts a pipeline into a registry, as a Tekton
//! bundle, and signs it there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use cofferdam_manifest::{Document, decode};
use cofferdam_registry::{Digest, Layout, PipelineArtifact, Reference};
use serde::Serialize;

use super::failure::Failure;
use super::home::Home;
use super::pipeline_inspect::{self, PipelineInspectArgs};
use super::printer::Printer;
use super::publishing::{self, Edition, Replacing, place};
use super::signers::{SignArgs, Signed};
use super::{candidates, exit, plan};
use crate::model::{Pipeline, PipelineRef, PipelineSpec, PipelineTask, TaskPlace, TaskRef};

/// The label that says a version, as the catalogues of Tekton have it.
const VERSION_LABEL: &str = "app.kubernetes.io/version";

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Show what a pipeline takes, names and gives, and who signed it.
    Inspect(PipelineInspectArgs),
    /// Put a pipeline into a registry.
    Publish(PipelinePublishArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cofferdam pipeline publish build.yaml --version 1.2.0 --to registry.example/pipelines --sign\n  \
    cofferdam pipeline publish build.yaml --version 1.2.0 --to oci:vendor/registry\n\n\
    Others then name it by pipelineRef: { bundle: registry.example/pipelines/build:1.2.0 }")]
#[command(disable_version_flag = true)]
pub(crate) struct PipelinePublishArgs {
    /// The pipeline.
    #[arg(value_name = "FILE", add = ArgValueCompleter::new(candidates::pipelines))]
    file: PathBuf,
    /// Its version, which becomes its tag; left out, what its label
    /// `app.kubernetes.io/version` says.
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    sign: SignArgs,
    /// Below what the pipeline's own name goes: HOST/PATH of a registry, or a
    /// layout, as oci:PATH; left out, the embedded registry.
    #[arg(long, value_name = "HOST/PATH|oci:PATH")]
    to: Option<String>,
    /// Publish it although another is there under its version.
    #[arg(long)]
    replace: bool,
    /// Publish it although it names tasks by name alone, which whoever runs it must
    /// have published on that machine.
    #[arg(long)]
    tasks_by_name: bool,
}

/// A pipeline that was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    reference: String,
    digest: Digest,
    #[serde(flatten)]
    signed: Signed,
    /// What the version's tag stood for before, where that was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Digest>,
}

pub(crate) fn run(command: &PipelineCommand, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    match command {
        PipelineCommand::Inspect(args) => pipeline_inspect::run(args, home, printer),
        PipelineCommand::Publish(args) => publish(args, home, printer),
    }
}

fn publish(args: &PipelinePublishArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let place = place(args.to.as_deref())?;
    let (pipeline, text) = read(&args.file, home)?;
    if args.to.is_some() && !args.tasks_by_name {
        no_bare_names(&args.file, &pipeline.spec)?;
    }
    let name = pipeline.metadata.name.as_str();
    let version = version(args.version.as_deref(), &pipeline)?;
    // One line of a list.
    let description = pipeline.spec.description.lines().next().unwrap_or_default();
    let artifact = PipelineArtifact { name, version, description, text: &text };
    let make = |layout: &Layout| Ok(layout.publish_pipeline(&artifact)?);
    let signers = args.sign.signers(home)?;
    let replacing = Replacing::asked(args.replace);
    let edition = Edition { name, version, claims: &[], replacing };
    let placed = publishing::publish(home, &place, edition, &signers, make)?;
    let replaced = placed.replaced_words();
    let published = Published {
        digest: placed.digest,
        replaces: placed.replaces,
        reference: Reference { digest: None, ..placed.reference }.to_string(),
        signed: placed.signed,
    };
    printer.result(&published, |palette| {
        let name = palette.strong.apply_to(&published.reference);
        format!("published {name}\n  {}\n  {}\n{replaced}", published.digest, published.signed.words())
    });
    Ok(exit::OK)
}

/// The pipeline in a file, if it can be run by somebody who has nothing else.
fn read(file: &Path, home: &Home) -> Result<(Pipeline, String), Failure> {
    let (text, _) = plan::read(file)?;
    let document = Document::parse(&text).ok();
    // First: what else may be wrong with it does not matter.
    let is_run =
        |document: &Document| document.to_json().get("kind").is_some_and(|kind| kind == "PipelineRun");
    if document.as_ref().is_some_and(is_run) {
        let message = format!("{} is a PipelineRun, and what is published is a Pipeline", file.display());
        let help = "publish the pipeline that its `pipelineRef` names; a `pipelineSpec` goes into a file of \
                    its own, as the `spec` of a `kind: Pipeline`";
        return Err(Failure::invalid("pipeline/no-pipeline", message, help));
    }
    // What cannot be planned here cannot be planned anywhere.
    plan::without_params(file, home)?;
    let pipeline = document.and_then(|document| decode::<Pipeline>(&document).ok());
    let Some(pipeline) = pipeline else {
        let message = format!("{} is no pipeline", file.display());
        return Err(Failure::invalid("pipeline/no-pipeline", message, "give a file of `kind: Pipeline`"));
    };
    let mut local = Vec::new();
    outside(&pipeline.spec, &mut local);
    if !local.is_empty() {
        let message = format!("{} names what only this machine has: {}", file.display(), local.join(", "));
        let help = "publish that first, and name it by `bundle: HOST/PATH/NAME:TAG`";
        return Err(Failure::invalid("pipeline/not-whole", message, help));
    }
    Ok((pipeline, text))
}

/// What a pipeline names that is no part of it and in no registry.
fn outside<'a>(spec: &'a PipelineSpec, found: &mut Vec<&'a str>) {
    for PipelineTask { task_ref, pipeline_ref, pipeline_spec, .. } in spec.tasks.iter().chain(&spec.finally) {
        found.extend(task_ref.as_ref().and_then(TaskRef::local));
        found.extend(pipeline_ref.as_deref().and_then(PipelineRef::local));
        if let Some(spec) = pipeline_spec {
            outside(spec, found);
        }
    }
}

/// Refuses tasks by name alone: each machine has its own of them, or none.
fn no_bare_names(file: &Path, spec: &PipelineSpec) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    bare(spec, &mut names);
    if names.is_empty() {
        return Ok(());
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let message =
        format!("{} names tasks by name alone, which each machine has for itself: {names}", file.display());
    let help = "name each by `bundle: HOST/PATH/NAME:TAG`, where it is published; or, where everyone who runs it has \
                them: --tasks-by-name";
    Err(Failure::invalid("pipeline/not-whole", message, help))
}

fn bare<'a>(spec: &'a PipelineSpec, found: &mut BTreeSet<&'a str>) {
    for PipelineTask { task_ref, pipeline_spec, .. } in spec.tasks.iter().chain(&spec.finally) {
        if let Some(Ok(TaskPlace::Embedded { name, .. })) = task_ref.as_ref().map(TaskRef::place) {
            found.insert(name);
        }
        if let Some(spec) = pipeline_spec {
            bare(spec, found);
        }
    }
}

fn version<'a>(given: Option<&'a str>, pipeline: &'a Pipeline) -> Result<&'a str, Failure> {
    let label = pipeline.metadata.labels.get(VERSION_LABEL).map(String::as_str);
    let help = format!("add for example --version 1.0.0, or the label `{VERSION_LABEL}`");
    let version = given.or(label).ok_or_else(|| {
        Failure::usage(format!("the pipeline `{}` has no version", pipeline.metadata.name), help.clone())
    })?;
    match Reference::embedded(pipeline.metadata.name.as_str(), Some(version)) {
        Ok(_) if version != "latest" => Ok(version),
        Ok(_) | Err(_) => Err(Failure::usage(format!("`{version}` is no version that can be a tag"), help)),
    }
}
