//! Ranges of addresses, as rules name the ones that are not public.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of addresses: write one like `10.0.0.0/8`, or one address")]
pub struct InvalidRange(String);

/// Addresses that share their first bits, in CIDR notation (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Whether an address lies in it. One that maps IPv4 into IPv6 is the IPv4 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether it is this one address.
    #[must_use]
    pub fn is_exactly(&self, address: IpAddr) -> bool {
        self.contains(address) && self.0.prefix_len() == self.0.max_prefix_len()
    }
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        let range =
            text.parse().or_else(|_| one()).map_err(|_| InvalidRange(text.chars().take(80).collect()));
        range.map(|range: IpNet| Self(range.trunc()))
    }
}

impl TryFrom<String> for AddressRange {
    type Error = InvalidRange;

    fn try_from(text: String) -> Result<Self, InvalidRange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for AddressRange {
    fn schema_name() -> Cow<'static, str> {
        "AddressRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"})
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_in_every_spelling() {
        let range: AddressRange = "10.1.2.3/8".parse().unwrap();
        assert_eq!(range.to_string(), "10.0.0.0/8");
        assert!(range.contains("10.255.0.1".parse().unwrap()));
        assert!(range.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!range.contains("11.0.0.1".parse().unwrap()));
        let one: AddressRange = "169.254.169.254".parse().unwrap();
        assert!(one.is_exactly("169.254.169.254".parse().unwrap()));
        assert!(!range.is_exactly("10.0.0.0".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "x/8", "010.0.0.1"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
