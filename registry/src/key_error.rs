//! What can be wrong with a key: its file, its form, or who can read it.

use std::io;
use std::path::{Path, PathBuf};

/// What can be wrong with a key.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no key this version reads.
    #[error("{place} is not {expected}: {why}")]
    #[diagnostic(code("key/invalid"))]
    Invalid {
        /// The file, or where else the text stands.
        place: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        why: String,
        /// What to type next.
        #[help]
        help: String,
    },
    /// The private key is under a password, and none was given.
    #[error("the private key {} is encrypted, and there is no password", path.display())]
    #[diagnostic(
        code("key/encrypted"),
        help(
            "set COSIGN_PASSWORD, or COFFERDAM_PASSWORD_FILE to a file with the password; on a terminal it is \
             asked for"
        )
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The password opens nothing.
    #[error("the password does not open {}: it is another, or the file was changed", path.display())]
    #[diagnostic(code("key/password"), help("give the password that the key was made with"))]
    Password {
        /// The file.
        path: PathBuf,
    },
    /// The reference to a key in a token is none.
    #[error("this is no reference to a key in a token: {why}")]
    #[diagnostic(
        code("key/uri"),
        help("write pkcs11:token=TOKEN;object=KEY?module-path=/PATH/TO/MODULE.so (RFC 7512)")
    )]
    Uri {
        /// What is wrong.
        why: String,
    },
    /// A token does not do its part.
    #[error("the token of {uri} is of no use: {why}")]
    #[diagnostic(code("key/token"), help("check the token, the module and the PIN"))]
    Token {
        /// The reference, without its query.
        uri: String,
        /// What it said.
        why: String,
    },
    /// Others may read the private key.
    #[error("others may read the private key {} (mode {mode:o})", path.display())]
    #[diagnostic(code("key/exposed"), help("chmod 600 {}", path.display()))]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key is there already.
    #[error("there is a key already: {}", path.display())]
    #[diagnostic(
        code("key/exists"),
        help("everything signed with it would stop verifying; move it away first, or give another --output")
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    #[diagnostic(code("key/io"), help("check the path and its permissions"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(crate) fn invalid(place: &str, expected: &'static str, why: impl ToString) -> KeyError {
    let help = "make a key with `cofferdam key generate`".to_owned();
    KeyError::Invalid { place: place.to_owned(), expected, why: why.to_string(), help }
}

/// A private key that cannot be used, and is in the way of a new one.
pub(crate) fn broken(path: &Path, why: impl ToString) -> KeyError {
    let place = path.display();
    let help = format!("move {place} away, and take a copy of the key or make a new one: cofferdam setup");
    let expected = "a PKCS#8 private key for ECDSA P-256 or Ed25519 in PEM";
    KeyError::Invalid { place: place.to_string(), expected, why: why.to_string(), help }
}

pub(crate) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> KeyError + 'a {
    move |source| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyError::Exists { path }
        } else {
            KeyError::Io { action, path, source }
        }
    }
}
