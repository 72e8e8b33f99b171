//! The directories of a run while it is under way: inputs laid out once for
//! each tree, outputs and scratch for each TaskRun.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_registry::Digest;

use super::EngineError;
use crate::store::{LaidOut, Store, StoreError, remove_tree};

/// A tree that is laid out by whoever needs it first.
type Slot = Arc<Mutex<Option<Arc<LaidOut>>>>;

/// A run's directory.
pub(super) struct WorkDirectory<'a> {
    root: &'a Path,
    store: &'a Store,
    trees: Mutex<HashMap<Digest, Slot>>,
}

/// A TaskRun's own directories, gone when it is.
pub(super) struct TaskDirectory {
    root: Option<PathBuf>,
    pub(super) outputs: BTreeMap<String, PathBuf>,
    pub(super) scratch: Option<PathBuf>,
}

impl Drop for TaskDirectory {
    fn drop(&mut self) {
        if let Some(root) = &self.root {
            let _ = remove_tree(root);
        }
    }
}

impl<'a> WorkDirectory<'a> {
    pub(super) fn new(root: &'a Path, store: &'a Store) -> Self {
        Self { root, store, trees: Mutex::default() }
    }

    /// A directory with a tree in it. Tasks that read the same tree share it:
    /// none can write to it.
    pub(super) fn tree(&self, digest: Digest) -> Result<Arc<LaidOut>, StoreError> {
        let slot = {
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(trees.entry(digest).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = &*slot {
            return Ok(Arc::clone(tree));
        }
        let path = self.root.join("trees").join(digest.to_hex());
        let tree = Arc::new(self.store.link_out(digest, &path)?);
        *slot = Some(Arc::clone(&tree));
        Ok(tree)
    }

    /// Directories for a TaskRun's outputs and scratch; none is made for a task
    /// that cannot touch files.
    pub(super) fn task<'n>(
        &self,
        index: usize,
        outputs: impl Iterator<Item = &'n str>,
        files: bool,
    ) -> Result<TaskDirectory, EngineError> {
        let root = self.root.join("tasks").join(index.to_string());
        let make = |path: PathBuf| {
            let made = fs::create_dir_all(&path);
            made.map_err(|source| EngineError::Work { path: path.display().to_string(), source })
                .map(|()| path)
        };
        let mut directory = TaskDirectory { root: None, outputs: BTreeMap::new(), scratch: None };
        for name in outputs {
            directory.root = Some(root.clone());
            directory.outputs.insert(name.to_owned(), make(root.join("outputs").join(name))?);
        }
        if files {
            directory.root = Some(root.clone());
            directory.scratch = Some(make(root.join("scratch"))?);
        }
        Ok(directory)
    }
}
