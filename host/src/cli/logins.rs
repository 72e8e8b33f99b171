//! Logins for registries: our own file, and those of podman and docker, whose
//! formats are one. The first that has one for the host decides: what
//! `cofferdam login` wrote, `DOCKER_AUTH_CONFIG` (the file's text itself, as CI
//! systems set it), `REGISTRY_AUTH_FILE` or podman's file, docker's. Credential
//! helpers are asked where a file names one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_registry::{Login, read_named};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;

/// Larger files are not read.
const MAX_FILE: u64 = 1 << 20;

/// The login for a host, from the first place that has one.
pub(crate) fn find(own: &Path, host: &str) -> Result<Option<Login>, String> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = |name: &str, below: &str| variable(name).map(|found| PathBuf::from(found).join(below));
    if let Some(found) = from_file(own, host)? {
        return Ok(Some(found));
    }
    if let Some(text) = variable("DOCKER_AUTH_CONFIG") {
        let text = text.into_encoded_bytes();
        if let Some(found) = from_text(&text, host).map_err(|why| format!("DOCKER_AUTH_CONFIG: {why}"))? {
            return Ok(Some(found));
        }
    }
    let files = [
        variable("REGISTRY_AUTH_FILE").map(PathBuf::from),
        path("XDG_RUNTIME_DIR", "containers/auth.json"),
        path("HOME", ".config/containers/auth.json"),
        path("DOCKER_CONFIG", "config.json").or_else(|| path("HOME", ".docker/config.json")),
    ];
    for file in files.into_iter().flatten() {
        if let Some(found) = from_file(&file, host)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn from_file(file: &Path, host: &str) -> Result<Option<Login>, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    match read_named(file, MAX_FILE) {
        Ok(text) => from_text(&text, host).map_err(|why| named(&why)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(named(&error)),
    }
}

fn from_text(text: &[u8], host: &str) -> Result<Option<Login>, String> {
    match docker_credential::get_credential_from_reader(text, host) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Login::Basic { user, password })),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Login::Identity(token))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // Its words may hold what the helper said, which may be the password.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
            Err(format!("the credential helper `{helper}` has none, or failed"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Our own file, as far as it is ours; whatever else is in it stays.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Logins {
    #[serde(default)]
    auths: BTreeMap<String, Value>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

/// Keeps a login, readable for its user alone.
pub(crate) fn keep(own: &Path, host: &str, user: &str, password: &str) -> Result<(), Failure> {
    let mut logins = read(own)?;
    let auth = STANDARD.encode(format!("{user}:{password}"));
    logins.auths.insert(host.to_owned(), serde_json::json!({ "auth": auth }));
    write(own, &logins)
}

/// Forgets a login; says whether there was one.
pub(crate) fn forget(own: &Path, host: &str) -> Result<bool, Failure> {
    let mut logins = read(own)?;
    let found = logins.auths.remove(host).is_some();
    if found {
        write(own, &logins)?;
    }
    Ok(found)
}

fn read(own: &Path) -> Result<Logins, Failure> {
    let bytes = match read_named(own, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Logins::default()),
        Err(error) => return Err(Failure::unreadable(own, &error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let message =
            format!("{}:{}:{}: it is no file of logins", own.display(), error.line(), error.column());
        Failure::invalid("registry/login", message, "mend or remove the file, then log in again")
    })
}

fn write(own: &Path, logins: &Logins) -> Result<(), Failure> {
    use std::io::Write as _;
    let directory = own.parent().unwrap_or(Path::new("."));
    let save = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        // Such a file is its user's alone from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec_pretty(logins)?)?;
        file.persist(own).map(drop).map_err(|error| error.error)
    };
    save().map_err(|error| Failure::io("write", own, &error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn a_login_is_kept_for_its_user_alone_and_found_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.json");
        keep(&file, "registry.example:5000", "me", "pass:word").unwrap();
        keep(&file, "other.example", "you", "x").unwrap();
        let found = from_file(&file, "registry.example:5000").unwrap();
        assert!(found == Some(Login::Basic { user: "me".to_owned(), password: "pass:word".to_owned() }));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(forget(&file, "registry.example:5000").unwrap());
        assert!(!forget(&file, "registry.example:5000").unwrap());
        assert!(from_file(&file, "registry.example:5000").unwrap().is_none());
        assert!(from_file(&file, "other.example").unwrap().is_some());
    }

    #[test]
    fn what_is_wrong_with_a_file_says_nothing_of_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.json");
        std::fs::write(&file, r#"{ "auths": { "h": { "auth": "c2VjcmV0" } } }"#).unwrap();
        let why = from_file(&file, "h").unwrap_err();
        assert!(!why.contains("c2VjcmV0") && !why.contains("secret"), "{why}");
        std::fs::write(&file, "hunter2").unwrap();
        assert!(!read(&file).unwrap_err().problems.iter().any(|problem| problem.message.contains("hunter2")));
    }
}
