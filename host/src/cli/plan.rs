//! `cofferdam plan`: the graph and every grant. Runs nothing.

use std::path::Path;

use jiff::Timestamp;

use super::commands::{PipelineArgs, PlanArgs};
use super::configuration::Configuration;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, params};
use crate::plan::{Plan, PlanRequest, RegistryResolver};
use crate::report::{PlanView, plan_text};

pub(crate) fn run(args: &PlanArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let plan = build(&args.pipeline, home)?;
    let view = PlanView::new(&plan);
    printer.result(&view, |palette| plan_text(&view, palette));
    Ok(exit::OK)
}

/// Larger files are not read.
const MAX_PIPELINE: u64 = 4 << 20;

/// Plans a pipeline.
pub(crate) fn build(args: &PipelineArgs, home: &Home) -> Result<Plan, Failure> {
    let given = params::parse(&args.params)?;
    let text = String::from_utf8(super::read_file(&args.file, MAX_PIPELINE)?).map_err(|_| {
        let message = format!("{} is not UTF-8 text", args.file.display());
        Failure::invalid("document/syntax", message, "save the file as UTF-8")
    })?;
    let base = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = std::path::absolute(base).map_err(|error| Failure::unreadable(base, &error))?;
    let ceiling = Configuration::load(&home.configuration_file())?.ceiling();
    let resolver =
        RegistryResolver::new(&home.registry(), home.trust()?, Timestamp::now(), args.require_trusted);
    let request = PlanRequest {
        file: &args.file.display().to_string(),
        base: &base,
        text: &text,
        given: &given,
        ceiling: &ceiling,
    };
    Ok(Plan::build(&request, &resolver)?)
}
