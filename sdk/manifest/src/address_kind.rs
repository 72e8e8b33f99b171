//! What an address is for.
//!
//! Source: the IANA special-purpose address registries (RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Anybody is reached there.
    Public,
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, RFC 4193), or a carrier's (RFC 6598).
    Private,
    /// The same wire.
    LinkLocal,
    /// Where clouds hand out credentials.
    Metadata,
    /// Multicast, documentation, reserved: nothing that a request goes to.
    Special,
}

/// Where clouds answer with the machine's credentials.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's WireServer, which looks public.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

impl AddressKind {
    /// The kind of an address; an IPv4 address inside an IPv6 one counts as itself.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (169, 254, _) => Self::LinkLocal,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Self::Private,
            // "This network", protocol assignments, documentation, benchmarks,
            // 6to4 relays, multicast, reserved, broadcast.
            (0, ..)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..) => Self::Special,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let segments = address.segments();
        let [a, b, ..] = segments;
        if address.is_loopback() {
            return Self::Loopback;
        }
        // Three ways to put an IPv4 address into an IPv6 one; where the packet
        // arrives is what counts.
        let [.., g, h] = segments;
        match segments {
            [0x64, 0xff9b, 0, 0, 0, 0, ..] => return Self::of(embedded(g, h)),
            [0x2002, high, low, ..] => return Self::of(embedded(high, low)),
            [0, 0, 0, 0, 0, 0, ..] => return Self::Special,
            _ => {}
        }
        match (a, b) {
            (0xfe80..=0xfebf, _) => Self::LinkLocal,
            (0xfc00..=0xfdff, _) | (0xfec0..=0xfeff, _) => Self::Private,
            // Local NAT64, discard, Teredo and other protocol assignments, documentation.
            (0x64, _) | (0x100, _) | (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, _) => Self::Special,
            // Only 2000::/3 is handed out.
            (0x2000..=0x3fff, _) => Self::Public,
            _ => Self::Special,
        }
    }

    /// The kind in words, with its article.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of this machine",
            Self::Private => "an address of a private network",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "an address where clouds hand out credentials",
            Self::Special => "an address that nobody is reached at",
        }
    }
}

fn embedded(high: u16, low: u16) -> IpAddr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn every_way_to_a_private_address_is_known() {
        for (address, kind) in [
            ("93.184.216.34", AddressKind::Public),
            ("2606:2800:220:1::1", AddressKind::Public),
            ("127.0.0.1", AddressKind::Loopback),
            ("127.255.0.1", AddressKind::Loopback),
            ("::1", AddressKind::Loopback),
            ("::ffff:127.0.0.1", AddressKind::Loopback),
            ("64:ff9b::7f00:1", AddressKind::Loopback),
            ("2002:7f00:1::", AddressKind::Loopback),
            ("2002:a00:1::1", AddressKind::Private),
            ("::127.0.0.1", AddressKind::Special),
            ("0.0.0.0", AddressKind::Special),
            ("::", AddressKind::Special),
            ("10.0.0.1", AddressKind::Private),
            ("172.16.0.1", AddressKind::Private),
            ("172.32.0.1", AddressKind::Public),
            ("192.168.1.1", AddressKind::Private),
            ("100.64.0.1", AddressKind::Private),
            ("fd12::1", AddressKind::Private),
            ("fec0::1", AddressKind::Private),
            ("169.254.0.1", AddressKind::LinkLocal),
            ("fe80::1", AddressKind::LinkLocal),
            ("169.254.169.254", AddressKind::Metadata),
            ("::ffff:169.254.169.254", AddressKind::Metadata),
            ("64:ff9b::a9fe:a9fe", AddressKind::Metadata),
            ("fd00:ec2::254", AddressKind::Metadata),
            ("100.100.100.200", AddressKind::Metadata),
            ("224.0.0.1", AddressKind::Special),
            ("255.255.255.255", AddressKind::Special),
            ("192.0.2.1", AddressKind::Special),
            ("2001:db8::1", AddressKind::Special),
            ("2001::1", AddressKind::Special),
            ("ff02::1", AddressKind::Special),
            ("4000::1", AddressKind::Special),
        ] {
            assert_eq!(AddressKind::of(address.parse().unwrap()), kind, "{address}");
        }
    }
}
