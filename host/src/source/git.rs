//! What git says of a directory: the commit, whether the working copy is it, and
//! where the repository is.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;

use super::{Git, SourceError};

/// Opens the repository a directory is in.
///
/// What its configuration says is taken from a stranger: no filter, and no other
/// program that it names, is ever run. One that belongs to another user is not
/// read at all, as git itself refuses it.
pub(super) fn open(root: &Path) -> Result<Option<gix::Repository>, SourceError> {
    let failed = |why: String| SourceError::Git { path: root.to_owned(), why };
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let mut above = root.ancestors().take_while(|path| device(path) == device(root));
    if !above.any(|path| path.join(".git").symlink_metadata().is_ok()) {
        return Ok(None);
    }
    // From here on there is a repository, and one that cannot be read is an error.
    // Nor do its settings decide what counts as changed, or as the commit.
    let settings = ["core.trustctime=true", "core.checkStat=default", "core.useReplaceRefs=false"];
    let options = gix::open::Options::default()
        .filter_config_section(|section| section.source == gix::config::Source::Api)
        .bail_if_untrusted(true)
        .config_overrides(settings);
    let options = gix::sec::trust::Mapping { full: options.clone(), reduced: options };
    let found =
        gix::ThreadSafeRepository::discover_opts(root, gix::discover::upwards::Options::default(), options);
    found.map(|repository| Some(repository.to_thread_local())).map_err(|error| failed(error.to_string()))
}

pub(super) fn look(root: &Path) -> Result<Option<Git>, SourceError> {
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
/// the working copy clean: some that it was told not to look at, or one of the
/// directory, but for what tools install and make there, that is not byte by byte
/// what the commit has. What cannot be read counts as such.
pub(super) fn is_other_than_it_looks(git: &Git, root: &Path) -> bool {
    use gix::index::entry::Flags;
    let unseen = Flags::ASSUME_VALID | Flags::SKIP_WORKTREE | Flags::FSMONITOR_VALID;
    let repository = git.repository.to_thread_local();
    let Ok(index) = repository.index_or_empty() else { return true };
    if index.entries().iter().any(|entry| entry.flags.intersects(unseen)) {
        return true;
    }
    let ids: HashMap<PathBuf, gix::ObjectId> = index
        .entries()
        .iter()
        .filter_map(|entry| Some((path_of(entry.path(&index)).ok()?, entry.id)))
        .collect();
    let is_the_commit_s = |path: &Path| {
        let bytes = std::fs::read(root.join(path)).ok()?;
        let kind = repository.object_hash();
        let id = gix::objs::compute_hash(kind, gix::objs::Kind::Blob, &bytes).ok()?;
        Some(ids.get(&git.below.join(path)) == Some(&id))
    };
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let Ok(entries) = root.join(&below).read_dir() else { return true };
        for entry in entries {
            let Ok((entry, kind)) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))
            else {
                return true;
            };
            let path = below.join(entry.file_name());
            if is_made_by_tools(&path) {
                continue;
            }
            if kind.is_dir() {
                pending.push(path);
            } else if !kind.is_file() || is_the_commit_s(&path) != Some(true) {
                // A link is what it leads to for tools, and a name for git.
                return true;
            }
        }
    }
    false
}

/// What is in a task's directory and is not its source, directly below it.
fn is_made_by_tools(path: &Path) -> bool {
    let named = |name: &str| path == Path::new(name);
    let component = path.extension().is_some_and(|ending| ending == "wasm");
    [".git", ".venv", "build", "node_modules", "target"].into_iter().any(named)
        || component && path.components().count() == 1
}

/// The URL of `origin`, where it is a public way to say where a repository is:
/// over HTTP or SSH, without what may be a password. Provenance is public, so a path
/// of this machine, and what has a form that is not known, is not named.
fn remote(repository: &gix::Repository) -> Option<String> {
    use gix::url::Scheme;
    let written = repository.config_snapshot().string("remote.origin.url")?;
    let mut url = gix::url::parse(written.as_bstr()).ok()?;
    // A query is part of the path here, and so is what follows `helper::`. A host
    // without a dot is this machine, or a name that only this one knows.
    let host = url.host().unwrap_or_default();
    let is_named =
        host.contains('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    let is_plain = is_named && !url.path.iter().any(|byte| b"?#@;:%".contains(byte));
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
