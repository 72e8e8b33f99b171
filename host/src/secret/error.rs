//! Why the secret store refuses. Every message can be shown: none holds a value.

use std::io;
use std::path::{Path, PathBuf};

use cofferdam_manifest::Identifier;

use crate::model::InvalidSecretValue;

/// Why a secret could not be kept, found or removed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum SecretError {
    /// These bytes cannot be a value.
    #[error("the value of `{name}` cannot be kept: {why}")]
    #[diagnostic(
        code("secret/invalid-value"),
        help("a value is one line of 8 bytes to 64 KiB; a line break at its end is left out")
    )]
    InvalidValue {
        /// Whose value.
        name: Identifier,
        /// What is wrong with it.
        #[source]
        why: InvalidSecretValue,
    },
    /// Nothing has that name.
    #[error("there is no secret `{name}`")]
    #[diagnostic(code("secret/none"), help("`cofferdam secret list` shows those there are"))]
    None {
        /// What was asked for.
        name: Identifier,
    },
    /// The secret is listed, and its value is gone.
    #[error("the value of `{name}` is no longer in {place}")]
    #[diagnostic(code("secret/lost-value"), help("set it again: cofferdam secret set {name} --host .."))]
    LostValue {
        /// Whose value.
        name: Identifier,
        /// Where it should be.
        place: String,
    },
    /// No keychain answers.
    #[error("no keychain answers: {why}")]
    #[diagnostic(
        code("secret/keychain-unavailable"),
        help(
            "start one that speaks the Secret Service, such as gnome-keyring, in this session; \
             or set the secret again with COFFERDAM_SECRET_STORE=file"
        )
    )]
    KeychainUnavailable {
        /// What was tried, and what came of it.
        why: String,
    },
    /// The keychain answers, and does not do what is asked.
    #[error("the keychain refuses to {action} `{name}`: {why}")]
    #[diagnostic(
        code("secret/keychain-refused"),
        help("unlock the keychain, or keep the secret in a file with COFFERDAM_SECRET_STORE=file")
    )]
    KeychainRefused {
        /// What was being done.
        action: &'static str,
        /// With which secret.
        name: Identifier,
        /// What it said.
        why: String,
    },
    /// The file's key is not there, or is another one.
    #[error("{} cannot be decrypted: its key is not at {}", file.display(), key.display())]
    #[diagnostic(
        code("secret/no-key"),
        help("restore the key; without it, remove the file and set the secrets again")
    )]
    NoKey {
        /// The encrypted file.
        file: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// Others may read the key.
    #[error("others may read {} (mode {mode:03o})", path.display())]
    #[diagnostic(
        code("secret/exposed"),
        help("chmod 600 {}; if others had access, set new secrets", path.display())
    )]
    Exposed {
        /// The key.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file was changed, or is of another version.
    #[error("{} is damaged: {why}", path.display())]
    #[diagnostic(
        code("secret/damaged"),
        help("restore it from a backup, or remove it and set the secrets again")
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    #[diagnostic(code("secret/io"), help("check that the disk has room and the directory is writable"))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> SecretError + 'a {
    move |source| SecretError::Io { action, path: path.to_owned(), source }
}

pub(super) fn damaged(path: &Path, why: impl ToString) -> SecretError {
    SecretError::Damaged { path: path.to_owned(), why: why.to_string() }
}
