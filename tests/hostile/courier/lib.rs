//! Sends whatever it is told to, past every convenience of the SDK, and tells
//! everything that comes back, wherever it can.
//!
//! A step is a JSON object: `url` (or `scheme`, `authority` and `path`, as they
//! are), `method`, `headers`, `trailers`, `body`, `size` (of a body of zeroes),
//! `read` (bytes of the response that are read), `together`, `times`, `silence`
//! (milliseconds to wait for the response to begin, and for each piece of it).

use std::io::Write as _;

use cofferdam_sdk::{Context, Failure, task};
use serde_json::{Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme, http_error_code,
};
use wasip2::io::streams::StreamError;

task!("courier/task.yaml", run);

fn run(ctx: &Context, params: Params, _: Inputs, outputs: Outputs) -> Result<Results, Failure> {
    let mut told = Vec::new();
    for step in &params.steps {
        let step: Value = serde_json::from_str(step).map_err(|e| Failure::new("BadStep", e.to_string()))?;
        for _ in 0..number(&step, "times").unwrap_or(1) {
            told.extend(take(&step).into_iter().map(|answer| answer.to_string()));
        }
    }
    let all = told.join("\n");
    match params.leak {
        Leak::No => {}
        Leak::Yes | Leak::Fail => {
            ctx.info(&all, &[("told", &all)]);
            let _ = writeln!(std::io::stdout(), "{all}");
            let _ = writeln!(std::io::stderr(), "{all}");
            std::fs::write(outputs.out.path().join("told.txt"), &all)?;
        }
    }
    match params.leak {
        Leak::Fail => Err(Failure::new("Told", all.clone()).remedy(all)),
        Leak::No | Leak::Yes => Ok(Results { told }),
    }
}

fn number(step: &Value, name: &str) -> Option<usize> {
    step.get(name)?.as_u64().and_then(|n| usize::try_from(n).ok())
}

fn text<'a>(step: &'a Value, name: &str) -> Option<&'a str> {
    step.get(name)?.as_str()
}

/// Sends all requests of a step before it waits for the first.
fn take(step: &Value) -> Vec<Value> {
    let count = number(step, "together").unwrap_or(1);
    let sent: Vec<_> = (0..count).map(|_| send(step)).collect();
    let tell = |answer: Result<FutureIncomingResponse, String>| {
        answer.and_then(|answer| receive(step, &answer)).unwrap_or_else(|error| json!({ "error": error }))
    };
    sent.into_iter().map(tell).collect()
}

fn fields(step: &Value, name: &str) -> Result<Fields, String> {
    let fields = Fields::new();
    for pair in step.get(name).and_then(Value::as_array).into_iter().flatten() {
        let part = |index: usize| pair.get(index).and_then(Value::as_str).unwrap_or_default();
        let added = fields.append(part(0), part(1).as_bytes());
        added.map_err(|error| format!("header {}: {error:?}", part(0)))?;
    }
    Ok(fields)
}

fn send(step: &Value) -> Result<FutureIncomingResponse, String> {
    let request = OutgoingRequest::new(fields(step, "headers")?);
    let url = text(step, "url").unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = match text(step, "scheme").unwrap_or(scheme) {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let method = match text(step, "method").unwrap_or("GET") {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    };
    let no = |what: &str| format!("unacceptable {what}");
    request.set_method(&method).map_err(|()| no("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| no("scheme"))?;
    request
        .set_authority(Some(text(step, "authority").unwrap_or(authority)))
        .map_err(|()| no("authority"))?;
    request.set_path_with_query(Some(text(step, "path").unwrap_or(path))).map_err(|()| no("path"))?;
    let options = RequestOptions::new();
    if let Some(silence) = number(step, "silence") {
        let nanos = Some(silence as u64 * 1_000_000);
        let set =
            options.set_first_byte_timeout(nanos).and_then(|()| options.set_between_bytes_timeout(nanos));
        set.map_err(|()| no("timeout"))?;
    }
    let (body, size) = (text(step, "body").unwrap_or_default(), number(step, "size").unwrap_or(0));
    let trailers = fields(step, "trailers")?;
    let has_body = !body.is_empty() || size > 0 || step.get("trailers").is_some();
    let sink = has_body.then(|| request.body().map_err(|()| no("body"))).transpose()?;
    let answer = handle(request, Some(options)).map_err(|code| name(&code))?;
    if let Some(sink) = sink {
        // Whoever does not take it says so in the answer.
        let _ = write(&sink, body.as_bytes(), size);
        let trailers = step.get("trailers").is_some().then_some(trailers);
        if let Err(code) = OutgoingBody::finish(sink, trailers)
            && answer.get().is_none()
        {
            answer.subscribe().block();
            return Err(format!("finish: {}", name(&code)));
        }
    }
    Ok(answer)
}

fn write(sink: &OutgoingBody, body: &[u8], size: usize) -> Result<(), StreamError> {
    let stream = sink.write().map_err(|()| StreamError::Closed)?;
    for piece in body.chunks(4096) {
        stream.blocking_write_and_flush(piece)?;
    }
    let (zeroes, mut left) = ([0; 4096], size);
    while let Some(piece) = zeroes.get(..left.min(4096)).filter(|piece| !piece.is_empty()) {
        stream.blocking_write_and_flush(piece)?;
        left -= piece.len();
    }
    Ok(())
}

fn name(code: &ErrorCode) -> String {
    if let ErrorCode::InternalError(Some(text)) = code { text.clone() } else { format!("{code:?}") }
}

fn receive(step: &Value, answer: &FutureIncomingResponse) -> Result<Value, String> {
    let response = loop {
        match answer.get() {
            Some(Ok(Ok(response))) => break response,
            Some(Ok(Err(code))) => return Err(name(&code)),
            Some(Err(())) => return Err("taken twice".to_owned()),
            None => answer.subscribe().block(),
        }
    };
    let headers = pairs(&response.headers());
    let status = response.status();
    let body = response.consume().map_err(|()| "no body".to_owned())?;
    let most = number(step, "read").unwrap_or(usize::MAX);
    let (bytes, size, error) = read(&body, most);
    let text: String = String::from_utf8_lossy(&bytes).into_owned();
    let trailers = if error.is_none() && most == usize::MAX { trailers(body) } else { Value::Null };
    Ok(json!({
        "status": status, "headers": headers, "size": size, "body": text, "broken": error, "trailers": trailers,
    }))
}

/// What comes, of which only the beginning is kept.
fn read(body: &IncomingBody, most: usize) -> (Vec<u8>, usize, Option<String>) {
    let Ok(stream) = body.stream() else { return (Vec::new(), 0, Some("no stream".to_owned())) };
    let (mut kept, mut size) = (Vec::new(), 0);
    while size < most {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => {
                size += bytes.len();
                let room = (8_usize << 10).saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                let why = http_error_code(&error).map_or_else(|| error.to_debug_string(), |code| name(&code));
                return (kept, size, Some(why));
            }
        }
    }
    (kept, size, None)
}

fn trailers(body: IncomingBody) -> Value {
    let future = IncomingBody::finish(body);
    loop {
        match future.get() {
            Some(Ok(Ok(Some(trailers)))) => return pairs(&trailers),
            Some(Ok(Ok(None))) => return json!([]),
            Some(Ok(Err(code))) => return name(&code).into(),
            Some(Err(())) => return "taken twice".into(),
            None => future.subscribe().block(),
        }
    }
}

fn pairs(fields: &Fields) -> Value {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    fields.entries().into_iter().map(|(name, value)| json!([name, text(value)])).collect()
}
