//! Makes connections: resolves a name once, checks every address, and connects
//! to one that was checked. Nothing resolves the name a second time, so an
//! answer that changes changes nothing.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use cofferdam_manifest::{AddressRange, Host, HostPattern, NetworkRule};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Network;
use super::exchange::{Live, SENDING};
use crate::capability::{Target, check_address};

/// How long an address may take before the next one is tried, where there is one.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The name leads where the rule does not allow.
    #[error("`{host}` leads to {address}, {kind}")]
    Refused {
        /// The name.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What that is.
        kind: &'static str,
    },
    /// The name has no address.
    #[error("`{host}` cannot be resolved: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Nobody answered.
    #[error("cannot connect to {address}: {why}")]
    Unreachable {
        /// The last address tried.
        address: SocketAddr,
        /// What the system said.
        why: String,
    },
    /// The proxy did not connect.
    #[error("the proxy {proxy} did not connect: {why}")]
    Proxy {
        /// The proxy, without its user.
        proxy: String,
        /// What it said.
        why: String,
    },
    /// It took too long.
    #[error("connecting took longer than {0:?}")]
    Timeout(Duration),
    /// The URL cannot be connected to.
    #[error("{0}")]
    Url(String),
}

/// The other end of a connection, as responses carry it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: Option<SocketAddr>,
    pub(super) proxy: Option<String>,
}

impl Peer {
    /// That of the connection a request was given, if it has one.
    pub(super) fn of(connection: &CaptureConnection) -> Option<Self> {
        let mut extras = http::Extensions::new();
        connection.connection_metadata().as_ref()?.get_extras(&mut extras);
        extras.remove()
    }
}

/// Resolves a host and gives the addresses that a rule allows.
pub(super) async fn resolve_checked(
    network: &Network,
    host: &Host,
    pattern: &HostPattern,
    ranges: &[AddressRange],
) -> Result<Vec<IpAddr>, DialError> {
    let found = match host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let unresolved = |why: String| DialError::Unresolved { host: name.clone(), why };
            let found =
                network.resolver.resolve(name).await.map_err(|error| unresolved(error.to_string()))?;
            if found.is_empty() {
                return Err(unresolved("it has no address".to_owned()));
            }
            found
        }
    };
    let mut refused = None;
    let mut allowed = Vec::new();
    for address in found {
        match check_address(pattern, ranges, address) {
            Ok(()) => allowed.push(address),
            Err(kind) => refused = refused.or(Some((address, kind))),
        }
    }
    match (allowed.is_empty(), refused) {
        (true, Some((address, kind))) => Err(DialError::Refused { host: host.to_string(), address, kind }),
        (true, None) | (false, _) => Ok(allowed),
    }
}

/// Connects to the first of some checked addresses that answers; tells each one
/// before it is tried.
async fn connect_any(
    addresses: &[IpAddr],
    port: u16,
    tell: impl Fn(SocketAddr),
) -> Result<TcpStream, DialError> {
    let mut failed = DialError::Url("there is no address".to_owned());
    for (index, address) in addresses.iter().enumerate() {
        let address = SocketAddr::new(*address, port);
        tell(address);
        let connecting = TcpStream::connect(address);
        let is_last = index + 1 == addresses.len();
        let connected = if is_last {
            connecting.await
        } else {
            match tokio::time::timeout(ADDRESS_PATIENCE, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
            }
        };
        match connected {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => failed = DialError::Unreachable { address, why: error.to_string() },
        }
    }
    Err(failed)
}

/// Makes the connections of requests under one rule.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) network: Arc<Network>,
    pub(super) rule: Arc<NetworkRule>,
}

impl Dial {
    /// Connects to where a URL leads; `live` is the request that it is for.
    async fn dial(self, uri: Uri, live: Weak<Live>) -> Result<Wire, DialError> {
        let wire = self.connect(uri, &live).await?;
        if let Some(live) = live.upgrade() {
            live.reached(&wire.peer);
        }
        Ok(wire)
    }

    async fn connect(self, uri: Uri, live: &Weak<Live>) -> Result<Wire, DialError> {
        let target = Target::of(&uri).map_err(DialError::Url)?;
        let proxy = self.network.proxy.as_ref().and_then(|matcher| matcher.intercept(&uri));
        let by_proxy = proxy.is_some() && self.network.settings.proxy_resolves;
        let checked = match (&target.host, by_proxy) {
            (Host::Name(_), true) => Vec::new(),
            (Host::Name(_) | Host::Address(_), _) => {
                resolve_checked(&self.network, &target.host, &self.rule.host, &self.rule.addresses).await?
            }
        };
        let Some(proxy) = proxy else {
            let tell = |address| {
                if let Some(live) = live.upgrade() {
                    live.trying(Some(address), None);
                }
            };
            let stream = connect_any(&checked, target.port, tell).await?;
            let address = stream.peer_addr().ok();
            return Ok(Wire { stream: TokioIo::new(stream), peer: Peer { address, proxy: None } });
        };
        let name = proxy_name(&proxy);
        let place = match checked.first() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            Some(IpAddr::V4(address)) => address.to_string(),
            None => target.host.to_string(),
        };
        let place: Uri = format!("https://{place}:{}", target.port)
            .parse()
            .map_err(|_| DialError::Url("the address is no URL".to_owned()))?;
        let refused = |why: String| DialError::Proxy { proxy: name.clone(), why };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), ToProxy);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let address = checked.first().map(|address| SocketAddr::new(*address, target.port));
        if let Some(live) = live.upgrade() {
            live.trying(address, Some(&name));
        }
        let stream = tunnel.call(place).await.map_err(|error| refused(error.to_string()))?;
        Ok(Wire { stream, peer: Peer { address, proxy: Some(name) } })
    }
}

fn proxy_name(proxy: &Intercept) -> String {
    let uri = proxy.uri();
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default())
}

type Dialing<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = DialError;
    type Future = Dialing<Wire, DialError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // Within the request's own future, where it was not left to another.
        let live = SENDING.try_with(Weak::clone).unwrap_or_default();
        Box::pin(self.clone().dial(uri, live))
    }
}

/// Bounds the whole way to a usable connection: its TLS handshake, too.
#[derive(Clone)]
pub(super) struct Bounded<S> {
    pub(super) inner: S,
    pub(super) timeout: Duration,
}

impl<S> Service<Uri> for Bounded<S>
where
    S: Service<Uri>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = S::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Dialing<S::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.timeout);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(DialError::Timeout(limit).into()),
            }
        })
    }
}

/// Connects to the proxy, which the user configured and no rule needs to name.
#[derive(Clone, Debug)]
struct ToProxy;

impl Service<Uri> for ToProxy {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Dialing<TokioIo<TcpStream>, std::io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            if uri.scheme_str() != Some("http") {
                return Err(std::io::Error::other("a proxy is reached over http://"));
            }
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            let _ = stream.set_nodelay(true);
            Ok(TokioIo::new(stream))
        })
    }
}

/// A connection that knows its other end.
pub(super) struct Wire {
    stream: TokioIo<TcpStream>,
    peer: Peer,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.peer.clone())
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
