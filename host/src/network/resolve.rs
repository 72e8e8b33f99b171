//! From names to addresses.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// What resolving gives.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Resolves names: the system, or a test's own.
pub trait Resolver: Send + Sync {
    /// The addresses of a name, the preferred one first.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// The system's resolver, after the names of the configuration.
#[derive(Debug)]
pub struct SystemResolver {
    hosts: BTreeMap<String, Vec<IpAddr>>,
}

impl SystemResolver {
    /// The system's resolver; `hosts` come first.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, Vec<IpAddr>>) -> Self {
        Self { hosts }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            if let Some(addresses) = self.hosts.get(name) {
                return Ok(addresses.clone());
            }
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
