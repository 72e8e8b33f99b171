//! How much one TaskRun may use.

use cofferdam_manifest::{Limits, Quantity, Span};
use serde::{Deserialize, Serialize};

/// The limits one TaskRun ran under: the manifest's, never above the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveLimits {
    /// Bytes of linear memory, all memories together.
    pub memory: Quantity,
    /// Wall clock.
    pub timeout: Span,
    /// Bytes written to outputs and scratch.
    pub output: Quantity,
    /// Files, links and directories made in outputs and scratch.
    pub files: u64,
    /// Bytes of log lines.
    pub log: Quantity,
}

/// What a manifest that says nothing gets, and the most that one can ask for.
pub const DEFAULT_LIMITS: EffectiveLimits = EffectiveLimits {
    memory: Quantity::from_bytes(1 << 30),
    timeout: Span::from_millis(3_600_000),
    output: Quantity::from_bytes(4 << 30),
    files: 1_000_000,
    log: Quantity::from_bytes(4 << 20),
};

/// Bytes of all TaskResults of one TaskRun together.
pub(crate) const MAX_RESULT_BYTES: usize = 1 << 20;

/// Bytes of all params of one TaskRun together.
pub(crate) const MAX_PARAM_BYTES: usize = 4 << 20;
/// Bytes of all params that a plan holds: references to a long one multiply it.
pub(crate) const MAX_PLAN_BYTES: usize = 64 << 20;

impl EffectiveLimits {
    /// A manifest's limits, each lowered to the host's ceiling. A pipeline can
    /// shorten the time further.
    #[must_use]
    pub fn new(asked: &Limits, ceiling: &Self, timeout: Option<Span>) -> Self {
        let own = asked.timeout.map_or(ceiling.timeout, |t| t.min(ceiling.timeout));
        Self {
            memory: asked.memory.map_or(ceiling.memory, |m| m.min(ceiling.memory)),
            timeout: timeout.map_or(own, |t| t.min(own)),
            output: asked.output.map_or(ceiling.output, |o| o.min(ceiling.output)),
            files: asked.files.map_or(ceiling.files, |f| f.min(ceiling.files)),
            log: asked.log.map_or(ceiling.log, |l| l.min(ceiling.log)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_can_only_lower_a_limit() {
        let asked = Limits {
            memory: Some(Quantity::from_bytes(1 << 40)),
            timeout: Some(Span::from_millis(1000)),
            ..Limits::default()
        };
        let limits = EffectiveLimits::new(&asked, &DEFAULT_LIMITS, Some(Span::from_millis(5000)));
        assert_eq!(limits.memory, DEFAULT_LIMITS.memory);
        assert_eq!(limits.timeout, Span::from_millis(1000));
        assert_eq!(limits.files, DEFAULT_LIMITS.files);
    }
}
