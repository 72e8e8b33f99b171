//! Conforma's `trusted_tasks`: digests that are trusted whoever signed them,
//! each from one day to another.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::{Candidate, Grounds, UntrustedCause};
use crate::digest::Digest;
use crate::explain::{RuleKind, RuleLine};
use crate::trust::{TrustError, date};
use crate::trust_levels::TrustLevel;

/// What decides in place of a rule's label.
pub(crate) const TRUSTED_TASKS: &str = "trusted_tasks";

/// A digest that is trusted. Conforma's records may say more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrustedTask {
    /// `sha256:..` of the artifact's manifest; of a task in git, a commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// A date or time (RFC 3339) before which the record does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_on: Option<String>,
    /// A date or time (RFC 3339) from which on it does not count any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
}

/// Records, by the task they are about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(BTreeMap<String, Vec<Record>>);

#[derive(Clone, Debug)]
struct Record {
    digest: Digest,
    effective_on: Option<Timestamp>,
    expires_on: Option<Timestamp>,
}

impl Records {
    pub(crate) fn new(document: BTreeMap<String, Vec<TrustedTask>>) -> Result<Self, TrustError> {
        // Tasks in git are YAML, and none of ours.
        let ours = document.into_iter().filter(|(task, _)| !task.starts_with("git+"));
        let read = |(task, records): (String, Vec<TrustedTask>)| {
            let records: Result<Vec<_>, _> =
                records.into_iter().map(|record| Record::new(record, &task)).collect();
            Ok((task, records?))
        };
        Ok(Self(ours.map(read).collect::<Result<_, TrustError>>()?))
    }

    /// The record that has a task's digest, and counts now. Under the task's one
    /// URI only: a digest that is trusted as one task is not as another.
    pub(crate) fn find(&self, candidate: &Candidate<'_>, now: Timestamp) -> Result<Grounds, UntrustedCause> {
        let mut cause = UntrustedCause::NoRule;
        for found in self.outcomes(candidate, now) {
            match found {
                Ok(grounds) => return Ok(grounds),
                Err(UntrustedCause::NoRule) => {}
                // Of what came of its own digest, more can be told.
                Err(UntrustedCause::OtherDigest { .. }) if cause != UntrustedCause::NoRule => {}
                Err(found) => cause = found,
            }
        }
        Err(cause)
    }

    /// What comes of each record, in their order.
    pub(crate) fn outcomes(
        &self,
        candidate: &Candidate<'_>,
        now: Timestamp,
    ) -> Vec<Result<Grounds, UntrustedCause>> {
        self.all().map(|(task, record)| record.judge(task, candidate, now)).collect()
    }

    /// Each record, in their order.
    pub(crate) fn lines(&self, level: TrustLevel) -> impl Iterator<Item = RuleLine> + '_ {
        self.all().map(move |(task, record)| RuleLine {
            kind: RuleKind::Record,
            level,
            label: TRUSTED_TASKS.to_owned(),
            pattern: task.to_owned(),
            who: Some(record.digest.to_string()),
            message: None,
            effective_on: record.effective_on,
            expires_on: record.expires_on,
        })
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Record)> + '_ {
        self.0.iter().flat_map(|(task, records)| records.iter().map(move |record| (task.as_str(), record)))
    }
}

impl Record {
    fn judge(
        &self,
        task: &str,
        candidate: &Candidate<'_>,
        now: Timestamp,
    ) -> Result<Grounds, UntrustedCause> {
        if task != candidate.uri {
            return Err(UntrustedCause::NoRule);
        }
        let task = task.to_owned();
        if self.digest != candidate.digest {
            return Err(UntrustedCause::OtherDigest { record: task });
        }
        if self.effective_on.is_some_and(|on| on > now) {
            return Err(UntrustedCause::NotYetEffective { rule: task });
        }
        match self.expires_on {
            Some(on) if on <= now => Err(UntrustedCause::Expired { record: task, on }),
            expires_on => Ok(Grounds::Record { record: task, expires_on }),
        }
    }

    fn new(record: TrustedTask, task: &str) -> Result<Self, TrustError> {
        let digest = record.reference.strip_prefix("sha256:").and_then(Digest::from_hex);
        let text = &record.reference;
        Ok(Self {
            digest: digest
                .ok_or_else(|| TrustError::Record { record: task.to_owned(), text: text.clone() })?,
            effective_on: record.effective_on.as_deref().map(date).transpose()?,
            expires_on: record.expires_on.as_deref().map(date).transpose()?,
        })
    }
}
