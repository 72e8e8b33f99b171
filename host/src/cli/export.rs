//! What a run made, as files for whoever wants to keep them: artifacts and
//! attestations. Nothing of the user's is replaced by it, or mixed with it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use cofferdam_manifest::Identifier;
use cofferdam_registry::Digest;

use super::failure::Failure;
use crate::event::{Journal, KeptBundle, Reuse, RunRecord, RunReuse};
use crate::model::{RunId, is_task_run_name};
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
        Failure::invalid(code, message, "give a new directory")
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
    let all = named(record)?;
    // Before anything is written.
    for named in &all {
        match journal.bundle_digest(named.run, named.task.unwrap_or_default(), named.kind)? {
            Some(found) if found == named.digest => {}
            Some(_) => return Err(named.refused("is not the one that its journal names")),
            None => return Err(named.refused("is missing")),
        }
    }
    for named in &all {
        match journal.bundle(named.run, named.task, named.kind, named.digest)? {
            KeptBundle::Same(bundle) => super::write_file(&directory.join(&named.name), &bundle)?,
            KeptBundle::Other | KeptBundle::Missing => {
                return Err(named.refused("was changed while it was given away"));
            }
        }
    }
    Ok(all.len())
}

/// A bundle that a run names, and the file it is written to.
struct Named<'a> {
    name: String,
    run: &'a RunId,
    task: Option<&'a str>,
    kind: &'a str,
    digest: Digest,
}

impl Named<'_> {
    fn refused(&self, how: &str) -> Failure {
        let Self { name, run, .. } = self;
        let message = format!("the attestation `{name}` of {run} {how}");
        let help = format!("do not rely on this run; `cofferdam verify {run}` says what holds");
        Failure::invalid("journal/changed-attestation", message, help)
    }
}

fn named(record: &RunRecord) -> Result<Vec<Named<'_>>, Failure> {
    let mut all = Vec::new();
    let run = &record.id;
    for ((task, kind), digest) in &record.attested {
        let name = match (task.as_deref(), kind.as_str()) {
            (Some(task), PREDICATE_TYPE) => file_name(task)?,
            (None, PREDICATE_TYPE) => "run.sigstore.json".to_owned(),
            (None, TEST_RESULT_TYPE) => "rebuild.sigstore.json".to_owned(),
            (Some(_) | None, kind) => return Err(no_name(kind)),
        };
        all.push(Named { name, run, task: task.as_deref(), kind, digest: *digest });
    }
    for (task, record) in record.tasks_in_order() {
        if let Some(Reuse { run, task: made, attestation, .. }) =
            record.end.as_ref().and_then(|(_, end)| end.reused.as_deref())
        {
            let (name, digest) = (file_name(task)?, *attestation);
            all.push(Named { name, run, task: Some(made), kind: PREDICATE_TYPE, digest });
        }
    }
    if let Some((_, RunReuse { run, attestation, .. })) = &record.reused {
        let name = "reused-run.sigstore.json".to_owned();
        all.push(Named { name, run, task: None, kind: PREDICATE_TYPE, digest: *attestation });
    }
    // No run that was only recorded has two.
    let mut names = BTreeSet::new();
    match all.iter().find(|one| !names.insert(one.name.clone())) {
        Some(twice) => Err(twice.refused("is named twice")),
        None => Ok(all),
    }
}

/// The file of what is attested of a task. The database may have been changed
/// by anyone; a name is no path.
fn file_name(task: &str) -> Result<String, Failure> {
    if !is_task_run_name(task) {
        return Err(no_name(task));
    }
    Ok(format!("task-{}.sigstore.json", task.replace('/', ".")))
}
