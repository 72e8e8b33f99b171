//! Requests of a task in the sandbox: through `wasi:http`, in pieces.

use std::io::{self, Read};
use std::time::Duration;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use super::{BUFFER, Body, Error, Hop, Response};

/// What the host writes before it says which rule to add.
const NOT_GRANTED: &str = "not granted: ";

pub(super) fn send(hop: &Hop<'_>, body: Body) -> Result<Response, Error> {
    let request = outgoing(hop, &body)?;
    let unwritable = || Error::Invalid("the body does not fit its `Content-Length`".to_owned());
    let sink = match &body {
        Body::Nothing => None,
        Body::Bytes(_) | Body::Stream(_) => Some(request.body().map_err(|()| unwritable())?),
    };
    let options = hop.patience.map(options).transpose()?;
    let answer = handle(request, options).map_err(|code| told(&code))?;
    let sent = match (sink, body) {
        (Some(sink), Body::Bytes(bytes)) => upload(sink, bytes.as_slice()),
        (Some(sink), Body::Stream(reader)) => upload(sink, reader),
        (Some(_) | None, _) => Ok(()),
    };
    // Of any other error the answer says why nobody took the rest.
    if let Err(error @ Error::Local(_)) = sent {
        return Err(error);
    }
    respond(wait(&answer)?)
}

fn outgoing(hop: &Hop<'_>, body: &Body) -> Result<OutgoingRequest, Error> {
    let invalid = |what: &str, value: &str| Error::Invalid(format!("`{value}` cannot be the {what}"));
    let fields = Fields::new();
    let add = |name: &str, value: &[u8]| {
        fields.append(name, value).map_err(|_| Error::Invalid(format!("the header `{name}` cannot be sent")))
    };
    for (name, value) in hop.headers {
        add(name, value)?;
    }
    if let Body::Bytes(bytes) = body
        && !hop.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    {
        add("content-length", bytes.len().to_string().as_bytes())?;
    }
    let request = OutgoingRequest::new(fields);
    let set = |done: Result<(), ()>, what, value: &str| done.map_err(|()| invalid(what, value));
    set(request.set_method(&method(hop.method)), "method", hop.method)?;
    let scheme = if hop.url.scheme() == "http" { Scheme::Http } else { Scheme::Https };
    set(request.set_scheme(Some(&scheme)), "scheme", hop.url.scheme())?;
    let authority = hop.url.authority();
    set(request.set_authority(Some(authority)), "host of a URL", authority)?;
    let path = hop.url.path_with_query();
    set(request.set_path_with_query(Some(&path)), "path of a URL", &path)?;
    Ok(request)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn options(patience: Duration) -> Result<RequestOptions, Error> {
    let nanos = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    let set = options
        .set_first_byte_timeout(Some(nanos))
        .and_then(|()| options.set_between_bytes_timeout(Some(nanos)));
    set.map_err(|()| Error::Invalid("the host takes no timeouts".to_owned()))?;
    Ok(options)
}

fn upload(body: OutgoingBody, mut from: impl Read) -> Result<(), Error> {
    let broken = |error: StreamError| Error::Broken(format!("the body could not be sent: {error}"));
    let stream = body.write().map_err(|()| Error::Broken("the body was taken twice".to_owned()))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).map_err(Error::Local)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        write(&stream, bytes).map_err(broken)?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| told(&code))
}

fn write(stream: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        let room = match usize::try_from(stream.check_write()?).unwrap_or(usize::MAX) {
            0 => {
                stream.subscribe().block();
                continue;
            }
            room => room.min(bytes.len()),
        };
        let (piece, rest) = bytes.split_at(room);
        stream.write(piece)?;
        bytes = rest;
    }
    Ok(())
}

fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, Error> {
    loop {
        match answer.get() {
            Some(Ok(Ok(response))) => return Ok(response),
            Some(Ok(Err(code))) => return Err(told(&code)),
            Some(Err(())) => return Err(Error::Broken("the response was taken twice".to_owned())),
            None => answer.subscribe().block(),
        }
    }
}

fn respond(response: IncomingResponse) -> Result<Response, Error> {
    let none = |()| Error::Broken("the response has no body to take".to_owned());
    let headers = response.headers().entries();
    let status = response.status();
    let body = response.consume().map_err(none)?;
    let stream = body.stream().map_err(none)?;
    let response = Response::new(status, Arriving { stream, _body: body });
    Ok(headers.iter().fold(response, |response, (name, value)| response.with_header(name, value)))
}

/// A body that arrives. The stream belongs to the body, and goes before it.
struct Arriving {
    stream: InputStream,
    _body: IncomingBody,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(BUFFER);
        if most == 0 {
            return Ok(0);
        }
        match self.stream.blocking_read(most as u64) {
            Ok(bytes) => {
                let Some(room) = buffer.get_mut(..bytes.len()) else {
                    return Err(io::Error::other("the host gave more than was asked for"));
                };
                room.copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Err(StreamError::Closed) => Ok(0),
            Err(StreamError::LastOperationFailed(error)) => {
                let why = match http_error_code(&error) {
                    Some(code) => told(&code),
                    None => Error::Broken(error.to_debug_string()),
                };
                Err(io::Error::other(why))
            }
        }
    }
}

/// The host's words. `internal-error` carries them whole; the others are only
/// names.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told by its name, which says enough")]
fn told(code: &ErrorCode) -> Error {
    match code {
        ErrorCode::InternalError(Some(text)) => match text.strip_prefix(NOT_GRANTED) {
            Some(why) => Error::NotGranted(why.to_owned()),
            None => Error::Refused(text.clone()),
        },
        ErrorCode::HttpRequestDenied => Error::NotGranted("the task is granted no network".to_owned()),
        ErrorCode::DnsError(payload) => {
            Error::Unreachable(payload.rcode.clone().unwrap_or_else(|| "the name has no address".to_owned()))
        }
        ErrorCode::ConnectionRefused => Error::Unreachable("nobody answers there".to_owned()),
        ErrorCode::TlsCertificateError => {
            Error::Unreachable("no TLS session: the certificate or the protocol does not fit".to_owned())
        }
        ErrorCode::HttpResponseTimeout => Error::Timeout("the response did not begin in time".to_owned()),
        ErrorCode::ConnectionReadTimeout => Error::Timeout("the response stopped for too long".to_owned()),
        ErrorCode::ConnectionTerminated => {
            Error::Broken("the connection ended before the response".to_owned())
        }
        ErrorCode::ConnectionLimitReached => Error::Refused("over a limit of the task".to_owned()),
        ErrorCode::HttpResponseBodySize(_) => Error::Refused("the response is over its limit".to_owned()),
        ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestBodySize(_) => Error::Invalid(format!("{code:?}")),
        other => Error::Broken(format!("{other:?}")),
    }
}
