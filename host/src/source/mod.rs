//! The source tree of a run: a commit, or the working copy.
//!
//! A clean checkout is read from the commit's own objects, every one checked
//! against its id, so "built from commit X" is a fact and not a belief about
//! time stamps. A working copy with changes is taken as it is and marked dirty.

mod commit;
mod ignored;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;

use crate::event::Source;
use crate::store::{Store, StoreError};

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

/// Opens the repository a directory is in.
///
/// What its configuration says is taken from a stranger: no filter, and no other
/// program that it names, is ever run. One that belongs to another user is not
/// read at all, as git itself refuses it.
fn open(root: &Path) -> Result<Option<gix::Repository>, SourceError> {
    let failed = |why: String| SourceError::Git { path: root.to_owned(), why };
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let mut above = root.ancestors().take_while(|path| device(path) == device(root));
    if !above.any(|path| path.join(".git").symlink_metadata().is_ok()) {
        return Ok(None);
    }
    // From here on there is a repository, and one that cannot be read is an error.
    let options = gix::open::Options::default().filter_config_section(|_| false).bail_if_untrusted(true);
    let options = gix::sec::trust::Mapping { full: options.clone(), reduced: options };
    let found =
        gix::ThreadSafeRepository::discover_opts(root, gix::discover::upwards::Options::default(), options);
    found.map(|repository| Some(repository.to_thread_local())).map_err(|error| failed(error.to_string()))
}

fn look(root: &Path) -> Result<Option<Git>, SourceError> {
    let failed = |why: String| SourceError::Git { path: root.to_owned(), why };
    let Some(repository) = open(root)? else { return Ok(None) };
    let Some(top) = repository.workdir().and_then(|top| top.canonicalize().ok()) else { return Ok(None) };
    if repository.head().map_err(|error| failed(error.to_string()))?.is_unborn() {
        return Ok(None);
    }
    let commit = repository.head_commit().map_err(|error| failed(error.to_string()))?;
    let below = root.strip_prefix(&top).map_err(|error| failed(error.to_string()))?.to_owned();
    let seconds = commit.time().map_err(|error| failed(error.to_string()))?.seconds;
    let branch = repository.head_name().ok().flatten().map(|name| name.shorten().to_string());
    let changed = changed_files(&repository, &top, &below).map_err(failed)?;
    Ok(Some(Git {
        commit: commit.id,
        seconds,
        branch,
        remote: remote(&repository),
        below,
        changed,
        repository: repository.clone().into_sync(),
    }))
}

/// Whether files are used, or may be, that are not the commit's although git calls
/// the working copy clean: those that it was told not to look at, and those below
/// `src` that it ignores. What cannot be read counts as such.
fn is_other_than_it_looks(git: &Git, root: &Path) -> bool {
    use gix::index::entry::Flags;
    let unseen = Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::FSMONITOR_VALID;
    let repository = git.repository.to_thread_local();
    let Ok(index) = repository.index_or_empty() else { return true };
    if index.entries().iter().any(|entry| entry.flags.intersects(unseen)) {
        return true;
    }
    let tracked: HashSet<PathBuf> =
        index.entries().iter().filter_map(|entry| path_of(entry.path(&index)).ok()).collect();
    let mut pending = vec![PathBuf::from("task.yaml"), PathBuf::from("src")];
    while let Some(path) = pending.pop() {
        let here = root.join(&path);
        let Ok(meta) = here.symlink_metadata() else { continue };
        if !meta.is_dir() {
            if !tracked.contains(&git.below.join(&path)) {
                return true;
            }
            continue;
        }
        let Ok(entries) = here.read_dir() else { return true };
        for entry in entries {
            let Ok(entry) = entry else { return true };
            pending.push(path.join(entry.file_name()));
        }
    }
    false
}

/// The URL of `origin`, where it is a public way to say where a repository is:
/// over HTTP or SSH, without what may be a password. Provenance is public, so a path
/// of this machine, and what has a form that is not known, is not named.
fn remote(repository: &gix::Repository) -> Option<String> {
    use gix::url::Scheme;
    let written = repository.config_snapshot().string("remote.origin.url")?;
    let mut url = gix::url::parse(written.as_bstr()).ok()?;
    // A query is part of the path here, and so is what follows `helper::`.
    let is_plain = !url.path.iter().any(|byte| b"?#@;:".contains(byte));
    let is_remote = matches!(url.scheme, Scheme::Https | Scheme::Http | Scheme::Ssh);
    if url.scheme != Scheme::Ssh || url.user() != Some("git") {
        url.set_user(None);
    }
    url.set_password(None);
    (is_plain && is_remote).then(|| url.to_bstring().to_string())
}

/// The files of the working copy below a directory, unless it is the commit.
fn changed_files(
    repository: &gix::Repository,
    top: &Path,
    below: &Path,
) -> Result<Option<Vec<PathBuf>>, String> {
    use gix::status::Item;
    use gix::status::index_worktree::Item as Worktree;
    let say = |error: &dyn std::error::Error| error.to_string();
    let status = repository.status(gix::progress::Discard).map_err(|e| say(&e))?;
    let status = status.untracked_files(gix::status::UntrackedFiles::Files);
    let items = status.into_iter(None).map_err(|e| say(&e))?;
    let mut dirty = false;
    let mut untracked = Vec::new();
    for item in items {
        let item = item.map_err(|e| say(&e))?;
        if let Item::IndexWorktree(Worktree::DirectoryContents { entry, .. }) = &item {
            if entry.status == gix::dir::entry::Status::Untracked {
                untracked.push(path_of(entry.rela_path.as_bstr())?);
                dirty = true;
            }
        } else {
            dirty = true;
        }
    }
    if !dirty {
        return Ok(None);
    }
    let index = repository.index_or_empty().map_err(|e| say(&e))?;
    let mut files = Vec::new();
    for entry in index.entries() {
        if entry.mode == gix::index::entry::Mode::COMMIT {
            return Err(format!("{} is a submodule, which this version does not read", entry.path(&index)));
        }
        files.push(path_of(entry.path(&index))?);
    }
    files.extend(untracked);
    files.sort_unstable();
    files.dedup();
    let inside = files.iter().filter_map(|path| path.strip_prefix(below).ok()).map(Path::to_owned);
    let here = top.join(below);
    let there = |path: &PathBuf| here.join(path).symlink_metadata().is_ok_and(|m| !m.is_dir());
    Ok(Some(inside.filter(there).collect()))
}

fn path_of(path: &gix::bstr::BStr) -> Result<PathBuf, String> {
    path.to_path().map(Path::to_owned).map_err(|_| format!("{path} is not UTF-8"))
}
