//! From a pipeline file to a graph that can be run, or to every reason why not.
//!
//! Everything that can be known before a run is known here: types, wiring,
//! cycles, which component each task is, whether it is trusted, what it may do.
//! A plan that exists is valid; nothing is checked a second time later.

mod advice;
mod build;
mod cel;
mod combine;
mod error;
mod flow;
mod glance;
mod lock;
mod params;
mod pipelines;
mod recorded;
mod reference;
mod registries;
mod registry;
mod resolve;
mod template;
mod unsupported;

use std::collections::BTreeMap;
use std::path::Path;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use crate::event::PipelineIdentity;
use crate::model::{EffectiveLimits, Overrides};
use build::Builder;

pub use advice::{Advice, Advices};
pub use cel::{CelFailure, CelGuard};
pub use combine::Combination;
pub(crate) use combine::combine;
pub use error::{Place, PlanError, PlanErrors, PlanFile};
pub use flow::{
    Argument, Dependency, Flow, Guard, Include, Matrix, PlannedTask, RetryPolicy, TaskWork, Timeouts, Wire,
    Work,
};
pub use glance::Glance;
pub use lock::{Lock, LockDocument, LockError, Pin, repository_directory};
pub(crate) use params::{is_meant, known_names};
pub use recorded::{Draft, PlanRecord, RecordedResolver, RecordingResolver};
pub use reference::{Context, Reference, Selector, TaskKey, pick};
pub use registries::{Pinning, Registries, TagPin, VENDOR};
pub use registry::RegistryResolver;
pub use resolve::{PipelineText, ResolveError, ResolvedTask, Resolver};
pub use template::{BadReference, Piece, Template};

/// A pipeline that can be run.
#[derive(Debug)]
pub struct Plan {
    /// The pipeline's name.
    pub pipeline: String,
    /// The file, as it was named.
    pub file: String,
    /// The digest of the file.
    pub file_digest: Digest,
    /// Every file it was read from, that one first.
    pub files: Vec<PlanFile>,
    /// Those of them that came out of a registry.
    pub pipelines: Vec<PipelineIdentity>,
    /// Every param, defaults applied.
    pub params: BTreeMap<String, Value>,
    /// What the command line said about grants.
    pub overrides: Overrides,
    /// What runs.
    pub flow: Flow,
    /// Whether any task reads the source tree.
    pub uses_source: bool,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct PlanRequest<'a> {
    /// The file, as it was named.
    pub file: &'a str,
    /// The directory that references in it are relative to.
    pub base: &'a Path,
    /// The text of the file.
    pub text: &'a str,
    /// Params from whoever runs it.
    pub given: &'a BTreeMap<String, Value>,
    /// The most that any task may use.
    pub ceiling: &'a EffectiveLimits,
    /// What the command line says about grants.
    pub overrides: &'a Overrides,
    /// Whether a param without a value is an error: whoever only checks a file
    /// gives none.
    pub params_required: bool,
}

impl Plan {
    /// Plans a pipeline.
    ///
    /// # Errors
    /// Everything found wrong, each with its place in the file.
    pub fn build(request: &PlanRequest<'_>, resolver: &dyn Resolver) -> Result<Self, PlanErrors> {
        let mut builder = Builder::new(request, resolver);
        let Some((opened, words)) = builder.root() else { return Err(builder.into_faults()) };
        let (params, known) = builder.bind(&opened, &words);
        let mut flow = builder.root_flow(&opened, &known);
        if let Some((spec, site)) = &words.timeouts {
            flow.timeouts = builder.timeouts(Some(spec), site);
        }
        if builder.failed() {
            return Err(builder.into_faults());
        }
        build::mark_descent(&mut flow);
        Ok(Self {
            pipeline: opened.name,
            file: request.file.to_owned(),
            file_digest: Digest::of(request.text.as_bytes()),
            pipelines: builder.bundles().to_vec(),
            files: builder.into_faults().files,
            params,
            overrides: request.overrides.clone(),
            uses_source: flow.uses_source(),
            flow,
        })
    }
}
