//! `cofferdam pipeline inspect`: what a pipeline takes, names and gives, its digest
//! and signatures, from a file or a registry. Runs nothing, and looks for no task.

use std::path::Path;

use clap::Args;
use cofferdam_manifest::{Document, decode};
use cofferdam_registry::{Reference, claimed_key};

use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, plan, registries};
use crate::model::Pipeline;
use crate::plan::Pinning;
use crate::report::{PipelineDescription, pipeline_text, task_lines};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cofferdam pipeline inspect registry.example/pipelines/build:1.2.0\n  \
    cofferdam pipeline inspect oci:vendor/registry:build\n  \
    cofferdam pipeline inspect .cofferdam/build.yaml --format json\n\n\
    What its tasks ask for, and whether each is trusted: cofferdam plan.")]
pub(crate) struct PipelineInspectArgs {
    /// A file, or a reference.
    #[arg(value_name = "FILE|REF")]
    subject: String,
    /// Which pipeline, where a bundle has several.
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(args: &PipelineInspectArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let file = Path::new(&args.subject);
    let is_file = ["yaml", "yml"].iter().any(|ending| file.extension().is_some_and(|found| found == *ending));
    let described = if file.is_file() || is_file || args.subject.starts_with(['/', '.']) {
        from_file(file)?
    } else {
        from_registry(&args.subject, args.name.as_deref(), home)?
    };
    printer.result(&described, |palette| pipeline_text(&described, palette));
    Ok(exit::OK)
}

fn from_file(file: &Path) -> Result<PipelineDescription, Failure> {
    let (text, _) = plan::read(file)?;
    let from = file.display().to_string();
    let pipeline = read(&from, &text)?;
    Ok(PipelineDescription {
        from,
        digest: None,
        version: None,
        trust: None,
        signatures: Vec::new(),
        tasks: task_lines(&pipeline.spec),
        pipeline,
    })
}

fn from_registry(subject: &str, name: Option<&str>, home: &Home) -> Result<PipelineDescription, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::unreadable(Path::new("."), &error))?;
    let resolver = registries::resolver(home, &here, Pinning::Resolve, false)?;
    let found = resolver.glance_pipeline(&Reference::parse(subject, &here)?, name)?;
    let pipeline = read(&found.reference, &found.pulled.text)?;
    Ok(PipelineDescription {
        from: found.reference,
        digest: Some(found.pulled.digest),
        version: found.pulled.version,
        trust: Some(found.trust),
        signatures: found.bundles.sound.iter().filter_map(|bundle| claimed_key(bundle)).collect(),
        tasks: task_lines(&pipeline.spec),
        pipeline,
    })
}

fn read(name: &str, text: &str) -> Result<Pipeline, Failure> {
    let read = Document::parse(text).map_err(|fault| vec![fault]);
    read.and_then(|document| decode(&document)).map_err(|faults| Failure::faults(name, text, faults))
}
