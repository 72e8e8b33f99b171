//! Why a bundle does not verify against a trusted root: one reason for each
//! thing that can be wrong. The words are ours: what a bundle says of itself
//! is not repeated before somebody has vouched for it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the verifier's enums may grow; whatever is new is a refusal, too"
)]

use std::io;

use sigstore_verify::{CertificateError, Error, TransparencyLogError};

use crate::bundle::BundleError;
use crate::keyless::Identity;

/// Why a bundle with a certificate or a log entry does not verify.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum KeylessError {
    /// The bundle itself, its signature or the signed statement.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Bundle(#[from] BundleError),
    /// Another identity signed. The certificate was verified.
    #[error("{expected} did not sign it; {} did", found.as_deref().unwrap_or("somebody without a name"))]
    #[diagnostic(
        code("bundle/wrong-identity"),
        help("name the identity that is to have signed, to the letter")
    )]
    WrongIdentity {
        /// The identity that was expected.
        expected: String,
        /// The identity in the certificate.
        found: Option<String>,
    },
    /// Somebody else says who signed. The certificate was verified.
    #[error("{expected} did not vouch for who signed it; {} did", found.as_deref().unwrap_or("nobody"))]
    #[diagnostic(code("bundle/wrong-issuer"), help("name the issuer of the identity token, to the letter"))]
    WrongIssuer {
        /// The issuer that was expected.
        expected: String,
        /// The issuer in the certificate.
        found: Option<String>,
    },
    /// What is signed is about something else.
    #[error("it was signed for another artifact: no subject has this digest")]
    #[diagnostic(code("bundle/wrong-subject"), help("give the file that was signed, unchanged"))]
    WrongSubject,
    /// The certificate does not count.
    #[error("the certificate does not count: {0}")]
    #[diagnostic(
        code("bundle/certificate"),
        help("it must come from a certificate authority of the trusted root, for signing code")
    )]
    Certificate(&'static str),
    /// The certificate was not valid when the signature was made.
    #[error("the signature was made while its certificate was not valid")]
    #[diagnostic(code("bundle/certificate-time"), help("sign again"))]
    CertificateTime,
    /// No certificate transparency log vouches for the certificate.
    #[error("no certificate transparency log of the trusted root vouches for the certificate")]
    #[diagnostic(code("bundle/certificate-log"), help("check that the trusted root is that of the signer"))]
    CertificateLog,
    /// The transparency log.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Log(#[from] LogError),
    /// Nobody who is trusted says when it was signed.
    #[error("nobody who is trusted says when it was signed: {0}")]
    #[diagnostic(code("bundle/timestamp"), help("check that the trusted root is that of the signer"))]
    Timestamp(&'static str),
    /// The artifact cannot be read.
    #[error("cannot read the artifact: {0}")]
    #[diagnostic(code("bundle/unreadable"), help("check the file"))]
    Artifact(io::Error),
    /// The trusted root, or the key, cannot be used.
    #[error("the trusted root or the key cannot be used with this bundle: {0}")]
    #[diagnostic(
        code("bundle/unusable"),
        help("use the trusted root of the signer, and a key of a known kind")
    )]
    Unusable(String),
    /// An identity that no certificate can have.
    #[error("`{0}` is no identity: it is neither a URI nor an email address")]
    #[diagnostic(code("bundle/identity"), help("write it as the certificate has it"))]
    NoIdentity(String),
}

/// What is wrong with the proof that a log has the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum LogError {
    /// It is in no log of the trusted root.
    #[error("its transparency log is not one of the trusted root's")]
    #[diagnostic(code("bundle/unknown-log"), help("check that the trusted root is that of the signer"))]
    UnknownLog,
    /// The entry is not about this signature.
    #[error("its log entry is about another signature, certificate or payload")]
    #[diagnostic(code("bundle/log-entry"), help("do not rely on it"))]
    Entry,
    /// The entry is not in the tree.
    #[error("its inclusion proof does not lead to the root of the log")]
    #[diagnostic(code("bundle/inclusion-proof"), help("do not rely on it"))]
    InclusionProof,
    /// The log did not sign this tree.
    #[error("its checkpoint is not signed by a log of the trusted root")]
    #[diagnostic(code("bundle/checkpoint"), help("do not rely on it"))]
    Checkpoint,
    /// The log did not promise to have the entry.
    #[error("its signed entry timestamp is not that of a log of the trusted root")]
    #[diagnostic(code("bundle/inclusion-promise"), help("do not rely on it"))]
    InclusionPromise,
    /// The entry's time cannot be.
    #[error("it was logged outside the time of its certificate, or in the future")]
    #[diagnostic(code("bundle/log-time"), help("check this machine's clock; sign again"))]
    Time,
}

impl KeylessError {
    /// Translates what the verifier says.
    pub(crate) fn of(error: Error, identity: Option<&Identity>) -> Self {
        // Only there for whoever looks into it: it may repeat the bundle's text.
        tracing::debug!(%error, "a bundle does not verify");
        let malformed = |why| Self::Bundle(BundleError::Malformed(why));
        let (subject, issuer) = identity.map(|i| (i.subject.clone(), i.issuer.clone())).unwrap_or_default();
        match error {
            Error::IdentityMismatch { actual, .. } => {
                Self::WrongIdentity { expected: subject, found: actual.map(|name| name.to_string()) }
            }
            Error::IssuerMismatch { actual, .. } => Self::WrongIssuer { expected: issuer, found: actual },
            Error::SignatureInvalid(_) => Self::Bundle(BundleError::Changed),
            Error::ArtifactMismatch(_) => Self::WrongSubject,
            Error::Certificate(error) => error.into(),
            Error::TransparencyLog(error) => Self::Log(error.into()),
            Error::Timestamp(error) => Self::Timestamp(match error {
                sigstore_verify::TimestampError::Invalid(_) => {
                    "a timestamp is of no authority of the trusted root"
                }
                sigstore_verify::TimestampError::OutsideAuthorityValidity { .. } => {
                    "a timestamp's authority was not valid then"
                }
                _ => "there is neither a timestamp nor a log that promises one",
            }),
            Error::Bundle(error) => bundle(&error),
            Error::InvalidBundle(_) | Error::Types(_) => malformed("its parts do not fit together"),
            Error::UnsupportedBundle(_) => malformed("it is of a kind that cannot be verified"),
            Error::UnsupportedArtifact(_) => {
                malformed("its kind of signature needs the whole file, not its digest")
            }
            Error::ArtifactRead(error) => Self::Artifact(error),
            // These are about the trusted root and the key, which are the user's.
            other => Self::Unusable(other.to_string()),
        }
    }
}

fn bundle(error: &sigstore_bundle::Error) -> KeylessError {
    use sigstore_bundle::Error as E;
    let malformed = |why| KeylessError::Bundle(BundleError::Malformed(why));
    match error {
        E::MissingInclusionProof(_) => KeylessError::Log(LogError::InclusionProof),
        E::MissingInclusionPromise(_) => KeylessError::Log(LogError::InclusionPromise),
        E::MissingCheckpoint | E::CheckpointRootMismatch => KeylessError::Log(LogError::Checkpoint),
        E::LogIndexOutOfRange { .. } => KeylessError::Log(LogError::InclusionProof),
        E::MissingSigningTimeEvidence | E::MissingTimestamp => {
            KeylessError::Timestamp("it has neither a log entry nor a timestamp")
        }
        E::CertificateChainNotAllowed(_) => malformed("it carries a chain instead of one certificate"),
        _ => malformed("it is of a version or kind that cannot be verified"),
    }
}

impl From<CertificateError> for KeylessError {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::NotYetValid { .. } | CertificateError::Expired { .. } => Self::CertificateTime,
            CertificateError::Sct(_) => Self::CertificateLog,
            CertificateError::Malformed(_) => Self::Certificate("it cannot be read"),
            // The one place that tells these from a foreign authority; only the
            // words of the refusal hang on it.
            CertificateError::ChainInvalid(why)
                if ["CertExpired", "CertNotValidYet"].iter().any(|e| why.contains(e)) =>
            {
                Self::CertificateTime
            }
            CertificateError::ChainInvalid(_) => {
                Self::Certificate("no authority of the trusted root signed it")
            }
            CertificateError::NoValidAuthority { .. } => {
                Self::Certificate("no authority of the trusted root was valid then")
            }
            _ => Self::Certificate("it is not sound"),
        }
    }
}

impl From<TransparencyLogError> for LogError {
    fn from(error: TransparencyLogError) -> Self {
        match error {
            TransparencyLogError::UnknownLog { .. } => Self::UnknownLog,
            TransparencyLogError::InclusionProof(_) => Self::InclusionProof,
            TransparencyLogError::Checkpoint(_) => Self::Checkpoint,
            TransparencyLogError::InclusionPromise(_) => Self::InclusionPromise,
            TransparencyLogError::IntegratedTime(_) => Self::Time,
            // An entry that cannot be read is about nothing.
            _ => Self::Entry,
        }
    }
}
