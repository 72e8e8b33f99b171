//! The two streams of a connection: the runtime's own, and around them what is
//! counted, hashed and held against limits.

use std::sync::Arc;

use wasmtime::Error;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi_io::bytes::Bytes;

use super::words;
use crate::capability::Trip;
use crate::network::Open;

/// What stands in a stream's place while it is wrapped.
pub(super) struct Closed;

#[async_trait]
impl Pollable for Closed {
    async fn ready(&mut self) {}
}

impl InputStream for Closed {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

impl OutputStream for Closed {
    fn write(&mut self, _: Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}

/// What went wrong, as it is recorded.
fn why(error: &Error) -> String {
    error.downcast_ref::<ErrorCode>().map_or_else(|| error.to_string(), |code| words(*code))
}

/// Bytes from the other end.
pub(super) struct Receiving {
    pub(super) inner: DynInputStream,
    pub(super) open: Arc<Open>,
    pub(super) trip: Trip,
}

#[async_trait]
impl Pollable for Receiving {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for Receiving {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let read = self.inner.read(size);
        match &read {
            Ok(bytes) => {
                let counted = self.open.receive(bytes);
                counted.map_err(|reason| StreamError::Trap(self.trip.end(reason)))?;
            }
            Err(StreamError::Closed) => self.open.received_all(),
            Err(StreamError::LastOperationFailed(error)) => self.open.fail(why(error)),
            Err(StreamError::Trap(_)) => {}
        }
        read
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Bytes to the other end. The runtime takes them at once and hands them to the
/// system in the background, so they count as sent only when it says that the
/// system has taken them.
pub(super) struct Sending {
    pub(super) inner: DynOutputStream,
    pub(super) open: Arc<Open>,
    pub(super) trip: Trip,
}

impl Sending {
    /// Finds out what became of the bytes that were handed over.
    fn settle(&mut self) {
        if !self.open.has_handed() {
            return;
        }
        match self.inner.check_write() {
            // No room is said while it still writes, and when the system's buffer
            // is full; only then can nothing be written.
            Ok(_) => {
                if self.inner.write(Bytes::new()).is_ok() {
                    self.open.accepted();
                }
            }
            // This is how it ends when the task has closed it, and when the
            // other end has gone: the socket itself knows.
            Err(StreamError::Closed) if self.open.is_closing() => {}
            Err(StreamError::LastOperationFailed(error)) => {
                self.open.lost();
                self.open.fail(why(&error));
            }
            Err(StreamError::Closed | StreamError::Trap(_)) => {
                self.open.lost();
                self.open.fail("the other end has gone");
            }
        }
    }
}

#[async_trait]
impl Pollable for Sending {
    async fn ready(&mut self) {
        self.inner.ready().await;
        self.settle();
    }
}

#[async_trait]
impl OutputStream for Sending {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.settle();
        self.open.count(bytes.len()).map_err(|reason| StreamError::Trap(self.trip.end(reason)))?;
        let written = self.inner.write(bytes.clone());
        match &written {
            Ok(()) if bytes.is_empty() => {}
            Ok(()) => {
                self.open.hand(bytes);
                self.settle();
            }
            // Nothing goes out after the task has closed it.
            Err(StreamError::Closed) if self.open.is_closing() => {}
            Err(StreamError::Closed) => {
                self.open.lost();
                self.open.fail("the other end has gone");
            }
            Err(StreamError::LastOperationFailed(error)) => {
                self.open.lost();
                self.open.fail(why(error));
            }
            // It was not ready, and took nothing.
            Err(StreamError::Trap(_)) => {}
        }
        written
    }

    fn flush(&mut self) -> StreamResult<()> {
        let flushed = self.inner.flush();
        self.settle();
        flushed
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let room = self.inner.check_write();
        self.settle();
        room
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
        self.settle();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // The end of the TaskRun does not wait for what is on its way.
        self.settle();
    }
}
