//! What is decided of a task, and on what grounds. A decision is recorded and
//! signed, so its serialised form carries nothing that was not verified.

use serde::{Deserialize, Serialize};

use crate::artifact::{Bundles, NoClaim, SIGNATURE_PREDICATE};
use crate::bundle::{BundleError, NamedKey, verify_statement};
use crate::digest::Digest;
use crate::key::PublicKey;

/// A task that is to be decided on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The one URI of where it is, with the version that its own manifest
    /// gives. Allow rules are held against it alone.
    pub uri: &'a str,
    /// Every other URI it could be called by. Deny rules are held against these
    /// too, so that no other spelling gets around one.
    pub spellings: &'a [String],
    /// The digest that a signature must name.
    pub digest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// The bundles found beside it.
    pub bundles: &'a Bundles,
}

/// Whether a task is trusted, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum TrustDecision {
    /// A rule fits and its key signed.
    Trusted {
        /// The rule's label.
        rule: String,
        /// The key that signed.
        key: String,
    },
    /// It runs, without anything beyond its inputs and outputs.
    Untrusted {
        /// Which condition did not hold.
        cause: UntrustedCause,
    },
    /// It does not run.
    Denied {
        /// The rule's label.
        rule: String,
        /// The rule's own words.
        message: Option<String>,
    },
}

impl TrustDecision {
    /// Whose signature decided it, where the task is trusted.
    #[must_use]
    pub fn signer(&self) -> Option<&str> {
        match self {
            Self::Trusted { key, .. } => Some(key),
            Self::Untrusted { .. } | Self::Denied { .. } => None,
        }
    }
}

/// Which condition of trust did not hold.
///
/// What a bundle says of itself is for people at the terminal: it is left out
/// of the serialised form, which is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "camelCase")]
pub enum UntrustedCause {
    /// No allow rule's pattern fits.
    NoRule,
    /// The rule that fits does not count yet.
    NotYetEffective {
        /// The rule's label.
        rule: String,
    },
    /// Nothing is signed.
    Unsigned {
        /// The rule that fits.
        rule: String,
    },
    /// Not signed by the key of the rule.
    WrongKey {
        /// The rule that fits.
        rule: String,
        /// What the bundle names as its key; not kept in the history.
        #[serde(skip)]
        found: Option<NamedKey>,
    },
    /// The right key's signature does not hold for these bytes, or a signature
    /// is damaged.
    BadSignature {
        /// The rule that fits.
        rule: String,
        /// What is wrong with it; not kept in the history.
        #[serde(skip)]
        why: Option<String>,
    },
}

impl std::fmt::Display for UntrustedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRule => f.write_str("no trust rule matches it"),
            Self::NotYetEffective { rule } => write!(f, "the rule `{rule}` is not in effect yet"),
            Self::Unsigned { rule } => write!(f, "the rule `{rule}` wants a signature and there is none"),
            Self::WrongKey { rule, found } => match found {
                Some(NamedKey::Key(id)) => {
                    write!(f, "it names key {id}, which the rule `{rule}` does not name")
                }
                Some(NamedKey::Nothing) => {
                    write!(f, "it names no key, and the key that the rule `{rule}` names did not sign it")
                }
                None => write!(f, "the key that the rule `{rule}` names did not sign it"),
            },
            Self::BadSignature { rule, why } => {
                write!(f, "the signature the rule `{rule}` wants does not hold")?;
                match why {
                    Some(why) => write!(f, ": {why}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Whether one of the bundles is a key's signature of exactly this digest;
/// `rule` is for the cause.
pub(crate) fn signed_by(
    key: &PublicKey,
    digest: Digest,
    bundles: &Bundles,
    rule: &str,
) -> Result<(), UntrustedCause> {
    let bad = |why: String| UntrustedCause::BadSignature { rule: rule.to_owned(), why: Some(why) };
    let mut cause = UntrustedCause::Unsigned { rule: rule.to_owned() };
    for bundle in &bundles.sound {
        match verify_statement::<NoClaim>(bundle, key, SIGNATURE_PREDICATE) {
            Ok(statement) if statement.subject.iter().any(|s| s.sha256() == Some(digest)) => return Ok(()),
            Ok(_) => cause = bad("it was made for another artifact".to_owned()),
            // The gravest thing found is what is told.
            Err(BundleError::WrongKey { found, .. }) => {
                if matches!(cause, UntrustedCause::Unsigned { .. }) {
                    cause = UntrustedCause::WrongKey { rule: rule.to_owned(), found: Some(found) };
                }
            }
            Err(error) => cause = bad(error.to_string()),
        }
    }
    match &bundles.damaged {
        Some(why) if !matches!(cause, UntrustedCause::BadSignature { .. }) => Err(bad(why.clone())),
        Some(_) | None => Err(cause),
    }
}
