//! Why a TaskRun was taken from the cache, or not: for people who wonder.

use std::fmt;

use serde::Serialize;

use crate::event::Grants;
use crate::model::RunId;

/// What became of looking for a TaskRun that was given the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum CacheFinding {
    /// There is one.
    Hit {
        /// The run it ran in.
        run: RunId,
        /// Its name there.
        task: String,
        /// How long ago it ended.
        age_micros: u64,
    },
    /// It was given something else than the last TaskRun of its name.
    Changed {
        /// What, part by part.
        parts: Vec<String>,
    },
    /// No TaskRun of its name is known.
    NeverRan,
    /// The last TaskRun of its name was given the same, and its outcome was
    /// not kept.
    NotKept {
        /// Why not.
        why: String,
    },
    /// More than its inputs may decide its outcome.
    NotHermetic {
        /// The grants that make it so.
        grants: Vec<String>,
    },
    /// There is one, and it cannot be relied on.
    Damaged {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody looked.
    NotRead,
}

impl CacheFinding {
    /// Says of a task that cannot be reused what it may see.
    pub(super) fn not_hermetic(grants: &Grants) -> Self {
        let network = grants.network.iter().map(|rule| format!("network {}", rule.host));
        let tcp = grants.tcp.iter().map(|rule| format!("tcp {}:{}", rule.host, rule.port));
        let clock = grants.real_clock.then(|| "clock".to_owned());
        let random = grants.real_random.then(|| "random".to_owned());
        Self::NotHermetic { grants: network.chain(tcp).chain(clock).chain(random).collect() }
    }
}

impl fmt::Display for CacheFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { run, task, .. } => write!(f, "hit: from {run}/{task}"),
            Self::Changed { parts } => write!(f, "miss: {}", parts.join("; ")),
            Self::NeverRan => f.write_str("miss: it never ran here"),
            Self::NotKept { why } => write!(f, "miss: {why}"),
            Self::NotHermetic { grants } => write!(f, "never reused: not hermetic: {}", grants.join(", ")),
            Self::Damaged { why } => write!(f, "miss: {why}"),
            Self::NotRead => f.write_str("not looked for: --no-cache"),
        }
    }
}
