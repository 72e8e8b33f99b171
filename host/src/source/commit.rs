//! Reads a commit's tree out of the git object database, checking every object
//! against its id: the database belongs to the user, who may have changed it.

use std::path::{Path, PathBuf};

use gix::objs::tree::EntryKind;
use gix::objs::{Kind, TreeRefIter};
use rayon::prelude::*;

use super::SourceError;
use crate::store::{Entry, Store, StoreError, Tree, TreeBuilder};

/// Files and directories of one commit.
const MAX_ENTRIES: u64 = 2_000_000;

/// Takes the tree of a commit, below a directory, into the store.
pub(super) fn ingest(
    repository: &gix::ThreadSafeRepository,
    commit: gix::ObjectId,
    below: &Path,
    store: &Store,
) -> Result<Tree, SourceError> {
    let local = repository.to_thread_local();
    let bytes = object(&local, commit, Kind::Commit)?;
    let mut tree = gix::objs::CommitRefIter::from_bytes(&bytes, commit.kind())
        .tree_id()
        .map_err(|error| failed(&local, &error))?;
    for step in below.components() {
        let name = step.as_os_str().as_encoded_bytes();
        let bytes = object(&local, tree, Kind::Tree)?;
        let found = TreeRefIter::from_bytes(&bytes, tree.kind())
            .filter_map(Result::ok)
            .find(|entry| entry.filename == name && entry.mode.is_tree());
        let absent = || SourceError::NotADirectory { path: below.to_owned() };
        tree = found.map(|entry| entry.oid.to_owned()).ok_or_else(absent)?;
    }
    let mut leaves = Vec::new();
    let mut seen = 0_u64;
    let mut pending = vec![(PathBuf::new(), tree)];
    while let Some((path, id)) = pending.pop() {
        let bytes = object(&local, id, Kind::Tree)?;
        for entry in TreeRefIter::from_bytes(&bytes, id.kind()) {
            let entry = entry.map_err(|error| failed(&local, &error))?;
            // A few objects that name each other can stand for any number.
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(StoreError::TooLarge { limit: MAX_ENTRIES, what: "files" }.into());
            }
            let name = gix::path::from_bstr(entry.filename).map_err(|error| failed(&local, &error))?;
            let path = path.join(name);
            match entry.mode.kind() {
                EntryKind::Tree => pending.push((path, entry.oid.to_owned())),
                EntryKind::Commit => return Err(SourceError::Submodule { path }),
                kind @ (EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link) => {
                    leaves.push((path, kind, entry.oid.to_owned()));
                }
            }
        }
    }
    let entries: Vec<(PathBuf, Entry)> = leaves
        .into_par_iter()
        .map_init(
            || repository.to_thread_local(),
            |local, (path, kind, id)| read(local, path, kind, id, store),
        )
        .collect::<Result<_, SourceError>>()?;
    let mut builder = TreeBuilder::default();
    for (path, entry) in entries {
        builder.insert(&path, entry)?;
    }
    Ok(builder.finish(store)?)
}

fn read(
    local: &gix::Repository,
    path: PathBuf,
    kind: EntryKind,
    id: gix::ObjectId,
    store: &Store,
) -> Result<(PathBuf, Entry), SourceError> {
    let bytes = object(local, id, Kind::Blob)?;
    let entry = if kind == EntryKind::Link {
        let target = String::from_utf8(bytes).map_err(|error| failed(local, &error))?;
        Entry::Symlink { target }
    } else {
        let size = bytes.len() as u64;
        let digest = store.put(&bytes)?;
        Entry::File { digest, size, executable: kind == EntryKind::BlobExecutable }
    };
    Ok((path, entry))
}

fn object(local: &gix::Repository, id: gix::ObjectId, kind: Kind) -> Result<Vec<u8>, SourceError> {
    let found = local.find_object(id).map_err(|error| failed(local, &error))?;
    let actual = gix::objs::compute_hash(id.kind(), found.kind, &found.data);
    if found.kind != kind || actual.map_err(|error| failed(local, &error))? != id {
        return Err(SourceError::ChangedObject { id: id.to_string() });
    }
    Ok(found.data.clone())
}

fn failed(local: &gix::Repository, error: &dyn std::error::Error) -> SourceError {
    SourceError::Git { path: local.path().to_owned(), why: error.to_string() }
}
