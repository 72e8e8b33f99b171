//! Finds the run that made a component that is published: then what that run
//! signed goes with it.

use cofferdam_registry::Digest;

use super::failure::Failure;
use super::home::Home;
use super::signers::Claim;
use crate::event::{Journal, RunRecord};
use crate::model::RunId;
use crate::provenance::{PREDICATE_TYPE, TaskOfRun, task_artifact_provenance, verify_bundle};
use crate::store::{Entry, Store};

/// So many of the newest runs are looked through.
const RUNS: usize = 200;

/// A component that a run made, and what that run signed about it.
#[derive(Debug)]
pub(crate) struct MadeByRun {
    pub(crate) claim: Claim,
    /// The bundle about the TaskRun, byte by byte.
    pub(crate) bundle: Vec<u8>,
}

/// The run that made a component, where there is one whose provenance holds.
pub(crate) fn find(home: &Home, component: Digest) -> Result<Option<MadeByRun>, Failure> {
    let Some(journal) = Journal::peek(&home.history()) else { return Ok(None) };
    let store = home.store()?;
    // What a run made is in the store.
    if !store.contains(component) {
        return Ok(None);
    }
    for run in journal.runs(RUNS)? {
        // What cannot be read proves nothing; `verify` tells of it.
        let Ok(Some(record)) = journal.record(&run) else { continue };
        for made in candidates(&run, &record, &store, component) {
            let Some(bundle) = journal.bundle(&run, Some(&made.task), PREDICATE_TYPE)? else { continue };
            let Ok(key) = home.public_key(None) else { return Ok(None) };
            if Digest::of(&bundle) == made.bundle && verify_bundle(&bundle, &store, &key).holds() {
                let provenance = task_artifact_provenance(&made, env!("CARGO_PKG_VERSION"));
                // Strings, numbers and maps with string keys always serialise.
                let predicate = serde_json::to_value(&provenance).unwrap_or_default();
                let claim = Claim { predicate_type: PREDICATE_TYPE, predicate };
                return Ok(Some(MadeByRun { claim, bundle }));
            }
        }
    }
    Ok(None)
}

/// The outputs of a run that hold a component and are attested.
fn candidates(run: &RunId, record: &RunRecord, store: &Store, component: Digest) -> Vec<TaskOfRun> {
    let mut found = Vec::new();
    for (name, task) in record.tasks_in_order() {
        let (Some((started, _)), Some((finished, end))) = (&task.start, &task.end) else { continue };
        let attested = record.attested.get(&(Some(name.to_owned()), PREDICATE_TYPE.to_owned()));
        let Some(bundle) = attested else { continue };
        for (output, tree) in &end.outputs {
            let Some(path) = place(store, tree.digest, component) else { continue };
            found.push(TaskOfRun {
                run: run.clone(),
                task: name.to_owned(),
                output: output.clone(),
                path,
                tree: tree.digest,
                bundle: *bundle,
                component,
                started: *started,
                finished: *finished,
            });
        }
    }
    found
}

/// Where a tree has a file with a digest.
fn place(store: &Store, tree: Digest, component: Digest) -> Option<String> {
    let mut found = None;
    let visited = store.visit(tree, &mut |path, entry| {
        if found.is_none() && matches!(entry, Entry::File { digest, .. } if *digest == component) {
            found = Some(path.display().to_string());
        }
        Ok(())
    });
    visited.ok().and(found)
}
