//! `cofferdam verify`: says in words what holds of a run or an attestation, and
//! what does not.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::commands::VerifyArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, known_run, show};
use crate::provenance::{Report, verify_bundle, verify_run};
use crate::report::{Palette, visible};

/// Larger bundles are not read.
const MAX_BUNDLE: u64 = 64 << 20;

pub(crate) fn run(args: &VerifyArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let key = home.public_key(args.key.as_deref())?;
    let store = home.store()?;
    let mut verified = None;
    let report = match args.subject.as_deref() {
        Some(file) if Path::new(file).is_file() => {
            let bundle = super::read_file(Path::new(file), MAX_BUNDLE)?;
            verify_bundle(&bundle, &store, &key)
        }
        // No run has such a name, and a directory is no attestation.
        Some(file) if file.contains(['/', '.']) || Path::new(file).is_dir() => {
            let error = std::fs::File::open(file).and_then(|mut file| file.read(&mut [0]));
            let error = error.err().unwrap_or_else(|| std::io::Error::other("it is no plain file"));
            return Err(Failure::unreadable(Path::new(file), &error));
        }
        run => {
            let journal = home.journal()?;
            let run = show::find(&journal, run)?;
            let report = verify_run(&journal, &store, &run, &key)?;
            verified = Some(run);
            report
        }
    };
    if verified.is_some() && !report.holds() {
        // It may be one that others would take their outcomes from.
        known_run::forget(home);
    }
    let verdict = json!({ "run": verified, "holds": report.holds(), "checks": report.checks });
    // Whoever named none, or only a part, must see which it was.
    let of = verified.map(|run| format!(" of {run}")).unwrap_or_default();
    printer.result(&verdict, |palette| words(&report, &of, palette));
    Ok(if report.holds() { exit::OK } else { exit::RUN_FAILED })
}

fn words(report: &Report, of: &str, palette: &Palette) -> String {
    let mut text = String::new();
    let width = report.checks.iter().map(|check| check.subject.chars().count()).max().unwrap_or(0);
    for check in &report.checks {
        let word = if check.holds { palette.good.apply_to("holds ") } else { palette.bad.apply_to("BROKEN") };
        text += &format!("{word}  {:<width$}  {}\n", visible(&check.subject), visible(&check.finding));
    }
    let broken = report.checks.iter().filter(|check| !check.holds).count();
    text += &match broken {
        0 => palette
            .good
            .apply_to(format!("verified: all {} checks{of} hold\n", report.checks.len()))
            .to_string(),
        n => palette
            .bad
            .apply_to(format!("not verified: {n} of {} checks{of} fail\n", report.checks.len()))
            .to_string(),
    };
    text
}
