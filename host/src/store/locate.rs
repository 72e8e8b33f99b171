//! Where two trees differ: which files, and from which byte on.

use std::path::{Path, PathBuf};

use cofferdam_registry::Digest;
use serde::Serialize;

use super::{Entry, Store, StoreError};

/// Where the bytes of so many files are compared; of more it is only said that
/// they differ.
const MAX_LOCATED: usize = 20;

/// One difference between two trees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FileDifference {
    /// It is in the first tree alone.
    OnlyBefore {
        /// Where.
        path: PathBuf,
    },
    /// It is in the second tree alone.
    OnlyAfter {
        /// Where.
        path: PathBuf,
    },
    /// It is a file in one, and a link or a directory in the other, or a link
    /// that leads elsewhere.
    Kind {
        /// Where.
        path: PathBuf,
        /// What it was.
        before: String,
        /// What it is.
        after: String,
    },
    /// It can be executed in one of them.
    Mode {
        /// Where.
        path: PathBuf,
        /// Whether it can in the second.
        executable: bool,
    },
    /// It has other bytes.
    Bytes {
        /// Where.
        path: PathBuf,
        /// How many bytes it had.
        before: u64,
        /// How many it has.
        after: u64,
        /// The first byte that is another, counted from zero.
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// The line of that byte, counted from one, in a text.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u64>,
    },
}

impl Store {
    /// How a tree differs from one before it, in order of paths.
    ///
    /// # Errors
    /// An object that is missing or was changed.
    pub fn differing_files(&self, before: Digest, after: Digest) -> Result<Vec<FileDifference>, StoreError> {
        let mut found = Vec::new();
        let mut located = 0;
        self.visit_differences((before, after), &mut |path, before, after| {
            match (before, after) {
                (Some(before), Some(after)) => {
                    self.differences(path, (before, after), &mut located, &mut found)?;
                }
                (Some(_), None) => found.push(FileDifference::OnlyBefore { path: path.to_owned() }),
                (None, Some(_)) => found.push(FileDifference::OnlyAfter { path: path.to_owned() }),
                (None, None) => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn differences(
        &self,
        path: &Path,
        (before, after): (&Entry, &Entry),
        located: &mut usize,
        found: &mut Vec<FileDifference>,
    ) -> Result<(), StoreError> {
        let path = path.to_owned();
        let (
            Entry::File { digest, size, executable },
            Entry::File { digest: now, size: length, executable: can },
        ) = (before, after)
        else {
            let (before, after) = (kind(before), kind(after));
            found.push(FileDifference::Kind { path, before, after });
            return Ok(());
        };
        if executable != can {
            found.push(FileDifference::Mode { path: path.clone(), executable: *can });
        }
        if digest != now {
            *located += 1;
            let (offset, line) = if *located <= MAX_LOCATED {
                let (offset, line) = first_difference(&self.read(*digest)?, &self.read(*now)?);
                (Some(offset), line)
            } else {
                (None, None)
            };
            found.push(FileDifference::Bytes { path, before: *size, after: *length, offset, line });
        }
        Ok(())
    }
}

fn kind(entry: &Entry) -> String {
    match entry {
        Entry::File { .. } => "a file".to_owned(),
        Entry::Symlink { target } => format!("a link to {target}"),
        Entry::Directory => "a directory".to_owned(),
    }
}

/// The first byte that differs, and its line where both are text up to there.
fn first_difference(before: &[u8], after: &[u8]) -> (u64, Option<u64>) {
    let same = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    let is_text = |bytes: &[u8]| !bytes.iter().take(same + 1).any(|byte| *byte == 0);
    let lines = || before.iter().take(same).filter(|byte| **byte == b'\n').count() as u64 + 1;
    (same as u64, (is_text(before) && is_text(after)).then(lines))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn every_kind_of_difference_is_found_and_where_it_begins() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let tree = |name: &str, fill: &dyn Fn(&Path)| {
            let root = directory.path().join(name);
            fs::create_dir_all(root.join("sub")).unwrap();
            fs::write(root.join("same"), "same").unwrap();
            fill(&root);
            store.ingest(&root).unwrap().digest
        };
        let before = tree("before", &|root| {
            fs::write(root.join("sub/text"), "one\ntwo\nthree\n").unwrap();
            fs::write(root.join("binary"), [0, 1, 2, 3]).unwrap();
            fs::write(root.join("gone"), "").unwrap();
            fs::write(root.join("tool"), "").unwrap();
            fs::write(root.join("turned"), "").unwrap();
            symlink("same", root.join("link")).unwrap();
        });
        let after = tree("after", &|root| {
            fs::write(root.join("sub/text"), "one\ntwo\nthird\n").unwrap();
            fs::write(root.join("binary"), [0, 1, 2, 3, 4]).unwrap();
            fs::write(root.join("new"), "").unwrap();
            fs::write(root.join("tool"), "").unwrap();
            fs::set_permissions(root.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
            fs::create_dir(root.join("turned")).unwrap();
            symlink("tool", root.join("link")).unwrap();
        });
        let path = |name: &str| PathBuf::from(name);
        let kind = |name: &str, before: &str, after: &str| FileDifference::Kind {
            path: path(name),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let bytes = |name: &str, sizes: (u64, u64), offset, line| FileDifference::Bytes {
            path: path(name),
            before: sizes.0,
            after: sizes.1,
            offset: Some(offset),
            line,
        };
        assert_eq!(
            store.differing_files(before, after).unwrap(),
            [
                bytes("binary", (4, 5), 4, None),
                FileDifference::OnlyBefore { path: path("gone") },
                kind("link", "a link to same", "a link to tool"),
                FileDifference::OnlyAfter { path: path("new") },
                bytes("sub/text", (14, 14), 10, Some(3)),
                FileDifference::Mode { path: path("tool"), executable: true },
                kind("turned", "a file", "a directory"),
            ]
        );
        assert_eq!(store.differing_files(before, before).unwrap(), []);
    }
}
