//! What the host keeps for one TaskRun while it runs, and what ends it early.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Error, ResourceLimiter};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::clock::TaskClock;
use super::http::Http;
use crate::capability::{FileMeter, FileOverrun, InputFiles, LogMeter, Redactor, Trip};
use crate::event::Recorder;
use crate::model::{EffectiveLimits, TaskRunReason};
use crate::network::{Connections, Open};

/// What an element of a table costs the host, in bytes.
const TABLE_ELEMENT: usize = size_of::<usize>();

impl Trip {
    /// Notes a reason and gives the error that ends the guest.
    pub(crate) fn end(&self, reason: TaskRunReason) -> Error {
        self.note(reason);
        Error::msg(reason.as_str())
    }

    /// Notes that the host's own disk failed, in words.
    pub(crate) fn end_host(&self, why: String) -> Error {
        self.note_with(TaskRunReason::HostFault, Some(why));
        Error::msg(TaskRunReason::HostFault.as_str())
    }

    pub(crate) fn end_files(&self, overrun: FileOverrun) -> Error {
        self.end(match overrun {
            FileOverrun::Bytes => TaskRunReason::OutputLimit,
            FileOverrun::Entries => TaskRunReason::FileLimit,
        })
    }
}

/// What the host keeps for one TaskRun while it runs.
pub(crate) struct TaskState {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimiter,
    pub(crate) files: Arc<FileMeter>,
    pub(crate) inputs: InputFiles,
    pub(crate) seen_objects: HashMap<(u64, u64), u64>,
    /// Bytes of the directory listings it has open.
    pub(crate) listed: usize,
    pub(crate) clock: Option<TaskClock>,
    pub(crate) voice: Voice,
    pub(crate) trip: Trip,
    pub(crate) http: Http,
    pub(crate) connections: Option<Arc<Connections>>,
    /// Connections that were begun, by the number of their socket.
    pub(crate) open: HashMap<u32, Arc<Open>>,
}

/// Where a TaskRun's lines go.
#[derive(Clone)]
pub(crate) struct Voice {
    pub(crate) task: Arc<str>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) meter: Arc<LogMeter>,
    pub(crate) redactor: Redactor,
    pub(crate) trip: Trip,
}

impl WasiView for TaskState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts the memories and tables of a TaskRun, all of them together.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    instances: usize,
    tables: usize,
    used: usize,
    pub(crate) peak: usize,
    pub(crate) refused: bool,
}

impl MemoryLimiter {
    pub(crate) fn new(limits: &EffectiveLimits) -> Self {
        let limit = usize::try_from(limits.memory.bytes()).unwrap_or(usize::MAX);
        let number = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
        let (instances, tables) = (number(limits.instances), number(limits.tables));
        Self { limit, instances, tables, used: 0, peak: 0, refused: false }
    }
}

impl MemoryLimiter {
    fn grow(&mut self, bytes: usize) -> bool {
        let used = self.used.saturating_add(bytes);
        if used > self.limit {
            // The guest may cope with less, so this alone ends nothing.
            self.refused = true;
            return false;
        }
        self.used = used;
        self.peak = self.peak.max(used);
        true
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT)))
    }
}
