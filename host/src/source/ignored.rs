//! Which paths git does not look at: what nobody would commit starts no run.

use std::path::{Path, PathBuf};

use gix::index::entry::Mode;
use gix::worktree::stack::state::ignore::Source;

/// Tells what git ignores below a directory.
pub struct Ignored {
    /// Where there is one: the repository, and the top of its working copy.
    git: Option<(gix::ThreadSafeRepository, PathBuf)>,
}

impl std::fmt::Debug for Ignored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ignored").field(&self.git.as_ref().map(|(_, top)| top)).finish()
    }
}

impl Ignored {
    /// For a directory; without `git`, and outside of a repository that can be
    /// read, nothing is ignored.
    #[must_use]
    pub fn below(root: &Path, git: bool) -> Self {
        let open = || {
            let repository = super::git::open(&root.canonicalize().ok()?).ok()??;
            let top = repository.workdir()?.canonicalize().ok()?;
            Some((repository.into_sync(), top))
        };
        Self { git: if git { open() } else { None } }
    }

    /// The paths that git looks at, of some. Whatever is in `.git` is none.
    #[must_use]
    pub fn others<'p>(&self, paths: &'p [PathBuf]) -> Vec<&'p Path> {
        let in_git = |path: &Path| path.components().any(|part| part.as_os_str() == ".git");
        let mut others: Vec<&Path> =
            paths.iter().map(PathBuf::as_path).filter(|path| !in_git(path)).collect();
        let Some((repository, top)) = &self.git else { return others };
        let repository = repository.to_thread_local();
        // What cannot be told is looked at.
        let Ok(index) = repository.index_or_empty() else { return others };
        let source = Source::WorktreeThenIdMappingIfNotSkipped;
        let Ok(mut stack) = repository.excludes(&index, None, source) else { return others };
        others.retain(|path| {
            let Ok(inside) = path.strip_prefix(top) else { return true };
            let Some(name) = inside.to_str() else { return true };
            // A file that was added all the same is no longer ignored.
            if name.is_empty() || index.entry_by_path(name.into()).is_some() {
                return true;
            }
            let mode = if path.is_dir() { Mode::DIR } else { Mode::FILE };
            !stack.at_path(inside, Some(mode)).is_ok_and(|platform| platform.is_excluded())
        });
        others
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn without_a_repository_only_git_s_own_files_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let ignored = Ignored::below(directory.path(), true);
        let paths = [directory.path().join(".git/index"), directory.path().join("target/a")];
        assert_eq!(ignored.others(&paths), [paths.last().unwrap()]);
    }
}
