//! What is looked at while something is decided. Whoever finds all of it again as
//! it was would decide the same, and need not.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::plain_file;

/// Something that was looked at, and what was there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sight {
    /// Where, as an absolute path.
    path: PathBuf,
    /// What.
    found: Found,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Found {
    /// A plain file of so many bytes; `linked`, if one behind a link is as good.
    File { digest: Digest, bytes: u64, linked: bool },
    /// Something that was not opened.
    Something,
    /// Nothing.
    Nothing,
    /// A path without links that leads to the same.
    Path(PathBuf),
    /// What cannot be compared: it is never found again.
    Unclear,
}

impl Sight {
    /// Whether the same is there now.
    #[must_use]
    pub fn is_as_it_was(&self) -> bool {
        let path = self.path.as_path();
        match &self.found {
            Found::File { digest, bytes, linked } => {
                let read = if *linked { plain_file::read_named } else { plain_file::read_plain };
                read(path, *bytes).is_ok_and(|found| Digest::of(&found) == *digest)
            }
            Found::Something => plain_file::is_there(path),
            Found::Nothing => !plain_file::is_there(path),
            Found::Path(to) => plain_file::canonical(path).is_ok_and(|found| found == *to),
            Found::Unclear => false,
        }
    }
}

thread_local! {
    /// What this thread has seen, while that is of interest.
    static SEEN: RefCell<Option<HashSet<Sight>>> = const { RefCell::new(None) };
}

/// Does something, and gives what this thread looked at for it.
pub fn observed<T>(work: impl FnOnce() -> T) -> (T, Vec<Sight>) {
    let outer = SEEN.with_borrow_mut(|seen| seen.replace(HashSet::new()));
    let done = work();
    let inner = SEEN.with_borrow_mut(|seen| std::mem::replace(seen, outer)).unwrap_or_default();
    inner.iter().for_each(|sight| note(|| sight.clone()));
    (done, inner.into_iter().collect())
}

fn note(sight: impl FnOnce() -> Sight) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            seen.insert(sight());
        }
    });
}

fn at(path: &Path, found: Found) -> Sight {
    match std::path::absolute(path) {
        Ok(path) => Sight { path, found },
        Err(_) => Sight { path: path.to_owned(), found: Found::Unclear },
    }
}

/// Notes what came of reading a file.
pub(crate) fn read(path: &Path, linked: bool, content: &io::Result<Vec<u8>>) {
    note(|| {
        let found = match content {
            Ok(content) => Found::File { digest: Digest::of(content), bytes: content.len() as u64, linked },
            Err(error) => missing(error),
        };
        at(path, found)
    });
}

/// Notes a plain file whose content is known.
pub(crate) fn read_as(path: &Path, digest: Digest, bytes: u64) {
    note(|| at(path, Found::File { digest, bytes, linked: false }));
}

/// Notes whether something was there.
pub(crate) fn looked(path: &Path, there: bool) {
    note(|| at(path, if there { Found::Something } else { Found::Nothing }));
}

/// Notes where a path led to.
pub(crate) fn led(path: &Path, to: &io::Result<PathBuf>) {
    note(|| at(path, to.as_ref().map_or_else(missing, |to| Found::Path(to.clone()))));
}

fn missing(error: &io::Error) -> Found {
    let nothing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    if nothing { Found::Nothing } else { Found::Unclear }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::plain_file::{canonical, is_there, read_named, read_plain};

    #[test]
    fn whatever_was_looked_at_is_noticed_when_it_is_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let begin = || {
            for name in ["plain", "named", "there", "target", "other"] {
                fs::write(path(name), name).unwrap();
            }
            for name in ["absent", "unread"] {
                let _ = fs::remove_file(path(name));
            }
            let _ = fs::remove_file(path("link"));
            symlink("target", path("link")).unwrap();
        };
        begin();
        let ((), sights) = observed(|| {
            read_plain(&path("plain"), 99).unwrap();
            read_named(&path("named"), 99).unwrap();
            read_plain(&path("unread"), 99).unwrap_err();
            assert!(is_there(&path("there")) && !is_there(&path("absent")));
            canonical(&path("link")).unwrap();
            // Once more is no more.
            read_plain(&path("plain"), 99).unwrap();
        });
        assert_eq!(sights.len(), 6);
        let all_hold = || sights.iter().all(Sight::is_as_it_was);
        assert!(all_hold());
        let kept: Vec<Sight> = serde_json::from_slice(&serde_json::to_vec(&sights).unwrap()).unwrap();
        assert_eq!(kept, sights);
        let relink = |to: &str| {
            fs::remove_file(path("link")).unwrap();
            symlink(to, path("link")).unwrap();
        };
        let replace_by_link = |name: &str| {
            fs::remove_file(path(name)).unwrap();
            fs::write(path("copy"), name).unwrap();
            symlink("copy", path(name)).unwrap();
        };
        let changes: [&dyn Fn(); 8] = [
            &|| fs::write(path("plain"), "Plain").unwrap(),
            &|| fs::write(path("named"), "named and more").unwrap(),
            &|| fs::write(path("unread"), "").unwrap(),
            &|| fs::remove_file(path("there")).unwrap(),
            &|| fs::write(path("absent"), "").unwrap(),
            &|| relink("other"),
            &|| fs::remove_file(path("target")).unwrap(),
            &|| replace_by_link("plain"),
        ];
        for (number, change) in changes.iter().enumerate() {
            change();
            assert!(!all_hold(), "change {number}");
            let _ = fs::remove_file(path("plain"));
            begin();
            assert!(all_hold(), "after change {number}");
        }
        // A file that the user named may be a link.
        replace_by_link("named");
        assert!(all_hold());
    }

    #[test]
    fn what_cannot_be_compared_is_never_the_same_and_nothing_is_noted_unasked() {
        let directory = tempfile::tempdir().unwrap();
        let (_, outer) = observed(|| {
            let (_, inner) = observed(|| read_plain(directory.path(), 9));
            assert_eq!(inner.len(), 1);
            assert!(!inner.iter().any(Sight::is_as_it_was));
        });
        assert_eq!(outer.len(), 1, "who asked first sees it, too");
        let _ = read_plain(directory.path(), 9);
        let ((), none) = observed(|| {});
        assert!(none.is_empty());
    }
}
