//! `lock.yaml`: which digest each tag of a registry over HTTP stands for, for
//! everyone who builds the repository, and who had signed what was found.
//!
//! Tags of the embedded registry are not in it: what that one holds came with
//! the program or from this machine.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cofferdam_manifest::{Document, Fault, decode};
use cofferdam_registry::{Digest, hold_directory, read_plain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Larger files are not read.
const MAX_LOCK: u64 = 4 << 20;

/// The text of `lock.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockDocument {
    /// `cofferdam.dev/v1`.
    pub api_version: LockVersion,
    /// `Lock`.
    pub kind: LockKind,
    /// What each reference with a tag stands for, such as
    /// `registry.example/tasks/sbom:1.2.0`.
    #[serde(default)]
    pub pins: BTreeMap<String, Pin>,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LockVersion {
    /// The only version so far.
    #[serde(rename = "cofferdam.dev/v1")]
    V1,
}

/// What the document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LockKind {
    /// Pins.
    Lock,
}

/// What a tag stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pin {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Whose signature was found good when the tag was pinned: a key's id, or an
    /// identity; absent where the task was not trusted. For those who read the
    /// file: trust is decided anew in every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// Why the pins cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The text is wrong; every fault has its place.
    #[error("{}: the pins cannot be read", path.display())]
    Faults {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// What is wrong.
        faults: Vec<Fault>,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The pins of one repository.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// Where they are kept; nowhere for what is planned without a file.
    path: Option<PathBuf>,
    pins: BTreeMap<String, Pin>,
    /// The references whose pins were added, changed or removed since.
    changed: BTreeSet<String>,
    /// What was asked for or pinned.
    used: RefCell<BTreeSet<String>>,
}

/// The directory of a repository that is for Cofferdam, by one that pipelines are
/// in.
#[must_use]
pub fn repository_directory(base: &Path) -> PathBuf {
    let named = |path: &&Path| path.file_name().is_some_and(|name| name == ".cofferdam");
    base.ancestors().find(named).map_or_else(|| base.join(".cofferdam"), Path::to_owned)
}

impl Lock {
    /// Reads the pins for the pipelines in a directory: those of the nearest
    /// `.cofferdam` above or in it. Without a file there are none yet.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn load(base: &Path) -> Result<Self, LockError> {
        let path = repository_directory(base).join("lock.yaml");
        let io = |source| LockError::Io { action: "read", path: path.clone(), source };
        // Not through a link: what is wrong with a file is shown.
        let text = match read_plain(&path, MAX_LOCK) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
                io(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text"))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { path: Some(path), ..Self::default() });
            }
            Err(error) => return Err(io(error)),
        };
        let document = Document::parse(&text).map_err(|fault| vec![fault]);
        let document = document.and_then(|document| decode::<LockDocument>(&document));
        match document {
            Ok(document) => Ok(Self { path: Some(path), pins: document.pins, ..Self::default() }),
            Err(faults) => Err(LockError::Faults { path, text, faults }),
        }
    }

    /// The directory that holds the file.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.path.as_deref().and_then(Path::parent)
    }

    /// What a reference with a tag stands for.
    #[must_use]
    pub fn get(&self, reference: &str) -> Option<&Pin> {
        self.used.borrow_mut().insert(reference.to_owned());
        self.pins.get(reference)
    }

    /// The references that were asked for or pinned.
    #[must_use]
    pub fn used(&self) -> BTreeSet<String> {
        self.used.borrow().clone()
    }

    /// Removes every pin but some, and gives those that went.
    pub fn retain(&mut self, kept: &BTreeSet<String>) -> BTreeMap<String, Pin> {
        let (stay, gone) =
            std::mem::take(&mut self.pins).into_iter().partition(|(name, _)| kept.contains(name));
        self.pins = stay;
        self.changed.extend(BTreeMap::keys(&gone).cloned());
        gone
    }

    /// Every pin.
    #[must_use]
    pub fn pins(&self) -> &BTreeMap<String, Pin> {
        &self.pins
    }

    /// Pins a reference.
    pub fn set(&mut self, reference: &str, pin: Pin) {
        self.used.borrow_mut().insert(reference.to_owned());
        if self.pins.get(reference) != Some(&pin) {
            self.pins.insert(reference.to_owned(), pin);
            self.changed.insert(reference.to_owned());
        }
    }

    /// Where they are kept.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether there is something to write.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Writes the pins, whole or not at all, where they have changed. What others
    /// have done meanwhile to other references stays so.
    ///
    /// # Errors
    /// [`LockError`], also where the file is wrong now.
    pub fn save(&mut self) -> Result<(), LockError> {
        let Some(path) = self.path.clone().filter(|_| self.is_changed()) else { return Ok(()) };
        let directory = path.parent().unwrap_or(Path::new("."));
        let io = |source| LockError::Io { action: "write", path: path.clone(), source };
        let held = || -> std::io::Result<std::fs::File> {
            std::fs::create_dir_all(directory)?;
            hold_directory(directory)
        };
        let _held = held().map_err(io)?;
        let mut now = Self::load(directory)?.pins;
        for name in &self.changed {
            match self.pins.get(name) {
                Some(pin) => now.insert(name.clone(), pin.clone()),
                None => now.remove(name),
            };
        }
        self.pins = now;
        let write = || -> std::io::Result<()> {
            use std::io::Write as _;
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(self.text().as_bytes())?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.persist(&path).map(drop).map_err(|error| error.error)
        };
        write().map_err(io)?;
        self.changed.clear();
        Ok(())
    }

    /// One line for each fact, so that a change reads well in review. References,
    /// digests and ids need no quotes but the ones that are always there.
    fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text =
            "# Which digest each tag stands for. Written by cofferdam; keep it under version control.\n\
                        apiVersion: cofferdam.dev/v1\nkind: Lock\npins:\n"
                .to_owned();
        for (reference, pin) in &self.pins {
            text.push_str(&format!("  {}:\n    digest: {}\n", quoted(reference), pin.digest));
            if let Some(signer) = &pin.signed_by {
                text.push_str(&format!("    signedBy: {}\n", quoted(signer)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join(".cofferdam/nested");
        let mut lock = Lock::load(&base).unwrap();
        let pin = Pin { digest: Digest::of(b"x"), signed_by: Some("a \"key\": #1".to_owned()) };
        lock.set("quay.io/a/b:1", pin.clone());
        lock.set("localhost:5000/c:latest", Pin { digest: Digest::of(b"y"), signed_by: None });
        lock.save().unwrap();
        assert!(directory.path().join(".cofferdam/lock.yaml").exists());
        let read = Lock::load(&base).unwrap();
        assert_eq!((read.get("quay.io/a/b:1"), read.pins().len(), read.is_changed()), (Some(&pin), 2, false));
    }

    #[test]
    fn what_others_have_pinned_or_removed_meanwhile_stays_so() {
        let directory = tempfile::tempdir().unwrap();
        let load = || Lock::load(directory.path()).unwrap();
        let pin = |text: &str| Pin { digest: Digest::of(text.as_bytes()), signed_by: None };
        let mut begun = load();
        for name in ["a/old:1", "a/gone:1"] {
            begun.set(name, pin(name));
        }
        begun.save().unwrap();
        let mut open: Vec<Lock> = (0..8).map(|_| load()).collect();
        let mut pruning = load();
        pruning.retain(&["a/old:1".to_owned()].into());
        pruning.save().unwrap();
        std::thread::scope(|scope| {
            for (n, lock) in open.iter_mut().enumerate() {
                scope.spawn(move || {
                    lock.set(&format!("a/new:{n}"), pin("new"));
                    lock.save().unwrap();
                });
            }
        });
        let names: Vec<String> = load().pins().keys().cloned().collect();
        let new = (0..8).map(|n| format!("a/new:{n}"));
        assert_eq!(names, new.chain(["a/old:1".to_owned()]).collect::<Vec<_>>());
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(".cofferdam")).unwrap();
        let file = directory.path().join(".cofferdam/lock.yaml");
        std::fs::write(&file, "apiVersion: cofferdam.dev/v1\nkind: Lock\npins:\n  a/b:1: { digset: x }\n")
            .unwrap();
        let Err(LockError::Faults { faults, .. }) = Lock::load(directory.path()) else { unreachable!() };
        assert!(faults.iter().all(|fault| fault.place.line == 4), "{faults:?}");
    }
}
