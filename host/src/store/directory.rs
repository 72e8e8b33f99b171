//! The encoding of a directory: the `Directory` message of the Remote Execution
//! API v2 (`remote_execution.proto`), in its canonical form.
//!
//! The same tree therefore has the same digest here, in a remote cache and on a
//! remote worker. Bytes that are not canonical are refused, so a tree has one
//! digest and no other.

use cofferdam_registry::Digest;
use prost::Message;

/// A message of the Remote Execution API: content by hash and size.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct WireDigest {
    #[prost(string, tag = "1")]
    pub(crate) hash: String,
    #[prost(int64, tag = "2")]
    pub(crate) size_bytes: i64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct FileNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<WireDigest>,
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct DirectoryNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<WireDigest>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SymlinkNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) target: String,
}

/// One directory: what is in it, each list sorted by name.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Directory {
    #[prost(message, repeated, tag = "1")]
    pub(crate) files: Vec<FileNode>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) directories: Vec<DirectoryNode>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) symlinks: Vec<SymlinkNode>,
}

impl WireDigest {
    pub(crate) fn new(digest: Digest, size: u64) -> Self {
        Self { hash: digest.to_hex(), size_bytes: i64::try_from(size).unwrap_or(i64::MAX) }
    }

    /// The digest and the size in bytes, if both are sound.
    pub(crate) fn read(wire: Option<&Self>) -> Option<(Digest, u64)> {
        let wire = wire?;
        Some((Digest::from_hex(&wire.hash)?, u64::try_from(wire.size_bytes).ok()?))
    }
}

impl Directory {
    /// Reads a directory, refusing whatever a canonical writer would not write.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let directory = Self::decode(bytes).map_err(|error| error.to_string())?;
        if directory.encode_to_vec() != bytes {
            return Err("it is not in canonical form".to_owned());
        }
        let mut names: Vec<&str> = Vec::new();
        for list in [
            directory.files.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(),
            directory.directories.iter().map(|n| n.name.as_str()).collect(),
            directory.symlinks.iter().map(|n| n.name.as_str()).collect(),
        ] {
            if !list.is_sorted_by(|a, b| a < b) {
                return Err("its entries are not sorted by name".to_owned());
            }
            names.extend(list);
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err("it has two entries of the same name".to_owned());
        }
        match names.iter().find(|name| !is_entry_name(name)) {
            Some(name) => Err(format!("`{}` cannot be the name of an entry", name.escape_debug())),
            None => Ok(directory),
        }
    }
}

/// Whether a name stays in its directory on every file system.
pub(crate) fn is_entry_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name.len() <= 255 && !name.contains(['/', '\0'])
}

/// Whether a link at a depth (0 for the root's own entries) stays in its tree.
///
/// Only the text is looked at. That is enough: each `..` is counted against the
/// directories above the link, and every link on the way obeys the same rule.
pub(crate) fn link_stays_inside(depth: usize, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut level = depth;
    let mut descended = false;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            // Going down and then up could pass through another link.
            ".." if descended || level == 0 => return false,
            ".." => level -= 1,
            _ => descended = true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn the_empty_directory_has_the_digest_every_remote_cache_knows() {
        let bytes = Directory::default().encode_to_vec();
        assert_eq!(Digest::of(&bytes), Digest::of(b""));
    }

    #[test]
    fn links_that_could_leave_are_told_from_those_that_cannot() {
        for (depth, target, inside) in [
            (0, "a/b", true),
            (0, "../a", false),
            (1, "../a", true),
            (1, "../../a", false),
            (0, "/etc/passwd", false),
            (1, "a/../../b", false),
            (0, ".", true),
            (0, "", false),
        ] {
            assert_eq!(link_stays_inside(depth, target), inside, "{depth} {target}");
        }
    }

    #[test]
    fn only_the_canonical_bytes_are_read() {
        let file = |name: &str| FileNode {
            name: name.to_owned(),
            digest: Some(WireDigest::new(Digest::of(b""), 0)),
            is_executable: false,
        };
        let sound = Directory { files: vec![file("a"), file("b")], ..Directory::default() };
        assert_eq!(Directory::read(&sound.encode_to_vec()).unwrap(), sound);
        for names in [["b", "a"], ["a", "a"], ["..", "a"], ["a", "b/c"], ["", "a"]] {
            let bad = Directory { files: names.map(file).to_vec(), ..Directory::default() };
            assert!(Directory::read(&bad.encode_to_vec()).is_err(), "{names:?}");
        }
        let mut trailing = sound.encode_to_vec();
        trailing.extend([0x2a, 0x00]);
        assert!(Directory::read(&trailing).is_err());
    }
}
