//! Bodies that are observed while they pass: every byte counted, hashed and
//! held against limits; secrets masked on the way to the task.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::exchange::Live;
use super::session::{NetworkError, Slot, TaskBody};
use crate::capability::{RedactedStream, Redactor};

/// A larger body is sent once: it is not kept for another try.
const MAX_REPLAY: usize = 64 << 10;

/// A request's body on its way out.
pub(super) struct Outgoing {
    inner: TaskBody,
    live: Arc<Live>,
    replay: Arc<Replay>,
}

/// What was sent of a small body, so that it can be sent again.
#[derive(Debug, Default)]
pub(super) struct Replay(Mutex<Sent>);

#[derive(Debug, Default)]
struct Sent {
    bytes: BytesMut,
    complete: bool,
    too_large: bool,
}

impl Replay {
    /// The whole body, where it was small, had no trailers and was sent to its
    /// end.
    pub(super) fn whole(&self) -> Option<Bytes> {
        let sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (sent.complete && !sent.too_large).then(|| Bytes::copy_from_slice(&sent.bytes))
    }

    fn keep(&self, bytes: &[u8]) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.bytes.len() + bytes.len() > MAX_REPLAY {
            sent.too_large = true;
            sent.bytes = BytesMut::new();
        }
        if !sent.too_large {
            sent.bytes.extend_from_slice(bytes);
        }
    }

    fn give_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).too_large = true;
    }

    fn complete(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).complete = true;
    }
}

impl Outgoing {
    pub(super) fn new(inner: TaskBody, live: Arc<Live>) -> (Self, Arc<Replay>) {
        let replay = Arc::new(Replay::default());
        if inner.is_end_stream() {
            live.sent_all();
            replay.complete();
        }
        (Self { inner, live, replay: Arc::clone(&replay) }, replay)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = NetworkError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NetworkError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(bytes) => {
                    if let Err(reason) = self.live.send(bytes) {
                        return Poll::Ready(Some(Err(NetworkError::Limit(reason))));
                    }
                    self.replay.keep(bytes);
                }
                None => self.replay.give_up(),
            },
            Some(Err(_)) => {}
            None => {
                self.live.sent_all();
                self.replay.complete();
            }
        }
        if self.inner.is_end_stream() {
            self.live.sent_all();
            self.replay.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response's body on its way to the task.
pub(super) struct Arriving {
    inner: Incoming,
    live: Arc<Live>,
    redactor: Redactor,
    /// Gone when the last bytes of the body have passed through it.
    stream: Option<RedactedStream>,
    /// What it held back.
    rest: Option<Bytes>,
    trailers: Option<HeaderMap>,
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    ended: bool,
    /// Free for another request when the body is gone.
    _slot: Slot,
}

impl Arriving {
    pub(super) fn new(
        inner: Incoming,
        live: Arc<Live>,
        redactor: &Redactor,
        patience: Duration,
        slot: Slot,
    ) -> Self {
        let stream = (!redactor.is_empty()).then(|| redactor.stream());
        let redactor = redactor.clone();
        let (rest, trailers, silence, ended) = (None, None, None, false);
        Self { inner, live, redactor, stream, rest, trailers, patience, silence, ended, _slot: slot }
    }

    fn fail(&mut self, error: NetworkError) -> Poll<Option<Result<Frame<Bytes>, NetworkError>>> {
        self.ended = true;
        self.live.record(Some(error.to_string()));
        Poll::Ready(Some(Err(error)))
    }

    /// What was held back, then the trailers, then the end.
    fn finish(&mut self) -> Poll<Option<Result<Frame<Bytes>, NetworkError>>> {
        if let Some(rest) = self.rest.take().filter(|rest| !rest.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    /// Notes that all has come, whether or not the task asks for the rest.
    fn end(&mut self) {
        self.ended = true;
        if let Some(mut stream) = self.stream.take() {
            self.rest = Some(stream.finish());
            if stream.masked() {
                self.live.masked();
            }
        }
        if let Some(trailers) = &mut self.trailers
            && mask_headers(trailers, &self.redactor)
        {
            self.live.masked();
        }
        self.live.received_all();
    }

    /// Ends a server's silence: a body that stops is not waited for without end.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        silence.as_mut().poll(context)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = NetworkError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NetworkError>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return this.finish();
            }
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
                ready!(this.wait(context));
                return this.fail(NetworkError::Silence(this.patience));
            };
            this.silence = None;
            match frame {
                None => this.end(),
                Some(Err(error)) => return this.fail(NetworkError::Transport(error.to_string())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        if let Err(reason) = this.live.receive(&bytes) {
                            return this.fail(NetworkError::Limit(reason));
                        }
                        let Some(stream) = &mut this.stream else {
                            return Poll::Ready(Some(Ok(Frame::data(bytes))));
                        };
                        let through = stream.push(bytes);
                        if stream.masked() {
                            this.live.masked();
                        }
                        if !through.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(through))));
                        }
                    }
                    Err(frame) => this.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Said only through the end itself, which is what is recorded.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // A task need not ask for an end that it can see.
        if self.inner.is_end_stream() && !self.ended {
            self.live.received_all();
        } else {
            self.live.record(Some("the task let go of it before its end".to_owned()));
        }
    }
}

/// Masks secrets in headers; a name that holds one goes with its value.
pub(super) fn mask_headers(headers: &mut HeaderMap, redactor: &Redactor) -> bool {
    if redactor.is_empty() {
        return false;
    }
    let mut masked = false;
    let names: Vec<_> =
        headers.keys().filter(|name| redactor.contains(name.as_str().as_bytes())).cloned().collect();
    for name in names {
        headers.remove(name);
        masked = true;
    }
    for value in headers.values_mut() {
        if let Some(safe) = redactor.header(value) {
            *value = safe;
            masked = true;
        }
    }
    masked
}
