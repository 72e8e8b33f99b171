//! Values in the keychain of the user's session: the Secret Service, over D-Bus.
//!
//! A bus that does not answer, or a prompt that nobody sees, must not stop a
//! run for ever: every call is made on a thread of its own, and waited for so
//! long and no longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use cofferdam_manifest::Identifier;
use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use zbus_secret_service_keyring_store::Store;
use zeroize::Zeroizing;

use super::error::SecretError;
use super::kept::{Kept, to_json};

/// How long a keychain has to answer at all.
const ANSWER: Duration = Duration::from_secs(2);
/// How long its user has to unlock it.
const UNLOCK: Duration = Duration::from_secs(120);
/// The attribute that all our items have.
const SERVICE: &str = "cofferdam";

/// A keychain that answered.
#[derive(Clone)]
pub(super) struct Keychain {
    store: Arc<Store>,
    /// What tells the secrets of this home from those of another.
    home: String,
}

impl Keychain {
    /// Looks for the keychain.
    pub(super) fn connect(home: &str) -> Result<Self, SecretError> {
        let unavailable = |why| SecretError::KeychainUnavailable { why };
        let store = within(ANSWER, Store::new).map_err(unavailable)?;
        let store = store.map_err(|error| unavailable(error.to_string()))?;
        Ok(Self { store, home: home.to_owned() })
    }

    pub(super) fn find(&self, name: &Identifier) -> Result<Option<Kept>, SecretError> {
        let refused = |why| SecretError::KeychainRefused { action: "give", name: name.clone(), why };
        let json = match self.ask(name, |entry| entry.get_secret().map(Zeroizing::new)).map_err(refused)? {
            Ok(json) => json,
            Err(Error::NoEntry) => return Ok(None),
            Err(error) => return Err(refused(said(&error))),
        };
        let kept = serde_json::from_slice(&json);
        kept.map(Some).map_err(|_| refused("its item holds other data".to_owned()))
    }

    pub(super) fn set(&self, name: &Identifier, kept: &Kept) -> Result<(), SecretError> {
        let refused = |why| SecretError::KeychainRefused { action: "keep", name: name.clone(), why };
        let json = to_json(kept).map_err(|error| refused(error.to_string()))?;
        let done = self.ask(name, move |entry| entry.set_secret(&json)).map_err(refused)?;
        done.map_err(|error| refused(said(&error)))
    }

    /// Removes a value; one that is not there is removed already.
    pub(super) fn remove(&self, name: &Identifier) -> Result<(), SecretError> {
        let refused = |why| SecretError::KeychainRefused { action: "remove", name: name.clone(), why };
        match self.ask(name, Entry::delete_credential).map_err(refused)? {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(said(&error))),
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        name: &Identifier,
        work: impl FnOnce(&Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<keyring_core::Result<T>, String> {
        let (store, user) = (Arc::clone(&self.store), format!("{name} in {}", self.home));
        let label = format!("cofferdam secret {name}");
        within(UNLOCK, move || {
            let label = HashMap::from([("label", label.as_str())]);
            work(&store.build(SERVICE, &user, Some(&label))?)
        })
    }
}

/// What went wrong. Only what is known to hold no value is told: some errors
/// carry what the keychain gave.
fn said(error: &Error) -> String {
    if let Error::PlatformFailure(source) | Error::NoStorageAccess(source) = error {
        return source.to_string();
    }
    if matches!(error, Error::Ambiguous(_)) {
        return "it has several items of that name".to_owned();
    }
    "its item cannot be used".to_owned()
}

/// Does something on a thread that is left behind when it takes too long.
fn within<T: Send + 'static>(wait: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (sender, receiver) = channel();
    let worker = thread::Builder::new().name("keychain".to_owned());
    worker.spawn(move || sender.send(work())).map_err(|error| error.to_string())?;
    receiver.recv_timeout(wait).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("it did not answer within {} seconds", wait.as_secs()),
        RecvTimeoutError::Disconnected => "the connection broke".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_answers_is_not_waited_for() {
        let slow = || thread::sleep(Duration::from_secs(30));
        assert_eq!(within(Duration::ZERO, slow), Err("it did not answer within 0 seconds".to_owned()));
        assert_eq!(within(Duration::from_secs(30), || 1), Ok(1));
    }
}
