//! What is kept of one secret where its value is: value and hosts together, so
//! that nothing outside can send the value elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::Secret;
use crate::model::{SecretHost, SecretValue};

/// A secret as JSON. Text, because some keychains keep nothing else.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    hosts: Vec<SecretHost>,
    /// In base64: a value need not be text.
    value: String,
}

impl Kept {
    pub(super) fn new(secret: &Secret) -> Self {
        Self { hosts: secret.hosts.clone(), value: STANDARD.encode(secret.value.expose()) }
    }

    pub(super) fn secret(&self) -> Result<Secret, String> {
        let bytes = STANDARD.decode(&self.value).map_err(|_| "a value is not in base64".to_owned())?;
        let value = SecretValue::new(bytes).map_err(|why| format!("a value cannot be one: {why}"))?;
        if self.hosts.is_empty() {
            return Err("a secret is bound to no host".to_owned());
        }
        Ok(Secret { value, hosts: self.hosts.clone() })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// JSON that is overwritten when dropped.
pub(super) fn to_json(value: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    // Large enough at once for most: what grows leaves copies behind.
    let mut json = Zeroizing::new(Vec::with_capacity(SecretValue::MAX * 2));
    serde_json::to_writer(&mut *json, value)?;
    Ok(json)
}
