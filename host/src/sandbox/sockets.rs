//! `wasi:sockets` as a task with a `tcp` grant sees it: the runtime's own
//! sockets, and in front of them the grant. Names are resolved by the host and
//! only if a rule names them; binding, listening and UDP are refused. Linked
//! for no other task.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::vec;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Network,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, ip_name_lookup, network, tcp, tcp_create_socket, udp, udp_create_socket,
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, SocketError,
    SocketResult, StreamError, StreamResult, subscribe,
};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsCtxView};
use wasmtime_wasi_io::bytes::Bytes;

use super::state::TaskState;
use crate::capability::Trip;
use crate::network::{Connections, Open};

/// The view of one TaskRun's sockets.
pub(crate) struct Sockets<'a> {
    inner: WasiSocketsCtxView<'a>,
    connections: Option<&'a Arc<Connections>>,
    trip: &'a Trip,
    connecting: &'a mut std::collections::HashMap<u32, (String, SocketAddr)>,
}

/// Names the view to the linker.
struct SocketsData;

impl HasData for SocketsData {
    type Data<'a> = Sockets<'a>;
}

pub(crate) fn link(linker: &mut Linker<TaskState>) -> wasmtime::Result<()> {
    let options = network::LinkOptions::default();
    instance_network::add_to_linker::<TaskState, WasiSockets>(linker, plain)?;
    network::add_to_linker::<TaskState, WasiSockets>(linker, &options, plain)?;
    tcp_create_socket::add_to_linker::<TaskState, WasiSockets>(linker, plain)?;
    udp_create_socket::add_to_linker::<TaskState, WasiSockets>(linker, plain)?;
    udp::add_to_linker::<TaskState, WasiSockets>(linker, plain)?;
    tcp::add_to_linker::<TaskState, SocketsData>(linker, view)?;
    ip_name_lookup::add_to_linker::<TaskState, SocketsData>(linker, view)
}

/// Lets the runtime connect to what was checked, and nothing else: `view`
/// refuses with a reason, and this would if it ever failed to.
pub(crate) fn set_sockets(wasi: &mut WasiCtxBuilder, connections: Option<&Arc<Connections>>) {
    let granted = connections.is_some();
    wasi.allow_tcp(granted).allow_udp(false).allow_ip_name_lookup(false);
    if granted {
        wasi.socket_addr_check(|_, usage| {
            let allowed = match usage {
                SocketAddrUse::TcpConnect => true,
                // The system binds before it connects: to no address of ours.
                SocketAddrUse::TcpBind => true,
                SocketAddrUse::TcpListen
                | SocketAddrUse::TcpAccept
                | SocketAddrUse::UdpBind
                | SocketAddrUse::UdpSend
                | SocketAddrUse::UdpReceive => false,
            };
            Box::pin(async move { allowed })
        });
    }
}

fn plain(state: &mut TaskState) -> WasiSocketsCtxView<'_> {
    WasiSocketsCtxView { ctx: state.wasi.sockets(), table: &mut state.table }
}

fn view(state: &mut TaskState) -> Sockets<'_> {
    let TaskState { wasi, table, connections, connecting, trip, .. } = state;
    let inner = WasiSocketsCtxView { ctx: wasi.sockets(), table };
    Sockets { inner, connections: connections.as_ref(), trip, connecting }
}

impl Sockets<'_> {
    fn refuse<T>(&self, what: &str) -> SocketResult<T> {
        if let Some(connections) = self.connections {
            connections.refuse(what);
        }
        Err(ErrorCode::AccessDenied.into())
    }
}

/// The addresses of a name, once they are known.
struct Lookup(Answer);

enum Answer {
    Waiting(AbortOnDropJoinHandle<Option<Vec<IpAddr>>>),
    Found(vec::IntoIter<IpAddr>),
    Refused,
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Answer::Waiting(handle) = &mut self.0 {
            self.0 = match handle.await {
                Some(found) => Answer::Found(found.into_iter()),
                None => Answer::Refused,
            };
        }
    }
}

type LookupStream = ip_name_lookup::ResolveAddressStream;

impl ip_name_lookup::Host for Sockets<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        name: String,
    ) -> Result<Resource<LookupStream>, SocketError> {
        let Some(connections) = self.connections else { return Err(ErrorCode::AccessDenied.into()) };
        let handle = wasmtime_wasi::runtime::spawn(Arc::clone(connections).resolve(name));
        let lookup = self.inner.table.push(Lookup(Answer::Waiting(handle)))?;
        // The guest only ever hands the number back to the methods below.
        Ok(Resource::new_own(lookup.rep()))
    }
}

impl ip_name_lookup::HostResolveAddressStream for Sockets<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<LookupStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let lookup = self.inner.table.get_mut(&Resource::<Lookup>::new_borrow(stream.rep()))?;
        match &mut lookup.0 {
            Answer::Waiting(_) => Err(ErrorCode::WouldBlock.into()),
            Answer::Refused => Err(ErrorCode::AccessDenied.into()),
            Answer::Found(addresses) => Ok(addresses.next().map(IpAddress::from)),
        }
    }

    fn subscribe(&mut self, stream: Resource<LookupStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.inner.table, Resource::<Lookup>::new_borrow(stream.rep()))
    }

    fn drop(&mut self, stream: Resource<LookupStream>) -> wasmtime::Result<()> {
        self.inner.table.delete(Resource::<Lookup>::new_own(stream.rep()))?;
        Ok(())
    }
}

impl network::HostNetwork for Sockets<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.inner, network)
    }
}

impl network::Host for Sockets<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.network_error_code(error)
    }
}

impl tcp::Host for Sockets<'_> {}

type Socket = Resource<TcpSocket>;

impl HostTcpSocket for Sockets<'_> {
    async fn start_bind(&mut self, _: Socket, _: Resource<Network>, _: IpSocketAddress) -> SocketResult<()> {
        self.refuse("bind")
    }

    fn finish_bind(&mut self, _: Socket) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn start_connect(
        &mut self,
        socket: Socket,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> SocketResult<()> {
        let address = SocketAddr::from(remote);
        let Some(connections) = self.connections else { return Err(ErrorCode::AccessDenied.into()) };
        let Ok(host) = connections.allow(address) else { return Err(ErrorCode::AccessDenied.into()) };
        let number = socket.rep();
        self.inner.start_connect(socket, network, remote)?;
        self.connecting.insert(number, (host, address));
        Ok(())
    }

    fn finish_connect(
        &mut self,
        socket: Socket,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let rep = socket.rep();
        let (input, output) = self.inner.finish_connect(Resource::new_borrow(rep))?;
        let (Some((host, address)), Some(connections)) = (self.connecting.remove(&rep), self.connections)
        else {
            return Err(ErrorCode::AccessDenied.into());
        };
        let open = connections.opened(host, address);
        let inner = std::mem::replace(self.inner.table.get_mut(&input)?, Box::new(Closed));
        *self.inner.table.get_mut(&input)? =
            Box::new(Receiving { inner, open: Arc::clone(&open), trip: self.trip.clone() });
        let inner = std::mem::replace(self.inner.table.get_mut(&output)?, Box::new(Closed));
        *self.inner.table.get_mut(&output)? = Box::new(Sending { inner, open, trip: self.trip.clone() });
        Ok((input, output))
    }

    async fn start_listen(&mut self, _: Socket) -> SocketResult<()> {
        self.refuse("listen")
    }

    fn finish_listen(&mut self, _: Socket) -> SocketResult<()> {
        Err(ErrorCode::NotInProgress.into())
    }

    fn accept(
        &mut self,
        _: Socket,
    ) -> SocketResult<(Socket, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        self.refuse("accept")
    }

    fn local_address(&mut self, _: Socket) -> SocketResult<IpSocketAddress> {
        // It would tell of the machine.
        Err(ErrorCode::NotSupported.into())
    }

    fn drop(&mut self, socket: Socket) -> wasmtime::Result<()> {
        self.connecting.remove(&socket.rep());
        HostTcpSocket::drop(&mut self.inner, socket)
    }

    // What follows is passed on as it is.

    fn remote_address(&mut self, socket: Socket) -> SocketResult<IpSocketAddress> {
        self.inner.remote_address(socket)
    }

    fn is_listening(&mut self, socket: Socket) -> wasmtime::Result<bool> {
        self.inner.is_listening(socket)
    }

    fn address_family(&mut self, socket: Socket) -> wasmtime::Result<IpAddressFamily> {
        self.inner.address_family(socket)
    }

    fn set_listen_backlog_size(&mut self, _: Socket, _: u64) -> SocketResult<()> {
        Err(ErrorCode::NotSupported.into())
    }

    fn keep_alive_enabled(&mut self, socket: Socket) -> SocketResult<bool> {
        self.inner.keep_alive_enabled(socket)
    }

    fn set_keep_alive_enabled(&mut self, socket: Socket, value: bool) -> SocketResult<()> {
        self.inner.set_keep_alive_enabled(socket, value)
    }

    fn keep_alive_idle_time(&mut self, socket: Socket) -> SocketResult<u64> {
        self.inner.keep_alive_idle_time(socket)
    }

    fn set_keep_alive_idle_time(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        self.inner.set_keep_alive_idle_time(socket, value)
    }

    fn keep_alive_interval(&mut self, socket: Socket) -> SocketResult<u64> {
        self.inner.keep_alive_interval(socket)
    }

    fn set_keep_alive_interval(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        self.inner.set_keep_alive_interval(socket, value)
    }

    fn keep_alive_count(&mut self, socket: Socket) -> SocketResult<u32> {
        self.inner.keep_alive_count(socket)
    }

    fn set_keep_alive_count(&mut self, socket: Socket, value: u32) -> SocketResult<()> {
        self.inner.set_keep_alive_count(socket, value)
    }

    fn hop_limit(&mut self, socket: Socket) -> SocketResult<u8> {
        self.inner.hop_limit(socket)
    }

    fn set_hop_limit(&mut self, socket: Socket, value: u8) -> SocketResult<()> {
        self.inner.set_hop_limit(socket, value)
    }

    fn receive_buffer_size(&mut self, socket: Socket) -> SocketResult<u64> {
        self.inner.receive_buffer_size(socket)
    }

    fn set_receive_buffer_size(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        self.inner.set_receive_buffer_size(socket, value.min(MAX_SOCKET_BUFFER))
    }

    fn send_buffer_size(&mut self, socket: Socket) -> SocketResult<u64> {
        self.inner.send_buffer_size(socket)
    }

    fn set_send_buffer_size(&mut self, socket: Socket, value: u64) -> SocketResult<()> {
        self.inner.set_send_buffer_size(socket, value.min(MAX_SOCKET_BUFFER))
    }

    fn subscribe(&mut self, socket: Socket) -> wasmtime::Result<Resource<DynPollable>> {
        self.inner.subscribe(socket)
    }

    fn shutdown(&mut self, socket: Socket, how: ShutdownType) -> SocketResult<()> {
        self.inner.shutdown(socket, how)
    }
}

/// Bytes that the system may buffer for one socket.
const MAX_SOCKET_BUFFER: u64 = 1 << 20;

/// What stands in a stream's place while it is wrapped.
struct Closed;

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

/// Bytes from the other end.
struct Receiving {
    inner: DynInputStream,
    open: Arc<Open>,
    trip: Trip,
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
        match self.inner.read(size) {
            Ok(bytes) => {
                let counted = self.open.receive(&bytes);
                counted.map_err(|reason| StreamError::Trap(self.trip.end(reason)))?;
                Ok(bytes)
            }
            Err(error) => {
                if matches!(error, StreamError::Closed) {
                    self.open.received_all();
                }
                Err(error)
            }
        }
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Bytes to the other end.
struct Sending {
    inner: DynOutputStream,
    open: Arc<Open>,
    trip: Trip,
}

#[async_trait]
impl Pollable for Sending {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Sending {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.open.send(&bytes).map_err(|reason| StreamError::Trap(self.trip.end(reason)))?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
