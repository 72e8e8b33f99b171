//! What every lock file comes down to: packages, and which needs which. The
//! readers make it; nothing here knows a file format.

use std::collections::{BTreeMap, BTreeSet};

/// The longest version that CycloneDX takes, in bytes.
pub(crate) const LONGEST_VERSION: usize = 1024;

/// The packages that one lock file may hold: far more than any real one has, and
/// few enough to fit in the memory of a task.
pub(crate) const MOST_PACKAGES: usize = 200_000;

/// The formats this task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// `Cargo.lock`.
    Cargo,
    /// `package-lock.json`.
    Npm,
    /// `requirements.txt` and `requirements-*.txt`.
    Requirements,
}

/// The content of one lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    /// In the file's order.
    pub(crate) packages: Vec<Package>,
    /// The index of the package the file belongs to, where the file tells.
    pub(crate) root: Option<usize>,
    /// Other files of the same kind that this one pulls in.
    pub(crate) includes: Vec<Include>,
    /// What is odd and still no reason to stop.
    pub(crate) notices: Vec<String>,
}

/// Another file that a lock file pulls in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// Where it is asked for.
    pub(crate) line: usize,
    /// Its path in the tree.
    pub(crate) path: String,
}

/// One package as one lock file pins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// What tells it apart within its lock file when it has no purl.
    pub(crate) key: String,
    /// An npm scope, with its `@`.
    pub(crate) group: Option<String>,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    /// Absent for what no registry holds: a purl would claim that one does.
    pub(crate) purl: Option<String>,
    pub(crate) digests: BTreeSet<Digest>,
    pub(crate) flags: BTreeSet<Flag>,
    /// Where the file says it was downloaded from, without credentials.
    pub(crate) distribution: Option<String>,
    /// Indices into the same lock's packages; absent where the format has no graph.
    pub(crate) needs: Option<BTreeSet<usize>>,
}

/// A digest of a package's archive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest {
    pub(crate) algorithm: Algorithm,
    /// Lower-case hexadecimal, of the algorithm's length.
    pub(crate) hex: String,
}

/// The digest algorithms of the formats read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// What holds for a component only if every lock file that names it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flag {
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
