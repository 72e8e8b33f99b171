//! The `unicode-check` task: finds text that reads differently from what it
//! means (CVE-2021-42574, CVE-2021-42694). It reads every text file of a tree
//! and changes none. A finding is data: the task succeeds and says what it saw,
//! unless it was asked to fail on one.

mod allow;
mod character;
mod context;
mod finding;
mod identifier;
mod lines;
#[cfg(test)]
mod robustness;
mod sarif;
mod scan;
mod survey;
mod tree;
mod verdict;

use std::time::{SystemTime, UNIX_EPOCH};

use cofferdam_sdk::{Context, Failure, task};

use crate::allow::Allow;
use crate::finding::{Finding, Level};
use crate::survey::Survey;
use crate::tree::{Content, Tree};

task!("task.yaml", run);

/// Findings that get a log line of their own.
const LOGGED: usize = 50;

/// Files between two reports of progress.
const STRIDE: usize = 64;

fn run(ctx: &Context, params: Params, inputs: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let allow = Allow::parse(&params.allow)?;
    let tree = Tree::new(inputs.source.path());
    let survey = look_through(ctx, &tree, &allow)?;
    if survey.unlisted() > 0 {
        ctx.warn("more findings than the report lists", &[("unlisted", &survey.unlisted().to_string())]);
    }
    std::fs::write(outputs.findings.path().join("findings.sarif"), sarif::render(&survey))?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    ctx.info("looked through the tree", &[("summary", &survey.summary())]);
    let (errors, warnings) = (survey.count(Level::Error), survey.count(Level::Warning));
    let failing = match params.fail_on {
        FailOn::Never => 0,
        FailOn::Error => errors,
        FailOn::Warning => errors + warnings,
    };
    let results = Results { test_output: verdict::render(&survey, seconds) };
    if failing > 0 {
        let remedy = "the log names each; remove it, or list what is meant under `allow`";
        return Err(Failure::new("DeceptiveText", survey.summary()).remedy(remedy).results(results));
    }
    Ok(results)
}

fn look_through(ctx: &Context, tree: &Tree<'_>, allow: &Allow) -> Result<Survey, Failure> {
    let files = tree.files(allow)?;
    let mut survey = Survey::default();
    for (done, path) in files.iter().enumerate() {
        if done % STRIDE == 0 {
            ctx.progress(done as u64, Some(files.len() as u64), &character::escape(path));
        }
        let mut findings = scan::path(path, allow);
        match tree.read(path)? {
            Content::Text(bytes) => {
                findings.extend(scan::text(&bytes, allow));
                survey.scanned(path, findings);
            }
            Content::Binary => survey.binary(path, findings),
            Content::TooLarge => {
                ctx.warn("skipped a file larger than 16 MiB", &[("file", &character::escape(path))]);
                survey.too_large(path, findings);
            }
        }
    }
    for located in survey.findings().iter().take(LOGGED) {
        log(ctx, &located.path, &located.finding);
    }
    let rest = survey.findings().len().saturating_sub(LOGGED);
    if rest > 0 {
        ctx.warn("more findings; findings.sarif lists them", &[("findings", &rest.to_string())]);
    }
    Ok(survey)
}

fn log(ctx: &Context, path: &str, finding: &Finding) {
    let level = match finding.rule.level() {
        Level::Error => cofferdam_sdk::Level::Error,
        Level::Warning => cofferdam_sdk::Level::Warn,
        Level::Note => cofferdam_sdk::Level::Info,
    };
    let path = character::escape(path);
    let at = match &finding.region {
        Some(region) => format!("{path}:{}:{}", region.line, region.start),
        None => path,
    };
    ctx.log(level, &finding.message, &[("at", &at), ("rule", finding.rule.id())]);
}
