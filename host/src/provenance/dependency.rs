//! What went into a TaskRun and into a run, by digest: `resolvedDependencies`.
//!
//! What there is of each task of a run is written field by field, from what the
//! record holds: as descriptors it would cost more than its signature.

use std::iter;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::Digest;
use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::slsa::ResourceDescriptor;
use super::{contacts, tekton};
use crate::event::{InputArtifact, Reuse, ReusedBy, RunRecord, RunReuse, Source, TaskStart};

/// The name of the run whose outcomes another one has, all of them.
pub(super) const REUSED_RUN: &str = "reusedPipelineRun";
/// The media type of what a dependency carries.
const JSON: &str = "application/json";

/// What went into a TaskRun: the task first.
#[derive(Debug)]
pub struct TaskDependencies<'a> {
    pub(super) task: TaskUsed<'a>,
    pub(super) others: Vec<ResourceDescriptor>,
}

impl Serialize for TaskDependencies<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = serializer.serialize_seq(Some(1 + self.others.len()))?;
        written.serialize_element(&self.task)?;
        self.others.iter().try_for_each(|other| written.serialize_element(other))?;
        written.end()
    }
}

/// What went into a run. Of ten thousand tasks that is twenty thousand parts,
/// so each is made when it is written, and gone after it.
#[derive(Clone, Copy, Debug)]
pub struct RunDependencies<'a>(pub(super) &'a RunRecord);

impl Serialize for RunDependencies<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = *self;
        let start = &record.start;
        let pipeline = ResourceDescriptor::named("pipeline")
            .uri(start.file.clone())
            .digest("sha256", start.file_digest.to_hex());
        let bundles = start.pipelines.iter().map(|found| {
            let uri = found.reference.rsplit_once('@').map_or(found.reference.as_str(), |(uri, _)| uri);
            ResourceDescriptor::named("pipeline").uri(scheme(uri)).digest("sha256", found.digest.to_hex())
        });
        let source = record.source.iter();
        let source =
            source.flat_map(|source| iter::once(source_dependency(source)).chain(commit_dependency(source)));
        let mut written = serializer.serialize_seq(None)?;
        iter::once(pipeline)
            .chain(bundles)
            .chain(source)
            .try_for_each(|dependency| written.serialize_element(&dependency))?;
        // Of a run that is known as a whole, the other one's bundle tells the rest.
        if let Some((_, reuse)) = &record.reused {
            written.serialize_element(&reused_run_dependency(reuse))?;
            return written.end();
        }
        let (mut json, mut content) = (Vec::new(), String::new());
        for task in record.task_facts() {
            json.clear();
            serde_json::to_writer(&mut json, &tekton::TaskRun::new(record, task))
                .map_err(S::Error::custom)?;
            content.clear();
            STANDARD.encode_string(&json, &mut content);
            let used = TaskUsed::of("task", task.start);
            written.serialize_element(&used)?;
            let run =
                TaskUsed { name: "pipelineTask", media_type: Some(JSON), content: Some(&content), ..used };
            written.serialize_element(&run)?;
            let reused = task.end.reused.iter().map(|reuse| reused_dependency(&task.start.task, reuse));
            let mut more = reused.chain(contacts::fetched(task.contacts));
            more.try_for_each(|dependency| written.serialize_element(&dependency))?;
        }
        written.end()
    }
}

/// The task that a TaskRun is of. Written as a [`ResourceDescriptor`] is, without
/// being one: there are three of it for each task of a run.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskUsed<'a> {
    name: &'static str,
    uri: Uri<'a>,
    digest: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
}

impl<'a> TaskUsed<'a> {
    pub(super) fn of(name: &'static str, start: &'a TaskStart) -> Self {
        let identity = &start.identity;
        let digest = Sha256 { sha256: Hex(identity.digest) };
        Self { name, uri: Uri(&identity.reference), digest, media_type: None, content: None }
    }
}

/// A reference, written as a URI without its digest.
#[derive(Clone, Copy, Debug)]
struct Uri<'a>(&'a str);

impl Serialize for Uri<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let uri = self.0.rsplit_once('@').map_or(self.0, |(uri, _)| uri);
        if is_uri(uri) {
            serializer.serialize_str(uri)
        } else {
            serializer.collect_str(&format_args!("oci://{uri}"))
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Sha256 {
    sha256: Hex,
}

/// A digest, written in hex digits alone.
#[derive(Clone, Copy, Debug)]
struct Hex(Digest);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

/// A reference as a URI.
fn scheme(reference: &str) -> String {
    if is_uri(reference) { reference.to_owned() } else { format!("oci://{reference}") }
}

fn is_uri(reference: &str) -> bool {
    reference.starts_with("oci:") || reference.starts_with("file:")
}

/// The TaskRun whose outcome was taken, by the bundle that attests it.
fn reused_dependency(task: &str, reuse: &Reuse) -> ResourceDescriptor {
    let why = match reuse.by {
        ReusedBy::Cache => "cache",
        ReusedBy::Resume => "resume",
    };
    ResourceDescriptor::named("reusedTaskRun")
        .digest("sha256", reuse.attestation.to_hex())
        .annotation("pipelineTask", task)
        .annotation("pipelineRun", reuse.run.to_string())
        .annotation("taskRun", reuse.task.clone())
        .annotation("by", why)
        .annotation("key", reuse.key.to_string())
}

/// The run whose outcomes were taken, all of them, by the bundle that attests it.
fn reused_run_dependency(reuse: &RunReuse) -> ResourceDescriptor {
    ResourceDescriptor::named(REUSED_RUN)
        .digest("sha256", reuse.attestation.to_hex())
        .annotation("pipelineRun", reuse.run.to_string())
        .annotation("taskRuns", reuse.task_runs)
        .annotation("by", "cache")
}

pub(super) fn input_dependency(input: &InputArtifact) -> ResourceDescriptor {
    let from = match (&input.task, &input.output) {
        (Some(task), Some(output)) => format!("{task}/{output}"),
        _ => "source".to_owned(),
    };
    ResourceDescriptor::named(format!("inputs/{}", input.name))
        .digest("sha256", input.tree.digest.to_hex())
        .annotation("from", from)
}

fn source_dependency(source: &Source) -> ResourceDescriptor {
    ResourceDescriptor::named("source")
        .digest("sha256", source.tree.digest.to_hex())
        .annotation("dirty", source.dirty)
}

/// The commit, in the form Conforma looks for. A working copy with changes is
/// not its commit, so it names none.
pub(super) fn commit_dependency(source: &Source) -> Option<ResourceDescriptor> {
    let commit = source.commit.as_ref().filter(|_| !source.dirty)?;
    let algorithm = if commit.len() == 40 { "sha1" } else { "gitCommit" };
    let described = ResourceDescriptor::named("inputs/result").digest(algorithm, commit);
    Some(match &source.remote {
        // The host has seen the commit, and of the remote only its name.
        Some(remote) => described.uri(format!("git+{}.git", remote.trim_end_matches(".git"))).annotation(
            "uri",
            "the remote that the checkout is configured with; nothing was fetched from it",
        ),
        None => described,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn what_is_written_of_a_task_is_a_descriptor() {
        let digest = Digest::from_bytes([7; 32]);
        for (reference, uri) in [
            ("localhost/t:1@sha256:07", "oci://localhost/t:1"),
            ("oci:layout:t", "oci:layout:t"),
            ("file:t.wasm@sha256:07", "file:t.wasm"),
        ] {
            let used = TaskUsed {
                name: "task",
                uri: Uri(reference),
                digest: Sha256 { sha256: Hex(digest) },
                media_type: None,
                content: None,
            };
            let same = ResourceDescriptor::named("task").uri(uri).digest("sha256", digest.to_hex());
            assert_eq!(serde_json::to_string(&used).unwrap(), serde_json::to_string(&same).unwrap());
            let used = TaskUsed { media_type: Some(JSON), content: Some("WzFd"), ..used };
            let same = same.json(&[1]);
            assert_eq!(serde_json::to_string(&used).unwrap(), serde_json::to_string(&same).unwrap());
        }
    }
}
