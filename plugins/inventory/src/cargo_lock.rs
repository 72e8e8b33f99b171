//! Reads `Cargo.lock`, versions 1 to 4. A dependency that names no package of
//! the file, or more than one, is refused: the graph would be a guess.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::fault::{Fault, line_of};
use crate::lock::{Algorithm, Digest, Flag, LONGEST_VERSION, Lock, MOST_PACKAGES, Package, by_name};
use crate::purl::Purl;
use crate::url;

const REMEDY: &str = "write the file anew with `cargo generate-lockfile`, or restore it from version control";

#[derive(Deserialize)]
struct Document {
    version: Option<Spanned<u64>>,
    root: Option<IgnoredAny>,
    #[serde(default)]
    package: Vec<Spanned<Entry>>,
    /// Version 1 keeps the checksums here.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// What a `source` says about where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source<'a> {
    /// No source: part of the tree that the lock file belongs to.
    Local,
    /// The index that Cargo uses when nothing else is configured.
    DefaultRegistry,
    /// Any other index.
    Registry(&'a str),
    Git(&'a str),
    /// A directory of a vendored or mirrored registry.
    Directory,
}

/// Reads the file's packages and their graph.
pub(crate) fn parse(text: &str) -> Result<Lock, Fault> {
    if text.matches("[[package]]").count() > MOST_PACKAGES {
        return Err(Fault::whole(format!("more than {MOST_PACKAGES} packages"), REMEDY));
    }
    let document: Document = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Fault::new(line, format!("not a Cargo.lock: {}", error.message()), REMEDY)
    })?;
    if let Some(version) = &document.version
        && !(1..=4).contains(version.as_ref())
    {
        let message = format!("lock file version {}; versions 1 to 4 are read", version.as_ref());
        let remedy = "use a newer version of Cofferdam, or write the file with an older cargo";
        return Err(Fault::new(line_of(text, version.span().start), message, remedy));
    }
    if document.root.is_some() {
        let message = "a `[root]` section, which cargo has not written since 2017";
        return Err(Fault::whole(message, REMEDY));
    }
    let mut packages = Vec::with_capacity(document.package.len());
    for spanned in &document.package {
        let place = || line_of(text, spanned.span().start);
        packages.push(package(spanned.as_ref(), &document.metadata, place)?);
    }
    let needs = resolve(text, &document, &packages)?;
    for (package, needs) in packages.iter_mut().zip(needs) {
        package.needs = Some(needs);
    }
    let root = only_local(&packages);
    if let Some(package) = root.and_then(|root| packages.get_mut(root)) {
        package.flags.insert(Flag::Application);
    }
    Ok(Lock { packages, root, ..Lock::default() })
}

fn package(
    entry: &Entry,
    metadata: &BTreeMap<String, String>,
    line: impl Fn() -> usize,
) -> Result<Package, Fault> {
    let Entry { name, version, source, .. } = entry;
    if name.is_empty() || version.is_empty() || version.len() > LONGEST_VERSION {
        let message = format!("the package `{name}` has no usable name and version");
        return Err(Fault::new(line(), message, REMEDY));
    }
    let from = Source::parse(source.as_deref());
    let in_metadata =
        || metadata.get(&format!("checksum {name} {version} ({})", source.as_deref().unwrap_or_default()));
    let checksum = entry.checksum.as_ref().or_else(in_metadata).filter(|text| *text != "<none>");
    let digest = match checksum {
        Some(text) => Some(Digest::from_hex(Algorithm::Sha256, text).ok_or_else(|| {
            let message = format!("the checksum of `{name}` is not a SHA-256 digest, 64 hexadecimal digits");
            Fault::new(line(), message, REMEDY)
        })?),
        None => None,
    };
    Ok(Package {
        key: format!("{name}@{version}"),
        group: None,
        name: name.clone(),
        version: Some(version.clone()),
        purl: from.purl(name, version),
        digests: digest.into_iter().collect(),
        flags: if from == Source::Local { BTreeSet::from([Flag::Local]) } else { BTreeSet::new() },
        distribution: None,
        needs: None,
    })
}

impl<'a> Source<'a> {
    fn parse(source: Option<&'a str>) -> Self {
        let Some(source) = source else { return Self::Local };
        // Cargo writes this address for its default index, whatever protocol
        // or mirror it then uses.
        if source.starts_with("registry+https://github.com/rust-lang/") {
            Self::DefaultRegistry
        } else if let Some(index) = source.strip_prefix("registry+") {
            Self::Registry(index)
        } else if let Some(index) = source.strip_prefix("sparse+") {
            Self::Registry(index)
        } else if source.starts_with("git+") {
            Self::Git(source)
        } else {
            Self::Directory
        }
    }

    /// A path package gets none: `pkg:cargo/name@version` would say that the
    /// public index holds it.
    fn purl(self, name: &str, version: &str) -> Option<String> {
        let address;
        let qualifier = match self {
            Self::Local | Self::Directory => return None,
            Self::DefaultRegistry => None,
            Self::Registry(index) => {
                address = url::without_credentials(index);
                Some(("repository_url", address.as_str()))
            }
            Self::Git(source) => {
                address = url::repository(source);
                Some(("vcs_url", address.as_str()))
            }
        };
        Some(Purl { kind: "cargo", namespace: None, name, version: Some(version), qualifier }.build())
    }
}

/// The packages each package needs, by index.
fn resolve(text: &str, document: &Document, packages: &[Package]) -> Result<Vec<BTreeSet<usize>>, Fault> {
    let names = by_name(packages);
    let mut all = Vec::with_capacity(packages.len());
    for spanned in &document.package {
        let entry = spanned.as_ref();
        let mut needs = BTreeSet::new();
        for dependency in &entry.dependencies {
            let found = find(dependency, &names, document).map_err(|problem| {
                let line = line_of(text, spanned.span().start);
                let message = format!("`{}` depends on `{dependency}`, {problem}", entry.name);
                Fault::new(line, message, REMEDY)
            })?;
            needs.insert(found);
        }
        all.push(needs);
    }
    Ok(all)
}

/// Finds `name`, `name version` or `name version (source)`.
fn find(
    dependency: &str,
    names: &BTreeMap<&str, Vec<usize>>,
    document: &Document,
) -> Result<usize, &'static str> {
    let mut parts = dependency.splitn(3, ' ');
    let name = parts.next().unwrap_or_default();
    let version = parts.next();
    let source = parts.next().map(|text| text.trim_start_matches('(').trim_end_matches(')'));
    let entry = |index: usize| document.package.get(index).map(Spanned::as_ref);
    let fits = |index: &usize| {
        entry(*index).is_some_and(|entry| {
            let same_source = source.is_none_or(|asked| {
                entry.source.as_deref().is_some_and(|source| without_commit(source) == without_commit(asked))
            });
            version.is_none_or(|version| version == entry.version) && same_source
        })
    };
    let found: Vec<usize> =
        names.get(name).into_iter().flatten().copied().filter(|index| fits(index)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err("which the file does not hold"),
        [..] => {
            // Version 1 names a path package without a source.
            let local = |index: &usize| entry(*index).is_some_and(|entry| entry.source.is_none());
            found.iter().copied().find(local).ok_or("which names more than one package of the file")
        }
    }
}

/// A dependency names a git source without the commit it was resolved to.
fn without_commit(source: &str) -> &str {
    source.split('#').next().unwrap_or(source)
}

fn only_local(packages: &[Package]) -> Option<usize> {
    let mut local = packages.iter().enumerate().filter(|(_, package)| package.flags.contains(&Flag::Local));
    let (index, _) = local.next()?;
    local.next().is_none().then_some(index)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn needs(lock: &Lock, name: &str) -> Vec<String> {
        let package = lock.packages.iter().find(|package| package.name == name).unwrap();
        let needs = package.needs.clone().unwrap_or_default();
        needs.iter().map(|index| lock.packages.get(*index).unwrap().key.clone()).collect()
    }

    #[test]
    fn version_4_gives_packages_digests_and_graph() {
        let text = format!(
            r#"version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["dep 1.0.0", "dep 2.0.0 (registry+https://index.example.test/)", "tool"]
[[package]]
name = "dep"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/example-index"
checksum = "{SUM}"
[[package]]
name = "dep"
version = "2.0.0"
source = "registry+https://index.example.test/"
[[package]]
name = "tool"
version = "0.3.0+x"
source = "git+https://git.example.test/tool?branch=main#0123abcd"
"#
        );
        let lock = parse(&text).unwrap();
        let purls: Vec<_> = lock.packages.iter().map(|package| package.purl.as_deref()).collect();
        assert_eq!(
            purls,
            [
                None,
                Some("pkg:cargo/dep@1.0.0"),
                Some("pkg:cargo/dep@2.0.0?repository_url=https:%2F%2Findex.example.test%2F"),
                Some("pkg:cargo/tool@0.3.0%2Bx?vcs_url=git%2Bhttps:%2F%2Fgit.example.test%2Ftool%400123abcd"),
            ]
        );
        assert_eq!(needs(&lock, "app"), ["dep@1.0.0", "dep@2.0.0", "tool@0.3.0+x"]);
        assert_eq!(lock.packages.get(1).unwrap().digests.first().unwrap().hex, SUM);
        assert_eq!(lock.root, Some(0));
    }

    #[test]
    fn version_1_keeps_checksums_apart_and_names_sources_in_full() {
        let source = "registry+https://github.com/rust-lang/example-index";
        let text = format!(
            "[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"dep 1.0.0 ({source})\"]\n\
             [[package]]\nname = \"dep\"\nversion = \"1.0.0\"\nsource = \"{source}\"\n\
             [metadata]\n\"checksum dep 1.0.0 ({source})\" = \"{SUM}\"\n"
        );
        let lock = parse(&text).unwrap();
        assert_eq!(needs(&lock, "app"), ["dep@1.0.0"]);
        assert_eq!(lock.packages.get(1).unwrap().digests.len(), 1);
    }

    #[test]
    fn a_workspace_of_several_packages_has_no_root() {
        let text = "[[package]]\nname = \"a\"\nversion = \"1\"\n[[package]]\nname = \"b\"\nversion = \"1\"\n";
        assert_eq!(parse(text).unwrap().root, None);
    }

    #[test]
    fn a_fault_names_its_line_and_the_fix() {
        let package = "[[package]]\nname = \"a\"\nversion = \"1\"\n";
        for (text, line, part) in [
            ("version = 5\n".to_owned(), ":1: ", "version 5"),
            ("version = 4\n[[package]\n".to_owned(), ":2: ", "not a Cargo.lock"),
            ("\n[[package]]\nname = 3\n".to_owned(), ":3: ", "not a Cargo.lock"),
            (format!("\n{package}checksum = \"xyz\"\n"), ":2: ", "SHA-256"),
            (format!("\n\n{package}dependencies = [\"b\"]\n"), ":3: ", "does not hold"),
            (format!("{package}dependencies = [\"b\"]\n{}", two_of("b")), ":1: ", "more than one"),
        ] {
            let fault = parse(&text).unwrap_err();
            let message = fault.at("x/Cargo.lock");
            assert!(message.contains(part) && message.contains(line), "{message}");
            assert!(!fault.remedy.is_empty());
        }
    }

    fn two_of(name: &str) -> String {
        let one = |host| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"1\"\nsource = \"registry+https://{host}.example.test\"\n"
            )
        };
        one("one") + &one("two")
    }
}
