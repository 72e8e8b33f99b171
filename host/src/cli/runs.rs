//! `cofferdam runs`: the newest runs.

use jiff::Timestamp;

use super::commands::RunsArgs;
use super::exit;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use crate::report::{RunLine, runs_text};

pub(crate) fn run(args: &RunsArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let since = args.since.map(|since| since.moment(Timestamp::now()));
    let mut lines = Vec::new();
    let limit = usize::from(args.limit);
    // One more says whether there are more.
    let (_, unreadable) = journal.list(since, limit.saturating_add(1), |summary| {
        if args.pipeline.as_ref().is_some_and(|pipeline| *pipeline != summary.pipeline) {
            return false;
        }
        let line = RunLine::new(summary, home.is_alive(summary.id.as_str()));
        let wanted = args.status.is_empty() || args.status.iter().any(|status| status.is(line.status));
        lines.extend(wanted.then_some(line));
        wanted
    })?;
    // One damaged run must not hide the others.
    for error in unreadable {
        printer.failure(&error.into());
    }
    let are_more = lines.len() > limit;
    lines.truncate(limit);
    printer.result(&lines, |palette| {
        if are_more {
            let more = args.limit.saturating_mul(2);
            return format!("{}there are older ones: `--limit {more}`\n", runs_text(&lines, palette));
        }
        if !lines.is_empty() {
            return runs_text(&lines, palette);
        }
        let filtered = args.pipeline.is_some() || since.is_some() || !args.status.is_empty();
        if filtered { "no run fits\n" } else { "no runs yet; start one with `cofferdam run PIPELINE`\n" }
            .to_owned()
    });
    Ok(exit::OK)
}
