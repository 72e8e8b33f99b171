//! What differs between two trees: only directories whose digests differ are
//! read.

use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;
use serde::Serialize;

use super::directory::{Directory, WireDigest};
use super::{Store, StoreError};

/// Trees are no deeper than this.
const MAX_DEPTH: usize = 256;

/// What differs between two trees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TreeDifference {
    /// How many entries only the second has.
    pub added: u64,
    /// How many only the first has.
    pub removed: u64,
    /// How many both have, and not the same.
    pub changed: u64,
    /// The first of them in order.
    pub paths: Vec<ChangedPath>,
}

/// An entry that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedPath {
    /// Where it is.
    pub path: String,
    /// How it differs.
    pub change: Change,
}

/// How an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

impl TreeDifference {
    /// How many entries differ.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.added + self.removed + self.changed
    }
}

/// An entry of a directory, as far as it is compared.
#[derive(PartialEq, Eq)]
enum Kind {
    File(Option<Digest>, bool),
    Link(String),
    Directory(Option<Digest>),
}

impl Store {
    /// Compares two trees; at most `limit` paths are listed, all are counted.
    ///
    /// # Errors
    /// A directory that differs and cannot be read.
    pub fn compare(&self, old: Digest, new: Digest, limit: usize) -> Result<TreeDifference, StoreError> {
        let mut comparison = Comparison { store: self, limit, found: TreeDifference::default() };
        comparison.directories(Some(old), Some(new), Path::new(""), 0)?;
        Ok(comparison.found)
    }
}

struct Comparison<'a> {
    store: &'a Store,
    limit: usize,
    found: TreeDifference,
}

impl Comparison<'_> {
    fn directories(
        &mut self,
        old: Option<Digest>,
        new: Option<Digest>,
        path: &Path,
        depth: usize,
    ) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        if let Some(digest) = new.or(old).filter(|_| depth > MAX_DEPTH) {
            let why = format!("it is nested deeper than {MAX_DEPTH} levels");
            return Err(StoreError::NotADirectory { digest, why });
        }
        let (old, new) = (self.entries(old)?, self.entries(new)?);
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            let name =
                before.as_ref().or(after.as_ref()).map(|(name, _)| path.join(name)).unwrap_or_default();
            self.entry(before.map(|(_, kind)| kind), after.map(|(_, kind)| kind), &name, depth)?;
        }
    }

    fn entry(
        &mut self,
        old: Option<Kind>,
        new: Option<Kind>,
        path: &Path,
        depth: usize,
    ) -> Result<(), StoreError> {
        if old == new {
            return Ok(());
        }
        let below = |kind: &Option<Kind>| match kind {
            Some(Kind::Directory(digest)) => (None, *digest),
            Some(Kind::File(..) | Kind::Link(_)) => (Some(()), None),
            None => (None, None),
        };
        let ((old_leaf, old_tree), (new_leaf, new_tree)) = (below(&old), below(&new));
        match (old_leaf, new_leaf) {
            (Some(()), Some(())) => self.add(path, Change::Changed),
            (Some(()), None) => self.add(path, Change::Removed),
            (None, Some(())) => self.add(path, Change::Added),
            // Directories count by what is in them; an empty one has nothing.
            (None, None) => {}
        }
        self.directories(old_tree, new_tree, path, depth + 1)
    }

    fn add(&mut self, path: &Path, change: Change) {
        match change {
            Change::Added => self.found.added += 1,
            Change::Removed => self.found.removed += 1,
            Change::Changed => self.found.changed += 1,
        }
        if self.found.paths.len() < self.limit {
            let path = PathBuf::from(path).display().to_string();
            self.found.paths.push(ChangedPath { path, change });
        }
    }

    fn entries(&self, digest: Option<Digest>) -> Result<Vec<(String, Kind)>, StoreError> {
        let Some(digest) = digest else { return Ok(Vec::new()) };
        let Directory { files, directories, symlinks } = self.store.directory(digest)?;
        let of = |wire: Option<&WireDigest>| WireDigest::read(wire).map(|(digest, _)| digest);
        let files = files
            .into_iter()
            .map(|node| (node.name, Kind::File(of(node.digest.as_ref()), node.is_executable)));
        let trees =
            directories.into_iter().map(|node| (node.name, Kind::Directory(of(node.digest.as_ref()))));
        let links = symlinks.into_iter().map(|node| (node.name, Kind::Link(node.target)));
        let mut entries: Vec<(String, Kind)> = files.chain(trees).chain(links).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::fs;

    use super::*;

    #[test]
    fn every_entry_that_differs_is_counted_and_the_first_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let tree = |files: &[(&str, &str)]| {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = root.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            store.ingest(root.path()).unwrap().digest
        };
        let old = tree(&[("a", "1"), ("gone/x", "1"), ("gone/y", "2"), ("same/z", "1"), ("turns", "1")]);
        let new = tree(&[("a", "2"), ("b/c", "1"), ("same/z", "1"), ("turns/into", "1")]);
        let found = store.compare(old, new, 4).unwrap();
        assert_eq!((found.added, found.removed, found.changed, found.count()), (2, 3, 1, 6));
        let paths: Vec<&str> = found.paths.iter().map(|changed| changed.path.as_str()).collect();
        assert_eq!(paths, ["a", "b/c", "gone/x", "gone/y"]);
        assert_eq!(store.compare(old, old, 4).unwrap(), TreeDifference::default());
        let back = store.compare(new, old, 9).unwrap();
        assert_eq!((back.added, back.removed, back.changed), (3, 2, 1));
    }
}
