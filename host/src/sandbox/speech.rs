//! What a task says: structured lines through `cofferdam:task/log`, and what it
//! writes to its standard output and error, line by line.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};
use wasmtime_wasi_io::bytes::Bytes;

use super::bindings::cofferdam::task::{log, types};
use super::state::{TaskState, Voice};
use crate::capability::cut;
use crate::event::{Fact, LogLevel};
use crate::model::TaskRunReason;

/// A longer line without an end is cut here.
const MAX_LINE: usize = 16 << 10;
/// Bytes of a message about progress, which nobody reads at length.
const MAX_PROGRESS: usize = 1 << 10;

impl Voice {
    /// What a server echoed must not come out as a log line either.
    fn masked(&self, message: String, fields: Vec<(String, String)>) -> (String, Vec<(String, String)>) {
        if self.redactor.is_empty() {
            return (message, fields);
        }
        let mask = |text: String| self.redactor.text(&text).into_owned();
        (mask(message), fields.into_iter().map(|(name, value)| (mask(name), mask(value))).collect())
    }

    /// Records a line, unless the TaskRun has said too much.
    fn say(&self, level: LogLevel, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let sizes = fields.iter().map(|(name, value)| name.len() + value.len());
        let bytes = message.len() + sizes.sum::<usize>();
        if !self.meter.take(bytes as u64, fields.len() as u64) {
            return Err(self.trip.end(TaskRunReason::LogLimit));
        }
        let (message, fields) = self.masked(message, fields);
        let fact = Fact::TaskLogged { task: self.task.to_string(), level, message, fields };
        self.recorder.record(fact).map_err(|error| wasmtime::Error::msg(error.to_string()))?;
        Ok(())
    }
}

impl types::Host for TaskState {}

impl log::Host for TaskState {
    async fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<log::Field>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        let fields = fields.into_iter().map(|field| (field.name, field.value)).collect();
        self.voice.say(level, message, fields)
    }

    async fn progress(&mut self, done: u64, total: Option<u64>, message: String) -> wasmtime::Result<()> {
        let message = self.voice.redactor.text(&message);
        self.voice.recorder.progress(&self.voice.task, done, total, &cut(&message, MAX_PROGRESS));
        Ok(())
    }
}

/// Standard output or error: bytes become log lines.
#[derive(Clone)]
pub(crate) struct Spoken {
    voice: Voice,
    level: LogLevel,
    pending: Arc<Mutex<Vec<u8>>>,
}

impl Spoken {
    pub(crate) fn new(voice: Voice, level: LogLevel) -> Self {
        Self { voice, level, pending: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) -> wasmtime::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            pending.extend_from_slice(text);
            if ended || pending.len() >= MAX_LINE {
                let line = String::from_utf8_lossy(&std::mem::take(&mut *pending)).into_owned();
                self.voice.say(self.level, line, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Records what stands after the last line's end.
    pub(crate) fn finish(&self) {
        let rest = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if !rest.is_empty() {
            let _ = self.voice.say(self.level, String::from_utf8_lossy(&rest).into_owned(), Vec::new());
        }
    }
}

impl IsTerminal for Spoken {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Spoken {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and it is not linked.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Spoken {
    async fn ready(&mut self) {}
}

impl OutputStream for Spoken {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.take(&bytes).map_err(StreamError::Trap)
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(64 << 10)
    }
}
