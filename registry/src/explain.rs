//! Why the rules decide as they do: each that there is, and what came of it.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::decision::{Candidate, Grounds, Signatory, TrustDecision, UntrustedCause};
use crate::digest::Digest;
use crate::pattern::matches;
use crate::trust::{RuleIdentity, Trust};
use crate::trust_levels::TrustLevel;

/// What kind of rule it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleKind {
    /// Refuses tasks.
    Deny,
    /// Trusts tasks that somebody signed.
    Allow,
    /// Trusts a digest.
    Record,
}

/// A rule, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleLine {
    /// Its kind.
    pub kind: RuleKind,
    /// Whose it is.
    pub level: TrustLevel,
    /// Its label; of a record, `trusted_tasks`.
    pub label: String,
    /// Which tasks it is about; of a record, the one task.
    pub pattern: String,
    /// Who must have signed, or which digest it must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Why it refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// From when on it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<Timestamp>,
    /// From when on it counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Timestamp>,
}

/// What came of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase")]
pub enum Outcome {
    /// It is about other tasks.
    OtherTask,
    /// It does not count yet.
    NotYetEffective,
    /// It refuses the task.
    Denies,
    /// It trusts the task.
    Trusts {
        /// What was verified.
        grounds: Grounds,
    },
    /// It fits, and what it wants does not hold.
    Fails {
        /// What does not hold.
        why: String,
    },
}

/// A rule and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Considered {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleLine,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A decision, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What allow rules and records are held against.
    pub uri: String,
    /// What a signature must name.
    pub digest: Digest,
    /// How many signatures there are, whatever they are worth.
    pub signatures: usize,
    /// Every rule, in the order in which they decide.
    pub rules: Vec<Considered>,
    /// What is decided.
    pub decision: TrustDecision,
    /// Whose signature it has, where no rule is about it and one about other tasks
    /// names who signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_for: Option<SignedFor>,
}

/// A rule about other tasks, whose signatory signed this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedFor {
    /// The rule's label.
    pub rule: String,
    /// The file of its key, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<PathBuf>,
    /// The identity that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<RuleIdentity>,
    /// A pattern that fits every version of this task.
    pub pattern: String,
}

impl Trust {
    /// The first rule in effect that is about other tasks and whose signatory
    /// signed this one.
    pub(crate) fn signed_for(&self, candidate: &Candidate<'_>, now: Timestamp) -> Option<SignedFor> {
        let rule = self.allow.iter().find(|rule| {
            rule.effective_on.is_none_or(|on| on <= now)
                && rule.signatory.signed(candidate.digest, candidate.bundles, &rule.label).is_ok()
        })?;
        let (task, _) = candidate.uri.rsplit_once(':')?;
        let identity = match &rule.signatory {
            Signatory::Identity(identity, _) => {
                Some(RuleIdentity { subject: identity.subject.clone(), issuer: identity.issuer.clone() })
            }
            Signatory::Key(_) => None,
        };
        let (rule, signing_key) = (rule.label.clone(), rule.key_file.clone());
        Some(SignedFor { rule, signing_key, identity, pattern: format!("{task}:*") })
    }

    /// Every rule, in the order in which they decide.
    pub(crate) fn rules(&self, level: TrustLevel) -> Vec<RuleLine> {
        let blank = |kind, label: &str, pattern: &str, effective_on| RuleLine {
            kind,
            level,
            label: label.to_owned(),
            pattern: pattern.to_owned(),
            who: None,
            message: None,
            effective_on,
            expires_on: None,
        };
        let deny = self.deny.iter().map(|rule| RuleLine {
            message: rule.message.clone(),
            ..blank(RuleKind::Deny, &rule.label, &rule.pattern, rule.effective_on)
        });
        let allow = self.allow.iter().map(|rule| RuleLine {
            who: Some(who(&rule.signatory)),
            ..blank(RuleKind::Allow, &rule.label, &rule.pattern, rule.effective_on)
        });
        deny.chain(allow).chain(self.records.lines(level)).collect()
    }

    /// What came of every rule.
    pub(crate) fn considered(
        &self,
        level: TrustLevel,
        candidate: &Candidate<'_>,
        now: Timestamp,
    ) -> Vec<Considered> {
        let due = |on: Option<Timestamp>| on.is_none_or(|on| on <= now);
        let deny = self.deny.iter().map(|rule| match (rule.fits(candidate), due(rule.effective_on)) {
            (false, _) => Outcome::OtherTask,
            (true, false) => Outcome::NotYetEffective,
            (true, true) => Outcome::Denies,
        });
        let allow = self.allow.iter().map(|rule| {
            if !matches(&rule.pattern, candidate.uri) {
                return Outcome::OtherTask;
            }
            if !due(rule.effective_on) {
                return Outcome::NotYetEffective;
            }
            outcome(rule.signatory.signed(candidate.digest, candidate.bundles, &rule.label))
        });
        let records = self.records.outcomes(candidate, now).into_iter().map(outcome);
        let outcomes = deny.chain(allow).chain(records);
        let considered = self.rules(level).into_iter().zip(outcomes);
        considered.map(|(rule, outcome)| Considered { rule, outcome }).collect()
    }
}

fn who(signatory: &Signatory) -> String {
    match signatory {
        Signatory::Key(key) => format!("key {}", key.id()),
        Signatory::Identity(identity, _) => format!("{} ({})", identity.subject, identity.issuer),
    }
}

fn outcome(found: Result<Grounds, UntrustedCause>) -> Outcome {
    match found {
        Ok(grounds) => Outcome::Trusts { grounds },
        Err(UntrustedCause::NoRule) => Outcome::OtherTask,
        Err(UntrustedCause::NotYetEffective { .. }) => Outcome::NotYetEffective,
        Err(cause) => Outcome::Fails { why: cause.to_string() },
    }
}
