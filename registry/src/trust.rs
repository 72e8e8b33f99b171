//! Which tasks are trusted: Conforma's `trusted_task_rules`, and who must have
//! signed. Deny wins over allow; no rule, no signature, or a signature that does
//! not hold means untrusted.

use std::collections::BTreeMap;
use std::path::Path;

use cofferdam_manifest::{Document, Fault, decode};
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifact::{NoClaim, SIGNATURE_PREDICATE};
use crate::bundle::{BundleError, verify_statement};
use crate::digest::Digest;
use crate::key::{KeyError, PublicKey};

/// The text of `trust.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustDocument {
    /// `cofferdam.dev/v1`.
    pub api_version: TrustVersion,
    /// `Trust`.
    pub kind: TrustKind,
    /// Conforma's rule data, unchanged.
    #[serde(rename = "trusted_task_rules", default)]
    pub rules: TrustedTaskRules,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrustVersion {
    /// The only version so far.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrustKind {
    /// Trust rules.
    Trust,
}

/// Rules by a label of the author's choice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustedTaskRules {
    /// Tasks that are trusted when signed by the rule's key.
    pub allow: BTreeMap<String, Vec<AllowRule>>,
    /// Tasks that do not run at all.
    pub deny: BTreeMap<String, Vec<DenyRule>>,
}

/// Trusts the tasks whose URI fits, when the key signed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowRule {
    /// A task's URI with the version of its manifest; `*` stands for any
    /// characters.
    pub pattern: String,
    /// A public key in PEM, or a file that holds one, relative to the document.
    pub signing_key: String,
    /// A date or time (RFC 3339) before which the rule does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<String>,
}

/// Refuses the tasks whose URI fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRule {
    /// A task's URI; `*` stands for any characters.
    pub pattern: String,
    /// Why, for whoever wanted to run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A date or time (RFC 3339) before which the rule does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<String>,
}

/// Why a trust document cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The text is wrong; every fault has its place.
    #[error("the trust rules cannot be read")]
    Faults(Vec<Fault>),
    /// A rule's key cannot be read.
    #[error("the key of the allow rule `{label}` cannot be read")]
    Key {
        /// The rule's label.
        label: String,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// A rule's date cannot be read.
    #[error("`{text}` is not a date such as 2026-01-31 or a time in RFC 3339")]
    Date {
        /// What was written.
        text: String,
    },
}

/// Trust rules, ready to decide.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    allow: Vec<Allow>,
    deny: Vec<Deny>,
}

#[derive(Clone, Debug)]
struct Allow {
    label: String,
    pattern: String,
    key: PublicKey,
    effective_on: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Deny {
    label: String,
    pattern: String,
    message: Option<String>,
    effective_on: Option<Timestamp>,
}

/// A task that is to be decided on.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The URI with the version that the task's own manifest gives. Allow rules
    /// are held against it alone.
    pub uri: &'a str,
    /// The URI as it was written. Deny rules are held against both, so that no
    /// other spelling gets around one.
    pub written: &'a str,
    /// The digest that a signature must name.
    pub digest: Digest,
    /// The bundles found beside it.
    pub bundles: &'a [Vec<u8>],
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

/// Which condition of trust did not hold.
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
    /// Signed by a key the rule does not name.
    WrongKey {
        /// The rule that fits.
        rule: String,
        /// The key that signed.
        found: String,
    },
    /// The right key's signature does not hold for these bytes.
    BadSignature {
        /// The rule that fits.
        rule: String,
        /// What is wrong with it.
        why: String,
    },
}

impl std::fmt::Display for UntrustedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRule => f.write_str("no trust rule matches it"),
            Self::NotYetEffective { rule } => write!(f, "the rule `{rule}` is not in effect yet"),
            Self::Unsigned { rule } => write!(f, "the rule `{rule}` wants a signature and there is none"),
            Self::WrongKey { rule, found } => {
                write!(f, "it is signed by key {found}, which the rule `{rule}` does not name")
            }
            Self::BadSignature { rule, why } => {
                write!(f, "the signature the rule `{rule}` wants does not hold: {why}")
            }
        }
    }
}

impl Trust {
    /// Reads a trust document; `base` is the directory key files are relative to.
    ///
    /// # Errors
    /// [`TrustError`]; a document with one bad rule decides nothing.
    pub fn parse(text: &str, base: &Path) -> Result<Self, TrustError> {
        let document = Document::parse(text).map_err(|fault| TrustError::Faults(vec![fault]))?;
        let document: TrustDocument = decode(&document).map_err(TrustError::Faults)?;
        let mut trust = Self::default();
        for (label, rules) in document.rules.allow {
            for rule in rules {
                let key = if rule.signing_key.trim_start().starts_with("-----BEGIN") {
                    PublicKey::from_pem(&rule.signing_key, "signing_key")
                } else {
                    PublicKey::load(&base.join(&rule.signing_key))
                };
                let key = key.map_err(|source| TrustError::Key { label: label.clone(), source })?;
                let effective_on = rule.effective_on.as_deref().map(date).transpose()?;
                trust.allow.push(Allow { label: label.clone(), pattern: rule.pattern, key, effective_on });
            }
        }
        for (label, rules) in document.rules.deny {
            for rule in rules {
                let effective_on = rule.effective_on.as_deref().map(date).transpose()?;
                let (pattern, message) = (rule.pattern, rule.message);
                trust.deny.push(Deny { label: label.clone(), pattern, message, effective_on });
            }
        }
        Ok(trust)
    }

    /// The document that trusts one key for the tasks under a pattern.
    #[must_use]
    pub fn document_for(label: &str, pattern: &str, key_file: &str) -> String {
        format!(
            "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    {label}:\n      \
             - pattern: {pattern}\n        signing_key: {key_file}\n"
        )
    }

    /// Decides on a task.
    #[must_use]
    pub fn decide(&self, candidate: &Candidate<'_>, now: Timestamp) -> TrustDecision {
        let due = |on: Option<Timestamp>| on.is_none_or(|on| on <= now);
        let denies = |rule: &&Deny| {
            let fits = |uri| matches(&rule.pattern, uri);
            due(rule.effective_on) && (fits(candidate.uri) || fits(candidate.written))
        };
        if let Some(rule) = self.deny.iter().find(denies) {
            return TrustDecision::Denied { rule: rule.label.clone(), message: rule.message.clone() };
        }
        let mut cause = UntrustedCause::NoRule;
        for rule in self.allow.iter().filter(|rule| matches(&rule.pattern, candidate.uri)) {
            if !due(rule.effective_on) {
                cause = UntrustedCause::NotYetEffective { rule: rule.label.clone() };
                continue;
            }
            match signed_by(rule, candidate.digest, candidate.bundles) {
                Ok(()) => return TrustDecision::Trusted { rule: rule.label.clone(), key: rule.key.id() },
                Err(found) => cause = found,
            }
        }
        TrustDecision::Untrusted { cause }
    }
}

/// Whether one of the bundles is the rule's key signing exactly this digest.
fn signed_by(rule: &Allow, digest: Digest, bundles: &[Vec<u8>]) -> Result<(), UntrustedCause> {
    let label = || rule.label.clone();
    let mut cause = UntrustedCause::Unsigned { rule: label() };
    for bundle in bundles {
        match verify_statement::<NoClaim>(bundle, &rule.key, SIGNATURE_PREDICATE) {
            Ok(statement) if statement.subject.iter().any(|s| s.sha256() == Some(digest)) => return Ok(()),
            Ok(_) => {
                let why = "it was made for another artifact".to_owned();
                cause = UntrustedCause::BadSignature { rule: label(), why };
            }
            // The gravest thing found is what is told.
            Err(BundleError::WrongKey { found, .. }) => {
                if matches!(cause, UntrustedCause::Unsigned { .. }) {
                    cause = UntrustedCause::WrongKey { rule: label(), found };
                }
            }
            Err(error) => cause = UntrustedCause::BadSignature { rule: label(), why: error.to_string() },
        }
    }
    Err(cause)
}

fn date(text: &str) -> Result<Timestamp, TrustError> {
    let day = || -> Option<Timestamp> {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let moment = text.parse::<Timestamp>().ok().or_else(day);
    moment.ok_or_else(|| TrustError::Date { text: text.to_owned() })
}

/// Holds a text against a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.as_bytes(), text.as_bytes());
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (p.split_first(), t.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, t));
                p = rest;
            }
            (Some((a, p_rest)), Some((b, t_rest))) if a == b => {
                p = p_rest;
                t = t_rest;
            }
            (None, None) => return true,
            _ => match retry {
                // Let the last `*` take one more byte.
                Some((after, from)) => match from.split_first() {
                    Some((_, shorter)) => {
                        retry = Some((after, shorter));
                        p = after;
                        t = shorter;
                    }
                    None => return false,
                },
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        for (pattern, text, expected) in [
            ("oci://cofferdam.local/*", "oci://cofferdam.local/sbom:1", true),
            ("oci://cofferdam.local/*", "oci://cofferdam.locale/sbom:1", false),
            ("oci://a/*:1", "oci://a/b/c:1", true),
            ("oci://a/*:1", "oci://a/b:1:2", false),
            ("*", "", true),
            ("", "a", false),
            ("a?", "ab", false),
            ("a.b", "acb", false),
            ("*a*b", "xxaxxaxb", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_without_a_star_matches_itself_alone(a in "[a-z:/.]{0,12}", b in "[a-z:/.]{0,12}") {
            prop_assert!(matches(&a, &a));
            prop_assert_eq!(matches(&a, &b), a == b);
            let around = format!("*{a}*");
            let within = format!("{b}{a}{b}");
            prop_assert!(matches(&around, &within));
        }
    }
}
