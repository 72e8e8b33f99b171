//! Finds the pipelines that others name: in files beside them, and in registries,
//! where the trust rules are asked about them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cofferdam_registry::{
    Bundles, Candidate, Digest, Layout, PulledPipeline, Reference, TrustDecision, canonical, read_plain,
};

use super::registry::{RegistryResolver, as_written};
use super::resolve::{PipelineText, ResolveError};
use crate::event::PipelineIdentity;
use crate::model::{MAX_PIPELINE, PipelinePlace, PipelineRef};

/// A pipeline of a registry that was looked at.
#[derive(Debug)]
pub struct PipelineGlance {
    /// The reference, pinned to its digest.
    pub reference: String,
    /// What is there.
    pub pulled: PulledPipeline,
    /// Whether it is trusted, and why.
    pub trust: TrustDecision,
    /// Its signatures.
    pub bundles: Bundles,
}

impl RegistryResolver {
    /// Has a pipeline judged. Its version is the one that its manifest gives,
    /// which is signed; where it gives none, no rule about versions fits.
    pub(super) fn judge_pipeline<T>(
        &self,
        written: &Reference,
        (layout, reference): (&Layout, &Reference),
        (digest, version): (Digest, Option<&str>),
        judge: impl FnOnce(&Candidate<'_>) -> T,
    ) -> Result<T, ResolveError> {
        let bundles = self.signatures(layout, reference, digest)?;
        let uri = |named: &Reference| match version {
            Some(version) => named.version_uri(version),
            None => Reference { tag: None, ..named.clone() }.written_uri(),
        };
        let spellings = [reference.written_uri(), written.written_uri(), uri(written)];
        let uri = uri(reference);
        Ok(judge(&Candidate {
            uri: &uri,
            spellings: &spellings,
            digest,
            component: digest,
            bundles: &bundles,
        }))
    }

    /// Looks at a pipeline of a registry; pins nothing, and refuses none.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn glance_pipeline(
        &self,
        written: &Reference,
        name: Option<&str>,
    ) -> Result<PipelineGlance, ResolveError> {
        let read = |layout: &Layout, reference: &Reference| layout.pull_pipeline(reference, name);
        let (layout, reference, pulled) = self.take(written, read)?;
        let bundles = self.signatures(&layout, &reference, pulled.digest)?;
        let head = (pulled.digest, pulled.version.as_deref());
        let decide = |candidate: &Candidate<'_>| self.trust.decide(candidate, self.now);
        let trust = self.judge_pipeline(written, (&layout, &reference), head, decide)?;
        Ok(PipelineGlance { reference: reference.pinned(pulled.digest).to_string(), pulled, trust, bundles })
    }

    /// Finds a pipeline in a registry, and decides whether it may run.
    fn pull_pipeline(
        &self,
        (text, written): (&str, &Reference),
        name: Option<&str>,
    ) -> Result<PipelineText, ResolveError> {
        let read = |layout: &Layout, reference: &Reference| layout.pull_pipeline(reference, name);
        let (layout, reference, pulled) = self.take(written, read)?;
        // Whoever can write there could put another that is signed in its place.
        if name.is_none() && pulled.name != reference.task_name() {
            let name = reference.task_name().to_owned();
            return Err(ResolveError::OtherPipeline { name, found: pulled.name });
        }
        let trust = self.judge_pipeline(
            written,
            (&layout, &reference),
            (pulled.digest, pulled.version.as_deref()),
            |candidate| self.trust.decide(candidate, self.now),
        )?;
        self.admit(&trust)?;
        self.registries.note_signer(&reference, pulled.digest, trust.signer().as_deref())?;
        let pinned = as_written(text, reference.pinned(pulled.digest)).to_string();
        let label = if name.is_some() { format!("{pinned}#{}", pulled.name) } else { pinned.clone() };
        Ok(PipelineText {
            file: PathBuf::from(&label),
            name: label,
            base: PathBuf::new(),
            text: pulled.text,
            identity: Some(PipelineIdentity {
                name: pulled.name,
                reference: pinned,
                digest: pulled.digest,
                trust,
            }),
        })
    }

    /// Reads the pipeline of a `pipelineRef` that was read before, by the digest
    /// it had.
    pub(super) fn pipeline_pinned(
        &self,
        pipeline: &PipelineRef,
        base: &Path,
        pin: Digest,
    ) -> Result<PipelineText, ResolveError> {
        self.find_pipeline(pipeline, base, Some(pin))
    }

    pub(super) fn find_pipeline(
        &self,
        pipeline: &PipelineRef,
        base: &Path,
        pin: Option<Digest>,
    ) -> Result<PipelineText, ResolveError> {
        match pipeline.place().map_err(ResolveError::pipeline)? {
            PipelinePlace::File(file) => pipeline_file(file, base),
            PipelinePlace::Bundle { reference: text, name } => {
                let reference = Reference::parse(text, base)?;
                let reference = pin.map_or_else(|| reference.clone(), |pin| reference.pinned(pin));
                self.pull_pipeline((text, &reference), name)
            }
        }
    }
}

/// Reads a pipeline file. It must stand below the pipelines' directory: what
/// is wrong with a file is shown, and a pipeline may be somebody else's.
fn pipeline_file(written: &str, base: &Path) -> Result<PipelineText, ResolveError> {
    let unreadable = |why: String| ResolveError::PipelineFile { path: written.to_owned(), why };
    let leads_to = |path: &Path| canonical(path).map_err(|error| unreadable(error.to_string()));
    let base = leads_to(base)?;
    let above = base.ancestors().find(|path| path.file_name() == Some(OsStr::new(".cofferdam")));
    let root = above.unwrap_or(&base);
    let file = leads_to(&base.join(written))?;
    if Path::new(written).is_absolute() || !file.starts_with(root) {
        return Err(ResolveError::OutsidePipeline { path: written.to_owned() });
    }
    let bytes = read_plain(&file, MAX_PIPELINE).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))?;
    let base = file.parent().unwrap_or(&base).to_owned();
    Ok(PipelineText { name: written.to_owned(), file, base, text, identity: None })
}
