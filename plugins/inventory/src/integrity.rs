//! Subresource Integrity (W3C SRI, section 3.5), which npm uses for archives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::lock::{Algorithm, Digest};

/// The digests of an `integrity` value; absent when one of them is malformed.
/// Algorithms that are not known here are passed over, as the standard asks.
pub(crate) fn parse(text: &str) -> Option<Vec<Digest>> {
    let mut digests = Vec::new();
    for item in text.split_ascii_whitespace() {
        let (name, rest) = item.split_once('-')?;
        let Some(algorithm) = Algorithm::parse(name) else { continue };
        let value = rest.split('?').next().unwrap_or(rest);
        digests.push(Digest::from_bytes(algorithm, &STANDARD.decode(value).ok()?)?);
    }
    Some(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_algorithms_may_stand_together() {
        let digests = parse(
            "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=?x sha3-zz",
        );
        let found: Vec<String> =
            digests.into_iter().flatten().map(|d| format!("{} {}", d.algorithm.as_str(), d.hex)).collect();
        assert_eq!(
            found,
            [
                "SHA-1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "SHA-256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ]
        );
    }

    #[test]
    fn what_is_not_a_digest_is_refused() {
        for text in ["sha512", "sha512-AAAA", "sha256-!!", "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBw"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
