//! The source tree as this task sees it: lock files in sorted order, read in
//! bounded size. No symbolic link is ever followed.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use cofferdam_inventory::{Fault, Include, LockKind, line_of};
use cofferdam_sdk::Failure;
use glob::{MatchOptions, Pattern};
use walkdir::{DirEntry, WalkDir};

/// The largest lock file that is read, in bytes.
const LARGEST: u64 = 32 * 1024 * 1024;

/// The lock files that one tree may have: a result has to name them all.
const MOST: usize = 2_000;

/// Directories that hold what tools made or fetched, not what people wrote.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A lock file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockFile {
    /// Relative to the tree, with `/`.
    pub(crate) path: String,
    pub(crate) kind: LockKind,
}

/// The tree an execution was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tree<'a> {
    root: &'a Path,
}

/// The paths to leave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exclude {
    patterns: Vec<Pattern>,
}

impl Exclude {
    /// Reads the param.
    pub(crate) fn parse(globs: &[String]) -> Result<Self, Failure> {
        let pattern = |text: &String| {
            Pattern::new(text).map_err(|error| {
                Failure::new("InvalidExclude", format!("`{text}` is not a path glob: {}", error.msg))
                    .remedy("write globs such as `fixtures/**` or `**/old/*`")
            })
        };
        Ok(Self { patterns: globs.iter().map(pattern).collect::<Result<_, _>>()? })
    }

    fn matches(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches_with(path, MATCHING))
    }
}

impl<'a> Tree<'a> {
    /// The tree under a directory.
    pub(crate) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// The lock files, in sorted order.
    pub(crate) fn lock_files(&self, exclude: &Exclude) -> Result<Vec<LockFile>, Failure> {
        let relative = |entry: &DirEntry| {
            let path = entry.path().strip_prefix(self.root).unwrap_or(entry.path());
            path.to_string_lossy().replace('\\', "/")
        };
        let wanted = |entry: &DirEntry| {
            let skipped = entry.file_type().is_dir()
                && SKIPPED.iter().any(|name| entry.file_name().to_str() == Some(name));
            entry.depth() == 0 || !(skipped || exclude.matches(&relative(entry)))
        };
        let mut found = Vec::new();
        for entry in WalkDir::new(self.root).sort_by_file_name().into_iter().filter_entry(wanted) {
            let entry = entry.map_err(|error| {
                Failure::new("InputOutput", format!("cannot list the source tree: {error}"))
            })?;
            let kind = entry.file_name().to_str().and_then(kind);
            if let Some(kind) = kind.filter(|_| entry.file_type().is_file()) {
                found.push(LockFile { path: relative(&entry), kind });
                check_count(found.len())?;
            }
        }
        Ok(found)
    }

    /// The text of a file, without a byte order mark.
    pub(crate) fn read(&self, path: &str) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        let file =
            File::open(self.root.join(path)).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        let refused = |message: String, remedy: &str| unreadable(Fault::whole(message, remedy), path);
        file.map_err(|error| {
            refused(format!("cannot be read: {error}"), "check the file in the source tree")
        })?;
        if bytes.len() as u64 > LARGEST {
            let message = format!("larger than {} MiB, the most this task reads", LARGEST >> 20);
            return Err(refused(message, "check that it is a lock file"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = line_of(&String::from_utf8_lossy(error.as_bytes()), valid);
            unreadable(
                Fault::new(line, "not UTF-8 text", "write the file anew with the tool that made it"),
                path,
            )
        })?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// Refuses an include that is missing, is no file, or is reached through a
    /// symbolic link: that could lead anywhere.
    pub(crate) fn check_include(&self, from: &str, include: &Include) -> Result<(), Failure> {
        let mut at = self.root.to_path_buf();
        let mut is_file = false;
        for part in include.path.split('/') {
            at.push(part);
            let kind = fs::symlink_metadata(&at).map(|metadata| metadata.file_type());
            match kind {
                Ok(kind) if kind.is_symlink() => {
                    return Err(refused_include(from, include, "which is reached through a symbolic link"));
                }
                Ok(kind) => is_file = kind.is_file(),
                Err(_) => is_file = false,
            }
        }
        if is_file { Ok(()) } else { Err(refused_include(from, include, "which is not a file of the tree")) }
    }
}

/// What whoever reads the run is told of a lock file that cannot be used.
pub(crate) fn unreadable(fault: Fault, path: &str) -> Failure {
    let remedy = format!("{}; or leave the file out with the param `exclude`", fault.remedy);
    Failure::new("LockfileUnreadable", fault.at(path)).remedy(remedy)
}

/// Refuses a tree of more lock files than can be reported.
pub(crate) fn check_count(count: usize) -> Result<(), Failure> {
    if count <= MOST {
        return Ok(());
    }
    let message = format!("the source tree has more than {MOST} lock files");
    Err(Failure::new("TooManyLockfiles", message).remedy("leave some out with the param `exclude`"))
}

fn refused_include(from: &str, include: &Include, problem: &str) -> Failure {
    let message = format!("includes `{}`, {problem}", include.path);
    unreadable(Fault::new(include.line, message, "add the file to the source tree, or drop the line"), from)
}

/// What a file is, by its name.
fn kind(name: &str) -> Option<LockKind> {
    match name {
        "Cargo.lock" => Some(LockKind::Cargo),
        "package-lock.json" => Some(LockKind::Npm),
        "requirements.txt" => Some(LockKind::Requirements),
        other => {
            let dashed = other.starts_with("requirements-") && other.ends_with(".txt");
            dashed.then_some(LockKind::Requirements)
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        directory
    }

    #[test]
    fn lock_files_are_found_in_sorted_order_and_made_ones_skipped() {
        let directory = tree(&[
            ("b/requirements-dev.txt", b""),
            ("b/requirements.in", b""),
            ("a/Cargo.lock", b""),
            ("package-lock.json", b""),
            ("node_modules/x/package-lock.json", b""),
            ("a/target/Cargo.lock", b""),
            (".git/Cargo.lock", b""),
            ("fixtures/deep/Cargo.lock", b""),
        ]);
        let exclude = Exclude::parse(&["fixtures/**".to_owned()]).unwrap();
        let found = Tree::new(directory.path()).lock_files(&exclude).unwrap();
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/Cargo.lock", "b/requirements-dev.txt", "package-lock.json"]);
    }

    #[test]
    fn a_tree_of_too_many_lock_files_is_refused() {
        assert!(check_count(MOST).is_ok());
        assert_eq!(check_count(MOST + 1).unwrap_err().reason, "TooManyLockfiles");
    }

    #[test]
    fn an_invalid_glob_is_refused_by_name() {
        let failure = Exclude::parse(&["a/***".to_owned()]).unwrap_err();
        assert_eq!(failure.reason, "InvalidExclude");
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused_with_its_line() {
        let directory = tree(&[("Cargo.lock", b"a\nb\xff\n"), ("bom.txt", b"\xef\xbb\xbfx")]);
        let failure = Tree::new(directory.path()).read("Cargo.lock").unwrap_err();
        assert!(failure.message.starts_with("Cargo.lock:2: "), "{failure}");
        assert_eq!(Tree::new(directory.path()).read("bom.txt").unwrap(), "x");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join("Cargo.lock")).unwrap().set_len(LARGEST + 1).unwrap();
        let failure = Tree::new(directory.path()).read("Cargo.lock").unwrap_err();
        assert!(failure.message.contains("larger than 32 MiB"), "{failure}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_neither_walked_nor_included() {
        let directory = tree(&[("real/Cargo.lock", b"")]);
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        std::os::unix::fs::symlink("real/Cargo.lock", directory.path().join("Cargo.lock")).unwrap();
        let tree = Tree::new(directory.path());
        let found = tree.lock_files(&Exclude::default()).unwrap();
        assert_eq!(found.len(), 1);
        for path in ["link/Cargo.lock", "Cargo.lock", "missing.txt", "real"] {
            let include = Include { line: 4, path: path.to_owned() };
            let failure = tree.check_include("requirements.txt", &include).unwrap_err();
            assert!(failure.message.starts_with("requirements.txt:4: "), "{failure}");
        }
    }
}
