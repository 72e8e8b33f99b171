//! Attestations: what else is claimed of an artifact beside that it is signed,
//! such as its SBOM and its provenance, each in a bundle that refers to it. No
//! rule of trust looks at one.

use std::collections::HashSet;

use serde_json::value::RawValue;
use sigstore_types::bundle::SignatureContent;

use crate::artifact::SIGNATURE_PREDICATE;
use crate::bundle::{BUNDLE_TYPE, PAYLOAD_TYPE, parse};
use crate::digest::Digest;
use crate::document::Manifest;
use crate::layout::{Layout, LayoutError};
use crate::reference::Reference;
use crate::statement::{STATEMENT_TYPE, Statement};

/// The predicate of a CycloneDX SBOM, as cosign names it.
pub const SBOM_PREDICATE: &str = "https://cyclonedx.org/bom";

/// The annotation by which a bundle says what kind of claim is in it.
pub(crate) const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// Larger ones are not read.
pub(crate) const MAX_ATTESTATION: u64 = 16 << 20;
/// More bytes of one artifact are not read together.
pub(crate) const MAX_TOGETHER: u64 = 64 << 20;
/// More of one artifact are not read: nothing depends on one that is left out.
pub(crate) const MAX_ATTESTATIONS: usize = 64;

/// An attestation that is there. Nothing of it is verified.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// The digest of the bundle.
    pub digest: Digest,
    /// The bundle.
    pub bundle: Vec<u8>,
    /// Whether its Statement is about the artifact. Anything can be attached.
    pub names_it: bool,
    /// What it claims.
    pub statement: Statement<Box<RawValue>>,
}

impl Layout {
    /// Attaches a bundle around a Statement of some kind about an artifact; gives
    /// the digest of the bundle.
    ///
    /// # Errors
    /// [`LayoutError`] when the layout cannot be read or written.
    pub fn attach_attestation(
        &self,
        reference: &Reference,
        predicate_type: &str,
        bundle: &[u8],
    ) -> Result<Digest, LayoutError> {
        self.attach(self.descriptor(reference)?, predicate_type, bundle)?;
        Ok(Digest::of(bundle))
    }

    /// The attestations of an artifact. One that cannot be read is left out.
    ///
    /// # Errors
    /// [`LayoutError`] when the index cannot be read.
    pub fn attestations(&self, subject: Digest) -> Result<Vec<Attestation>, LayoutError> {
        let listing = self.listing()?;
        let attached = listing.attached(self).of(subject).iter();
        let others = attached.filter(|(_, manifest)| !may_be_signature(manifest));
        let layers = others.flat_map(|(_, manifest)| &manifest.layers);
        let (mut seen, mut together) = (HashSet::new(), 0_u64);
        let layers = layers.filter(|layer| layer.media_type == BUNDLE_TYPE && seen.insert(layer.digest));
        // Each is of some size: what is refused below has claimed it, too.
        let layers = layers.take(MAX_ATTESTATIONS).take_while(|layer| {
            together = together.saturating_add(layer.size);
            together <= MAX_TOGETHER
        });
        let read = layers.filter_map(|layer| {
            let bundle = self.read(layer, MAX_ATTESTATION).ok()?;
            let statement = claimed_statement(&bundle)?;
            let names_it = statement.subject.iter().any(|named| named.sha256() == Some(subject));
            Some(Attestation { digest: layer.digest, bundle, names_it, statement })
        });
        Ok(read.collect())
    }
}

/// Whether what is attached may be a signature: it says so, or does not say what
/// it is. Whoever says that a signature is something else only takes it away.
pub(crate) fn may_be_signature(manifest: &Manifest) -> bool {
    is_kind_of_signature(manifest.annotations.get(PREDICATE_TYPE).map(String::as_str))
}

/// The same by what is said to be the kind of its claim.
pub(crate) fn is_kind_of_signature(predicate_type: Option<&str>) -> bool {
    predicate_type.is_none_or(|kind| kind == SIGNATURE_PREDICATE)
}

/// The Statement in a bundle. Nothing is verified.
fn claimed_statement(bundle: &[u8]) -> Option<Statement<Box<RawValue>>> {
    let SignatureContent::DsseEnvelope(envelope) = parse(bundle).ok()?.content else { return None };
    if envelope.payload_type != PAYLOAD_TYPE {
        return None;
    }
    let statement: Statement<Box<RawValue>> = serde_json::from_slice(envelope.payload.as_bytes()).ok()?;
    (statement.statement_type == STATEMENT_TYPE).then_some(statement)
}
