//! `cofferdam rebuild`: runs again what was run, from what was recorded, and
//! says whether the same comes out. What it finds is signed.

use std::collections::{BTreeMap, HashMap};

use super::commands::RebuildArgs;
use super::execute::{CacheWish, Order, Ran, execute};
use super::failure::Failure;
use super::home::Home;
use super::opening::Opening;
use super::printer::Printer;
use super::resume::Followed;
use super::{exit, export};
use crate::event::{Origin, RunState};
use crate::model::Status;
use crate::provenance::{Comparison, Different};
use crate::report::{RebuildView, rebuild_text};
use crate::store::{FileDifference, Store, StoreError};

pub(crate) fn run(args: &RebuildArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let follow = &args.follow;
    let store = home.store()?;
    let old = Followed::read(follow, home, &store)?;
    let id = old.record.id.clone();
    if !matches!(old.record.state(), RunState::Sealed(_)) {
        let message = format!("{id} was interrupted: what it made is not all known");
        let help = format!("complete it first: cofferdam resume {id}");
        return Err(Failure::invalid("journal/incomplete-run", message, help));
    }
    let wanted = follow.wanted();
    wanted.make()?;
    let opening = Opening::begin(home, follow.jobs, CacheWish::Nothing, None)?;
    let order = Order {
        plan: old.plan(home, &store)?,
        opening,
        draft: old.plan_record.clone().into(),
        origin: Some(Origin::Rebuild(id.clone())),
        finished: HashMap::new(),
        jobs: follow.jobs,
        quiet: follow.quiet,
        cancel: None,
    };
    let attest = |attestor: &crate::provenance::Attestor<'_>| Ok(attestor.rebuild(&old.record)?);
    let Ran { record, .. } = execute(order, home, &store, printer, |_| Ok(old.given()), attest)?;
    let comparison = Comparison::new(&old.record, &record);
    let status = record.finished.as_ref().map(|(_, reason, _)| reason.status());
    let view = RebuildView {
        run: record.id.to_string(),
        repeats: id.to_string(),
        reproduced: comparison.holds(),
        status: status.map_or("Interrupted", Status::as_str),
        files: files(&store, &comparison)?,
        comparison,
    };
    let history = home.history();
    let here = printer.surroundings(&history);
    printer.result(&view, |palette| rebuild_text(&view, here.program, palette));
    if let Some(directory) = wanted.outputs {
        export::outputs(&record, &store, directory)?;
    }
    if let Some(directory) = wanted.attestations {
        export::attestations(&home.journal()?, &record, directory)?;
    }
    Ok(match status {
        Some(Status::Cancelled) => exit::INTERRUPTED,
        Some(Status::Succeeded | Status::Failed) if view.reproduced => exit::OK,
        Some(Status::Succeeded | Status::Failed) | None => exit::RUN_FAILED,
    })
}

/// The files that differ, of each output that was made both times. What is no
/// longer in the store cannot be compared, and is left out.
fn files(
    store: &Store,
    comparison: &Comparison,
) -> Result<BTreeMap<String, Vec<FileDifference>>, StoreError> {
    let mut files = BTreeMap::new();
    for found in &comparison.different {
        let Different::Output { before: Some(before), after: Some(after) } = found.what else { continue };
        match store.differing_files(before.digest, after.digest) {
            Ok(differences) => {
                files.insert(found.name.clone(), differences);
            }
            Err(error @ (StoreError::Missing { .. } | StoreError::Corrupt { .. })) => {
                tracing::warn!(output = found.name, %error, "its files cannot be compared");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}
