//! Where tasks come from, and why one is trusted.
//!
//! Tasks are OCI artifacts; signatures are Sigstore bundles attached to them;
//! trust is a set of rules that says which keys must have signed what. Nothing
//! here runs a task: a verifier can use this crate alone.

mod artifact;
mod attestation;
mod bundle;
mod contract;
mod cosign_certificate;
mod cosign_tags;
mod decision;
mod digest;
mod document;
mod encrypted_key;
mod explain;
mod held;
mod key;
mod key_error;
mod key_file;
mod keyless;
mod keyless_error;
mod layout;
mod pattern;
mod pipeline_bundle;
mod pkcs11_uri;
mod plain_file;
mod reference;
mod remote;
mod sight;
mod signing;
mod statement;
mod tls_roots;
mod token_key;
mod trust;
mod trust_levels;
mod trusted_root;
mod trusted_tasks;
mod wit_package;

pub use artifact::{Bundles, MAX_COMPONENT, PulledTask, SIGNATURE_PREDICATE, SignError, TaskArtifact};
pub use attestation::{Attestation, SBOM_PREDICATE};
pub use bundle::{
    BUNDLE_TYPE, BundleError, BundleHasher, Frame, NamedKey, PAYLOAD_TYPE, claimed_key, sign, sign_from,
    verify, verify_statement,
};
pub use contract::TaskHead;
pub use cosign_tags::SimpleSigning;
pub use decision::{Candidate, Grounds, TrustDecision, UntrustedCause};
pub use digest::{Digest, Hasher, InvalidDigest};
pub use explain::{Considered, Explanation, Outcome, RuleKind, RuleLine, SignedFor};
pub use held::hold_directory;
pub use key::{Algorithm, PublicKey, SigningKey};
pub use key_error::KeyError;
pub use keyless::{Artifact, Identity, Verified, certified_identity, claims_log, verify_unlogged};
pub use keyless_error::{KeylessError, LogError};
pub use layout::{Layout, LayoutError};
pub use pattern::meant_pattern;
pub use pipeline_bundle::{BundleHead, PipelineArtifact, PulledPipeline};
pub use pkcs11_uri::{PKCS11_SCHEME, Pkcs11Uri};
pub use plain_file::{canonical, is_there, open_named, read_named, read_plain};
pub use reference::{EMBEDDED_HOST, InvalidReference, Location, Reference};
pub use remote::{FindLogin, Login, Moved, Progress, Remote, RemoteError, RemoteSettings};
pub use sight::{Sight, observed};
pub use signing::{
    DeviceLogin, IdentityToken, SIGNING_CONFIG, SigningError, SigningServices, statement_subject,
};
pub use statement::{STATEMENT_TYPE, Statement, Subject};
pub use trust::{
    AllowRule, DenyRule, RuleIdentity, Trust, TrustDocument, TrustError, TrustKind, TrustVersion,
    TrustedTaskRules,
};
pub use trust_levels::{TrustLevel, TrustLevels};
pub use trusted_root::{TRUSTED_ROOT, TrustedRoot, TrustedRootError};
pub use trusted_tasks::TrustedTask;
pub use wit_package::WitArtifact;
