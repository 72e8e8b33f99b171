//! `cofferdam task schema`: the JSON Schema of `task.yaml`, for editors.

use cofferdam_manifest::Manifest;

use super::exit;
use super::failure::Failure;
use super::printer::Printer;

pub(crate) fn run(printer: &Printer) -> Result<u8, Failure> {
    let schema = cofferdam_manifest::schema::<Manifest>();
    printer.text(&(serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"));
    Ok(exit::OK)
}
