//! What a run made, as files for whoever wants to keep them: artifacts and
//! attestations. Nothing of the user's is replaced by it, or mixed with it.

use std::fs;
use std::io;
use std::path::Path;

use cofferdam_registry::Digest;

use cofferdam_manifest::Identifier;

use super::failure::Failure;
use crate::event::{Journal, KeptBundle, RunRecord};
use crate::model::RunId;
use crate::model::is_task_run_name;
use crate::provenance::{PREDICATE_TYPE, TEST_RESULT_TYPE};
use crate::report::visible;
use crate::store::Store;

/// Makes a directory, and refuses one that holds something.
pub(crate) fn make_new(directory: &Path) -> Result<(), Failure> {
    if is_empty(directory)? {
        return Ok(());
    }
    fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))
}

/// Refuses a directory that holds something, and makes none.
pub(crate) fn check_new(directory: &Path) -> Result<(), Failure> {
    is_empty(directory).map(drop)
}

/// Whether there is a directory; one that holds something is refused.
fn is_empty(directory: &Path) -> Result<bool, Failure> {
    let refuse = |code, why: &str| {
        let message = format!("{} {why}", directory.display());
        Failure::invalid(code, message, "give a new directory, or remove that one")
    };
    match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().map_or(Ok(true), |_| Err(refuse("io/not-empty", "is not empty"))),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(refuse("io/no-directory", "is no directory"))
        }
        Err(_) => Ok(false),
    }
}

/// Copies every output to `DIRECTORY/TASK/OUTPUT`.
pub(crate) fn outputs(record: &RunRecord, store: &Store, directory: &Path) -> Result<(), Failure> {
    for (name, task) in record.tasks_in_order() {
        let Some((_, end)) = &task.end else { continue };
        for (output, tree) in &end.outputs {
            if !is_task_run_name(name) || Identifier::try_from(output.clone()).is_err() {
                return Err(no_name(name));
            }
            let below = directory.join(name);
            fs::create_dir_all(&below).map_err(|error| Failure::io("create", &below, &error))?;
            store.copy_out(tree.digest, &below.join(output))?;
        }
    }
    Ok(())
}

fn no_name(task: &str) -> Failure {
    let message = format!("`{}` is not the name of a task and its output", visible(task));
    Failure::invalid("journal/changed-name", message, "do not rely on this run")
}

/// Writes each bundle to a file of its own: `task-NAME.sigstore.json`, with dots
/// for the slashes in a name, and `run.sigstore.json` for the run itself;
/// `rebuild.sigstore.json` for how it compares with the run it repeats. Of a
/// task that did not run, the one about the TaskRun whose outcome it has; of a run
/// that is known as a whole, that of the other one as `reused-run.sigstore.json`.
/// Gives their number.
pub(crate) fn attestations(
    journal: &Journal,
    record: &RunRecord,
    directory: &Path,
) -> Result<usize, Failure> {
    let run = &record.id;
    let mut count = 0;
    let mut write = |name: &str, (run, task): (&RunId, Option<&str>), kind: &str, named: Digest| {
        let changed = |how: &str| {
            let message = format!("the attestation `{name}` of {run} {how}");
            let help = format!("do not rely on this run; `cofferdam verify {run}` says what holds");
            Failure::invalid("journal/changed-attestation", message, help)
        };
        match journal.bundle(run, task, kind, named)? {
            KeptBundle::Same(bundle) => super::write_file(&directory.join(name), &bundle)?,
            KeptBundle::Other => return Err(changed("is not the one that its journal names")),
            KeptBundle::Missing => return Err(changed("is missing")),
        }
        count += 1;
        Ok(())
    };
    for ((task, predicate_type), named) in &record.attested {
        let name = match task.as_deref() {
            Some(task) => file_name(task)?,
            None if predicate_type == TEST_RESULT_TYPE => "rebuild.sigstore.json".to_owned(),
            None => "run.sigstore.json".to_owned(),
        };
        write(&name, (run, task.as_deref()), predicate_type, *named)?;
    }
    for (task, record) in record.tasks_in_order() {
        if let Some(reuse) = record.end.as_ref().and_then(|(_, end)| end.reused.as_ref()) {
            write(&file_name(task)?, (&reuse.run, Some(&reuse.task)), PREDICATE_TYPE, reuse.attestation)?;
        }
    }
    if let Some((_, reuse)) = &record.reused {
        write("reused-run.sigstore.json", (&reuse.run, None), PREDICATE_TYPE, reuse.attestation)?;
    }
    Ok(count)
}

/// The file of what is attested of a task. The database may have been changed
/// by anyone; a name is no path.
fn file_name(task: &str) -> Result<String, Failure> {
    if !is_task_run_name(task) {
        return Err(no_name(task));
    }
    Ok(format!("task-{}.sigstore.json", task.replace('/', ".")))
}
