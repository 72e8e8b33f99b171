//! Signatures as cosign attached them before there were referrers: under the
//! tags `sha256-HEX.sig` and `sha256-HEX.att` (cosign, `specs/SIGNATURE_SPEC.md`
//! and `ATTESTATION_SPEC.md`), by a key or by an identity. They are read, and
//! never written.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::artifact::{Bundles, MAX_SIGNATURE, MAX_SIGNATURES};
use crate::bundle::BUNDLE_TYPE;
use crate::cosign_certificate;
use crate::digest::Digest;
use crate::document::{Descriptor, Manifest, REF_NAME};
use crate::key::PublicKey;
use crate::layout::{Layout, LayoutError};

const SIMPLE_SIGNING_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// One manifest has all signatures, and those of identities have their
/// certificates in it, in some 16 KiB each.
pub(crate) const MAX_TAGGED_MANIFEST: u64 = 1 << 20;
/// Bytes of all manifests under the tags of one: who writes an index can list as
/// many as they like.
const MAX_TAGGED: u64 = 8 << 20;
/// What a payload says it is: containers/image, "simple signing".
const PAYLOAD_KIND: &str = "cosign container image signature";

/// A payload with the signature over its bytes. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleSigning {
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// Where a certificate says who signed: the bundle that says the same, or why
    /// there is none.
    certified: Option<Result<Vec<u8>, &'static str>>,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

impl SimpleSigning {
    /// Whether a key signed the payload.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verifies(&self.payload, &self.signature.clone().into())
    }

    /// The bundle of an identity's signature over the payload, or why it has none;
    /// nothing where no identity signed.
    pub(crate) fn certified(&self) -> Option<Result<&[u8], &'static str>> {
        let certified = self.certified.as_ref()?;
        Some(certified.as_ref().map(Vec::as_slice).map_err(|why| *why))
    }

    /// The digest of the payload, which is what is signed.
    pub(crate) fn payload_digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// The digest of the manifest that the payload is about.
    pub(crate) fn subject(&self) -> Result<Digest, &'static str> {
        let refuse = Err("its payload is none of a cosign signature");
        let Ok(Payload { critical }) = serde_json::from_slice::<Payload>(&self.payload) else {
            return refuse;
        };
        match critical.image.digest.parse::<Digest>() {
            Ok(digest) if critical.kind == PAYLOAD_KIND => Ok(digest),
            Ok(_) | Err(_) => refuse,
        }
    }
}

/// The tags that belong to a manifest.
pub(crate) fn tags(subject: Digest) -> [String; 2] {
    ["sig", "att"].map(|end| format!("sha256-{}.{end}", subject.to_hex()))
}

/// The manifests under the tags of another: each once, with its name in the
/// layout, and not more than are read.
#[derive(Debug, Default)]
pub(crate) struct Tagged {
    pub(crate) entries: Vec<(String, Descriptor)>,
    /// Whether there are more.
    pub(crate) more: bool,
}

impl Layout {
    /// What is listed under such tags; nothing of it is read.
    pub(crate) fn tagged(&self, subject: Digest) -> Result<Tagged, LayoutError> {
        let listing = self.listing()?;
        let (mut found, mut seen, mut bytes) = (Tagged::default(), HashSet::new(), 0_u64);
        for entry in tags(subject).iter().flat_map(|tag| listing.tagged(tag)) {
            if !seen.insert((entry.digest, entry.size)) {
                continue;
            }
            bytes = bytes.saturating_add(entry.size);
            if bytes > MAX_TAGGED || seen.len() > MAX_SIGNATURES {
                found.more = true;
                break;
            }
            let name = entry.annotations.get(REF_NAME).cloned().unwrap_or_default();
            found.entries.push((name, entry.clone()));
        }
        Ok(found)
    }

    /// Reads a manifest under such a tag.
    pub(crate) fn tagged_manifest(&self, entry: &Descriptor) -> Result<Manifest, LayoutError> {
        self.manifest(entry, MAX_TAGGED_MANIFEST)
    }

    /// Adds what is under such tags to what else is known of a manifest. A
    /// damaged one hides none of the others.
    pub(crate) fn add_tagged(&self, subject: Digest, bundles: &mut Bundles) -> Result<(), LayoutError> {
        let mut read = 0;
        let Tagged { entries, more } = self.tagged(subject)?;
        if more {
            bundles.damaged = Some("more is tagged as its signatures than is read".to_owned());
        }
        for (_, entry) in entries {
            let manifest = match self.tagged_manifest(&entry) {
                Ok(manifest) => manifest,
                Err(error) => {
                    bundles.damaged.get_or_insert_with(|| error.to_string());
                    continue;
                }
            };
            let kinds = [SIMPLE_SIGNING_TYPE, ENVELOPE_TYPE];
            let layers = manifest.layers.iter().filter(|layer| kinds.contains(&layer.media_type.as_str()));
            for layer in layers {
                read += 1;
                if bundles.sound.len() + read > MAX_SIGNATURES {
                    bundles.damaged = Some(format!("it has more than {MAX_SIGNATURES} signatures"));
                    return Ok(());
                }
                match (layer.media_type.as_str(), self.read(layer, MAX_SIGNATURE)) {
                    (SIMPLE_SIGNING_TYPE, Ok(payload)) => {
                        let signature = layer.annotations.get(SIGNATURE).map(|text| STANDARD.decode(text));
                        match signature {
                            Some(Ok(signature)) => {
                                let certified =
                                    cosign_certificate::bundle(&layer.annotations, &payload, &signature);
                                bundles.simple.push(SimpleSigning { payload, signature, certified });
                            }
                            Some(Err(_)) | None => {
                                bundles.damaged = Some("a cosign signature has no signature".to_owned());
                            }
                        }
                    }
                    (ENVELOPE_TYPE, Ok(envelope)) => bundles.sound.extend(bundle_of(&envelope)),
                    (SIMPLE_SIGNING_TYPE | ENVELOPE_TYPE, Err(error)) => {
                        bundles.damaged = Some(error.to_string());
                    }
                    (_, _) => {}
                }
            }
        }
        Ok(())
    }
}

/// The bundle that a lone envelope would be in, signed by a key that is not named.
fn bundle_of(envelope: &[u8]) -> Option<Vec<u8>> {
    let mut envelope: Value = serde_json::from_slice(envelope).ok()?;
    // Names of keys, which cosign leaves empty and a bundle does without.
    for signature in envelope.get_mut("signatures")?.as_array_mut()? {
        signature.as_object_mut()?.retain(|name, _| name == "sig");
    }
    let bundle = json!({
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": envelope,
    });
    Some(bundle.to_string().into_bytes())
}
