//! Why a pipeline cannot be run: one error for each thing that is wrong.

use std::borrow::Cow;

use cofferdam_manifest::Fault;
pub use cofferdam_manifest::Place;

use super::resolve::ResolveError;
use crate::capability::{INSTEAD_OF_EXEC, NO_EXEC};

/// One thing that is wrong with a pipeline, or with running it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The document's shape.
    #[error("{0}")]
    Document(Fault),
    /// Part of the language, and not run by this version.
    #[error("`{what}` is not run by this version")]
    Unsupported {
        /// The key or value.
        what: String,
        /// What to do instead.
        help: String,
        /// Where.
        place: Place,
    },
    /// Part of Tekton's language that needs Kubernetes.
    #[error("{what}: only Kubernetes runs it")]
    KubernetesOnly {
        /// What it is.
        what: String,
        /// What to do instead.
        help: String,
        /// Where.
        place: Place,
    },
    /// A name that nothing has.
    #[error("there is no {what} `{name}`")]
    UnknownName {
        /// `task`, `param`, `input`, ...
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        help: String,
        /// Where.
        place: Place,
    },
    /// A name that two things have.
    #[error("the name `{name}` is used twice")]
    DuplicateName {
        /// The name.
        name: String,
        /// Where the second stands.
        place: Place,
    },
    /// A value that is needed and not given.
    #[error("{message}")]
    Missing {
        /// What is missing.
        message: String,
        /// How to give it.
        help: String,
        /// Where.
        place: Place,
    },
    /// A value of the wrong type, or not among those allowed.
    #[error("{message}")]
    InvalidValue {
        /// What is wrong.
        message: String,
        /// Where.
        place: Place,
    },
    /// A grant for something the task does not ask for.
    #[error("`grants` has {rule}, and the task `{task}` asks for no such thing")]
    UnaskedGrant {
        /// The task.
        task: String,
        /// The grant.
        rule: String,
        /// Where.
        place: Place,
    },
    /// A condition that is none.
    #[error("this condition cannot be read: {why}")]
    InvalidCondition {
        /// Why.
        why: String,
        /// Where.
        place: Place,
    },
    /// The pipeline cannot be had.
    #[error("the pipeline cannot be had: {source}")]
    NoPipeline {
        /// Why.
        source: ResolveError,
        /// Where.
        place: Place,
    },
    /// A `$(..)` that means nothing there.
    #[error("`$({text})` means nothing here: {why}")]
    InvalidReference {
        /// What stands between the parentheses.
        text: String,
        /// Why.
        why: String,
        /// Where.
        place: Place,
    },
    /// Tasks that wait for each other.
    #[error("these tasks wait for each other: {}", path.join(" -> "))]
    Cycle {
        /// The tasks on the way round, the first one again at the end.
        path: Vec<String>,
        /// Where the first of them stands.
        place: Place,
    },
    /// The task cannot be had.
    #[error("the task `{task}` cannot be had: {source}")]
    Unresolved {
        /// The task.
        task: String,
        /// Why.
        source: ResolveError,
        /// Where.
        place: Place,
    },
    /// The component imports what it cannot have.
    #[error("the component of task `{task}` imports `{import}`: {why}")]
    ForbiddenImport {
        /// The task.
        task: String,
        /// The interface.
        import: String,
        /// Why it cannot have it.
        why: &'static str,
        /// Where.
        place: Place,
    },
    /// The task asks for something it is not granted.
    #[error("task `{task}` asks for {capability}, which nothing grants: {why}")]
    NotGranted {
        /// The task.
        task: String,
        /// The capability.
        capability: String,
        /// Why not.
        why: String,
        /// What would grant it.
        help: Option<String>,
        /// Where.
        place: Place,
    },
}

impl PlanError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Document(fault) => fault.kind.code().into(),
            Self::Unsupported { .. } => "plan/unsupported".into(),
            Self::KubernetesOnly { .. } => "plan/kubernetes-only".into(),
            Self::UnknownName { .. } => "plan/unknown-name".into(),
            Self::DuplicateName { .. } => "plan/duplicate-name".into(),
            Self::Missing { .. } => "plan/missing".into(),
            Self::InvalidValue { .. } => "plan/invalid-value".into(),
            Self::UnaskedGrant { .. } => "plan/unasked-grant".into(),
            Self::InvalidCondition { .. } => "plan/invalid-condition".into(),
            Self::InvalidReference { .. } => "plan/invalid-reference".into(),
            Self::Cycle { .. } => "plan/cycle".into(),
            Self::Unresolved { source, .. } | Self::NoPipeline { source, .. } => source.code(),
            Self::ForbiddenImport { .. } => "plan/forbidden-import".into(),
            Self::NotGranted { .. } => "plan/not-granted".into(),
        }
    }

    /// What to write or type next.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Document(fault) => fault.help.clone(),
            Self::Unsupported { help, .. }
            | Self::KubernetesOnly { help, .. }
            | Self::UnknownName { help, .. }
            | Self::Missing { help, .. } => Some(help.clone()),
            Self::Unresolved { source, .. } | Self::NoPipeline { source, .. } => source.help(),
            Self::UnaskedGrant { .. } => {
                Some("leave it out; what a task asks for: cofferdam task inspect FILE|REFERENCE".to_owned())
            }
            Self::InvalidCondition { .. } => {
                Some("write for example cel: params.level == 'strict' && size(params.names) > 0".to_owned())
            }
            Self::NotGranted { help, .. } => help.clone(),
            Self::Cycle { .. } => {
                Some("remove one of these from `runAfter`, `inputs` or `params`".to_owned())
            }
            Self::DuplicateName { .. } => Some("give one of them another name".to_owned()),
            Self::InvalidValue { .. } | Self::InvalidReference { .. } => None,
            Self::ForbiddenImport { why, .. } if *why == NO_EXEC => Some(INSTEAD_OF_EXEC.to_owned()),
            Self::ForbiddenImport { .. } => {
                Some("see what it imports: cofferdam task inspect FILE|REFERENCE".to_owned())
            }
        }
    }

    /// Where in the file.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Document(fault) => fault.place,
            Self::Unsupported { place, .. }
            | Self::KubernetesOnly { place, .. }
            | Self::UnknownName { place, .. }
            | Self::DuplicateName { place, .. }
            | Self::Missing { place, .. }
            | Self::InvalidValue { place, .. }
            | Self::UnaskedGrant { place, .. }
            | Self::InvalidCondition { place, .. }
            | Self::NoPipeline { place, .. }
            | Self::InvalidReference { place, .. }
            | Self::Cycle { place, .. }
            | Self::Unresolved { place, .. }
            | Self::ForbiddenImport { place, .. }
            | Self::NotGranted { place, .. } => *place,
        }
    }
}

impl From<Fault> for PlanError {
    fn from(fault: Fault) -> Self {
        Self::Document(fault)
    }
}

/// A file that a plan was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFile {
    /// Its name, as it was named.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Everything that is wrong, with the files it is wrong in.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be run", files.first().map_or("the pipeline", |file| file.name.as_str()))]
pub struct PlanErrors {
    /// The files, the one that was named first.
    pub files: Vec<PlanFile>,
    /// What is wrong, each with the number of its file.
    pub errors: Vec<(usize, PlanError)>,
}
