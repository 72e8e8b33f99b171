//! The `report` task: writes an SBOM and findings as one page, in Markdown and
//! in HTML. Both inputs come from other tasks and are not trusted: what is not
//! the document it should be is refused, and no text of theirs becomes markup.

mod bom;
mod html;
mod input;
mod markdown;
mod page;
mod relation;
mod sarif;
mod verdict;
mod visible;

use cofferdam_sdk::{Context, Failure, task};

use crate::page::Page;

task!("task.yaml", run);

fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let sbom = input::read(inputs.sbom.path(), "bom.cdx.json", bom::parse)?;
    let findings = input::read(inputs.findings.path(), "findings.sarif", sarif::parse)?;
    let verdict = verdict::parse(&params.test_output)?;
    let page = Page::new(&params.title, sbom, findings, verdict);
    std::fs::write(outputs.report.path().join("report.md"), markdown::render(&page))?;
    std::fs::write(outputs.report.path().join("report.html"), html::render(&page))?;
    let summary = page.summary();
    ctx.info("wrote the report", &[("summary", &summary)]);
    Ok(Results { summary })
}
