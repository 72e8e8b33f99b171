//! Secrets of one user: set once at the terminal, bound to hosts, found by name
//! when a task that is granted one runs.
//!
//! A value is in the keychain where one answers, otherwise in a file encrypted
//! with age. Which of the two is decided when it is set, and kept to: a value
//! is never looked for elsewhere.

mod error;
mod index;
mod kept;
mod keychain;
mod private_file;
#[cfg(test)]
mod tests;
mod vault;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cofferdam_manifest::Identifier;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};

use crate::model::{SecretHost, SecretValue};
use error::io_error;
use index::Index;
use kept::Kept;
use keychain::Keychain;
use vault::Vault;

pub use error::SecretError;
pub use index::{Listed, Place};

/// A value, and where it may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The value.
    pub value: SecretValue,
    /// The hosts it may ever be sent to, whatever a task asks for. At least one.
    pub hosts: Vec<SecretHost>,
}

/// What came of setting a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSecret {
    /// What is told of it from now on.
    pub listed: Listed,
    /// The keychain does not answer, and still has the value from before.
    pub left_in_keychain: bool,
}

/// The secrets of one user.
#[derive(Clone, Debug)]
pub struct SecretStore {
    data: PathBuf,
    vault: Vault,
    place: Option<Place>,
}

impl SecretStore {
    /// The secrets of which the list, and what is kept in a file, are in the
    /// directory `data`, and the file's key at `key`. New values go to `place`;
    /// left out, to the keychain if one answers. Nothing is read yet.
    #[must_use]
    pub fn new(data: &Path, key: &Path, place: Option<Place>) -> Self {
        let vault = Vault { file: data.join("secrets.age"), key: key.to_owned() };
        Self { data: data.to_owned(), vault, place }
    }

    /// The encrypted file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.vault.file
    }

    /// Keeps a secret, in place of one that has that name.
    ///
    /// # Errors
    /// [`SecretError`]; the one from before is then still kept.
    pub fn set(&self, name: &Identifier, secret: &Secret, at: Timestamp) -> Result<SetSecret, SecretError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let mut index = self.index()?;
        let before = index.secrets.get(name).map(|listed| listed.kept);
        let keychain = self.keychain_for_new(before)?;
        let mut left_in_keychain = false;
        let kept = match &keychain {
            Some(keychain) => {
                keychain.set(name, &Kept::new(secret))?;
                if before == Some(Place::File) {
                    self.vault.remove(name)?;
                }
                Place::Keychain
            }
            None => {
                self.vault.set(name, Kept::new(secret))?;
                if before == Some(Place::Keychain) {
                    let removed = self.keychain().and_then(|keychain| keychain.remove(name));
                    left_in_keychain = removed.is_err();
                }
                Place::File
            }
        };
        let listed = Listed { hosts: secret.hosts.clone(), set: at, kept };
        index.secrets.insert(name.clone(), listed.clone());
        index.write(&self.index_file())?;
        Ok(SetSecret { listed, left_in_keychain })
    }

    /// Finds a secret, which may mean that a keychain asks to be unlocked.
    ///
    /// # Errors
    /// [`SecretError`]: also when the secret is listed and its value cannot be had.
    pub fn find(&self, name: &Identifier) -> Result<Option<Secret>, SecretError> {
        let _lock = self.lock(FlockOperation::LockShared)?;
        let index = self.index()?;
        let Some(listed) = index.secrets.get(name) else { return Ok(None) };
        let (kept, place) = match listed.kept {
            Place::Keychain => (self.keychain()?.find(name)?, "the keychain".to_owned()),
            Place::File => (self.vault.find(name)?, self.vault.file.display().to_string()),
        };
        let Some(kept) = kept else { return Err(SecretError::LostValue { name: name.clone(), place }) };
        kept.secret().map(Some).map_err(|why| match listed.kept {
            Place::Keychain => SecretError::KeychainRefused { action: "give", name: name.clone(), why },
            Place::File => error::damaged(&self.vault.file, why),
        })
    }

    /// Removes a secret.
    ///
    /// # Errors
    /// [`SecretError`]; it is then still listed.
    pub fn remove(&self, name: &Identifier) -> Result<Listed, SecretError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let mut index = self.index()?;
        let listed = index.secrets.remove(name).ok_or_else(|| SecretError::None { name: name.clone() })?;
        match listed.kept {
            Place::Keychain => self.keychain()?.remove(name)?,
            Place::File => self.vault.remove(name)?,
        }
        // Last: a value that nothing lists would stay for ever.
        index.write(&self.index_file())?;
        Ok(listed)
    }

    /// What is told of all secrets, without unlocking any.
    ///
    /// # Errors
    /// [`SecretError`] when the list cannot be read.
    pub fn list(&self) -> Result<BTreeMap<Identifier, Listed>, SecretError> {
        Ok(self.index()?.secrets)
    }

    /// The names of all secrets, without unlocking any.
    ///
    /// # Errors
    /// [`SecretError`] when the list cannot be read.
    pub fn names(&self) -> Result<Vec<Identifier>, SecretError> {
        Ok(self.list()?.into_keys().collect())
    }

    /// The keychain, when the next value goes there.
    fn keychain_for_new(&self, before: Option<Place>) -> Result<Option<Keychain>, SecretError> {
        match (self.place, before) {
            (Some(Place::File), _) => Ok(None),
            // A value that was in the keychain does not come to be in a file
            // because the keychain happens not to run.
            (Some(Place::Keychain), _) | (None, Some(Place::Keychain)) => self.keychain().map(Some),
            (None, Some(Place::File) | None) => Ok(self.keychain().ok()),
        }
    }

    fn keychain(&self) -> Result<Keychain, SecretError> {
        Keychain::connect(&self.data.display().to_string())
    }

    fn index_file(&self) -> PathBuf {
        self.data.join("secrets.json")
    }

    fn index(&self) -> Result<Index, SecretError> {
        Index::read(&self.index_file())
    }

    /// Keeps others from changing what is read here, until dropped.
    fn lock(&self, operation: FlockOperation) -> Result<File, SecretError> {
        let path = self.data.join("secrets.lock");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.data);
        made.map_err(io_error("create", &self.data))?;
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(io_error("open", &path))?;
        flock(&file, operation).map_err(|error| io_error("lock", &path)(error.into()))?;
        Ok(file)
    }
}
