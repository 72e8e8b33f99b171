//! Tasks as OCI artifacts in the CNCF Wasm format, and the signatures on them.
//!
//! One manifest: config `application/vnd.wasm.config.v0+json`, one layer
//! `application/wasm` (CNCF TAG Runtime, "Wasm OCI Artifact layout"). What is
//! signed is the manifest's digest, which fixes everything below it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attestation::{PREDICATE_TYPE, may_be_signature};
use crate::bundle::{BUNDLE_TYPE, sign, verify_statement};
use crate::contract::{self, TaskHead};
use crate::cosign_tags::SimpleSigning;
use crate::digest::Digest;
use crate::document::{Descriptor, EMPTY_TYPE, Manifest};
use crate::key::{PublicKey, SigningKey};
use crate::key_error::KeyError;
use crate::layout::{Layout, LayoutError, encode};
use crate::reference::Reference;
use crate::statement::{Statement, Subject};

pub(crate) const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const COMPONENT_TYPE: &str = "application/wasm";

/// The predicate of a plain signature, in the form cosign 3 gives it.
pub const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Larger components are not read.
pub const MAX_COMPONENT: u64 = 256 << 20;
/// Larger signatures are not read, nor more of them for one task: together they
/// are never more than 64 MiB in memory.
pub(crate) const MAX_SIGNATURE: u64 = 1 << 20;
pub(crate) const MAX_SIGNATURES: usize = 64;
/// The manifest of a signature names two small blobs.
pub(crate) const MAX_SIGNATURE_MANIFEST: u64 = 64 << 10;

/// A task to publish.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskArtifact<'a> {
    /// The repository's name.
    pub name: &'a str,
    /// The tag, beside `latest`.
    pub version: &'a str,
    /// One line for lists.
    pub description: &'a str,
    /// The component, its manifest embedded.
    pub component: &'a [u8],
    /// The interfaces it imports.
    pub imports: &'a [String],
    /// The interfaces it exports.
    pub exports: &'a [String],
    /// The manifest, for readers without the component.
    pub contract: Option<&'a Value>,
    /// The URL of its source; nothing where that is not said.
    pub source: &'a str,
    /// The commit it was made from; the same.
    pub revision: &'a str,
    /// Its licences, as an SPDX expression; the same.
    pub licenses: &'a str,
}

/// A task that was read out of a registry.
#[derive(Clone, Debug)]
pub struct PulledTask {
    /// What the artifact says of it.
    pub head: TaskHead,
    /// The component.
    pub component: Vec<u8>,
}

/// The signatures found beside a task. None of them is verified yet.
#[derive(Clone, Debug, Default)]
pub struct Bundles {
    /// Those that could be read.
    pub sound: Vec<Vec<u8>>,
    /// Those of the form that cosign used before.
    pub simple: Vec<SimpleSigning>,
    /// What is wrong with one that could not. It may belong to another task:
    /// only a manifest that can be read says what it is about.
    pub damaged: Option<String>,
}

/// Why a task could not be signed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum SignError {
    /// The key cannot sign.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Key(#[from] KeyError),
    /// The layout cannot be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Layout(#[from] LayoutError),
}

/// The predicate of a plain signature says nothing beyond its subject.
#[derive(Serialize, Deserialize)]
pub(crate) struct NoClaim {}

impl Layout {
    /// Stores a task and moves its version's tag and `latest` to it. The same
    /// task always gets the same digest.
    ///
    /// # Errors
    /// [`LayoutError`] when the layout cannot be read or written.
    pub fn publish(&self, task: &TaskArtifact<'_>) -> Result<Digest, LayoutError> {
        let layer = self.put(COMPONENT_TYPE, task.component)?;
        let config = contract::config(layer.digest, task.imports, task.exports, task.contract);
        let config = self.put(CONFIG_TYPE, &config)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(crate::document::MANIFEST_TYPE.to_owned()),
            artifact_type: None,
            config,
            layers: vec![layer],
            subject: None,
            annotations: contract::annotations(task),
        };
        let names = [format!("{}:{}", task.name, task.version), format!("{}:latest", task.name)];
        self.push(&manifest, &names)
    }

    /// The digest a reference stands for now.
    ///
    /// # Errors
    /// [`LayoutError::NotFound`], or a layout that cannot be read.
    pub fn resolve(&self, reference: &Reference) -> Result<Digest, LayoutError> {
        Ok(self.descriptor(reference)?.digest)
    }

    pub(crate) fn descriptor(&self, reference: &Reference) -> Result<Descriptor, LayoutError> {
        self.find(&reference.ref_name().unwrap_or_default(), reference.digest)
    }

    /// Reads a task, every byte checked against its digest.
    ///
    /// # Errors
    /// [`LayoutError`], also when the artifact is no task.
    pub fn pull(&self, reference: &Reference) -> Result<PulledTask, LayoutError> {
        let head = self.task_head(reference)?;
        let layer = Descriptor::new(COMPONENT_TYPE, head.component_digest, head.size);
        let component = self.read(&layer, MAX_COMPONENT)?;
        Ok(PulledTask { head, component })
    }

    /// Signs a task and attaches the signature as a referrer, unless the same
    /// key's is there already. Says whether there is a new signature.
    ///
    /// # Errors
    /// [`SignError`] when the key cannot sign or the layout cannot be written.
    pub fn sign(&self, reference: &Reference, key: &SigningKey) -> Result<bool, SignError> {
        let subject = self.descriptor(reference)?;
        if self
            .bundles(subject.digest)?
            .sound
            .iter()
            .any(|bundle| signs(bundle, key.public(), subject.digest))
        {
            return Ok(false);
        }
        let bundle = sign(&claim(reference, subject.digest), key)?;
        self.attach(subject, SIGNATURE_PREDICATE, bundle.as_bytes())?;
        Ok(true)
    }

    /// The Statement whose signature says that a task is signed, for whoever
    /// signs it elsewhere.
    ///
    /// # Errors
    /// [`LayoutError`] when there is no such task.
    pub fn claim(&self, reference: &Reference) -> Result<Vec<u8>, LayoutError> {
        Ok(claim(reference, self.descriptor(reference)?.digest))
    }

    /// Attaches a bundle that was made elsewhere around [`Self::claim`].
    ///
    /// # Errors
    /// [`LayoutError`] when the layout cannot be read or written.
    pub fn attach_signature(&self, reference: &Reference, bundle: &[u8]) -> Result<Digest, LayoutError> {
        self.attach(self.descriptor(reference)?, SIGNATURE_PREDICATE, bundle)
    }

    /// Attaches a bundle to a manifest.
    pub(crate) fn attach(
        &self,
        subject: Descriptor,
        predicate: &str,
        bundle: &[u8],
    ) -> Result<Digest, LayoutError> {
        let annotations = BTreeMap::from([
            ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
            (PREDICATE_TYPE.to_owned(), predicate.to_owned()),
        ]);
        let subject = Descriptor { annotations: BTreeMap::new(), artifact_type: None, ..subject };
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(crate::document::MANIFEST_TYPE.to_owned()),
            artifact_type: Some(BUNDLE_TYPE.to_owned()),
            config: self.put(EMPTY_TYPE, b"{}")?,
            layers: vec![self.put(BUNDLE_TYPE, bundle)?],
            subject: Some(subject),
            annotations,
        };
        self.push(&manifest, &[])
    }

    /// The signatures attached to a manifest, as the referrers API would list them:
    /// distribution-spec, "Listing Referrers". The subject is read from each
    /// manifest itself, never from what an index says of it. A damaged one hides
    /// none of the others; what says that it is an attestation of another kind is
    /// none.
    ///
    /// # Errors
    /// [`LayoutError`] when the index cannot be read.
    pub fn bundles(&self, subject: Digest) -> Result<Bundles, LayoutError> {
        let mut found = Bundles::default();
        let mut seen = BTreeSet::new();
        let listing = self.listing()?;
        let attached = listing.attached(self);
        found.damaged.clone_from(&attached.unreadable);
        for (_, manifest) in attached.of(subject).iter().filter(|(_, manifest)| may_be_signature(manifest)) {
            for layer in manifest.layers.iter().filter(|l| l.media_type == BUNDLE_TYPE) {
                if !seen.insert((layer.digest, layer.size)) {
                    continue;
                }
                if found.sound.len() == MAX_SIGNATURES {
                    found.damaged = Some(format!("it has more than {MAX_SIGNATURES} signatures"));
                    return Ok(found);
                }
                match self.read(layer, MAX_SIGNATURE) {
                    Ok(bundle) => found.sound.push(bundle),
                    Err(error) => found.damaged = Some(error.to_string()),
                }
            }
        }
        self.add_tagged(subject, &mut found)?;
        Ok(found)
    }

    /// The sound manifests of the bundles attached to a manifest.
    pub(crate) fn attached(&self, subject: Digest) -> Result<Vec<(Descriptor, Manifest)>, LayoutError> {
        Ok(self.listing()?.attached(self).of(subject).to_vec())
    }
}

fn claim(reference: &Reference, digest: Digest) -> Vec<u8> {
    let subject = vec![Subject::new(reference.name.clone(), digest)];
    encode(&Statement::new(SIGNATURE_PREDICATE, subject, NoClaim {}))
}

/// Whether a bundle is a key's signature of exactly this digest.
fn signs(bundle: &[u8], key: &PublicKey, digest: Digest) -> bool {
    let statement = verify_statement::<NoClaim>(bundle, key, SIGNATURE_PREDICATE);
    statement.is_ok_and(|statement| statement.subject.iter().any(|s| s.sha256() == Some(digest)))
}
