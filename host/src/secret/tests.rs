//! The store with its values in a file: what is found again, and what is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, SecretStore) {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("config/keys/secrets.key");
    let store = SecretStore::new(&directory.path().join("data"), &key, Some(Place::File));
    (directory, store)
}

fn name(text: &str) -> Identifier {
    text.to_owned().try_into().unwrap()
}

fn secret(value: &[u8]) -> Secret {
    let hosts = vec!["api.example.org".parse().unwrap(), "*.example.test:8443".parse().unwrap()];
    Secret { value: SecretValue::new(value.to_vec()).unwrap(), hosts }
}

#[test]
fn what_is_set_is_found_until_it_is_removed() {
    let (_directory, store) = store();
    assert_eq!(store.find(&name("token")).unwrap(), None);
    assert!(store.names().unwrap().is_empty());
    let first = secret(b"hunter2hunter2");
    let set = store.set(&name("token"), &first, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((set.listed.kept, set.left_in_keychain), (Place::File, false));
    store.set(&name("bytes"), &secret(b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(store.find(&name("token")).unwrap(), Some(first));
    assert_eq!(store.names().unwrap(), [name("bytes"), name("token")]);
    let second = secret(b"hunter3hunter3");
    store.set(&name("token"), &second, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(store.find(&name("token")).unwrap(), Some(second));
    store.remove(&name("token")).unwrap();
    assert_eq!(store.find(&name("token")).unwrap(), None);
    assert!(matches!(store.remove(&name("token")), Err(SecretError::None { .. })));
    assert_eq!(store.find(&name("bytes")).unwrap().unwrap().value.expose()[0], 0xff);
}

#[test]
fn what_the_list_says_does_not_change_where_a_value_may_go() {
    let (_directory, store) = store();
    store.set(&name("token"), &secret(b"hunter2hunter2"), Timestamp::UNIX_EPOCH).unwrap();
    let list = fs::read_to_string(store.index_file()).unwrap();
    fs::write(store.index_file(), list.replace("api.example.org", "evil.example.org")).unwrap();
    let hosts = store.find(&name("token")).unwrap().unwrap().hosts;
    assert!(!hosts.iter().any(|host| host.matches("evil.example.org", 443)));
}

#[test]
fn no_changed_byte_of_the_file_is_accepted() {
    let (_directory, store) = store();
    store.set(&name("token"), &secret(b"hunter2hunter2"), Timestamp::UNIX_EPOCH).unwrap();
    let sound = fs::read(store.file()).unwrap();
    for at in (0..sound.len()).step_by(7).chain([sound.len() - 1]) {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(store.file(), &changed).unwrap();
        let refused = store.find(&name("token"));
        assert!(
            matches!(refused, Err(SecretError::Damaged { .. } | SecretError::NoKey { .. })),
            "{at}: {refused:?}"
        );
    }
    for cut in [0, 1, sound.len() / 2, sound.len() - 1] {
        fs::write(store.file(), &sound[..cut]).unwrap();
        assert!(matches!(store.find(&name("token")), Err(SecretError::Damaged { .. })), "{cut}");
    }
}

#[test]
fn without_its_key_the_file_is_neither_read_nor_replaced() {
    let (_directory, store) = store();
    store.set(&name("token"), &secret(b"hunter2hunter2"), Timestamp::UNIX_EPOCH).unwrap();
    let key = fs::read(&store.vault.key).unwrap();
    fs::set_permissions(&store.vault.key, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(store.find(&name("token")), Err(SecretError::Exposed { mode: 0o640, .. })));
    fs::remove_file(&store.vault.key).unwrap();
    let before = fs::read(store.file()).unwrap();
    let again = store.set(&name("other"), &secret(b"hunter3hunter3"), Timestamp::UNIX_EPOCH);
    assert!(matches!(again, Err(SecretError::NoKey { .. })));
    assert!(matches!(store.remove(&name("token")), Err(SecretError::NoKey { .. })));
    assert!(!store.vault.key.exists() && fs::read(store.file()).unwrap() == before);
    // Another key is as good as none.
    store.vault.generate().unwrap();
    assert!(matches!(store.find(&name("token")), Err(SecretError::NoKey { .. })));
    fs::write(&store.vault.key, &key).unwrap();
    assert!(store.find(&name("token")).unwrap().is_some());
    fs::write(&store.vault.key, "AGE-SECRET-KEY-1").unwrap();
    assert!(matches!(store.find(&name("token")), Err(SecretError::Damaged { .. })));
}

#[test]
fn a_listed_secret_without_a_value_is_an_error_and_can_be_removed() {
    let (_directory, store) = store();
    store.set(&name("token"), &secret(b"hunter2hunter2"), Timestamp::UNIX_EPOCH).unwrap();
    fs::remove_file(store.file()).unwrap();
    assert!(matches!(store.find(&name("token")), Err(SecretError::LostValue { .. })));
    store.remove(&name("token")).unwrap();
    assert!(store.names().unwrap().is_empty());
}

#[test]
fn a_list_of_another_version_or_shape_is_refused() {
    let (_directory, store) = store();
    store.set(&name("token"), &secret(b"hunter2hunter2"), Timestamp::UNIX_EPOCH).unwrap();
    for list in ["", "{}", r#"{"version":2,"secrets":{}}"#, r#"{"version":1,"secrets":{"../x":{}}}"#] {
        fs::write(store.index_file(), list).unwrap();
        assert!(matches!(store.names(), Err(SecretError::Damaged { .. })), "{list}");
        assert!(store.find(&name("token")).is_err(), "{list}");
    }
}
