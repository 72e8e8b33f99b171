//! Which addresses a granted host may turn out to have.
//!
//! A public name can point anywhere, to this machine and the services of a
//! private network too. So an address that is not public is refused unless the
//! rule names it: by `addresses`, by being the host itself, or, for this
//! machine, by the name `localhost`.

use std::net::IpAddr;

use cofferdam_manifest::{AddressKind, AddressRange, Host, HostPattern};

/// Whether a connection to an address may be made under a rule for `host` with
/// these ranges; if not, what kind of address it is.
pub(crate) fn check_address(
    host: &HostPattern,
    ranges: &[AddressRange],
    address: IpAddr,
) -> Result<(), &'static str> {
    let kind = AddressKind::of(address);
    let is_host = matches!(host, HostPattern::Exact(Host::Address(own)) if *own == address.to_canonical());
    let is_localhost = *host == HostPattern::Exact(Host::Name("localhost".to_owned()));
    let named = match kind {
        // A resolver that sends `localhost` away would take secrets with it.
        AddressKind::Public => !is_localhost,
        AddressKind::Loopback => {
            is_host || is_localhost || ranges.iter().any(|range| range.contains(address))
        }
        AddressKind::Private | AddressKind::LinkLocal => {
            is_host || ranges.iter().any(|range| range.contains(address))
        }
        // No range names one by accident.
        AddressKind::Metadata => is_host || ranges.iter().any(|range| range.is_exactly(address)),
        AddressKind::Special => false,
    };
    if named { Ok(()) } else { Err(kind.noun()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn an_address_that_is_not_public_must_be_named() {
        for (host, ranges, address, allowed) in [
            ("example.org", &[][..], "93.184.216.34", true),
            ("example.org", &[], "10.0.0.1", false),
            ("example.org", &["10.0.0.0/8"], "10.0.0.1", true),
            ("example.org", &["10.0.0.0/8"], "192.168.0.1", false),
            ("example.org", &["0.0.0.0/0"], "169.254.169.254", false),
            ("example.org", &["169.254.169.254"], "169.254.169.254", true),
            ("example.org", &["0.0.0.0/0"], "0.0.0.0", false),
            ("127.0.0.1", &[], "127.0.0.1", true),
            ("127.0.0.1", &[], "127.0.0.2", false),
            ("10.0.0.1", &[], "10.0.0.1", true),
            ("localhost", &[], "127.0.0.1", true),
            ("localhost", &[], "::1", true),
            ("localhost", &[], "10.0.0.1", false),
            ("localhost", &[], "93.184.216.34", false),
            ("example.org", &["0.0.0.0/0"], "168.63.129.16", false),
            ("localhost.example.org", &[], "127.0.0.1", false),
        ] {
            let ranges: Vec<AddressRange> = ranges.iter().map(|text| text.parse().unwrap()).collect();
            let found = check_address(&host.parse().unwrap(), &ranges, address.parse().unwrap());
            assert_eq!(found.is_ok(), allowed, "{host} {address}: {found:?}");
        }
    }
}
