//! A secret's value, which nothing prints, and the hosts it may be sent to.
//!
//! The bounds on a value make it a value that can be masked: a short one stands
//! in innocent text by chance, and is guessed easily.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use cofferdam_manifest::{Host, HostPattern};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The port a secret is bound to when none is named: HTTPS.
const DEFAULT_PORT: u16 = 443;

/// The value of a secret. It is overwritten when dropped, and no format shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

/// Why bytes cannot be the value of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecretValue {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// Too short to be masked, and easily guessed.
    #[error("it has {0} bytes, and fewer than {min} cannot be masked in logs", min = SecretValue::MIN)]
    TooShort(usize),
    /// Too long to be sent in a header.
    #[error("it is longer than {max} KiB", max = SecretValue::MAX >> 10)]
    TooLong,
    /// It cannot stand in a header.
    #[error("it holds a line break or another control character")]
    Control,
}

impl SecretValue {
    /// The fewest bytes of a value.
    pub const MIN: usize = 8;
    /// The most bytes of a value.
    pub const MAX: usize = 64 << 10;

    /// Takes bytes as a value, without a copy.
    ///
    /// # Errors
    /// [`InvalidSecretValue`]; the bytes are overwritten then, too.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidSecretValue> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(InvalidSecretValue::Empty),
            length if length < Self::MIN => Err(InvalidSecretValue::TooShort(length)),
            length if length > Self::MAX => Err(InvalidSecretValue::TooLong),
            _ if bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') => {
                Err(InvalidSecretValue::Control)
            }
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes themselves, for the one place that sends them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A host, and a port there, that a secret may be sent to: `api.example.org`,
/// `*.example.org` for everything below it, `192.0.2.1`, `[2001:db8::1]:8443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretHost {
    pattern: HostPattern,
    port: u16,
}

/// A text that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no host a secret can be bound to: {why}")]
pub struct InvalidSecretHost {
    text: String,
    why: String,
}

impl SecretHost {
    /// Whether a secret bound to this may be sent to a host, as an URL names
    /// it, and a port.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        // A name has one spelling here: without the final dot.
        if port != self.port || host.ends_with('.') {
            return false;
        }
        // An address is written with and without brackets.
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Host::Address(IpAddr::V6(address).to_canonical())),
            Err(_) => host.parse::<Host>(),
        };
        host.is_ok_and(|host| self.pattern.matches(&host))
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for SecretHost {
    type Err = InvalidSecretHost;

    fn from_str(text: &str) -> Result<Self, InvalidSecretHost> {
        parse(text).map_err(|why| InvalidSecretHost { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<SecretHost, String> {
    if text.contains("://") {
        return Err("leave out the scheme".to_owned());
    }
    if text.contains('@') {
        return Err("leave out the user".to_owned());
    }
    if text.contains(['/', '?', '#', '\\']) {
        return Err("leave out the path".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        // The rest of an IPv6 address is no port.
        Some((host, port)) if !text.ends_with(']') && text.parse::<Ipv6Addr>().is_err() => {
            (host, parse_port(port).ok_or("a port is a number from 1 to 65535")?)
        }
        Some(_) | None => (text, DEFAULT_PORT),
    };
    let pattern = host.parse::<HostPattern>().map_err(|error| error.to_string())?;
    Ok(SecretHost { pattern, port })
}

/// A port in its one spelling: no sign, no leading zero.
fn parse_port(text: &str) -> Option<u16> {
    let port = text.parse::<u16>().ok()?;
    (port > 0 && port.to_string() == text).then_some(port)
}

impl TryFrom<String> for SecretHost {
    type Error = InvalidSecretHost;

    fn try_from(text: String) -> Result<Self, InvalidSecretHost> {
        text.parse()
    }
}

impl From<SecretHost> for String {
    fn from(host: SecretHost) -> Self {
        host.to_string()
    }
}

impl fmt::Display for SecretHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pattern)?;
        if self.port == DEFAULT_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_value_is_long_enough_to_mask_and_fit_for_a_header() {
        let check = |bytes: &[u8]| SecretValue::new(bytes.to_vec()).map(|_| ());
        assert_eq!(check(b"12345678"), Ok(()));
        assert_eq!(check("pa\u{df} w\u{f6}rt\t".as_bytes()), Ok(()));
        assert_eq!(check(&[b'a'; SecretValue::MAX]), Ok(()));
        assert_eq!(check(b""), Err(InvalidSecretValue::Empty));
        assert_eq!(check(b"1234567"), Err(InvalidSecretValue::TooShort(7)));
        assert_eq!(check(&[b'a'; SecretValue::MAX + 1]), Err(InvalidSecretValue::TooLong));
        for bad in [b"1234\x005678", b"1234\r5678", b"1234\n5678", b"1234\x7f5678"] {
            assert_eq!(check(bad), Err(InvalidSecretValue::Control));
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let value = SecretValue::new(b"hunter2hunter2".to_vec()).unwrap();
        assert_eq!(format!("{value:?} {:?}", Some(&value)), "[secret] Some([secret])");
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (text, written) in [
            ("API.example.org", "api.example.org"),
            ("*.Example.org:8443", "*.example.org:8443"),
            ("localhost:443", "localhost"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("2001:DB8::1", "[2001:db8::1]"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            let host: SecretHost = text.parse().unwrap();
            assert_eq!(host.to_string(), written);
            assert_eq!(written.parse(), Ok(host));
        }
        for bad in [
            "",
            "*",
            "*.",
            "*example.org",
            "a.*.example.org",
            "https://example.org",
            "user@example.org",
            "example.org/path",
            "example.org?q",
            "example.org.",
            "a..b",
            "-a.example.org",
            "b\u{fc}cher.example",
            "example.org:0",
            "example.org:65536",
            "example.org:080",
            "example.org:+80",
            "example.org:",
            "127.1",
            "1.2.3.0x7f",
            "[127.0.0.1]",
            "[::1",
            "a b.example",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<SecretHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_goes_to_its_hosts_and_to_no_other() {
        let host = |text: &str| text.parse::<SecretHost>().unwrap();
        assert!(host("api.example.org").matches("API.example.org", 443));
        assert!(!host("api.example.org").matches("api.example.org", 80));
        assert!(!host("api.example.org").matches("api.example.org.", 443));
        assert!(!host("api.example.org").matches("x.api.example.org", 443));
        let below = host("*.example.org:8443");
        assert!(below.matches("a.example.org", 8443) && below.matches("b.A.Example.org", 8443));
        for other in
            ["example.org", "evilexample.org", ".example.org", "a.example.org.evil.test", "a..example.org"]
        {
            assert!(!below.matches(other, 8443), "{other}");
        }
        assert!(host("[::1]:80").matches("[::1]", 80) && host("[::1]:80").matches("0:0::1", 80));
        assert!(!host("127.0.0.1").matches("localhost", 443));
    }
}
