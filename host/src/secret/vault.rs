//! Values in a file, `secrets.age`, encrypted with age to a key in another
//! directory: a copy of one without the other gives nothing away.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use age::{DecryptError, decrypt, encrypt};
use cofferdam_manifest::Identifier;
use zeroize::Zeroizing;

use super::error::{SecretError, damaged, io_error};
use super::kept::{Kept, to_json};
use super::private_file;

type Values = BTreeMap<Identifier, Kept>;

/// The encrypted file and its key.
#[derive(Clone, Debug)]
pub(super) struct Vault {
    pub(super) file: PathBuf,
    pub(super) key: PathBuf,
}

impl Vault {
    pub(super) fn find(&self, name: &Identifier) -> Result<Option<Kept>, SecretError> {
        Ok(self.open()?.and_then(|(_, mut values)| values.remove(name)))
    }

    pub(super) fn set(&self, name: &Identifier, kept: Kept) -> Result<(), SecretError> {
        let (identity, mut values) = match self.open()? {
            Some(opened) => opened,
            None => (self.identity()?.map_or_else(|| self.generate(), Ok)?, Values::new()),
        };
        values.insert(name.clone(), kept);
        self.write(&identity, &values)
    }

    /// Removes a value; one that is not there is removed already.
    pub(super) fn remove(&self, name: &Identifier) -> Result<(), SecretError> {
        let Some((identity, mut values)) = self.open()? else { return Ok(()) };
        if values.remove(name).is_some() { self.write(&identity, &values) } else { Ok(()) }
    }

    /// Decrypts the file, if there is one.
    fn open(&self) -> Result<Option<(Identity, Values)>, SecretError> {
        let Some(bytes) = private_file::read(&self.file)? else { return Ok(None) };
        let no_key = || SecretError::NoKey { file: self.file.clone(), key: self.key.clone() };
        let identity = self.identity()?.ok_or_else(no_key)?;
        let json = decrypt(&identity, &bytes).map(Zeroizing::new).map_err(|error| {
            if matches!(error, DecryptError::NoMatchingKeys) { no_key() } else { damaged(&self.file, error) }
        })?;
        let values = serde_json::from_slice(&json).map_err(|_| damaged(&self.file, "it holds other data"))?;
        Ok(Some((identity, values)))
    }

    fn write(&self, identity: &Identity, values: &Values) -> Result<(), SecretError> {
        let unwritten = |error| io_error("write", &self.file)(error);
        let json = to_json(values).map_err(|error| unwritten(error.into()))?;
        let encrypted = encrypt(&identity.to_public(), &json);
        let encrypted = encrypted.map_err(|error| unwritten(std::io::Error::other(error)))?;
        private_file::replace(&self.file, &encrypted)
    }

    /// The key, if there is one.
    fn identity(&self) -> Result<Option<Identity>, SecretError> {
        let Some(text) = private_file::read(&self.key)?.map(Zeroizing::new) else { return Ok(None) };
        let metadata = self.key.symlink_metadata().map_err(io_error("read", &self.key))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed { path: self.key.clone(), mode });
        }
        let text = std::str::from_utf8(&text).map_err(|error| damaged(&self.key, error))?;
        text.trim_end().parse().map(Some).map_err(|why: &str| damaged(&self.key, why))
    }

    pub(super) fn generate(&self) -> Result<Identity, SecretError> {
        let identity = Identity::generate();
        let text = Zeroizing::new(format!("{}\n", identity.to_string().expose_secret()));
        private_file::create(&self.key, text.as_bytes())?;
        Ok(identity)
    }
}
