//! `wasi:http` as a task sees it: the runtime's own types, and behind
//! `outgoing-handler` the host's client, which decides about every request. What
//! no rule allows is refused before the call returns: a task that waited for it
//! could tell how fast the machine is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
};

use super::state::TaskState;
use crate::model::TaskRunReason;
use crate::network::{NetworkError, Session, Timeouts};

/// What a TaskRun has of HTTP.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl Http {
    /// Without a session there is nothing to reach.
    pub(crate) fn new(session: Option<Arc<Session>>) -> Self {
        Self { context: WasiHttpCtx::new(), hooks: Hooks { session, refused: None } }
    }
}

struct Hooks {
    session: Option<Arc<Session>>,
    /// Why the request that was just made is not sent.
    refused: Option<Error>,
}

/// Links the part of `wasi:http` that sends requests.
pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    let options = types::LinkOptions::default();
    types::add_to_linker::<TaskState, WasiHttp>(linker, &options, view)?;
    // As the runtime adds it, every answer would be one to wait for.
    let mut instance = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    instance.func_wrap("handle", |mut store, (request, options): (Request, Option<Options>)| {
        let state: &mut TaskState = store.data_mut();
        let answer = outgoing_handler::Host::handle(&mut view(state), request, options);
        if let (Ok(answer), Some(error)) = (&answer, state.http.hooks.refused.take()) {
            *state.table.get_mut(answer)? = HostFutureIncomingResponse::Ready(Err(error));
        }
        match answer {
            Ok(answer) => Ok((Ok(answer),)),
            Err(error) => Ok((Err(types::Host::convert_error_code(&mut view(state), error)?),)),
        }
    })
}

type Request = Resource<HostOutgoingRequest>;
type Options = Resource<RequestOptions>;

fn view(state: &mut TaskState) -> WasiHttpCtxView<'_> {
    let Http { context, hooks } = &mut state.http;
    WasiHttpCtxView { hooks, table: &mut state.table, ctx: context }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn set_host_header(&mut self) -> bool {
        // The client writes it, from where the request really goes.
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Sending {
        let timeouts = options.unwrap_or_default();
        let timeouts = Timeouts::asked(
            timeouts.connect_timeout,
            timeouts.first_byte_timeout,
            timeouts.between_bytes_timeout,
        );
        let request = request
            .map(|body| body.map_err(|error| NetworkError::Transport(error.to_string())).boxed_unsync());
        let allowed = match &self.session {
            Some(session) => {
                session.allow(&request, timeouts).map_err(told).map(|allowed| (session, allowed))
            }
            None => Err(Error::HttpRequestDenied),
        };
        let (session, allowed) = match allowed {
            Ok((session, allowed)) => (Arc::clone(session), allowed),
            Err(error) => {
                self.refused = Some(error);
                return Box::new(std::future::pending());
            }
        };
        Box::new(async move {
            let sent: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(session.send(request, allowed));
            let response = sent.await.map_err(told)?;
            let done: Io = Box::new(async { Ok(()) });
            Ok((response.map(|body| body.map_err(told).boxed_unsync()), done))
        })
    }
}

/// An error as the task sees it. `internal-error` is the only one that carries
/// words, and a refusal has to say what to add.
fn told(error: NetworkError) -> Error {
    match error {
        NetworkError::Denied(_) | NetworkError::Secret(_) => Error::InternalError(Some(error.to_string())),
        NetworkError::Limit(TaskRunReason::BodyLimit) => Error::HttpResponseBodySize(None),
        NetworkError::Limit(_) => Error::ConnectionLimitReached,
        NetworkError::Connect(_) => Error::ConnectionRefused,
        NetworkError::Unresolved(why) => Error::DnsError { rcode: Some(why), info_code: None },
        NetworkError::Tls(_) => Error::TlsCertificateError,
        NetworkError::Transport(_) => Error::ConnectionTerminated,
        NetworkError::Timeout(_) => Error::HttpResponseTimeout,
        NetworkError::Silence(_) => Error::ConnectionReadTimeout,
    }
}
