//! What the host keeps for one TaskRun while it runs, and what ends it early.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::ResourceTable;
use wasmtime::{Error, ResourceLimiter};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::capability::{FileMeter, FileOverrun, LogMeter};
use crate::event::Recorder;
use crate::model::{EffectiveLimits, TaskRunReason};

/// Table elements one TaskRun may have; each costs the host a pointer.
const MAX_TABLE_ELEMENTS: usize = 1 << 20;

/// The first limit a TaskRun went over. It decides the reason, whatever the
/// guest made of the error it got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trip(Arc<Mutex<Option<TaskRunReason>>>);

impl Trip {
    /// Notes a reason and gives the error that ends the guest.
    pub(crate) fn end(&self, reason: TaskRunReason) -> Error {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        Error::msg(reason.as_str())
    }

    pub(crate) fn end_files(&self, overrun: FileOverrun) -> Error {
        self.end(match overrun {
            FileOverrun::Bytes => TaskRunReason::OutputLimit,
            FileOverrun::Entries => TaskRunReason::FileLimit,
        })
    }

    pub(crate) fn reason(&self) -> Option<TaskRunReason> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the host keeps for one TaskRun while it runs.
pub(crate) struct TaskState {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    pub(crate) files: Arc<FileMeter>,
    pub(crate) seen_objects: HashMap<(u64, u64), u64>,
    pub(crate) fixed_epoch: Option<u64>,
    pub(crate) voice: Voice,
    pub(crate) trip: Trip,
}

/// Where a TaskRun's lines go.
#[derive(Clone)]
pub(crate) struct Voice {
    pub(crate) task: Arc<str>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) meter: Arc<LogMeter>,
    pub(crate) trip: Trip,
}

impl WasiView for TaskState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts linear memory over all memories of a TaskRun.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    pub(crate) peak: usize,
    pub(crate) refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &EffectiveLimits) -> Self {
        let limit = usize::try_from(limits.memory.bytes()).unwrap_or(usize::MAX);
        Self { limit, used: 0, peak: 0, refused: false }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            // The guest may cope with less, so this alone ends nothing.
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        self.peak = self.peak.max(used);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
