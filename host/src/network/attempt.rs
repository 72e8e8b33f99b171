//! One try of a request, and the next one where that may help.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_manifest::{AddressRange, Method, NetworkRule};
use cofferdam_registry::Digest;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;

use super::body::{Arriving, Outgoing, Replay, mask_headers};
use super::connect::{Bounded, Dial, DialError};
use super::exchange::{Live, SENDING};
use super::session::{Allowed, MAX_URL, NetworkError, Session, Slot, TaskBody};
use super::{Credential, Network, retry};
use crate::capability::{Redactor, cut};
use crate::event::{Exchange, Transfer};

/// Bytes of a response's head.
const MAX_HEAD: u32 = 64 << 10;
/// Headers of a response.
const MAX_HEADERS: usize = 128;
/// What a stream and a connection of HTTP/2 may send ahead.
const WINDOW: u32 = 2 << 20;

/// The head of a response, or why there is none.
type Sent = Result<(Response<Incoming>, Arc<Live>), NetworkError>;

/// Sends the requests under one rule, over connections of its own.
#[derive(Clone)]
pub(super) struct Client(legacy::Client<Bounded<HttpsConnector<Dial>>, Outgoing>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(super) fn new(
        network: &Arc<Network>,
        rule: &Arc<NetworkRule>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let dial = Dial { network: Arc::clone(network), rule: Arc::clone(rule) };
        let tls = rustls::ClientConfig::clone(&*network.tls()?);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(8)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(512 << 10)
            .http2_max_header_list_size(MAX_HEAD)
            .http2_initial_stream_window_size(WINDOW)
            .http2_initial_connection_window_size(WINDOW * 2);
        Ok(Self(builder.build(Bounded { inner: connector.wrap_connector(dial), timeout })))
    }
}

impl Session {
    /// Tries a request until it is answered, or trying again would not help.
    pub(super) async fn attempts(
        &self,
        request: Request<TaskBody>,
        allowed: Allowed,
        slot: Slot,
    ) -> Result<Response<TaskBody>, NetworkError> {
        let (mut head, mut body) = request.into_parts();
        let credential = self.prepare(&mut head.headers, &allowed)?;
        let idempotent = Method::parse(head.method.as_str()).is_some_and(Method::is_idempotent);
        let mut attempt = 1;
        loop {
            let mut request = Request::builder().method(&head.method).uri(&head.uri);
            if let Some(headers) = request.headers_mut() {
                headers.clone_from(&head.headers);
            }
            let (sent, replay) = self.attempt(request, body, &allowed, credential, attempt).await;
            let again = replay.whole().filter(|_| idempotent);
            let wait = self.wait_before_next(&sent, attempt);
            // Only what changes nothing when it is done twice, and can be sent
            // again whole, is tried again.
            let (Some(wait), Some(bytes)) = (wait, again) else {
                return self.deliver(sent, &allowed, slot);
            };
            if let Ok((_, live)) = &sent {
                live.record(Some("tried again".to_owned()));
            }
            drop(sent);
            tokio::time::sleep(wait).await;
            body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
            attempt += 1;
        }
    }

    /// How long to wait before another try, where one may go better.
    fn wait_before_next(&self, sent: &Sent, attempt: u32) -> Option<Duration> {
        let settings = &self.network.settings;
        if attempt > settings.retries {
            return None;
        }
        let headers = match sent {
            Ok((response, _)) if retry::is_passing(response.status()) => Some(response.headers()),
            Err(NetworkError::Connect(_) | NetworkError::Transport(_)) => None,
            Ok(_) | Err(_) => return None,
        };
        retry::wait(headers, attempt, settings.backoff, Timestamp::now())
    }

    /// Takes away what the host decides about, and adds the secret.
    fn prepare(
        &self,
        headers: &mut http::HeaderMap,
        allowed: &Allowed,
    ) -> Result<Option<&Credential>, NetworkError> {
        // The client writes its own, from where the request really goes.
        headers.remove(header::HOST);
        headers.remove(header::TE);
        if !self.redactor.is_empty() {
            // A part of an echo could be asked for byte by byte, through any
            // rule, and a coded one cannot be looked into.
            if headers.contains_key(header::RANGE) || headers.contains_key("request-range") {
                let text = "a run with a secret cannot ask for a part (`Range`): an echo could not be masked";
                return Err(NetworkError::Secret(text.to_owned()));
            }
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let Some(ask) = &allowed.rule.secret else { return Ok(None) };
        let found = self.credentials.iter().find(|credential| credential.name == ask.name.as_str());
        // No value, no header: the plan has said so where that is meant.
        let Some(credential) = found else { return Ok(None) };
        let target = &allowed.target;
        if !credential.may_go_to(&target.host, target.port) {
            let why = format!(
                "the secret `{}` may not go to {}:{}; its owner lets it with `cofferdam secret set {} --host {}:{}`",
                ask.name, target.host, target.port, ask.name, target.host, target.port
            );
            return Err(self.deny(format!("secret {}", ask.name), why, None));
        }
        credential.add_to(ask, headers).map_err(NetworkError::Secret)?;
        Ok(Some(credential))
    }

    async fn attempt(
        &self,
        request: http::request::Builder,
        body: TaskBody,
        allowed: &Allowed,
        credential: Option<&Credential>,
        attempt: u32,
    ) -> (Sent, Arc<Replay>) {
        let uri = request.uri_ref().cloned().unwrap_or_default();
        let method = request.method_ref().map(ToString::to_string).unwrap_or_default();
        let url = told_url(&uri, credential.is_some(), &self.redactor);
        let nothing = Transfer { size: 0, digest: Digest::of(b""), complete: false };
        let told = Exchange {
            task: self.task.to_string(),
            number: allowed.number,
            attempt,
            method: method.clone(),
            url,
            secret: credential.map(|credential| credential.name.clone()),
            address: None,
            tried: Vec::new(),
            proxy: None,
            protocol: None,
            status: None,
            request: nothing,
            response: None,
            masked: false,
            duration_micros: 0,
            error: None,
        };
        let live = Live::new(told, &self.traffic, &self.recorder, &self.redactor);
        self.watch(&live);
        let headers = request.headers_ref().map_or(0, |headers| {
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
        });
        let (outgoing, replay) = Outgoing::new(body, Arc::clone(&live));
        let counted = self.traffic.send(method.len() + uri.to_string().len() + headers);
        let request = counted.map_err(NetworkError::Limit).and_then(|()| {
            request.body(outgoing).map_err(|error| NetworkError::Transport(error.to_string()))
        });
        let answer = match request {
            Ok(request) => self.answer(request, allowed, &live).await,
            Err(error) => Err(error),
        };
        let answer = answer.inspect_err(|error| live.record(Some(error.to_string())));
        let answer = answer.map(|response| {
            live.answered(response.status().as_u16(), format!("{:?}", response.version()));
            (response, live)
        });
        (answer, replay)
    }

    /// Waits for the head of the response, for as long as the request still
    /// moves, and then for as long as a task may wait.
    async fn answer(
        &self,
        mut request: Request<Outgoing>,
        allowed: &Allowed,
        live: &Arc<Live>,
    ) -> Result<Response<Incoming>, NetworkError> {
        live.capture(capture_connection(&mut request));
        let sending = allowed.client.0.request(request);
        let mut sending = std::pin::pin!(SENDING.scope(Arc::downgrade(live), sending));
        let patience = allowed.timeouts.first_byte;
        let mut before = live.progress();
        loop {
            match tokio::time::timeout(patience, sending.as_mut()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => return Err(self.explain(&error, allowed)),
                Err(_) if live.progress() == before => return Err(NetworkError::Timeout(patience)),
                Err(_) => before = live.progress(),
            }
        }
    }

    /// What went wrong, and whether it was a refusal.
    fn explain(&self, error: &legacy::Error, allowed: &Allowed) -> NetworkError {
        let mut cause = error.source();
        let mut deepest = error.to_string();
        while let Some(found) = cause {
            if let Some(own) = found.downcast_ref::<NetworkError>() {
                return own.clone();
            }
            if let Some(dial) = found.downcast_ref::<DialError>() {
                return self.explain_dial(dial, allowed);
            }
            if let Some(tls) = found.downcast_ref::<rustls::Error>() {
                return NetworkError::Tls(tls.to_string());
            }
            deepest = found.to_string();
            if let Some(tls) = tls_inside(found) {
                return NetworkError::Tls(tls.to_string());
            }
            cause = found.source();
        }
        if error.is_connect() { NetworkError::Connect(deepest) } else { NetworkError::Transport(deepest) }
    }

    fn explain_dial(&self, error: &DialError, allowed: &Allowed) -> NetworkError {
        match error {
            DialError::Refused { host, address, kind: _ } => {
                let mut rule = NetworkRule::clone(&allowed.rule);
                rule.addresses.extend(address.to_string().parse::<AddressRange>());
                self.deny(host.clone(), error.to_string(), Some(crate::capability::network_yaml(&rule)))
            }
            DialError::Unresolved { .. } => NetworkError::Unresolved(error.to_string()),
            DialError::Unreachable { .. }
            | DialError::Proxy { .. }
            | DialError::Timeout(_)
            | DialError::Url(_) => NetworkError::Connect(error.to_string()),
        }
    }

    /// Hands a response to the task, what must not reach it masked.
    fn deliver(&self, sent: Sent, allowed: &Allowed, slot: Slot) -> Result<Response<TaskBody>, NetworkError> {
        let (response, live) = sent?;
        let (mut head, body) = response.into_parts();
        let heads = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        let received = self.traffic.receive(heads.sum());
        let coded = is_coded(&head.headers);
        let refused = match (received, coded) {
            (Err(reason), _) => Some(NetworkError::Limit(reason)),
            // Whatever it holds could not be masked.
            (Ok(()), true) if !self.redactor.is_empty() => Some(NetworkError::Secret(
                "the response is compressed, so a secret in it could not be masked".to_owned(),
            )),
            (Ok(()), _) => None,
        };
        if let Some(error) = refused {
            live.record(Some(error.to_string()));
            return Err(error);
        }
        if mask_headers(&mut head.headers, &self.redactor) {
            live.masked();
        }
        let body = Arriving::new(body, live, &self.redactor, allowed.timeouts.between_bytes, slot);
        Ok(Response::from_parts(head, body.boxed_unsync()))
    }
}

/// The TLS error inside an I/O error, which keeps what it wraps to itself; the
/// connector wraps one of these in another.
fn tls_inside<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    loop {
        match inner.downcast_ref::<rustls::Error>() {
            Some(tls) => return Some(tls),
            None => inner = inner.downcast_ref::<std::io::Error>()?.get_ref()?,
        }
    }
}

/// Whether a body comes in a form that cannot be looked into.
fn is_coded(headers: &http::HeaderMap) -> bool {
    let other = |name: header::HeaderName, plain: &str| {
        headers.get_all(name).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(plain.as_bytes()))
    };
    other(header::CONTENT_ENCODING, "identity") || other(header::TRANSFER_ENCODING, "chunked")
}

/// A URL as it is recorded: short, and without what may stand in a query beside
/// a secret.
fn told_url(uri: &http::Uri, secret: bool, redactor: &Redactor) -> String {
    let text = uri.to_string();
    let url = match text.split_once('?') {
        Some((front, query)) if secret => {
            let pairs: Vec<String> = query
                .split('&')
                .map(|pair| {
                    pair.split_once('=').map_or_else(|| "***".to_owned(), |(name, _)| format!("{name}=***"))
                })
                .collect();
            format!("{front}?{}", pairs.join("&"))
        }
        Some(_) | None => text,
    };
    cut(&redactor.text(&url), MAX_URL).into_owned()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_query_beside_a_secret_is_recorded_without_its_values() {
        let uri: http::Uri = "https://a.example.org/x?user=me&key=v&bare".parse().unwrap_or_default();
        let none = Redactor::new([]);
        assert_eq!(told_url(&uri, true, &none), "https://a.example.org/x?user=***&key=***&***");
        assert_eq!(told_url(&uri, false, &none), "https://a.example.org/x?user=me&key=v&bare");
    }
}
