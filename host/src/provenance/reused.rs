//! Checks a TaskRun that did not run: what is signed about the one whose outcome
//! it has must say the same of everything that decides an outcome, and of the
//! outcome itself.

use std::collections::BTreeMap;

use cofferdam_registry::{Digest, PublicKey, Statement, verify_statement};
use serde_json::{Value as Json, json};

use super::statement::{INPUT_READS, input_reads, signed_results, task_subjects};
use super::verify::outcome;
use super::{LOCAL_BUILDER, PREDICATE_TYPE, Provenance, ResourceDescriptor, TASK_RUN_TYPE};
use crate::event::{Journal, JournalError, KeptBundle, Reuse, ReusedBy, TaskEnd, TaskStart};
use crate::model::Status;

/// Checks the outcome of one TaskRun that was taken for that of another.
///
/// # Errors
/// [`JournalError`] where the journal cannot be read.
pub fn reused(
    journal: &Journal,
    key: &PublicKey,
    taken: (&TaskStart, &TaskEnd),
    reuse: &Reuse,
) -> Result<Result<String, String>, JournalError> {
    let Reuse { run, task, attestation, .. } = reuse;
    let bundle = match journal.bundle(run, Some(task), PREDICATE_TYPE, *attestation)? {
        KeptBundle::Same(bundle) => bundle,
        KeptBundle::Other => {
            return Ok(Err(format!("the attestation of {task} of {run} is not the one that is named")));
        }
        KeptBundle::Missing => {
            return Ok(Err(format!("it was taken from {task} of {run}, whose attestation is missing")));
        }
    };
    Ok(match verify_statement(&bundle, key, PREDICATE_TYPE) {
        Ok(statement) => agrees(&statement, taken, reuse).map(|()| {
            format!("taken from {task} of {run}, which was given the same; signed by key {}", key.id())
        }),
        Err(error) => Err(error.to_string()),
    })
}

fn agrees(
    statement: &Statement<Provenance>,
    (start, end): (&TaskStart, &TaskEnd),
    reuse: &Reuse,
) -> Result<(), String> {
    let Provenance { build_definition: definition, run_details: details } = &statement.predicate;
    let (external, internal) = (&definition.external_parameters, &definition.internal_parameters);
    if definition.build_type != TASK_RUN_TYPE || details.builder.id != LOCAL_BUILDER {
        return Err("what is signed is not about a TaskRun of this builder".to_owned());
    }
    outcome(statement)?;
    if end.reason.status() != Status::Succeeded {
        return Err("only what succeeded can be taken".to_owned());
    }
    let hermetic = start.grants.hermetic() && internal.get("hermetic") == Some(&Json::Bool(true));
    if reuse.by == ReusedBy::Cache && !hermetic {
        return Err("only a hermetic outcome can be taken from the cache".to_owned());
    }
    let inputs = start.inputs.iter().map(|input| (format!("inputs/{}", input.name), input.tree.digest));
    let inputs: BTreeMap<String, Digest> = inputs.collect();
    let own = TaskEnd { task: reuse.task.clone(), ..end.clone() };
    let results = end.results.iter().map(|(name, value)| (name.clone(), json!(value)));
    let reads = end.reads.iter().map(|(input, reads)| input_reads(input, reads));
    for (what, same) in [
        ("the run", external.get("pipelineRun") == Some(&json!(reuse.run))),
        ("the task", external.get("pipelineTask") == Some(&json!(reuse.task))),
        ("the params", external.get("params") == Some(&json!(start.params))),
        ("the component", internal.pointer("/task/component") == Some(&json!(start.identity.component))),
        ("the grants", internal.get("grants") == Some(&json!(start.grants))),
        ("the limits", internal.get("limits") == Some(&json!(start.limits))),
        ("the inputs", signed_inputs(definition.resolved_dependencies.as_slice()) == Some(inputs)),
        ("the outputs", statement.subject == task_subjects(&reuse.run, &own)),
        (
            "the results",
            signed_results(&details.byproducts) == Some((results.collect(), end.stored_results.clone())),
        ),
        ("the files it read", signed_reads(&details.byproducts).eq(reads)),
    ] {
        if !same {
            return Err(format!("{what} of {} of {} are others than this task's", reuse.task, reuse.run));
        }
    }
    Ok(())
}

/// The trees of its inputs; nothing where one has no SHA-256. A commit is named
/// beside them, as `inputs/result`, without one.
fn signed_inputs(dependencies: &[ResourceDescriptor]) -> Option<BTreeMap<String, Digest>> {
    let trees = dependencies.iter().filter(|found| found.annotations.contains_key("from"));
    trees.map(|found| Some((found.name.clone(), Digest::from_hex(found.digest.get("sha256")?)?))).collect()
}

fn signed_reads(byproducts: &[ResourceDescriptor]) -> impl Iterator<Item = ResourceDescriptor> {
    byproducts.iter().filter(|found| found.name.starts_with(INPUT_READS)).cloned()
}
