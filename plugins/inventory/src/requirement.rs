//! One requirement of pip's: a name at one version, or an address that cannot
//! change its content (PEP 508; pip, "Requirements File Format"). Anything that
//! leaves pip a choice is refused, since the SBOM would then be a guess.

use std::collections::BTreeSet;

use crate::lock::{Algorithm, Digest, LONGEST_VERSION, Package};
use crate::purl::{Purl, python_name};
use crate::url;

/// Reads a logical line that is not an option.
///
/// # Errors
/// What is missing, in words that follow the requirement itself.
pub(crate) fn parse(text: &str) -> Result<Package, String> {
    let (requirement, options) = split_options(text);
    let digests = hashes(options)?;
    let (name, rest) = split_name(requirement).ok_or("is not a name and a version")?;
    let rest = skip_extras(rest).ok_or("has an unclosed `[`")?;
    let name = python_name(name);
    if let Some(address) = rest.strip_prefix('@') {
        return direct(name, address.trim(), digests);
    }
    let specifiers = rest.split(';').next().unwrap_or(rest).trim();
    let specifiers = specifiers.strip_prefix('(').and_then(|s| s.strip_suffix(')')).unwrap_or(specifiers);
    let version = specifiers.split(',').find_map(pinned).ok_or("is not pinned with `==`")?.to_owned();
    let purl = Purl { kind: "pypi", namespace: None, name: &name, version: Some(&version), qualifier: None };
    let purl = purl.build();
    Ok(package(format!("{name}@{version}"), name, Some(version), purl, digests))
}

fn package(
    key: String,
    name: String,
    version: Option<String>,
    purl: String,
    digests: BTreeSet<Digest>,
) -> Package {
    let flags = BTreeSet::new();
    Package {
        key,
        group: None,
        name,
        version,
        purl: Some(purl),
        digests,
        flags,
        distribution: None,
        needs: None,
    }
}

/// Options start at the first word with a dash, as pip cuts them.
fn split_options(text: &str) -> (&str, &str) {
    match text
        .match_indices([' ', '\t'])
        .find(|(at, _)| text.get(at + 1..).is_some_and(|rest| rest.starts_with('-')))
    {
        Some((at, _)) => text.split_at(at),
        None => (text, ""),
    }
}

fn hashes(options: &str) -> Result<BTreeSet<Digest>, String> {
    let mut digests = BTreeSet::new();
    let mut words = options.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--hash") else { continue };
        let value = rest.strip_prefix('=').or_else(|| words.next()).unwrap_or_default();
        let digest = value.split_once(':').and_then(|(algorithm, hex)| strong(algorithm, hex));
        digests.insert(digest.ok_or_else(|| {
            format!("has the hash `{value}`, which is not `sha256:` (or 384, 512) and its hexadecimal digits")
        })?);
    }
    Ok(digests)
}

/// A digest of the algorithms that pip takes.
fn strong(algorithm: &str, hex: &str) -> Option<Digest> {
    let algorithm = Algorithm::parse(algorithm).filter(|algorithm| *algorithm != Algorithm::Sha1)?;
    Digest::from_hex(algorithm, hex)
}

/// A name as PEP 508 allows it, and what follows.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let valid = ends_well(name.chars().next()) && ends_well(name.chars().next_back());
    valid.then(|| (name, rest.trim_start()))
}

fn skip_extras(text: &str) -> Option<&str> {
    match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|(_, rest)| rest.trim_start()),
        None => Some(text),
    }
}

/// The version of `==1.0` or `===1.0`; `==1.*` leaves a choice.
fn pinned(specifier: &str) -> Option<&str> {
    let rest = specifier.trim().strip_prefix("==")?;
    let version = rest.strip_prefix('=').unwrap_or(rest).trim();
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '!' | '+' | '-' | '_');
    (!version.is_empty() && version.len() <= LONGEST_VERSION && version.chars().all(inside))
        .then_some(version)
}

/// `name @ address`: taken if a digest or a commit pins it.
fn direct(name: String, address: &str, mut digests: BTreeSet<Digest>) -> Result<Package, String> {
    // A marker stands behind a space, since addresses may hold semicolons.
    let address = address.split_ascii_whitespace().next().unwrap_or_default();
    let (plain, fragment) = address.split_once('#').unwrap_or((address, ""));
    let pins = fragment.split('&').filter_map(|pair| pair.split_once('='));
    digests.extend(pins.filter_map(|(algorithm, hex)| strong(algorithm, hex)));
    let location;
    let qualifier = if plain.starts_with("git+") {
        let commit = plain.rsplit_once('@').filter(|(_, commit)| is_commit(commit));
        let (repository, commit) = commit.ok_or("names a branch or tag, which can move; name a commit")?;
        location = url::repository(&format!("{repository}#{commit}"));
        ("vcs_url", location.as_str())
    } else {
        if digests.is_empty() {
            return Err("has an address and no hash".to_owned());
        }
        location = url::web_address(plain).ok_or("has an address that is neither `https` nor `git+`")?;
        ("download_url", location.as_str())
    };
    let purl = Purl { kind: "pypi", namespace: None, name: &name, version: None, qualifier: Some(qualifier) };
    let purl = purl.build();
    Ok(package(name.clone(), name, None, purl, digests))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn pins_are_read_with_all_that_may_stand_around_them() {
        for (text, purl, digests) in [
            ("requests==2.32.0", "pkg:pypi/requests@2.32.0", 0),
            (
                "Zope.Interface [test, docs] == 6.0 ; python_version < '3.13'",
                "pkg:pypi/zope-interface@6.0",
                0,
            ),
            ("a (==1.0)", "pkg:pypi/a@1.0", 0),
            ("a===1!2.0+local.1", "pkg:pypi/a@1%212.0%2Blocal.1", 0),
            ("a==1.0,!=1.1", "pkg:pypi/a@1.0", 0),
        ] {
            let package = parse(text).unwrap();
            assert_eq!((package.purl.as_deref(), package.digests.len()), (Some(purl), digests), "{text}");
        }
        let hashed = format!("a==1 \t--hash=sha256:{SUM} --hash sha512:{SUM}{SUM} --config-settings x");
        assert_eq!(parse(&hashed).unwrap().digests.len(), 2);
    }

    #[test]
    fn an_address_needs_something_that_pins_it() {
        let wheel = format!("a @ https://u:p@files.example.test/a.whl#sha256={SUM} ; os_name == 'nt'");
        let package = parse(&wheel).unwrap();
        let purl = "pkg:pypi/a?download_url=https:%2F%2Ffiles.example.test%2Fa.whl";
        assert_eq!(package.purl.as_deref(), Some(purl));
        assert_eq!(package.digests.len(), 1);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let git = parse(&format!("a @ git+https://git.example.test/a@{commit}#egg=a")).unwrap();
        assert!(git.purl.unwrap().ends_with(&format!("%2Fa%40{commit}")));
        assert!(parse("a @ git+https://git.example.test/a@main").is_err());
        assert!(parse("a @ https://files.example.test/a.whl").is_err());
        assert!(parse(&format!("a @ ftp://files.example.test/a#sha256={SUM}")).is_err());
    }

    #[test]
    fn what_leaves_a_choice_is_refused() {
        for text in [
            "requests",
            "requests>=2",
            "requests~=2.0",
            "requests==2.*",
            "requests==",
            "requests==${VERSION}",
            "requests[socks==1",
            "./local",
            "https://files.example.test/a.whl",
            "-requests==1",
            "requests==1 --hash=md5:00",
            "requests==1 --hash=sha256:00",
            "requests==1 --hash",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
