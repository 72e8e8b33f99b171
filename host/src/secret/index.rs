//! What is told of secrets without unlocking any: `secrets.json`.
//!
//! Names, hosts and times are no secret: pipelines and manifests hold the first
//! two. Kept beside the values, they would cost a keychain's prompt, or the
//! key, for every plan and every listing. Where a value may be sent is decided
//! by the hosts kept with the value, not by these.

use std::collections::BTreeMap;
use std::path::Path;

use cofferdam_manifest::Identifier;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{SecretError, damaged, io_error};
use super::private_file;
use crate::model::SecretHost;

const VERSION: u32 = 1;

/// Where a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the keychain of the user's session.
    Keychain,
    /// In `secrets.age`.
    File,
}

/// What is told of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// The hosts it may be sent to.
    pub hosts: Vec<SecretHost>,
    /// When it was set.
    pub set: Timestamp,
    /// Where its value is.
    pub kept: Place,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    version: u32,
    pub(super) secrets: BTreeMap<Identifier, Listed>,
}

impl Index {
    pub(super) fn read(path: &Path) -> Result<Self, SecretError> {
        let Some(bytes) = private_file::read(path)? else {
            return Ok(Self { version: VERSION, secrets: BTreeMap::new() });
        };
        let index: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))?;
        if index.version != VERSION {
            return Err(damaged(path, format!("it has version {}, not {VERSION}", index.version)));
        }
        Ok(index)
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), SecretError> {
        let json = serde_json::to_vec_pretty(self).map_err(|error| io_error("write", path)(error.into()))?;
        private_file::replace(path, &json)
    }
}
