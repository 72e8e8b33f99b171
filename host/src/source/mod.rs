//! The source tree of a run: a commit, or the working copy.
//!
//! A clean checkout is read from the commit's own objects, every one checked
//! against its id, so "built from commit X" is a fact and not a belief about
//! time stamps. A working copy with changes is taken as it is and marked dirty.

mod commit;
mod git;
mod ignored;

use std::path::{Path, PathBuf};

use crate::event::Source;
use crate::store::{Store, StoreError};
use git::{is_other_than_it_looks, look};

pub use ignored::Ignored;

/// Why the source tree cannot be had.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum SourceError {
    /// Not a directory.
    #[error("the source {} is not a directory", path.display())]
    #[diagnostic(code("source/not-a-directory"), help("give the directory to build: --source DIRECTORY"))]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// The git repository cannot be read.
    #[error("cannot read the git repository of {}: {why}", path.display())]
    #[diagnostic(code("source/git"), help("run `git fsck`; to take the files as they are, add --no-git"))]
    Git {
        /// The directory.
        path: PathBuf,
        /// What failed.
        why: String,
    },
    /// A git object is not what its id says.
    #[error("the git object {id} holds other bytes than its id says")]
    #[diagnostic(
        code("source/changed-object"),
        help("the repository is damaged or was tampered with: run `git fsck`")
    )]
    ChangedObject {
        /// The object's id.
        id: String,
    },
    /// A submodule, which has its own commit elsewhere.
    #[error("{} is a submodule, which this version does not read", path.display())]
    #[diagnostic(code("source/submodule"), help("to take the files as they are, add --no-git"))]
    Submodule {
        /// Where it is.
        path: PathBuf,
    },
    /// A file cannot be stored.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Store(#[from] StoreError),
}

/// A source directory that was looked at and not yet read.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
    git: Option<Git>,
}

#[derive(Debug)]
struct Git {
    repository: gix::ThreadSafeRepository,
    /// The directory, relative to the top of the working copy.
    below: PathBuf,
    commit: gix::ObjectId,
    seconds: i64,
    branch: Option<String>,
    remote: Option<String>,
    /// The files of the working copy, where it is other than the commit.
    changed: Option<Vec<PathBuf>>,
}

/// What git says of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitState {
    /// The commit that is checked out.
    pub commit: String,
    /// The URL of `origin`, without a user and a password.
    pub remote: Option<String>,
    /// The directory, relative to the top of the working copy.
    pub below: PathBuf,
    /// Whether the working copy is other than the commit, anywhere.
    pub changed: bool,
}

impl Checkout {
    /// What git says of it; nothing outside of a repository with a commit.
    #[must_use]
    pub fn git_state(&self) -> Option<GitState> {
        let git = self.git.as_ref()?;
        Some(GitState {
            commit: git.commit.to_string(),
            remote: git.remote.clone(),
            below: git.below.clone(),
            changed: git.changed.is_some() || is_other_than_it_looks(git, &self.root),
        })
    }

    /// Looks at a directory: which commit it is, and whether it is that commit.
    /// Without `git`, or outside a repository with a commit, it is just files.
    ///
    /// # Errors
    /// [`SourceError::Git`] when there is a repository and it cannot be read.
    pub fn discover(root: &Path, git: bool) -> Result<Self, SourceError> {
        let not_a_directory = || SourceError::NotADirectory { path: root.to_owned() };
        let root = root.canonicalize().ok().filter(|r| r.is_dir()).ok_or_else(not_a_directory)?;
        let git = if git { look(&root)? } else { None };
        Ok(Self { root, git })
    }

    /// The time of the commit, in seconds since 1970.
    #[must_use]
    pub fn commit_time(&self) -> Option<i64> {
        self.git.as_ref().map(|git| git.seconds)
    }

    /// Takes the tree into the store.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn acquire(&self, store: &Store) -> Result<Source, SourceError> {
        let Some(git) = &self.git else {
            let tree = store.ingest_but(&self.root, ".git")?;
            return Ok(Source { tree, commit: None, remote: None, branch: None, dirty: true });
        };
        let tree = match &git.changed {
            Some(paths) => store.ingest_paths(&self.root, paths)?,
            None => commit::ingest(&git.repository, git.commit, &git.below, store)?,
        };
        Ok(Source {
            tree,
            commit: Some(git.commit.to_string()),
            remote: git.remote.clone(),
            branch: git.branch.clone(),
            dirty: git.changed.is_some(),
        })
    }
}
