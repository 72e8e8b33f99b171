//! Sigstore bundles v0.3 signed with a key: DSSE around an in-toto Statement.
//!
//! Such a bundle carries no log entry and no timestamp, so it says less than a
//! keyless one: that the holder of the key signed, not when. Verification takes
//! the key from the caller; the bundle's own hint only chooses the message.

use std::fmt;
use std::io::{self, BufWriter, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::write::EncoderWriter;
use serde::de::DeserializeOwned;
use sigstore_types::bundle::{
    Bundle as Envelope, PublicKeyIdentifier, SignatureContent, VerificationMaterial,
    VerificationMaterialContent,
};
use sigstore_types::dsse::{DsseEnvelope, DsseSignature};
use sigstore_types::{KeyId, MediaType, PayloadBytes, SignatureBytes};

use crate::digest::{Digest, Hasher};
use crate::key::{PublicKey, SigningKey};
use crate::key_error::{KeyError, invalid};
use crate::statement::{STATEMENT_TYPE, Statement};

/// The media type of a bundle, also its artifact type in a registry.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The DSSE payload type of an in-toto Statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const PAYLOAD_BEGIN: &str = "\"payload\":\"";
const SIGNATURE_BEGIN: &str = "\"sig\":\"";
/// Larger bundles are not read.
const MAX_BUNDLE: usize = 64 << 20;

/// Why a bundle does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum BundleError {
    /// The bytes are no bundle of the kind that is expected.
    #[error("not a Sigstore bundle that can be verified so: {0}")]
    #[diagnostic(code("bundle/malformed"))]
    Malformed(&'static str),
    /// Not signed by the key that was expected.
    #[error("key {expected} did not sign it; it names {found}")]
    #[diagnostic(code("bundle/wrong-key"))]
    WrongKey {
        /// The key that was expected.
        expected: String,
        /// What the bundle names as its key.
        found: NamedKey,
    },
    /// The signature does not fit the bytes.
    #[error("the signature does not fit the payload: one of them was changed after signing")]
    #[diagnostic(code("bundle/changed"))]
    Changed,
    /// The payload is no Statement of the kind that is expected.
    #[error("the signed payload is not the expected statement: {0}")]
    #[diagnostic(code("bundle/statement"))]
    Statement(String),
}

/// What a bundle names as the key it was signed with. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedKey {
    /// What could be the name of a key: base64 of 32 bytes.
    Key(String),
    /// Nothing that could be a key. It may be any text, so it is not repeated.
    Nothing,
}

impl NamedKey {
    fn of(hint: &str) -> Self {
        let decoded = if hint.len() == 44 { STANDARD.decode(hint).ok() } else { None };
        match decoded {
            Some(bytes) if bytes.len() == 32 => Self::Key(hint.to_owned()),
            Some(_) | None => Self::Nothing,
        }
    }
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key {id}"),
            Self::Nothing => f.write_str("no key"),
        }
    }
}

/// Signs the bytes of a Statement and gives the bundle's JSON.
///
/// # Errors
/// [`KeyError`] when the key cannot sign.
pub fn sign(statement: &[u8], key: &SigningKey) -> Result<String, KeyError> {
    let frame = sign_from(&mut &*statement, statement.len() as u64, key)?;
    Ok(frame.around(statement))
}

/// The JSON of a bundle around the Statement that was signed.
#[derive(Clone, Debug)]
pub struct Frame {
    before: String,
    after: String,
}

impl Frame {
    /// What [`Frame::parts`] gave.
    #[must_use]
    pub fn new(before: String, after: String) -> Self {
        Self { before, after }
    }

    /// The JSON before the Statement's base64, and after it.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    /// All of the bundle, with a Statement that is in memory: the one that was
    /// signed.
    #[must_use]
    pub fn around(&self, statement: &[u8]) -> String {
        let around = self.before.len() + self.after.len();
        let mut json = String::with_capacity(statement.len().div_ceil(3) * 4 + around);
        json.push_str(&self.before);
        STANDARD.encode_string(statement, &mut json);
        json.push_str(&self.after);
        json
    }

    /// Writes the bundle. The Statement must be the one that was signed; a piece
    /// of it is in memory at a time.
    ///
    /// # Errors
    /// `statement` cannot be read, or `out` cannot be written.
    pub fn write(&self, statement: &mut dyn Read, mut out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.before.as_bytes())?;
        let mut encoded = BufWriter::with_capacity(PIECE, EncoderWriter::new(&mut out, &STANDARD));
        io::copy(statement, &mut encoded)?;
        encoded.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
        out.write_all(self.after.as_bytes())?;
        out.flush()
    }
}

/// Hashes a bundle while its Statement is made, before it can be signed: what is
/// written is the Statement.
pub struct BundleHasher(EncoderWriter<'static, GeneralPurpose, Hasher>);

impl fmt::Debug for BundleHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BundleHasher").finish()
    }
}

impl BundleHasher {
    /// For a bundle that a key will sign.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot be named.
    pub fn new(key: &SigningKey) -> Result<Self, KeyError> {
        let mut hasher = Hasher::default();
        hasher.update(key.unsigned_bundle()?.before.as_bytes());
        Ok(Self(EncoderWriter::new(hasher, &STANDARD)))
    }

    /// The digest of the bundle, from what [`sign_from`] gave for the Statement.
    ///
    /// # Errors
    /// None in practice: hashing does not fail.
    pub fn finish(mut self, frame: &Frame) -> io::Result<Digest> {
        let mut hasher = self.0.finish()?;
        hasher.update(frame.after.as_bytes());
        Ok(hasher.finish())
    }
}

impl Write for BundleHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Signs the bytes of a Statement that can be read, a piece at a time: a large one
/// need never be in memory as a whole. Gives what stands around it in its bundle.
///
/// # Errors
/// [`KeyError`] when the key cannot sign, or `statement` cannot be read.
pub fn sign_from(statement: &mut dyn Read, size: u64, key: &SigningKey) -> Result<Frame, KeyError> {
    // The pre-authentication encoding: DSSE protocol, "Signature Definition".
    let header = format!("DSSEv1 {} {PAYLOAD_TYPE} {size} ", PAYLOAD_TYPE.len());
    let signed = header.len() as u64 + size;
    let signature = key.sign(&mut header.as_bytes().chain(statement), signed)?;
    let Unsigned { before, between, after } = key.unsigned_bundle()?;
    let signature = STANDARD.encode(signature.as_bytes());
    let after = format!("{between}{signature}{after}");
    Ok(Frame { before: before.clone(), after })
}

/// The JSON of a bundle without a payload and a signature, both of which are
/// base64 in quotes: the same for everything that a key signs.
#[derive(Debug)]
pub(crate) struct Unsigned {
    before: String,
    between: String,
    after: String,
}

impl Unsigned {
    /// That of a key, by its name.
    pub(crate) fn new(hint: &str) -> Result<Self, KeyError> {
        let signature = DsseSignature::new(SignatureBytes::new(Vec::new()), KeyId::default());
        let envelope = DsseEnvelope::new(PAYLOAD_TYPE, PayloadBytes::new(Vec::new()), signature);
        let hint = PublicKeyIdentifier::new(hint);
        let material = VerificationMaterial::new(VerificationMaterialContent::PublicKey(hint));
        let bundle = Envelope::new(MediaType::Bundle0_3, material, SignatureContent::DsseEnvelope(envelope));
        let json = bundle.to_json().map_err(|error| invalid("the bundle", "serialisable", error))?;
        let parts = split_after(&json, PAYLOAD_BEGIN).and_then(|(before, rest)| {
            let (between, after) = split_after(rest, SIGNATURE_BEGIN)?;
            Some(Self { before: before.to_owned(), between: between.to_owned(), after: after.to_owned() })
        });
        parts
            .ok_or_else(|| invalid("the bundle", "an envelope with a payload and a signature", "it has none"))
    }
}

/// A text up to the end of what it has in it, and what follows.
fn split_after<'t>(text: &'t str, part: &str) -> Option<(&'t str, &'t str)> {
    text.find(part).and_then(|at| text.split_at_checked(at + part.len()))
}

/// So much of a Statement is in memory at once.
const PIECE: usize = 64 << 10;

/// Verifies a bundle's structure and signature and gives the signed bytes.
///
/// # Errors
/// [`BundleError`]: which of these did not hold.
pub fn verify(bundle: &[u8], key: &PublicKey) -> Result<Vec<u8>, BundleError> {
    let malformed = BundleError::Malformed;
    let bundle = parse(bundle)?;
    if bundle.media_type != MediaType::Bundle0_3 {
        return Err(malformed("its media type is not that of version 0.3"));
    }
    let VerificationMaterialContent::PublicKey(identifier) = &bundle.verification_material.content else {
        return Err(malformed("it carries a certificate, which a key cannot answer for"));
    };
    let hint = identifier.hint.clone();
    let SignatureContent::DsseEnvelope(envelope) = bundle.content else {
        return Err(malformed("it carries a bare signature instead of an envelope"));
    };
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(malformed("its payload is not an in-toto statement"));
    }
    if key.verifies(&envelope.pae(), &envelope.signature.sig) {
        return Ok(envelope.payload.into_bytes());
    }
    if hint == key.id() {
        Err(BundleError::Changed)
    } else {
        Err(BundleError::WrongKey { expected: key.id(), found: NamedKey::of(&hint) })
    }
}

/// Reads a bundle of any version. Nothing is verified.
pub(crate) fn parse(bundle: &[u8]) -> Result<Envelope, BundleError> {
    let malformed = BundleError::Malformed;
    if bundle.len() > MAX_BUNDLE {
        return Err(malformed("it is larger than 64 MiB"));
    }
    let text = std::str::from_utf8(bundle).map_err(|_| malformed("it is not UTF-8"))?;
    // What the parser says would repeat the text, which nobody has vouched for.
    Envelope::from_json(text).map_err(|_| malformed("it is not the JSON of one"))
}

/// The key a bundle says it was signed with, where it could be one. Nothing is
/// verified.
#[must_use]
pub fn claimed_key(bundle: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bundle).ok().filter(|text| text.len() <= MAX_BUNDLE)?;
    let content = Envelope::from_json(text).ok()?.verification_material.content;
    let VerificationMaterialContent::PublicKey(identifier) = content else { return None };
    match NamedKey::of(&identifier.hint) {
        NamedKey::Key(id) => Some(id),
        NamedKey::Nothing => None,
    }
}

/// Verifies a bundle and reads the Statement in it, which must be of one type.
///
/// # Errors
/// As [`verify`], and when the payload claims something else.
pub fn verify_statement<P: DeserializeOwned>(
    bundle: &[u8],
    key: &PublicKey,
    predicate_type: &str,
) -> Result<Statement<P>, BundleError> {
    let payload = verify(bundle, key)?;
    let statement: Statement<P> =
        serde_json::from_slice(&payload).map_err(|error| BundleError::Statement(error.to_string()))?;
    if statement.statement_type != STATEMENT_TYPE {
        return Err(BundleError::Statement(format!("its type is {}", statement.statement_type)));
    }
    if statement.predicate_type != predicate_type {
        return Err(BundleError::Statement(format!("its predicate is {}", statement.predicate_type)));
    }
    Ok(statement)
}
