//! Looks at a task of a registry without its code: what it takes, makes and asks
//! for, and whether it is trusted.

use cofferdam_manifest::Manifest;
use cofferdam_registry::{Attestation, Bundles, Layout, Reference, TaskHead, TrustDecision};

use super::registries::StagedHead;
use super::registry::RegistryResolver;
use super::resolve::ResolveError;
use crate::component::Component;

/// A task that was looked at without its code.
#[derive(Debug)]
pub struct Glance {
    /// The reference, pinned to its digest.
    pub reference: String,
    /// What its artifact says of it.
    pub head: TaskHead,
    /// What it takes, makes and asks for.
    pub manifest: Manifest,
    /// Whether it is trusted, and why.
    pub trust: TrustDecision,
    /// Its signatures.
    pub bundles: Bundles,
    /// What is attached to it beside them. Nothing of it is verified.
    pub attestations: Vec<Attestation>,
}

impl RegistryResolver {
    /// Looks at a task without its code, where that is not here yet; pins nothing.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn glance(&self, written: &Reference) -> Result<Glance, ResolveError> {
        self.glance_at(written, true)
    }

    /// The same without what is attached beside its signatures.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn glance_alone(&self, written: &Reference) -> Result<Glance, ResolveError> {
        self.glance_at(written, false)
    }

    fn glance_at(&self, written: &Reference, attached: bool) -> Result<Glance, ResolveError> {
        let Some(staging) = self.registries.head(written)? else {
            let (layout, reference, pulled) = self.take(written, Layout::pull)?;
            let component = Component::read(&reference.to_string(), pulled.component)?;
            let manifest = component.manifest;
            return self.judge_head(written, (&layout, reference), (pulled.head, manifest), attached);
        };
        let StagedHead { layout, reference, .. } = &staging;
        let head = layout.task_head(reference)?;
        let told =
            head.contract.clone().ok_or_else(|| ResolveError::NoContract { name: reference.name.clone() })?;
        let manifest = serde_json::from_value(told);
        let manifest = manifest.map_err(|_| ResolveError::OtherContract { name: reference.name.clone() })?;
        self.judge_head(written, (layout, reference.clone()), (head, manifest), attached)
    }

    fn judge_head(
        &self,
        written: &Reference,
        (layout, reference): (&Layout, Reference),
        (head, manifest): (TaskHead, Manifest),
        attached: bool,
    ) -> Result<Glance, ResolveError> {
        let bundles = self.signatures(layout, &reference, head.digest)?;
        let attestations = match attached {
            true => self.registries.attestations((layout, &reference), head.digest)?,
            false => Vec::new(),
        };
        let trust = self.judge_manifest(written, &reference, (&head, &manifest), &bundles, |candidate| {
            self.trust.decide(candidate, self.now)
        })?;
        let tag = Some(manifest.metadata.version.clone());
        let reference = Reference { tag, digest: Some(head.digest), ..reference }.to_string();
        Ok(Glance { reference, head, manifest, trust, bundles, attestations })
    }
}
