//! From what a pipeline calls a task to the component it is.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam_registry::{Digest, InvalidReference, LayoutError, RemoteError, TrustDecision};
use miette::Diagnostic;

use crate::component::{Component, ComponentError};
use crate::event::{PipelineIdentity, TaskIdentity};
use crate::model::{InvalidPlace, PipelineRef, Shared, TaskRef};
use crate::store::StoreError;

/// A task that was found, read and held against the trust rules.
#[derive(Clone, Debug)]
pub struct ResolvedTask {
    /// Which task it is, and whether it is trusted.
    pub identity: Shared<TaskIdentity>,
    /// The component.
    pub component: Arc<Component>,
}

impl ResolvedTask {
    /// A task found under a reference that is pinned to the digest that is
    /// signed.
    #[must_use]
    pub fn new(reference: String, digest: Digest, component: Component, trust: TrustDecision) -> Self {
        let metadata = &component.manifest.metadata;
        let identity = TaskIdentity {
            name: metadata.name.to_string(),
            version: metadata.version.clone(),
            reference,
            digest,
            component: component.digest,
            trust,
        };
        Self { identity: identity.into(), component: Arc::new(component) }
    }
}

/// Finds tasks. One implementation reads registries, the other is for tests of
/// planning.
pub trait Resolver {
    /// Told what will be asked for next, so that it can be got side by side.
    fn expect(&self, tasks: &[&TaskRef], pipelines: &[&PipelineRef], base: &Path) {
        let _ = (tasks, pipelines, base);
    }

    /// Finds what a `taskRef` names; relative paths are below `base`.
    ///
    /// # Errors
    /// [`ResolveError`].
    fn resolve(&self, task: &TaskRef, base: &Path) -> Result<ResolvedTask, ResolveError>;

    /// Reads the pipeline that a `pipelineRef` names; relative paths are below
    /// `base`.
    ///
    /// # Errors
    /// [`ResolveError`].
    fn pipeline(&self, pipeline: &PipelineRef, base: &Path) -> Result<PipelineText, ResolveError>;
}

/// A pipeline that was found, in a file or in a registry.
#[derive(Clone, Debug)]
pub struct PipelineText {
    /// Its name in messages.
    pub name: String,
    /// What it is, whatever it is called.
    pub file: PathBuf,
    /// The directory that references in it are relative to; empty for one out of
    /// a registry, which names nothing of this machine.
    pub base: PathBuf,
    /// The text.
    pub text: String,
    /// Which one of a registry it is; nothing for a file.
    pub identity: Option<PipelineIdentity>,
}

/// Why a task cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// `taskRef` names no task, or more than one.
    #[error("`taskRef` takes exactly one of `name`, `bundle`, `component` and `resolver`")]
    Ambiguous,
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The registry has no such task, or cannot be read.
    #[error(transparent)]
    Registry(#[from] LayoutError),
    /// A registry over HTTP does not give it.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Its tag is not pinned, and may not be asked for.
    #[error("`{name}` is not pinned in lock.yaml, and --locked lets no registry be asked what it stands for")]
    NotLocked {
        /// The reference.
        name: String,
    },
    /// What is vendored cannot be read.
    #[error("what is vendored cannot be used: {source}")]
    Vendored {
        /// What is wrong with it.
        source: LayoutError,
    },
    /// The registry no longer has what a tag was pinned to.
    #[error("lock.yaml pins `{name}` to {digest}, which the registry does not have")]
    PinGone {
        /// The reference.
        name: String,
        /// The digest.
        digest: Digest,
    },
    /// Its pin names another signer than the one that was found.
    #[error("lock.yaml says that `{name}` was signed by {noted}, and it is signed by {found}")]
    OtherSigner {
        /// The reference.
        name: String,
        /// Who was noted.
        noted: String,
        /// Who signed.
        found: String,
    },
    /// What was found is no task.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The component file cannot be read.
    #[error("cannot read {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The pipeline file cannot be read.
    #[error("cannot read {path}: {why}")]
    PipelineFile {
        /// The file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// `pipelineRef` names no pipeline, or more than one.
    #[error("`pipelineRef` takes exactly one of `file`, `bundle` and `resolver`")]
    AmbiguousPipeline,
    /// The file stands elsewhere than pipelines may.
    #[error("{path} is outside the directory of the pipeline")]
    OutsidePipeline {
        /// The file.
        path: String,
    },
    /// What the resolver is asked for makes no sense.
    #[error("{why}")]
    Resolver {
        /// Why.
        why: String,
    },
    /// A pipeline of a registry names what only whoever published it has.
    #[error("a pipeline that comes out of a registry names {what}, which is no part of it")]
    OutsideBundle {
        /// What it names.
        what: String,
    },
    /// The file that was named runs a pipeline and is none.
    #[error("{name} is a PipelineRun, not a Pipeline")]
    NotAPipeline {
        /// What was named.
        name: String,
    },
    /// What a run was planned from does not have it.
    #[error("what the run was planned from does not have {what}")]
    Unrecorded {
        /// What was looked for.
        what: String,
    },
    /// What a run was planned from is gone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was ever published on this machine.
    #[error("this machine has no tasks yet")]
    NoTasks,
    /// The registry has it under a name that is not its own.
    #[error("what the registry has as `{name}` calls itself `{found}`")]
    Renamed {
        /// The name in the registry.
        name: String,
        /// The name in the manifest.
        found: String,
    },
    /// The one pipeline of a bundle is called otherwise than its repository, and
    /// nobody said that it is meant.
    #[error("what the registry has as `{name}` is the pipeline `{found}`")]
    OtherPipeline {
        /// The name in the registry.
        name: String,
        /// The name in the bundle.
        found: String,
    },
    /// What the registry tells of the task is not what the task says itself.
    #[error("what the registry tells of `{name}` is not what the task says of itself")]
    OtherContract {
        /// The task.
        name: String,
    },
    /// What a registry has says nothing of itself.
    #[error("`{name}` tells nothing of itself without its code")]
    NoContract {
        /// The task.
        name: String,
    },
    /// A rule forbids the task.
    #[error("the trust rule `{rule}` denies it{}", message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    Denied {
        /// The rule.
        rule: String,
        /// Its own words.
        message: Option<String>,
    },
    /// Only trusted tasks may run, and this one is not.
    #[error("it is not trusted: {cause}")]
    NotTrusted {
        /// Which condition does not hold.
        cause: String,
    },
}

impl ResolveError {
    /// A `taskRef` that means nothing.
    pub(super) fn task(error: InvalidPlace) -> Self {
        match error {
            InvalidPlace::Ambiguous => Self::Ambiguous,
            InvalidPlace::Resolver(why) => Self::Resolver { why },
        }
    }

    /// A `pipelineRef` that means nothing.
    pub(super) fn pipeline(error: InvalidPlace) -> Self {
        match error {
            InvalidPlace::Ambiguous => Self::AmbiguousPipeline,
            InvalidPlace::Resolver(why) => Self::Resolver { why },
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Cow<'static, str> {
        let own =
            |code: Option<Box<dyn Display + '_>>| code.map_or_else(String::new, |c| c.to_string()).into();
        match self {
            Self::Ambiguous => "plan/ambiguous-task".into(),
            Self::Reference(error) => own(error.code()),
            Self::Registry(error) => own(error.code()),
            Self::Remote(error) => own(error.code()),
            Self::NotLocked { .. } => "plan/not-locked".into(),
            Self::Vendored { .. } => "plan/vendored".into(),
            Self::PinGone { .. } => "plan/pin-gone".into(),
            Self::OtherSigner { .. } => "trust/other-signer".into(),
            Self::Component(error) => own(error.code()),
            Self::PipelineFile { .. } => "plan/unreadable-pipeline".into(),
            Self::AmbiguousPipeline => "plan/ambiguous-pipeline".into(),
            Self::NotAPipeline { .. } => "plan/not-a-pipeline".into(),
            Self::OutsidePipeline { .. } => "plan/outside-pipeline".into(),
            Self::Resolver { .. } => "plan/invalid-resolver".into(),
            Self::OutsideBundle { .. } => "plan/outside-bundle".into(),
            Self::File { .. } => "plan/unreadable-component".into(),
            Self::Unrecorded { .. } => "plan/unrecorded".into(),
            Self::Store(error) => own(error.code()),
            Self::NoTasks => "registry/no-tasks".into(),
            Self::Renamed { .. } => "trust/renamed".into(),
            Self::OtherPipeline { .. } => "plan/other-pipeline".into(),
            Self::OtherContract { .. } => "trust/other-contract".into(),
            Self::NoContract { .. } => "registry/no-contract".into(),
            Self::Denied { .. } => "trust/denied".into(),
            Self::NotTrusted { .. } => "trust/not-trusted".into(),
        }
    }

    /// What to write or type next.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoTasks => Some(
                "publish and sign some: cofferdam setup TASK.wasm..; `make run` in Cofferdam's own repository does it \
                 for the built-in ones"
                    .to_owned(),
            ),
            Self::Unrecorded { .. } | Self::Store(_) => Some("run the pipeline again".to_owned()),
            Self::Ambiguous => Some("write for example taskRef: { name: sbom }".to_owned()),
            Self::Reference(error) => error.help().map(|help| help.to_string()),
            Self::Registry(error) => error.help().map(|help| help.to_string()),
            Self::Remote(error) => error.help().map(|help| help.to_string()),
            Self::Vendored { .. } => {
                Some("remove .cofferdam/vendor, and copy again: cofferdam vendor".to_owned())
            }
            Self::PinGone { .. } => Some("ask anew what the tag stands for: cofferdam lock --update".to_owned()),
            Self::OtherSigner { .. } => {
                Some("find out who changed lock.yaml; to take the new signer: cofferdam lock --update".to_owned())
            }
            Self::NotLocked { .. } => {
                Some("pin it: cofferdam lock PIPELINE; and keep lock.yaml under version control".to_owned())
            }
            Self::Component(error) => error.help().map(|help| help.to_string()),
            Self::AmbiguousPipeline => Some("write for example pipelineRef: { file: build.yaml }".to_owned()),
            Self::OutsidePipeline { .. } => {
                Some("put it beside the file that names it, or below the same .cofferdam directory".to_owned())
            }
            Self::Resolver { .. } => Some(
                "write for example { resolver: bundles, params: [{ name: bundle, value: HOST/PATH/NAME:TAG }] }, \
                 or in short { bundle: HOST/PATH/NAME:TAG }"
                    .to_owned(),
            ),
            Self::OutsideBundle { .. } => Some(
                "whoever publishes it publishes that, too, and names it by `bundle: HOST/PATH/NAME:TAG`".to_owned(),
            ),
            Self::NotAPipeline { .. } => Some("name the file of the pipeline that it runs".to_owned()),
            Self::PipelineFile { .. } => Some("the path is relative to the file that names it".to_owned()),
            Self::File { .. } => Some("the path is relative to the pipeline file".to_owned()),
            Self::OtherPipeline { found, .. } => {
                Some(format!("if that is the one you mean, say so: pipelineRef: {{ bundle: .., name: {found} }}"))
            }
            Self::NoContract { .. } => Some(
                "a task is published with `cofferdam task publish`; a package of WIT is none".to_owned(),
            ),
            Self::Renamed { .. } | Self::OtherContract { .. } => Some(
                "do not use it: somebody put it there by hand; publish tasks with `cofferdam task publish`"
                    .to_owned(),
            ),
            Self::Denied { .. } => Some("use another version, or change the rule in trust.yaml".to_owned()),
            Self::NotTrusted { .. } => {
                Some("see what it would need: cofferdam trust explain REFERENCE; or run without --require-trusted".to_owned())
            }
        }
    }
}
