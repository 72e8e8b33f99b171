//! Signatures that a log has: keyless ones, whose certificate says who signed,
//! and those of a key. Verified offline, against a trusted root of the caller's.
//!
//! Who must have signed is always told: there is no way to accept anybody.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};

use serde::Deserialize;
use sigstore_crypto::x509::parse_certificate_info;
use sigstore_crypto::{KeyAlgorithm, SigningScheme, verify_signature_prehashed};
use sigstore_types::bundle::{MessageSignature, SignatureContent, VerificationMaterialContent};
use sigstore_types::{Bundle, HashAlgorithm, Sha256Hash};
use sigstore_verify::{
    Error, IdentityMatcher, Policy, PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult,
};

use crate::bundle::{BundleError, PAYLOAD_TYPE, parse, verify};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::keyless_error::KeylessError;
use crate::statement::STATEMENT_TYPE;
use crate::trusted_root::TrustedRoot;

/// A file that is signed by a scheme which hashes nothing beforehand is read
/// into memory, up to this size in bytes.
const MAX_WHOLE: u64 = 256 << 20;

/// Who signed: what the certificate names, and who vouched for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// An email address, or a URI such as that of a workflow.
    pub subject: String,
    /// The issuer of the identity token, a URL.
    pub issuer: String,
    matcher: IdentityMatcher,
}

impl Identity {
    /// An identity, to the letter: `*` is a character like any other.
    ///
    /// # Errors
    /// [`KeylessError::NoIdentity`] where no certificate could name it.
    pub fn new(subject: &str, issuer: &str) -> Result<Self, KeylessError> {
        let plain = |text: &str| !text.chars().any(|c| c.is_whitespace() || c.is_control());
        // By its kind, too: an address must not pass for a workflow.
        let matcher = match (subject.split_once("://"), subject.split_once('@')) {
            (Some((scheme, rest)), _) if !scheme.is_empty() && !rest.is_empty() && plain(subject) => {
                IdentityMatcher::Uri(subject.to_owned())
            }
            (None, Some((name, host))) if !name.is_empty() && !host.is_empty() && plain(subject) => {
                IdentityMatcher::Email(subject.to_owned())
            }
            _ => return Err(KeylessError::NoIdentity(subject.to_owned())),
        };
        if issuer.is_empty() || !plain(issuer) {
            return Err(KeylessError::NoIdentity(issuer.to_owned()));
        }
        Ok(Self { subject: subject.to_owned(), issuer: issuer.to_owned(), matcher })
    }
}

/// What is said to be signed.
#[derive(Debug)]
pub enum Artifact {
    /// A file, from its beginning.
    File(File),
    /// Its digest.
    Digest(Digest),
}

impl Artifact {
    fn digest(&mut self) -> Result<Digest, KeylessError> {
        match self {
            Self::Digest(digest) => Ok(*digest),
            Self::File(file) => {
                file.rewind().map_err(KeylessError::Artifact)?;
                Ok(Digest::of_reader(file).map_err(KeylessError::Artifact)?.0)
            }
        }
    }
}

/// What holds of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether a transparency log has it. Where not, nobody but the holder of
    /// the key says when it was signed, and a stolen key leaves no trace.
    pub logged: bool,
    /// When it was signed at the latest, in seconds since 1970, where anybody
    /// who is trusted says so.
    pub signed_at: Option<i64>,
    /// The kind of claim that is signed, where it is a Statement.
    pub predicate_type: Option<String>,
}

/// The parts of a Statement that are judged whatever it claims: in-toto lets it
/// leave out names and predicate.
#[derive(Deserialize)]
struct AnyStatement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<AnySubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Deserialize)]
struct AnySubject {
    digest: BTreeMap<String, String>,
}

impl AnySubject {
    /// Whether it is this artifact, whatever other digests it has.
    fn is(&self, digest: Digest) -> bool {
        self.digest.get("sha256").is_some_and(|hex| Digest::from_hex(hex) == Some(digest))
    }
}

impl TrustedRoot {
    /// Verifies everything about a keyless bundle: certificate, its log, the
    /// time, the transparency log, the signature, the Statement's version, and
    /// that it is about the artifact; `predicate_type` is what it must claim.
    ///
    /// # Errors
    /// [`KeylessError`]: the first of these that does not hold.
    pub fn verify(
        &self,
        bundle: &[u8],
        identity: &Identity,
        artifact: &mut Artifact,
        predicate_type: Option<&str>,
    ) -> Result<Verified, KeylessError> {
        let bundle = parse(bundle)?;
        if matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_)) {
            let why = "it is signed by a key: no certificate says who signed";
            return Err(BundleError::Malformed(why).into());
        }
        let policy = VerificationPolicy::new(identity.matcher.clone(), identity.issuer.clone());
        let result = self.check(&bundle, artifact, &policy, Some(identity))?;
        let complete = result.certificate_verified() && result.sct_verified() && result.tlog_verified();
        if !complete || !result.identity_policy_checked() {
            return Err(KeylessError::Unusable("not everything was verified".to_owned()));
        }
        verified(&bundle, &result, predicate_type)
    }

    /// Verifies a bundle that is signed by a key and that a log has.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_logged(
        &self,
        bundle: &[u8],
        key: &PublicKey,
        artifact: &mut Artifact,
        predicate_type: Option<&str>,
    ) -> Result<Verified, KeylessError> {
        let bundle = parse(bundle)?;
        let policy = PublicKeyVerificationPolicy::new(key.der().clone());
        let result = self.check(&bundle, artifact, &policy, None)?;
        if !result.tlog_verified() {
            return Err(KeylessError::Unusable("not everything was verified".to_owned()));
        }
        verified(&bundle, &result, predicate_type)
    }

    fn check(
        &self,
        bundle: &Bundle,
        artifact: &mut Artifact,
        policy: &dyn Policy,
        identity: Option<&Identity>,
    ) -> Result<VerificationResult, KeylessError> {
        let failed = |error| KeylessError::of(error, identity);
        let file = match artifact {
            Artifact::Digest(digest) => {
                let digest = Sha256Hash::new(*digest.as_bytes());
                return self.verifier().verify(digest, bundle, policy).map_err(failed);
            }
            Artifact::File(file) => file,
        };
        match self.verifier().verify_reader(&mut *file, bundle, policy) {
            Err(Error::UnsupportedArtifact(_)) => {}
            other => return other.map_err(failed),
        }
        // Ed25519 signs the bytes themselves.
        let bytes = whole(file)?;
        self.verifier().verify(bytes.as_slice(), bundle, policy).map_err(failed)
    }
}

/// Whether a bundle has an entry of a log, or a timestamp. Nothing is verified.
///
/// # Errors
/// [`BundleError::Malformed`].
pub fn claims_log(bundle: &[u8]) -> Result<bool, BundleError> {
    let material = parse(bundle)?.verification_material;
    let timestamps = &material.timestamp_verification_data.rfc3161_timestamps;
    Ok(!material.tlog_entries.is_empty() || !timestamps.is_empty())
}

/// The identity in a bundle's certificate, to verify what was just signed
/// against. Nothing is verified.
#[must_use]
pub fn certified_identity(bundle: &[u8]) -> Option<Identity> {
    let bundle = parse(bundle).ok()?;
    let certificate = parse_certificate_info(bundle.signing_certificate()?).ok()?;
    Identity::new(&certificate.identity?.to_string(), &certificate.issuer?).ok()
}

/// The SHA-256 of the first artifact that a Statement v1 names by it.
pub(crate) fn subject_digest(payload: &[u8]) -> Result<Option<Digest>, BundleError> {
    let subjects = statement(payload, None)?.subject;
    Ok(subjects.iter().find_map(|subject| Digest::from_hex(subject.digest.get("sha256")?)))
}

/// Whether a bundle carries a certificate. Nothing is verified.
pub(crate) fn is_keyless(bundle: &[u8]) -> bool {
    parse(bundle).is_ok_and(|bundle| bundle.signing_certificate().is_some())
}

/// Verifies a bundle that is signed by a key and that no log has: its structure,
/// its one signature, and that it is about the artifact.
///
/// # Errors
/// [`KeylessError`]: what of it does not hold.
pub fn verify_unlogged(
    bytes: &[u8],
    key: &PublicKey,
    artifact: &mut Artifact,
    predicate_type: Option<&str>,
) -> Result<Verified, KeylessError> {
    let bundle = parse(bytes)?;
    let predicate_type = if let SignatureContent::MessageSignature(signature) = &bundle.content {
        if let Some(wanted) = predicate_type {
            return Err(no_statement(wanted));
        }
        verify_message(signature, key, artifact)?;
        None
    } else {
        // Refuses whatever is no envelope.
        let payload = verify(bytes, key)?;
        let digest = artifact.digest()?;
        let statement = statement(&payload, predicate_type)?;
        if !statement.subject.iter().any(|subject| subject.is(digest)) {
            return Err(KeylessError::WrongSubject);
        }
        Some(statement.predicate_type)
    };
    Ok(Verified { logged: false, signed_at: None, predicate_type })
}

fn verify_message(
    signature: &MessageSignature,
    key: &PublicKey,
    artifact: &mut Artifact,
) -> Result<(), KeylessError> {
    let algorithm = KeyAlgorithm::from_spki(key.der()).map_err(|e| KeylessError::Unusable(e.to_string()))?;
    let digest = artifact.digest()?;
    if let Some(named) = &signature.message_digest
        && (named.algorithm != HashAlgorithm::Sha2256 || named.digest != digest.as_bytes().as_slice())
    {
        return Err(KeylessError::WrongSubject);
    }
    let sound = match (algorithm, artifact) {
        (KeyAlgorithm::EcdsaP256, _) => {
            let scheme = SigningScheme::EcdsaP256Sha256;
            verify_signature_prehashed(key.der(), digest.as_bytes(), &signature.signature, scheme).is_ok()
        }
        (KeyAlgorithm::Ed25519, Artifact::File(file)) => key.verifies(&whole(file)?, &signature.signature),
        (KeyAlgorithm::Ed25519, Artifact::Digest(_)) => {
            let why = "Ed25519 signs the file itself: its digest is not enough";
            return Err(BundleError::Malformed(why).into());
        }
        _ => {
            let why = "without a log, only signatures with ECDSA P-256 or Ed25519 over a file are verified";
            return Err(BundleError::Malformed(why).into());
        }
    };
    if sound { Ok(()) } else { Err(BundleError::Changed.into()) }
}

/// Reads a file from its beginning into memory.
fn whole(file: &mut File) -> Result<Vec<u8>, KeylessError> {
    file.rewind().map_err(KeylessError::Artifact)?;
    let mut bytes = Vec::new();
    file.take(MAX_WHOLE + 1).read_to_end(&mut bytes).map_err(KeylessError::Artifact)?;
    if bytes.len() as u64 > MAX_WHOLE {
        return Err(KeylessError::Artifact(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn no_statement(wanted: &str) -> KeylessError {
    BundleError::Statement(format!("it signs a file, and claims nothing of the kind {wanted}")).into()
}

/// What the verifier leaves out: the version of the Statement and its kind.
fn verified(
    bundle: &Bundle,
    result: &VerificationResult,
    predicate_type: Option<&str>,
) -> Result<Verified, KeylessError> {
    let predicate_type = match (&bundle.content, predicate_type) {
        (SignatureContent::DsseEnvelope(envelope), wanted) => {
            if envelope.payload_type != PAYLOAD_TYPE {
                return Err(BundleError::Malformed("its payload is not an in-toto statement").into());
            }
            Some(statement(envelope.payload.as_bytes(), wanted)?.predicate_type)
        }
        (_, Some(wanted)) => return Err(no_statement(wanted)),
        (_, None) => None,
    };
    let signed_at = result.verified_timestamps().iter().map(|time| time.as_second()).min();
    Ok(Verified { logged: result.tlog_verified(), signed_at, predicate_type })
}

/// Reads a Statement v1 whose signature holds, of one kind where one is wanted.
fn statement(payload: &[u8], predicate_type: Option<&str>) -> Result<AnyStatement, BundleError> {
    let statement: AnyStatement =
        serde_json::from_slice(payload).map_err(|error| BundleError::Statement(error.to_string()))?;
    if statement.statement_type != STATEMENT_TYPE {
        return Err(BundleError::Statement(format!("its type is {}", statement.statement_type)));
    }
    if statement.predicate_type.is_empty() || predicate_type.is_some_and(|p| p != statement.predicate_type) {
        return Err(BundleError::Statement(format!("its predicate is {}", statement.predicate_type)));
    }
    Ok(statement)
}
