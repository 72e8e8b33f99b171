//! Names that a task looks up: the host resolves them, and only those that a
//! rule names.

use std::net::IpAddr;
use std::vec;

use wasmtime::component::Resource;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketError, subscribe};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;

use super::Sockets;

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
        let resolving = self.connections.and_then(|connections| connections.resolve(&name));
        let Some(resolving) = resolving else { return Err(ErrorCode::AccessDenied.into()) };
        let handle = wasmtime_wasi::runtime::spawn(resolving);
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
