//! What is decided of a task, and on what grounds. A decision is recorded and
//! signed, so its serialised form carries nothing that was not verified.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifact::{Bundles, NoClaim, SIGNATURE_PREDICATE};
use crate::bundle::{BundleError, NamedKey, claimed_key, verify_statement};
use crate::cosign_tags::SimpleSigning;
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::keyless::{Artifact, Identity, is_keyless};
use crate::keyless_error::KeylessError;
use crate::trusted_root::TrustedRoot;

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
    /// A rule fits and who it names signed, or a record has its digest.
    Trusted {
        /// The rule's label, or `trusted_tasks`.
        rule: String,
        /// What was verified.
        #[serde(flatten)]
        grounds: Grounds,
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

/// What was verified of a trusted task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Grounds {
    /// A key signed it.
    Key {
        /// The key's name.
        key: String,
    },
    /// An identity signed it.
    Identity {
        /// The identity in the certificate.
        identity: String,
        /// Who vouched for it.
        issuer: String,
    },
    /// A record of `trusted_tasks` has its digest, whoever signed it.
    Record {
        /// The record's task.
        record: String,
        /// From then on it does not count any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_on: Option<Timestamp>,
    },
}

impl TrustDecision {
    /// Whose signature decided it, where the task is trusted for one.
    #[must_use]
    pub fn signer(&self) -> Option<String> {
        match self {
            Self::Trusted { grounds: Grounds::Key { key }, .. } => Some(key.clone()),
            Self::Trusted { grounds: Grounds::Identity { identity, issuer }, .. } => {
                Some(format!("{identity} ({issuer})"))
            }
            Self::Trusted { grounds: Grounds::Record { .. }, .. }
            | Self::Untrusted { .. }
            | Self::Denied { .. } => None,
        }
    }

    /// When the task stops being trusted, where that is known.
    #[must_use]
    pub fn expires_on(&self) -> Option<Timestamp> {
        match self {
            Self::Trusted { grounds: Grounds::Record { expires_on, .. }, .. } => *expires_on,
            Self::Trusted { .. } | Self::Untrusted { .. } | Self::Denied { .. } => None,
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
    /// Not signed by the identity of the rule.
    WrongIdentity {
        /// The rule that fits.
        rule: String,
        /// Who signed instead; not kept in the history.
        #[serde(skip)]
        found: Option<String>,
    },
    /// There are records of the task, and none has its digest.
    OtherDigest {
        /// The record's task.
        record: String,
    },
    /// The record with its digest does not count any more.
    Expired {
        /// The record's task.
        record: String,
        /// Since when.
        on: Timestamp,
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
            Self::WrongIdentity { rule, found: Some(found) } => {
                write!(f, "it was not signed by who the rule `{rule}` names: {found}")
            }
            Self::WrongIdentity { rule, found: None } => {
                write!(f, "the identity that the rule `{rule}` names did not sign it")
            }
            Self::OtherDigest { record } => {
                write!(f, "no record under `{record}` in `trusted_tasks` has its digest")
            }
            Self::Expired { record, on } => {
                write!(f, "the record of it under `{record}` in `trusted_tasks` expired on {on}")
            }
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

/// Who must have signed.
#[derive(Clone, Debug)]
pub(crate) enum Signatory {
    Key(PublicKey),
    /// An identity, and whom to believe that it signed.
    Identity(Identity, TrustedRoot),
}

impl Signatory {
    /// Whether one of the bundles is its signature of exactly this digest;
    /// `rule` is for the cause.
    pub(crate) fn signed(
        &self,
        digest: Digest,
        bundles: &Bundles,
        rule: &str,
    ) -> Result<Grounds, UntrustedCause> {
        let mut cause = UntrustedCause::Unsigned { rule: rule.to_owned() };
        for bundle in &bundles.sound {
            let found = match self.judge(bundle, digest, rule) {
                Ok(grounds) => return Ok(grounds),
                Err(found) => found,
            };
            if tells_more(&found, &cause) {
                cause = found;
            }
        }
        for simple in &bundles.simple {
            let found = match self.judge_simple(simple, digest, rule) {
                Ok(grounds) => return Ok(grounds),
                Err(found) => found,
            };
            if tells_more(&found, &cause) {
                cause = found;
            }
        }
        match &bundles.damaged {
            Some(why) if !matches!(cause, UntrustedCause::BadSignature { .. }) => Err(bad(rule, why)),
            Some(_) | None => Err(cause),
        }
    }

    fn judge(&self, bundle: &[u8], digest: Digest, rule: &str) -> Result<Grounds, UntrustedCause> {
        let rule = rule.to_owned();
        match self {
            Self::Key(key) => match verify_statement::<NoClaim>(bundle, key, SIGNATURE_PREDICATE) {
                Ok(statement) if statement.subject.iter().any(|s| s.sha256() == Some(digest)) => {
                    Ok(Grounds::Key { key: key.id() })
                }
                Ok(_) => {
                    let why = Some("it was made for another artifact".to_owned());
                    Err(UntrustedCause::BadSignature { rule, why })
                }
                Err(BundleError::WrongKey { found, .. }) => {
                    Err(UntrustedCause::WrongKey { rule, found: Some(found) })
                }
                // An identity's signature beside it is no damage.
                Err(_) if is_keyless(bundle) => Err(UntrustedCause::WrongKey { rule, found: None }),
                Err(error) => Err(UntrustedCause::BadSignature { rule, why: Some(error.to_string()) }),
            },
            Self::Identity(identity, root) => {
                if claimed_key(bundle).is_some() {
                    return Err(UntrustedCause::WrongIdentity { rule, found: None });
                }
                identified((identity, root), bundle, (digest, Some(SIGNATURE_PREDICATE)), &rule)
            }
        }
    }

    /// The same for a signature as cosign used to make them: over a payload that
    /// names the digest.
    fn judge_simple(
        &self,
        simple: &SimpleSigning,
        digest: Digest,
        rule: &str,
    ) -> Result<Grounds, UntrustedCause> {
        let grounds = match self {
            Self::Key(key) if simple.is_signed_by(key) => Grounds::Key { key: key.id() },
            Self::Key(_) => return Err(UntrustedCause::WrongKey { rule: rule.to_owned(), found: None }),
            Self::Identity(identity, root) => match simple.certified() {
                None => return Err(UntrustedCause::WrongIdentity { rule: rule.to_owned(), found: None }),
                Some(Err(why)) => return Err(bad(rule, why)),
                Some(Ok(bundle)) => {
                    identified((identity, root), bundle, (simple.payload_digest(), None), rule)?
                }
            },
        };
        match simple.subject() {
            Ok(subject) if subject == digest => Ok(grounds),
            Ok(_) => Err(bad(rule, "it was made for another artifact")),
            Err(why) => Err(bad(rule, why)),
        }
    }
}

/// Whether a bundle is an identity's signature of what has this digest, as a claim
/// of this kind where there is one.
fn identified(
    (identity, root): (&Identity, &TrustedRoot),
    bundle: &[u8],
    (digest, predicate_type): (Digest, Option<&str>),
    rule: &str,
) -> Result<Grounds, UntrustedCause> {
    match root.verify(bundle, identity, &mut Artifact::Digest(digest), predicate_type) {
        Ok(_) => {
            let Identity { subject, issuer, .. } = identity.clone();
            Ok(Grounds::Identity { identity: subject, issuer })
        }
        Err(error @ (KeylessError::WrongIdentity { .. } | KeylessError::WrongIssuer { .. })) => {
            Err(UntrustedCause::WrongIdentity { rule: rule.to_owned(), found: Some(error.to_string()) })
        }
        Err(error) => Err(bad(rule, &error.to_string())),
    }
}

/// Whether what was found of one signature is told instead of what was found
/// before: the gravest thing, and before nothing, who signed instead.
fn tells_more(found: &UntrustedCause, before: &UntrustedCause) -> bool {
    use UntrustedCause::{BadSignature, Unsigned, WrongIdentity, WrongKey};
    let names_none = matches!(before, WrongKey { found: None, .. } | WrongIdentity { found: None, .. });
    let names_one = matches!(found, WrongKey { found: Some(_), .. } | WrongIdentity { found: Some(_), .. });
    matches!(before, Unsigned { .. }) || matches!(found, BadSignature { .. }) || (names_none && names_one)
}

fn bad(rule: &str, why: &str) -> UntrustedCause {
    UntrustedCause::BadSignature { rule: rule.to_owned(), why: Some(why.to_owned()) }
}
