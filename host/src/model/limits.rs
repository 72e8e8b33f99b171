//! How much one TaskRun may use.

use cofferdam_manifest::{Limits, Quantity, Span};
use serde::{Deserialize, Serialize};

/// The limits one TaskRun ran under: the manifest's, never above the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EffectiveLimits {
    /// Bytes of linear memory, all memories together.
    pub memory: Quantity,
    /// Wall clock.
    pub timeout: Span,
    /// Processor time.
    pub cpu: Span,
    /// Bytes written to outputs and scratch.
    pub output: Quantity,
    /// Files, links and directories made in outputs and scratch.
    pub files: u64,
    /// Bytes of log lines.
    pub log: Quantity,
    /// Files, directories, streams and timers open at once.
    pub handles: u64,
    /// Core instances of the component.
    pub instances: u64,
    /// Tables of all core instances together.
    pub tables: u64,
    /// HTTP requests and raw connections, refused ones among them.
    pub requests: u64,
    /// HTTP requests under way at once.
    pub open_requests: u64,
    /// Bytes of one body.
    pub body: Quantity,
    /// Bytes sent over the network.
    pub egress: Quantity,
    /// Bytes received over the network.
    pub ingress: Quantity,
}

/// What a manifest that says nothing gets, and the most that one can ask for.
pub const DEFAULT_LIMITS: EffectiveLimits = EffectiveLimits {
    memory: Quantity::from_bytes(1 << 30),
    timeout: Span::from_millis(3_600_000),
    cpu: Span::from_millis(3_600_000),
    output: Quantity::from_bytes(4 << 30),
    files: 1_000_000,
    log: Quantity::from_bytes(4 << 20),
    handles: 1024,
    // Interpreters come as dozens of linked modules.
    instances: 100,
    tables: 32,
    requests: 10_000,
    open_requests: 64,
    body: Quantity::from_bytes(4 << 30),
    egress: Quantity::from_bytes(1 << 30),
    ingress: Quantity::from_bytes(16 << 30),
};

/// Core instances that the runtime reserves room for in each component.
pub(crate) const MAX_INSTANCES: u64 = 200;
/// Tables that the runtime reserves room for in each component.
pub(crate) const MAX_TABLES: u64 = 64;

impl Default for EffectiveLimits {
    /// What an event says that was recorded before a limit existed.
    fn default() -> Self {
        DEFAULT_LIMITS
    }
}

/// Bytes of one TaskResult that is carried along; a larger one is kept in the
/// store.
pub(crate) const MAX_CARRIED_RESULT: usize = 1 << 20;
/// Bytes of all TaskResults of one TaskRun that are carried along: events and
/// Statements hold them.
pub(crate) const MAX_CARRIED_RESULTS: usize = 4 << 20;
/// Bytes of all TaskResults of one TaskRun together.
pub(crate) const MAX_RESULT_BYTES: usize = 64 << 20;

/// Bytes of all params of one TaskRun together.
pub(crate) const MAX_PARAM_BYTES: usize = 4 << 20;
/// Bytes of all params that a plan holds: references to a long one multiply it.
pub(crate) const MAX_PLAN_BYTES: usize = 64 << 20;

/// Larger pipeline files are not read.
pub(crate) const MAX_PIPELINE: u64 = 4 << 20;

/// The most combinations a matrix has. Source: Tekton's
/// `default-max-matrix-combinations-count`.
pub(crate) const MAX_COMBINATIONS: usize = 256;

impl EffectiveLimits {
    /// A manifest's limits, each lowered to the host's ceiling. A pipeline can
    /// shorten the time further.
    #[must_use]
    pub fn new(asked: &Limits, ceiling: &Self, timeout: Option<Span>) -> Self {
        let own = asked.timeout.map_or(ceiling.timeout, |t| t.min(ceiling.timeout));
        Self {
            memory: asked.memory.map_or(ceiling.memory, |m| m.min(ceiling.memory)),
            timeout: timeout.map_or(own, |t| t.min(own)),
            cpu: asked.cpu.map_or(ceiling.cpu, |c| c.min(ceiling.cpu)),
            output: asked.output.map_or(ceiling.output, |o| o.min(ceiling.output)),
            files: asked.files.map_or(ceiling.files, |f| f.min(ceiling.files)),
            log: asked.log.map_or(ceiling.log, |l| l.min(ceiling.log)),
            handles: asked.handles.map_or(ceiling.handles, |h| h.min(ceiling.handles)),
            instances: asked.instances.map_or(ceiling.instances, |i| i.min(ceiling.instances)),
            tables: asked.tables.map_or(ceiling.tables, |t| t.min(ceiling.tables)),
            requests: asked.requests.map_or(ceiling.requests, |r| r.min(ceiling.requests)),
            open_requests: asked
                .open_requests
                .map_or(ceiling.open_requests, |o| o.min(ceiling.open_requests)),
            body: asked.body.map_or(ceiling.body, |b| b.min(ceiling.body)),
            egress: asked.egress.map_or(ceiling.egress, |e| e.min(ceiling.egress)),
            ingress: asked.ingress.map_or(ceiling.ingress, |i| i.min(ceiling.ingress)),
        }
    }

    /// The most that any task may use, as the host's configuration sets it.
    #[must_use]
    pub fn ceiling(set: &Limits) -> Self {
        let default = DEFAULT_LIMITS;
        Self {
            memory: set.memory.unwrap_or(default.memory),
            timeout: set.timeout.unwrap_or(default.timeout),
            cpu: set.cpu.unwrap_or(default.cpu),
            output: set.output.unwrap_or(default.output),
            files: set.files.unwrap_or(default.files),
            log: set.log.unwrap_or(default.log),
            handles: set.handles.unwrap_or(default.handles),
            instances: set.instances.unwrap_or(default.instances),
            tables: set.tables.unwrap_or(default.tables),
            requests: set.requests.unwrap_or(default.requests),
            open_requests: set.open_requests.unwrap_or(default.open_requests),
            body: set.body.unwrap_or(default.body),
            egress: set.egress.unwrap_or(default.egress),
            ingress: set.ingress.unwrap_or(default.ingress),
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
