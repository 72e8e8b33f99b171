//! Certificate authorities to believe beside the system's, from files in PEM.

use std::path::PathBuf;

use reqwest::{Certificate, ClientBuilder};

/// Adds the certificates in some files.
///
/// # Errors
/// A message that names the file which cannot be read.
pub(crate) fn trust_files(mut builder: ClientBuilder, files: &[PathBuf]) -> Result<ClientBuilder, String> {
    for file in files {
        let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
        let bytes = std::fs::read(file).map_err(|error| unreadable(&error))?;
        let certificates = Certificate::from_pem_bundle(&bytes);
        builder = builder.tls_certs_merge(certificates.map_err(|error| unreadable(&error))?);
    }
    Ok(builder)
}
