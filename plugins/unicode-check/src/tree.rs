//! The tree to look through: files in sorted order, read in bounded size. No
//! symbolic link is followed, and nothing under `.git` is looked at.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cofferdam_sdk::Failure;
use walkdir::{DirEntry, WalkDir};

use crate::allow::Allow;
use crate::character;

/// The largest file that is looked through, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// How far into a file a zero byte says that it is binary: as far as git looks.
const BINARY_WITHIN: usize = 8 * 1024;

/// How a PDF starts: it is binary, and often has no zero byte for long.
const PDF: &[u8] = b"%PDF-";

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text(Vec<u8>),
    Binary,
    TooLarge,
}

/// The tree an execution was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree<'a> {
    root: &'a Path,
}

impl<'a> Tree<'a> {
    /// The tree under a directory.
    pub(crate) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// Every file that is not left out, relative to the tree, with `/`.
    pub(crate) fn files(&self, allow: &Allow) -> Result<Vec<String>, Failure> {
        let relative = |entry: &DirEntry| {
            let path = entry.path().strip_prefix(self.root).unwrap_or(entry.path());
            path.to_string_lossy().into_owned()
        };
        let wanted = |entry: &DirEntry| {
            entry.depth() == 0
                || !(entry.file_name().to_str() == Some(".git") || allow.path(&relative(entry)))
        };
        let mut files = Vec::new();
        for entry in WalkDir::new(self.root).sort_by_file_name().into_iter().filter_entry(wanted) {
            let entry = entry.map_err(|error| {
                Failure::new("InputOutput", format!("cannot list the source tree: {error}"))
            })?;
            if entry.file_type().is_file() {
                files.push(relative(&entry));
            }
        }
        Ok(files)
    }

    /// What a file holds.
    pub(crate) fn read(&self, path: &str) -> Result<Content, Failure> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path))
            .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
            .map_err(|error| {
                Failure::new("InputOutput", format!("{}: cannot be read: {error}", character::escape(path)))
            })?;
        if bytes.starts_with(PDF) || bytes.iter().take(BINARY_WITHIN).any(|byte| *byte == 0) {
            return Ok(Content::Binary);
        }
        Ok(if bytes.len() as u64 > LARGEST { Content::TooLarge } else { Content::Text(bytes) })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use std::fs;

    #[test]
    fn files_are_sorted_and_git_links_and_allowed_paths_left_out() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["b.txt", "a/z", "a/b/c", ".git/config", "docs/deep/x", ".github/y"] {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("b.txt", directory.path().join("link")).unwrap();
        let allow = Allow::parse(&["docs".to_owned()]).unwrap();
        let files = Tree::new(directory.path()).files(&allow).unwrap();
        assert_eq!(files, [".github/y", "a/b/c", "a/z", "b.txt"]);
    }

    #[test]
    fn binary_and_large_files_are_told_apart_from_text() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        let write = |bytes: &[u8]| fs::write(directory.path().join("f"), bytes).unwrap();
        write(b"text\xff");
        assert_eq!(tree.read("f").unwrap(), Content::Text(b"text\xff".to_vec()));
        for bytes in [b"a\0b".as_slice(), b"%PDF-1.7 \xe2\x80\xae"] {
            write(bytes);
            assert_eq!(tree.read("f").unwrap(), Content::Binary);
        }
        write(&vec![b'a'; 16 * 1024 * 1024 + 1]);
        assert_eq!(tree.read("f").unwrap(), Content::TooLarge);
    }
}
