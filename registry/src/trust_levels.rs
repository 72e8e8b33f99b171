//! Trust rules of several levels, of which a lower one can only narrow what a
//! higher one trusts: the server's, the user's, the repository's.

use jiff::Timestamp;
use serde::Serialize;

use crate::decision::{Candidate, TrustDecision, UntrustedCause};
use crate::explain::{Explanation, RuleLine};
use crate::trust::Trust;

/// Whose rules they are, the highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TrustLevel {
    /// Whoever runs this machine.
    Server,
    /// Whoever runs the program.
    User,
    /// Whoever writes the repository.
    Repository,
}

/// The rules of all levels there are.
#[derive(Clone, Debug, Default)]
pub struct TrustLevels {
    /// The highest first. It alone can trust.
    levels: Vec<(TrustLevel, Trust)>,
}

impl TrustLevels {
    /// With the rules of a level added. Levels come in any order.
    #[must_use]
    pub fn with(mut self, level: TrustLevel, trust: Trust) -> Self {
        self.levels.push((level, trust));
        self.levels.sort_by_key(|(level, _)| *level);
        self
    }

    /// Decides on a task: as the highest level does, unless a lower one refuses
    /// it, or has a rule about it that does not hold. A lower level without a rule
    /// about it has nothing to say.
    #[must_use]
    pub fn decide(&self, candidate: &Candidate<'_>, now: Timestamp) -> TrustDecision {
        let mut decisions = self.levels.iter().map(|(_, trust)| trust.decide(candidate, now));
        let no_rule = TrustDecision::Untrusted { cause: UntrustedCause::NoRule };
        let Some(mut decided) = decisions.next() else { return no_rule };
        for lower in decisions {
            match (&decided, &lower) {
                (TrustDecision::Denied { .. }, _) => return decided,
                (_, TrustDecision::Denied { .. }) => return lower,
                (TrustDecision::Trusted { .. }, TrustDecision::Untrusted { cause })
                    if *cause != UntrustedCause::NoRule =>
                {
                    decided = lower;
                }
                (TrustDecision::Trusted { .. } | TrustDecision::Untrusted { .. }, _) => {}
            }
        }
        decided
    }

    /// Every rule, in the order in which they decide.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleLine> {
        self.levels.iter().flat_map(|(level, trust)| trust.rules(*level)).collect()
    }

    /// The moments at which some rule begins or ceases to count, in no order:
    /// between two of them, every decision stays as it is.
    pub fn turns(&self) -> impl Iterator<Item = Timestamp> {
        self.rules().into_iter().flat_map(|rule| rule.effective_on.into_iter().chain(rule.expires_on))
    }

    /// Decides on a task, and tells what came of every rule.
    #[must_use]
    pub fn explain(&self, candidate: &Candidate<'_>, now: Timestamp) -> Explanation {
        let decision = self.decide(candidate, now);
        // Only where one more rule of the user's would trust it.
        let mine = self.levels.first().filter(|(level, _)| {
            *level == TrustLevel::User
                && decision == TrustDecision::Untrusted { cause: UntrustedCause::NoRule }
        });
        Explanation {
            uri: candidate.uri.to_owned(),
            digest: candidate.digest,
            signatures: candidate.bundles.sound.len() + candidate.bundles.simple.len(),
            rules: self
                .levels
                .iter()
                .flat_map(|(level, trust)| trust.considered(*level, candidate, now))
                .collect(),
            signed_for: mine.and_then(|(_, trust)| trust.signed_for(candidate, now)),
            decision,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::artifact::Bundles;
    use crate::digest::Digest;

    /// Rules that trust a digest by a record, refuse it, or are about others.
    fn rules(text: &str) -> Trust {
        let text = format!("apiVersion: cofferdam.dev/v1\nkind: Trust\n{text}");
        Trust::parse(&text, std::path::Path::new("/")).unwrap()
    }

    fn record(digest: Digest) -> Trust {
        rules(&format!("trusted_tasks:\n  oci://h.example/t:1: [{{ ref: '{digest}' }}]\n"))
    }

    fn verdict(levels: &TrustLevels, digest: Digest) -> &'static str {
        let bundles = Bundles::default();
        let uri = "oci://h.example/t:1";
        let candidate = Candidate { uri, spellings: &[], digest, component: digest, bundles: &bundles };
        let decided = levels.decide(&candidate, Timestamp::UNIX_EPOCH);
        assert_eq!(levels.explain(&candidate, Timestamp::UNIX_EPOCH).decision, decided);
        match decided {
            TrustDecision::Trusted { .. } => "trusted",
            TrustDecision::Untrusted { .. } => "untrusted",
            TrustDecision::Denied { .. } => "denied",
        }
    }

    #[test]
    fn a_lower_level_only_narrows() {
        use TrustLevel::{Repository, Server, User};
        let digest = Digest::of(b"task");
        let (yes, none) = (|| record(digest), Trust::default);
        // A rule about the task that does not hold, and one that refuses it.
        let no = || record(Digest::of(b"another"));
        let denies = || rules("trusted_task_rules:\n  deny:\n    x: [{ pattern: 'oci://h.example/*' }]\n");
        let rows: &[(&[(TrustLevel, Trust)], &str)] = &[
            (&[], "untrusted"),
            (&[(User, yes())], "trusted"),
            (&[(User, none()), (Repository, yes())], "untrusted"),
            (&[(Repository, yes()), (User, no())], "untrusted"),
            (&[(User, yes()), (Repository, none())], "trusted"),
            (&[(User, yes()), (Repository, no())], "untrusted"),
            (&[(User, yes()), (Repository, denies())], "denied"),
            (&[(User, none()), (Repository, denies())], "denied"),
            (&[(Server, none()), (User, yes()), (Repository, yes())], "untrusted"),
            (&[(Server, yes()), (User, none())], "trusted"),
            (&[(Server, yes()), (User, no()), (Repository, yes())], "untrusted"),
            (&[(Server, denies()), (User, yes())], "denied"),
        ];
        for (index, (levels, wanted)) in rows.iter().enumerate() {
            let all = levels.iter().cloned();
            let levels = all.fold(TrustLevels::default(), |all, (level, trust)| all.with(level, trust));
            assert_eq!(verdict(&levels, digest), *wanted, "row {index}");
        }
    }
}
