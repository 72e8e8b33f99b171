//! What happened, in order, in a form that cannot be changed unnoticed.

mod base;
mod begin;
mod contact;
mod fact;
mod journal;
mod packed;
mod query;
mod record;
mod recorder;
mod remove;
mod run_reuse;
mod signed_bundle;
mod writer;

use cofferdam_registry::{Digest, Hasher};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::RunId;

pub(crate) use begin::begin;
pub use contact::{Connection, Contacts, Denial, Exchange, Transfer};
pub use fact::{
    AfterFailure, Builder, Doubts, Fact, Grants, InputArtifact, InputReads, LogLevel, NestedEnd, NestedStart,
    Origin, PipelineIdentity, Reuse, ReusedBy, RunStart, RunningFinally, Source, StoredResult, TaskEnd,
    TaskFailure, TaskIdentity, TaskStart, Usage,
};
pub use journal::{Journal, JournalError, KeptBundle};
pub(crate) use journal::{hold, let_go};
pub use query::{Cursor, RunSummary};
pub use record::{Attempt, NestedRecord, RunRecord, RunState, TaskRecord};
pub use recorder::{LiveSink, Recorder};
pub use remove::JournalSize;
pub use run_reuse::RunReuse;
pub use signed_bundle::{SignedBundle, StatementBody};
pub use writer::{JournalWriter, StoredAttestation};

/// A [`Fact`] with its place in the run. Only the recorder makes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// Counted from zero, without gaps.
    pub seq: u64,
    /// When the host recorded it, to the microsecond.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
    /// The hash over this event and, through the one before, all earlier ones.
    pub hash: Digest,
}

/// The hash the first event of a run follows: it binds the chain to the run.
pub(crate) fn genesis(run: &RunId) -> Digest {
    Digest::of(format!("cofferdam journal v1\n{run}").as_bytes())
}

/// The hash of an event: SHA-256 over the hash before it, its number, its time
/// in microseconds (both big-endian), and its fact as recorded.
pub(crate) fn chain(before: Digest, seq: u64, at: Timestamp, fact: &str) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(before.as_bytes());
    hasher.update(&seq.to_be_bytes());
    hasher.update(&at.as_microsecond().to_be_bytes());
    hasher.update(fact.as_bytes());
    hasher.finish()
}
