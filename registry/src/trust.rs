//! Which tasks are trusted: Conforma's `trusted_task_rules` and `trusted_tasks`,
//! and who must have signed. Deny wins over allow; no rule, no signature, or a
//! signature that does not hold means untrusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cofferdam_manifest::{Document, Fault, decode};
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::{Candidate, Signatory, TrustDecision, UntrustedCause};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::key_error::KeyError;
use crate::keyless::Identity;
use crate::keyless_error::KeylessError;
use crate::pattern::{matches, meant_pattern};
use crate::trusted_root::{TRUSTED_ROOT, TrustedRoot, TrustedRootError};
use crate::trusted_tasks::{Records, TRUSTED_TASKS, TrustedTask};

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
    /// Conforma's records of digests, unchanged: by `oci://HOST/PATH:TAG`. A
    /// task with such a digest is trusted, whoever signed it.
    #[serde(rename = "trusted_tasks", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub records: BTreeMap<String, Vec<TrustedTask>>,
    /// The file that says which certificate authorities and logs to believe,
    /// relative to the document; left out, `trusted_root.json`.
    #[serde(rename = "trusted_root", default, skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<String>,
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

/// Trusts the tasks whose URI fits, when the key or the identity signed them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowRule {
    /// A task's URI with the version of its manifest; `*` stands for any
    /// characters.
    pub pattern: String,
    /// A public key in PEM, or a file that holds one, relative to the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Who signed keyless, instead of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<RuleIdentity>,
    /// A date or time (RFC 3339) before which the rule does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<String>,
}

/// Who must have signed keyless: the names of Conforma's policies. Both are
/// held to the letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleIdentity {
    /// The email address or the URI in the certificate.
    pub subject: String,
    /// The issuer of the identity token, a URL.
    pub issuer: String,
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
    /// A rule names nobody, or two, who must have signed.
    #[error("the allow rule `{label}` must have either `signing_key` or `identity`")]
    Signatory {
        /// The rule's label.
        label: String,
    },
    /// A rule's identity cannot be one.
    #[error("the identity of the allow rule `{label}` cannot be used")]
    Identity {
        /// The rule's label.
        label: String,
        /// What is wrong with it.
        source: KeylessError,
    },
    /// A rule has an identity, and nothing says whom to believe.
    #[error("the allow rule `{label}` has an identity, and the trusted root cannot be used")]
    Root {
        /// The rule's label.
        label: String,
        /// What is wrong with the file.
        source: TrustedRootError,
    },
    /// A record has no digest.
    #[error("`{text}` under `{record}` in `trusted_tasks` is no digest such as sha256:0c5b..")]
    Record {
        /// The record's task.
        record: String,
        /// What was written.
        text: String,
    },
    /// A rule's key cannot be read.
    #[error("the key of the allow rule `{label}` cannot be read")]
    Key {
        /// The rule's label.
        label: String,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// A rule's pattern fits no task.
    #[error("the pattern `{pattern}` of the {list} rule `{label}` fits no task; it should be `{meant}`")]
    Pattern {
        /// `allow` or `deny`.
        list: &'static str,
        /// The rule's label.
        label: String,
        /// What was written.
        pattern: String,
        /// What was probably meant.
        meant: String,
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
    pub(crate) allow: Vec<Allow>,
    pub(crate) deny: Vec<Deny>,
    pub(crate) records: Records,
}

#[derive(Clone, Debug)]
pub(crate) struct Allow {
    pub(crate) label: String,
    pub(crate) pattern: String,
    pub(crate) signatory: Signatory,
    /// Where its key was read, where it is in a file.
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) effective_on: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct Deny {
    pub(crate) label: String,
    pub(crate) pattern: String,
    pub(crate) message: Option<String>,
    pub(crate) effective_on: Option<Timestamp>,
}

impl Trust {
    /// Reads a trust document; `base` is the directory key files are relative to.
    ///
    /// # Errors
    /// [`TrustError`]; a document with one bad rule decides nothing.
    pub fn parse(text: &str, base: &Path) -> Result<Self, TrustError> {
        let document = Document::parse_as(text, "trust").map_err(|fault| TrustError::Faults(vec![fault]))?;
        let document: TrustDocument = decode(&document).map_err(TrustError::Faults)?;
        let mut trust = Self::default();
        let root_file = base.join(document.trusted_root.as_deref().unwrap_or(TRUSTED_ROOT));
        let mut root = None;
        for (label, rules) in document.rules.allow {
            for rule in rules {
                check_pattern("allow", &label, &rule.pattern)?;
                let signatory = match (&rule.signing_key, &rule.identity) {
                    (Some(key), None) => Signatory::Key(read_key(key, base, &label)?),
                    (None, Some(identity)) => {
                        let identity = Identity::new(&identity.subject, &identity.issuer)
                            .map_err(|source| TrustError::Identity { label: label.clone(), source })?;
                        if root.is_none() {
                            let read = TrustedRoot::load(&root_file);
                            root = Some(
                                read.map_err(|source| TrustError::Root { label: label.clone(), source })?,
                            );
                        }
                        let Some(root) = &root else { return Err(TrustError::Signatory { label }) };
                        Signatory::Identity(identity, root.clone())
                    }
                    (Some(_), Some(_)) | (None, None) => return Err(TrustError::Signatory { label }),
                };
                let effective_on = rule.effective_on.as_deref().map(date).transpose()?;
                let file = rule.signing_key.filter(|key| !is_pem(key)).map(|key| base.join(key));
                trust.allow.push(Allow {
                    label: label.clone(),
                    pattern: rule.pattern,
                    signatory,
                    key_file: file,
                    effective_on,
                });
            }
        }
        for (label, rules) in document.rules.deny {
            for rule in rules {
                check_pattern("deny", &label, &rule.pattern)?;
                let effective_on = rule.effective_on.as_deref().map(date).transpose()?;
                let (pattern, message) = (rule.pattern, rule.message);
                trust.deny.push(Deny { label: label.clone(), pattern, message, effective_on });
            }
        }
        trust.records = Records::new(document.records)?;
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
            match rule.signatory.signed(candidate.digest, candidate.bundles, &rule.label) {
                Ok(grounds) => return TrustDecision::Trusted { rule: rule.label.clone(), grounds },
                Err(found) => cause = found,
            }
        }
        match self.records.find(candidate, now) {
            Ok(grounds) => return TrustDecision::Trusted { rule: TRUSTED_TASKS.to_owned(), grounds },
            // What a rule says of a signature tells more.
            Err(found) if cause == UntrustedCause::NoRule => cause = found,
            Err(_) => {}
        }
        TrustDecision::Untrusted { cause }
    }
}

impl Deny {
    /// Whether the rule means a task, by any of its URIs or digests.
    pub(crate) fn fits(&self, candidate: &Candidate<'_>) -> bool {
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

/// Refuses a pattern that can fit nothing: nobody would notice that a rule denies
/// nothing.
fn check_pattern(list: &'static str, label: &str, pattern: &str) -> Result<(), TrustError> {
    let Some(meant) = meant_pattern(pattern) else { return Ok(()) };
    Err(TrustError::Pattern { list, label: label.to_owned(), pattern: pattern.to_owned(), meant })
}

/// Whether a rule has the key itself, and not the name of its file.
fn is_pem(key: &str) -> bool {
    key.trim_start().starts_with("-----BEGIN")
}

fn read_key(key: &str, base: &Path, label: &str) -> Result<PublicKey, TrustError> {
    let key =
        if is_pem(key) { PublicKey::from_pem(key, "signing_key") } else { PublicKey::load(&base.join(key)) };
    key.map_err(|source| TrustError::Key { label: label.to_owned(), source })
}

pub(crate) fn date(text: &str) -> Result<Timestamp, TrustError> {
    let day = || -> Option<Timestamp> {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let moment = text.parse::<Timestamp>().ok().or_else(day);
    moment.ok_or_else(|| TrustError::Date { text: text.to_owned() })
}
