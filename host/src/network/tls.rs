//! TLS: the system's certificates, those of the configuration, and nothing a
//! task could add.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The configuration of every TLS session.
///
/// # Errors
/// A file of certificates that cannot be read, or none to trust at all.
pub(super) fn configuration(ca_files: &[PathBuf]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    for file in ca_files {
        let unreadable = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", file.display());
        let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
        for certificate in found {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    if roots.is_empty() {
        return Err(
            "this machine trusts no certificate authority: install Debian's `ca-certificates`, or name \
                    files in config.toml, `[network] ca-files`"
                .to_owned(),
        );
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
