//! What every lock file comes down to: packages, and which needs which. The
//! readers make it; nothing here knows a file format.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::Fault;
use crate::{cargo_lock, npm_lock, requirements};

/// The longest version that CycloneDX takes, in bytes.
pub(crate) const LONGEST_VERSION: usize = 1024;

/// The packages that one lock file may hold: far more than any real one has, and
/// few enough to fit in the memory of a task.
pub(crate) const MOST_PACKAGES: usize = 200_000;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `Cargo.lock`.
    Cargo,
    /// `package-lock.json`.
    Npm,
    /// `requirements.txt` and `requirements-*.txt`.
    Requirements,
}

impl LockKind {
    /// Reads the text of a file at a path in the tree, which what it includes is
    /// relative to.
    ///
    /// # Errors
    /// [`Fault`]: the first thing that cannot be read.
    pub fn parse(self, text: &str, path: &str) -> Result<Lock, Fault> {
        match self {
            Self::Cargo => cargo_lock::parse(text),
            Self::Npm => npm_lock::parse(text),
            Self::Requirements => requirements::parse(text, path),
        }
    }
}

/// The content of one lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// In the file's order.
    pub packages: Vec<Package>,
    /// The index of the package the file belongs to, where the file tells.
    pub root: Option<usize>,
    /// Other files of the same kind that this one pulls in.
    pub includes: Vec<Include>,
    /// What is odd and still no reason to stop.
    pub notices: Vec<String>,
}

impl Lock {
    /// The index of the one package of this tree with a name and a version.
    #[must_use]
    pub fn local(&self, name: &str, version: &str) -> Option<usize> {
        let is_it = |package: &Package| {
            let local = package.flags.contains(&Flag::Local);
            local && package.name == name && package.version.as_deref() == Some(version)
        };
        self.packages.iter().position(is_it)
    }

    /// What one package needs, and what that needs in turn; it becomes the root.
    /// A lock file can hold a whole workspace.
    #[must_use]
    pub fn needed_by(self, root: usize) -> Self {
        let mut kept = BTreeSet::from([root]);
        let mut pending = vec![root];
        while let Some(index) = pending.pop() {
            let needs = self.packages.get(index).and_then(|package| package.needs.as_ref());
            pending.extend(needs.into_iter().flatten().copied().filter(|needed| kept.insert(*needed)));
        }
        let places: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let moved = |old: &usize| places.get(old).copied();
        let packages = self.packages.into_iter().enumerate().filter(|(index, _)| kept.contains(index));
        let packages = packages.map(|(index, mut package)| {
            package.needs = package.needs.map(|needs| needs.iter().filter_map(moved).collect());
            if index == root {
                package.flags.insert(Flag::Application);
            }
            package
        });
        Self { packages: packages.collect(), root: moved(&root), ..self }
    }
}

/// Another file that a lock file pulls in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Where it is asked for.
    pub line: usize,
    /// Its path in the tree.
    pub path: String,
}

/// One package as one lock file pins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// What tells it apart within its lock file when it has no purl.
    pub key: String,
    /// An npm scope, with its `@`.
    pub group: Option<String>,
    /// Without the scope.
    pub name: String,
    /// Absent where the file names an address instead.
    pub version: Option<String>,
    /// Absent for what no registry holds: a purl would claim that one does.
    pub purl: Option<String>,
    /// Those of its archive.
    pub digests: BTreeSet<Digest>,
    /// What the file says of its part in the whole.
    pub flags: BTreeSet<Flag>,
    /// Where the file says it was downloaded from, without credentials.
    pub distribution: Option<String>,
    /// Indices into the same lock's packages; absent where the format has no graph.
    pub needs: Option<BTreeSet<usize>>,
}

/// A digest of a package's archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// Of which algorithm.
    pub algorithm: Algorithm,
    /// Lower-case hexadecimal, of the algorithm's length.
    pub hex: String,
}

/// The digest algorithms of the formats read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// In old files of npm's.
    Sha1,
    /// The usual one.
    Sha256,
    /// Of pip and npm.
    Sha384,
    /// What npm writes.
    Sha512,
}

/// What holds for a component only if every lock file that names it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// Part of this source tree, not of a registry.
    Local,
    /// A program rather than something linked into one.
    Application,
    /// Needed for developing only.
    Development,
    /// May be missing at run time.
    Optional,
    /// Shipped inside the archive of another package.
    Bundled,
}

impl Algorithm {
    /// The name CycloneDX uses.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// Reads the name that npm and pip use.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let known = [
            ("sha1", Self::Sha1),
            ("sha256", Self::Sha256),
            ("sha384", Self::Sha384),
            ("sha512", Self::Sha512),
        ];
        known.into_iter().find(|(name, _)| *name == text).map(|(_, algorithm)| algorithm)
    }

    /// The length of a digest, in bytes.
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Digest {
    /// A digest from its bytes, if they are as many as the algorithm gives.
    pub(crate) fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.len()).then(|| Self { algorithm, hex: hex::encode(bytes) })
    }

    /// A digest from hexadecimal, in either case.
    pub(crate) fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::from_bytes(algorithm, &hex::decode(text).ok()?)
    }
}

/// Indices of packages by name, for readers that resolve names.
pub(crate) fn by_name(packages: &[Package]) -> BTreeMap<&str, Vec<usize>> {
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        names.entry(&package.name).or_default().push(index);
    }
    names
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn of_a_workspace_only_what_one_package_needs_is_kept() {
        let package = |name: &str, needs: &str| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\ndependencies = [{needs}]\n")
        };
        let text = ["", "\"d\"", "\"a\", \"d\"", "\"b\""];
        let text: String =
            ["a", "b", "c", "d"].iter().zip(text).map(|(name, needs)| package(name, needs)).collect();
        let lock = LockKind::Cargo.parse(&text, "Cargo.lock").unwrap();
        assert_eq!((lock.local("b", "1.0.0"), lock.local("b", "2.0.0")), (Some(1), None));
        // Those two need each other, and nothing else.
        let lock = lock.needed_by(1);
        let names: Vec<&str> = lock.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!((names, lock.root), (vec!["b", "d"], Some(0)));
        let needs: Vec<_> = lock.packages.iter().map(|package| package.needs.clone().unwrap()).collect();
        assert_eq!(needs, [BTreeSet::from([1]), BTreeSet::from([0])]);
    }
}
