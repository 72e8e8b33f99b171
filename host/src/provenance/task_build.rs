//! Provenance of a task that is published and was built here with the tools of
//! its language.
//!
//! Tools of a language run as their user runs them. Nobody observes what they
//! read and fetch, so the Statement has a builder of its own and claims no more
//! than is known: the source, the lock file, and what was called.

use std::collections::BTreeMap;

use cofferdam_registry::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::slsa::{
    BuildDefinition, BuilderDescription, Metadata, Provenance, ResourceDescriptor, RunDetails,
};

/// The `buildType` of a task that was built with the tools of its language.
pub const TASK_BUILD_TYPE: &str = "https://cofferdam.dev/buildtypes/task-build/v1";
/// The `builder.id` of tools that nobody observes.
pub const UNOBSERVED_BUILDER: &str = "https://cofferdam.dev/builder/unobserved@v1";

/// How a task was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskBuild {
    /// Unique for each build.
    pub id: String,
    /// What came out.
    pub component: Digest,
    /// Where its `task.yaml` is: in the repository, or else the directory's name.
    pub directory: String,
    /// `rust`, `javascript`, `python` or `c`.
    pub language: String,
    /// What was called there.
    pub command: Vec<String>,
    /// The variables that the user has set and that change what is built, each
    /// with the digest of its value: that may be nobody else's business.
    pub environment: BTreeMap<String, Digest>,
    /// What is known of the source.
    pub source: BuildSource,
    /// The lock file, where there is one, what it includes, and what the command
    /// names: names and digests.
    pub files: BTreeMap<String, Digest>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// What is known of the source of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildSource {
    /// It was a commit, before and after the build.
    Commit {
        /// The commit.
        commit: String,
        /// The remote that the checkout is configured with.
        remote: Option<String>,
    },
    /// A working copy with changes, which is not its commit.
    Changed,
    /// No git checkout.
    Unknown,
}

/// The provenance of a task that was built with tools; `version` is that of this
/// program.
#[must_use]
pub fn task_build_provenance(build: &TaskBuild, version: &str) -> Provenance {
    let mut dependencies = Vec::new();
    let source = match &build.source {
        BuildSource::Commit { commit, remote } => {
            dependencies.push(commit_dependency(commit, remote.as_deref()));
            "commit"
        }
        BuildSource::Changed => "changed",
        BuildSource::Unknown => "unknown",
    };
    let files = build.files.iter();
    dependencies
        .extend(files.map(|(name, digest)| {
            ResourceDescriptor::named(name.as_str()).digest("sha256", digest.to_hex())
        }));
    Provenance {
        build_definition: BuildDefinition {
            build_type: TASK_BUILD_TYPE.to_owned(),
            external_parameters: json!({
                "directory": build.directory,
                "language": build.language,
                "command": build.command,
                "environment": build.environment,
            }),
            internal_parameters: json!({ "source": source, "observed": false, "hermetic": false }),
            resolved_dependencies: dependencies,
        },
        run_details: details(
            (UNOBSERVED_BUILDER, version),
            (&build.id, build.started, build.finished),
            build.component,
        ),
    }
}

fn details(
    (builder, version): (&str, &str),
    (id, started, finished): (&str, Timestamp, Timestamp),
    component: Digest,
) -> RunDetails {
    let version = [("cofferdam".to_owned(), version.to_owned())];
    RunDetails {
        builder: BuilderDescription { id: builder.to_owned(), version: version.into() },
        metadata: Metadata {
            invocation_id: id.to_owned(),
            started_on: started.to_string(),
            finished_on: finished.to_string(),
        },
        byproducts: vec![ResourceDescriptor::named("component").digest("sha256", component.to_hex())],
    }
}

fn commit_dependency(commit: &str, remote: Option<&str>) -> ResourceDescriptor {
    let described = ResourceDescriptor::named("source").digest("gitCommit", commit);
    match remote {
        Some(remote) => described.uri(format!("git+{remote}@{commit}")).annotation(
            "uri",
            "the remote that the checkout is configured with; nothing was fetched from it",
        ),
        None => described,
    }
}
