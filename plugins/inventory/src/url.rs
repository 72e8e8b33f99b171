//! Addresses as they may leave this crate: without credentials, and with every
//! byte that RFC 3986 does not allow percent-encoded.

use std::fmt::Write;

/// A web address without user, password, query and fragment; absent when the
/// text is not one.
pub(crate) fn web_address(text: &str) -> Option<String> {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    if !(lower.starts_with("https://") || lower.starts_with("http://")) {
        return None;
    }
    let end = text.find(['?', '#']).unwrap_or(text.len());
    Some(escape(&without_credentials(text.get(..end)?)))
}

/// A repository at a commit, as SPDX writes it (`git+https://host/path@commit`),
/// from the `url?reference#commit` that Cargo, npm and pip write.
pub(crate) fn repository(text: &str) -> String {
    let (rest, commit) = match text.split_once('#') {
        Some((rest, commit)) => (rest, Some(commit)),
        None => (text, None),
    };
    let address = rest.split('?').next().unwrap_or(rest);
    let address = if address.starts_with("git+") || address.starts_with("git:") {
        address.to_owned()
    } else {
        format!("git+{address}")
    };
    let clean = without_credentials(&address);
    match commit {
        Some(commit) => escape(&format!("{clean}@{commit}")),
        None => escape(&clean),
    }
}

/// Drops `user:password@`. A bare `git@` stays: it is how SSH addresses look
/// and says nothing; any other user may be a token.
pub(crate) fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    match authority.rsplit_once('@') {
        Some((user, host)) if user != "git" => format!("{scheme}://{host}{path}"),
        Some(_) | None => text.to_owned(),
    }
}

fn escape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (index, byte) in bytes.iter().enumerate() {
        let is_hex = |ahead| bytes.get(index + ahead).is_some_and(u8::is_ascii_hexdigit);
        let encoded = *byte == b'%' && is_hex(1) && is_hex(2);
        if encoded || byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=".contains(byte) {
            out.push(char::from(*byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_stay_behind() {
        for (from, to) in [
            ("https://registry.example.test/a/-/a-1.tgz", "https://registry.example.test/a/-/a-1.tgz"),
            ("https://u:p@registry.example.test/a.tgz?t=secret#x", "https://registry.example.test/a.tgz"),
            ("https://token@registry.example.test", "https://registry.example.test"),
            ("HTTP://registry.example.test/a b\u{202e}", "HTTP://registry.example.test/a%20b%E2%80%AE"),
            ("https://registry.example.test/%2f%zz", "https://registry.example.test/%2f%25zz"),
        ] {
            assert_eq!(web_address(from).as_deref(), Some(to));
        }
        assert_eq!(web_address("file:../a.tgz"), None);
        assert_eq!(web_address("é"), None);
    }

    #[test]
    fn a_repository_is_written_as_spdx_does() {
        for (from, to) in [
            ("git+https://git.example.test/a?branch=main#0a1b", "git+https://git.example.test/a@0a1b"),
            ("git+ssh://git@git.example.test/a.git#0a1b", "git+ssh://git@git.example.test/a.git@0a1b"),
            ("git+https://token@git.example.test/a#0a1b", "git+https://git.example.test/a@0a1b"),
            ("https://git.example.test/a", "git+https://git.example.test/a"),
        ] {
            assert_eq!(repository(from), to);
        }
    }
}
