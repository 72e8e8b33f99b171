//! The password of a private key, or the PIN of a token: from a file, the
//! environment or the terminal, never from the command line.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use cofferdam_registry::{KeyError, PKCS11_SCHEME, Pkcs11Uri, SigningKey, read_named};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::secret_input::{Input, from_terminal};

/// As cosign has it, also where it is empty.
const VARIABLE: &str = "COSIGN_PASSWORD";
/// The PIN of a token, likewise.
const PIN_VARIABLE: &str = "COSIGN_PKCS11_PIN";
/// A file with the password, for commands without an option for it.
const FILE_VARIABLE: &str = "COFFERDAM_PASSWORD_FILE";
/// Larger files hold no password.
const MAX_PASSWORD: u64 = 4 << 10;

/// A password, gone from memory when it is dropped.
pub(crate) type Password = Zeroizing<Vec<u8>>;

/// Finds a password without asking anybody.
pub(crate) fn given(variable: &str, file: Option<&Path>) -> Result<Option<Password>, Failure> {
    let named = || std::env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if file.is_none()
        && let Some(password) = std::env::var_os(variable)
    {
        return Ok(Some(Zeroizing::new(password.into_vec())));
    }
    let Some(path) = file.map(Path::to_owned).or_else(named) else { return Ok(None) };
    let bytes = read_named(&path, MAX_PASSWORD).map_err(|error| Failure::unreadable(&path, &error))?;
    let mut bytes = Zeroizing::new(bytes);
    // The line break that editors add.
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(Some(bytes))
}

/// Asks on the terminal, where there is one.
pub(crate) fn asked(prompt: &str) -> Result<Option<Password>, Failure> {
    match from_terminal(prompt)? {
        None => Ok(None),
        Some(Input::Value(bytes)) => Ok(Some(Zeroizing::new(bytes))),
        Some(Input::Interrupted) => Err(Failure::usage("no password was given", "type it, and press Enter")),
    }
}

/// Reads a private key, and finds its password only where it has one; or finds
/// one in a token, by its URI.
pub(crate) fn load_key(path: &Path, file: Option<&Path>) -> Result<SigningKey, Failure> {
    if let Some(uri) = path.to_str().filter(|text| text.starts_with(PKCS11_SCHEME)) {
        return in_token(&Pkcs11Uri::parse(uri)?, file);
    }
    match SigningKey::load(path) {
        Err(error @ KeyError::Encrypted { .. }) => {
            let password = match given(VARIABLE, file)? {
                Some(password) => Some(password),
                None => asked(&format!("password of {}", path.display()))?,
            };
            let Some(password) = password else { return Err(error.into()) };
            Ok(SigningKey::load_with(path, Some(&password))?)
        }
        other => Ok(other?),
    }
}

/// The same for a key that is named on the command line.
pub(crate) fn load_given_key(path: &Path, file: Option<&Path>) -> Result<SigningKey, Failure> {
    load_key(path, file).map_err(|mut failure| {
        // It is not the user's own, which would be in the way of a new one.
        for problem in failure.problems.iter_mut().filter(|problem| problem.code == "key/invalid") {
            let help = "give the file of a private key, such as `cofferdam key generate --output FILE` makes";
            problem.help = Some(help.to_owned());
        }
        failure
    })
}

fn in_token(uri: &Pkcs11Uri, file: Option<&Path>) -> Result<SigningKey, Failure> {
    let named = uri.pin_file();
    let pin = match given(PIN_VARIABLE, file.or(named.as_deref()))? {
        Some(pin) => Some(pin),
        None => asked(&format!("PIN of {uri}"))?,
    };
    let pin = pin.ok_or_else(|| {
        let help = "give --password-file FILE, pin-source=FILE in the reference, or set COSIGN_PKCS11_PIN; on a \
                    terminal it is asked for";
        Failure::invalid("key/pin", format!("there is no PIN for {uri}"), help)
    })?;
    Ok(SigningKey::in_token(uri, &pin)?)
}

/// Finds the password for a new key: one that is typed, is typed twice.
pub(crate) fn for_new_key(file: Option<&Path>) -> Result<Password, Failure> {
    let help = "give --password-file FILE, set COSIGN_PASSWORD, or type one at a terminal";
    let password = match given(VARIABLE, file)? {
        Some(password) => password,
        None => {
            let first = asked("password for the new key")?;
            let first = first.ok_or_else(|| Failure::usage("there is no password for the new key", help))?;
            if asked("the same again")?.as_ref() != Some(&first) {
                return Err(Failure::usage("the two passwords differ", "type the same one twice"));
            }
            first
        }
    };
    if password.is_empty() {
        return Err(Failure::usage("the password for the new key is empty", help));
    }
    Ok(password)
}
