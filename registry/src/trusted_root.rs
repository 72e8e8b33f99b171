//! What a keyless signature is verified against: certificate authorities,
//! transparency logs and timestamp authorities, from a file in the format of
//! Sigstore's `trusted_root.json`. Nothing is fetched.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sigstore_trust_root::TrustedRoot as Document;
use sigstore_verify::Verifier;

use crate::plain_file::read_named;

/// The name of the file in the configuration directory.
pub const TRUSTED_ROOT: &str = "trusted_root.json";
/// The public one has some 10 KiB.
const MAX_ROOT: u64 = 4 << 20;

/// Why there is no trusted root.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum TrustedRootError {
    /// There is no such file.
    #[error("there is no trusted root at {}", path.display())]
    #[diagnostic(
        code("bundle/no-trusted-root"),
        help(
            "copy the trusted_root.json of your Sigstore deployment there, or name it with --trusted-root; \
             `cosign trusted-root create --with-default-services --out FILE` writes that of the public one"
        )
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the trusted root {}: {source}", path.display())]
    #[diagnostic(code("bundle/root-unreadable"), help("check the path and its permissions"))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no trusted root, or names what no verifier can use.
    #[error("{} is no trusted root that can be used: {why}", path.display())]
    #[diagnostic(
        code("bundle/trusted-root"),
        help("take the file as it was written: media type application/vnd.dev.sigstore.trustedroot+json")
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Whom to believe that an identity signed, and when.
#[derive(Clone)]
pub struct TrustedRoot(Arc<Verifier>);

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedRoot")
    }
}

impl TrustedRoot {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TrustedRootError`], naming the file.
    pub fn load(path: &Path) -> Result<Self, TrustedRootError> {
        let bytes = read_named(path, MAX_ROOT).map_err(|source| {
            let path = path.to_owned();
            if source.kind() == io::ErrorKind::NotFound {
                TrustedRootError::Missing { path }
            } else {
                TrustedRootError::Io { path, source }
            }
        })?;
        let invalid = |why: String| TrustedRootError::Invalid { path: path.to_owned(), why };
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
        Self::parse(text).map_err(invalid)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document = Document::from_json(text).map_err(|error| error.to_string())?;
        if !document.media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err("its media type is another".to_owned());
        }
        let verifier = Verifier::new(&document).map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(verifier)))
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.0
    }
}
