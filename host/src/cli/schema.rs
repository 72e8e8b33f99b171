//! `cofferdam schema`: the JSON Schemas of the files that people write.

use cofferdam_manifest::{Manifest, schema};
use cofferdam_registry::TrustDocument;

use super::commands::{SchemaArgs, SchemaKind};
use super::exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::model::{Pipeline, PipelineRun, TaskTest};

pub(crate) fn run(args: &SchemaArgs, printer: &Printer) -> Result<u8, Failure> {
    let schema = match args.kind {
        SchemaKind::Pipeline => schema::<Pipeline>(),
        SchemaKind::PipelineRun => schema::<PipelineRun>(),
        SchemaKind::Task => schema::<Manifest>(),
        SchemaKind::TaskTest => schema::<TaskTest>(),
        SchemaKind::Trust => schema::<TrustDocument>(),
    };
    printer.text(&(serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"));
    Ok(exit::OK)
}
