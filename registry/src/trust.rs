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

use crate::decision::{Candidate, TrustDecision, UntrustedCause, signed_by};
use crate::digest::Digest;
use crate::key::{KeyError, PublicKey};
use crate::pattern::matches;

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

/// Refuses the tasks whose URI or digest fits, wherever they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRule {
    /// A task's URI; `*` stands for any characters. Or `sha256:..` of a manifest
    /// or a component, alone or after a URI and `@`.
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
        let denies = |rule: &&Deny| due(rule.effective_on) && rule.fits(candidate);
        if let Some(rule) = self.deny.iter().find(denies) {
            return TrustDecision::Denied { rule: rule.label.clone(), message: rule.message.clone() };
        }
        let mut cause = UntrustedCause::NoRule;
        for rule in self.allow.iter().filter(|rule| matches(&rule.pattern, candidate.uri)) {
            if !due(rule.effective_on) {
                cause = UntrustedCause::NotYetEffective { rule: rule.label.clone() };
                continue;
            }
            match signed_by(&rule.key, candidate.digest, candidate.bundles, &rule.label) {
                Ok(()) => return TrustDecision::Trusted { rule: rule.label.clone(), key: rule.key.id() },
                Err(found) => cause = found,
            }
        }
        TrustDecision::Untrusted { cause }
    }
}

impl Deny {
    /// Whether the rule means a task, by any of its URIs or digests.
    fn fits(&self, candidate: &Candidate<'_>) -> bool {
        let uris = candidate.spellings.iter().map(String::as_str).chain([candidate.uri]);
        if uris.clone().any(|uri| matches(&self.pattern, uri)) {
            return true;
        }
        // Held against any digest, `*:1*` would fit some by chance.
        let Some((before, hex)) = self.pattern.split_once("sha256:") else { return false };
        let pattern = format!("{before}sha256:{}", hex.to_ascii_lowercase());
        let fits = |digest: Digest| {
            matches(&pattern, &digest.to_string())
                || uris.clone().any(|uri| matches(&pattern, &format!("{uri}@{digest}")))
        };
        fits(candidate.digest) || fits(candidate.component)
    }
}

fn date(text: &str) -> Result<Timestamp, TrustError> {
    let day = || -> Option<Timestamp> {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let moment = text.parse::<Timestamp>().ok().or_else(day);
    moment.ok_or_else(|| TrustError::Date { text: text.to_owned() })
}
