//! `wasi:sockets` as a task with a `tcp` grant sees it: the runtime's own
//! sockets, and in front of them the grant. Names are resolved by the host and
//! only if a rule names them; binding, listening and UDP are refused. Linked
//! for no other task.

mod names;
mod streams;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::udp::UdpSocket;
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, ip_name_lookup, network, tcp, tcp_create_socket, udp, udp_create_socket,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, SocketError, SocketResult};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsCtxView};

use super::state::TaskState;
use crate::capability::Trip;
use crate::network::{Connections, Open};
use streams::{Closed, Receiving, Sending};

/// Connections of a TaskRun that wait for an answer at once.
const MAX_BEGUN: usize = 64;
/// Bytes that the system may buffer for one socket.
const MAX_SOCKET_BUFFER: u64 = 1 << 20;

/// The view of one TaskRun's sockets.
pub(crate) struct Sockets<'a> {
    inner: WasiSocketsCtxView<'a>,
    connections: Option<&'a Arc<Connections>>,
    trip: &'a Trip,
    open: &'a mut HashMap<u32, Arc<Open>>,
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
    tcp_create_socket::add_to_linker::<TaskState, SocketsData>(linker, view)?;
    udp_create_socket::add_to_linker::<TaskState, SocketsData>(linker, view)?;
    udp::add_to_linker::<TaskState, WasiSockets>(linker, plain)?;
    tcp::add_to_linker::<TaskState, SocketsData>(linker, view)?;
    ip_name_lookup::add_to_linker::<TaskState, SocketsData>(linker, view)
}

/// Lets the runtime connect to what was checked, and nothing else: `view`
/// refuses with a reason, and this would if it ever failed to.
pub(crate) fn set_sockets(wasi: &mut WasiCtxBuilder, connections: Option<&Arc<Connections>>) {
    let granted = connections.is_some_and(|connections| connections.is_granted());
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
    let TaskState { wasi, table, connections, open, trip, .. } = state;
    let inner = WasiSocketsCtxView { ctx: wasi.sockets(), table };
    Sockets { inner, connections: connections.as_ref(), trip, open }
}

impl Sockets<'_> {
    fn refuse<T>(&self, what: &str) -> SocketResult<T> {
        if let Some(connections) = self.connections {
            connections.refuse(what);
        }
        Err(ErrorCode::AccessDenied.into())
    }

    /// Notes that a connection did not come about.
    fn unanswered(&mut self, socket: u32, error: SocketError) -> SocketError {
        let code = match error.downcast() {
            Ok(code) => code,
            Err(trap) => return SocketError::trap(trap),
        };
        // It is still under way, or was not begun.
        if !matches!(code, ErrorCode::WouldBlock | ErrorCode::NotInProgress)
            && let Some(open) = self.open.remove(&socket)
        {
            open.fail(words(code));
        }
        code.into()
    }
}

/// A code of the contract in words.
fn words(code: ErrorCode) -> String {
    code.name().replace('-', " ")
}

impl tcp_create_socket::Host for Sockets<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Socket> {
        let Some(connections) = self.connections else { return Err(ErrorCode::AccessDenied.into()) };
        if !connections.is_granted() {
            // Even one that leads nowhere tells of the machine's settings.
            connections.refuse_socket();
            return Err(ErrorCode::AccessDenied.into());
        }
        self.inner.create_tcp_socket(family)
    }
}

impl udp_create_socket::Host for Sockets<'_> {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.refuse("a datagram socket")
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
        if self.open.values().filter(|open| open.is_beginning()).count() >= MAX_BEGUN {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let number = socket.rep();
        self.inner.start_connect(socket, network, remote)?;
        self.open.insert(number, connections.begin(host, address));
        Ok(())
    }

    fn finish_connect(
        &mut self,
        socket: Socket,
    ) -> SocketResult<(Resource<DynInputStream>, Resource<DynOutputStream>)> {
        let number = socket.rep();
        let streams = self.inner.finish_connect(socket);
        let (input, output) = streams.map_err(|error| self.unanswered(number, error))?;
        let Some(open) = self.open.get(&number).cloned() else { return Err(ErrorCode::AccessDenied.into()) };
        open.answered();
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
        let open = self.open.remove(&socket.rep());
        if let Some(open) = open.filter(|open| open.has_handed() && open.is_closing()) {
            // Its streams are gone, and the runtime has waited until all was
            // written, or could not be: then there is no other end any more.
            let other_end = self.inner.remote_address(Resource::new_borrow(socket.rep()));
            if other_end.is_ok() { open.accepted() } else { open.lost() }
        }
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
        let number = socket.rep();
        self.inner.shutdown(socket, how)?;
        if let Some(open) = self.open.get(&number) {
            if matches!(how, ShutdownType::Send | ShutdownType::Both) {
                open.close_sending();
            }
            if matches!(how, ShutdownType::Receive | ShutdownType::Both) {
                open.close_receiving();
            }
        }
        Ok(())
    }
}
