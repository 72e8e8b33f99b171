//! What differs between two trees, in numbers and the first paths.

use std::path::Path;

use cofferdam_registry::Digest;
use serde::Serialize;

use super::{Entry, Store, StoreError};

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

    fn add(&mut self, path: &Path, change: Change, limit: usize) {
        match change {
            Change::Added => self.added += 1,
            Change::Removed => self.removed += 1,
            Change::Changed => self.changed += 1,
        }
        if self.paths.len() < limit {
            self.paths.push(ChangedPath { path: path.display().to_string(), change });
        }
    }
}

impl Store {
    /// Compares two trees; at most `limit` paths are listed, all are counted.
    /// Directories count by what is in them; an empty one has nothing.
    ///
    /// # Errors
    /// A directory that differs and cannot be read.
    pub fn compare(&self, old: Digest, new: Digest, limit: usize) -> Result<TreeDifference, StoreError> {
        let mut found = TreeDifference::default();
        let is_leaf = |entry: Option<&Entry>| match entry {
            Some(Entry::File { .. } | Entry::Symlink { .. }) => true,
            Some(Entry::Directory) | None => false,
        };
        self.visit_differences((old, new), &mut |path, old, new| {
            let change = match (is_leaf(old), is_leaf(new)) {
                (true, true) => Change::Changed,
                (true, false) => Change::Removed,
                (false, true) => Change::Added,
                (false, false) => return Ok(()),
            };
            found.add(path, change, limit);
            Ok(())
        })?;
        Ok(found)
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
