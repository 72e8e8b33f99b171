//! Streams from and into files: what is written is counted first, and a fault of
//! the host's disk ends the TaskRun.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi_io::bytes::Bytes;

use super::types::ErrorCode;
use super::{is_fault, words};
use crate::capability::{FileMeter, Trip};

/// What the host did for a task; it ends where the host could not.
fn done<T>(trip: &Trip, done: StreamResult<T>) -> StreamResult<T> {
    done.map_err(|error| {
        let StreamError::LastOperationFailed(cause) = &error else { return error };
        // A file's stream fails with what the system said.
        let code = cause.downcast_ref::<std::io::Error>().map_or(ErrorCode::Io, ErrorCode::from);
        if is_fault(code) { StreamError::Trap(trip.end_host(words(code))) } else { error }
    })
}

/// A stream from a file.
pub(super) struct ReadStream {
    pub(super) inner: DynInputStream,
    pub(super) trip: Trip,
}

#[async_trait]
impl Pollable for ReadStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for ReadStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        done(&self.trip, self.inner.read(size))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        done(&self.trip, self.inner.blocking_read(size).await)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// A stream into a file that counts before it writes.
pub(super) struct MeteredStream {
    pub(super) inner: DynOutputStream,
    pub(super) meter: Arc<FileMeter>,
    pub(super) trip: Trip,
    pub(super) end: u64,
}

impl MeteredStream {
    fn count(&mut self, bytes: usize) -> StreamResult<()> {
        self.end = self.end.saturating_add(bytes as u64);
        let counted = self.meter.write(bytes as u64).and_then(|()| self.meter.extend(self.end));
        counted.map_err(|overrun| StreamError::Trap(self.trip.end_files(overrun)))
    }
}

#[async_trait]
impl Pollable for MeteredStream {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for MeteredStream {
    /// Writes before it returns. The runtime's own way leaves the bytes to
    /// another thread, and a task that ends without waiting for them would
    /// change its output after it was hashed.
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(bytes.len())?;
        let mut writing = self.inner.blocking_write_and_flush(bytes);
        // File operations may block this thread, so there is nothing to wait for.
        match writing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(written) => done(&self.trip, written),
            Poll::Pending => Err(StreamError::Trap(wasmtime::Error::msg("a write was left unfinished"))),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        done(&self.trip, self.inner.flush())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        done(&self.trip, self.inner.check_write())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(bytes.len())?;
        done(&self.trip, self.inner.blocking_write_and_flush(bytes).await)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
