//! Why nothing was signed with an identity. A token is in none of these words.

#![expect(clippy::wildcard_enum_match_arm, reason = "whatever else the signer may say is a failure, too")]

use std::io;
use std::path::PathBuf;

use sigstore_sign::Error;

use super::token::IdentityToken;
use crate::bundle::BundleError;

/// Longer answers of a service are cut.
const MAX_WORDS: usize = 400;

/// Why there is no signature of an identity.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum SigningError {
    /// There is no signing config.
    #[error("there is no signing config at {}", path.display())]
    #[diagnostic(
        code("sign/no-signing-config"),
        help(
            "copy the signing_config.json of your Sigstore deployment there, or name it with --signing-config; \
             `cosign signing-config create --with-default-services --out FILE` writes that of the public one"
        )
    )]
    NoConfig {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The signing config cannot be read.
    #[error("cannot read the signing config {}: {source}", path.display())]
    #[diagnostic(code("sign/config-unreadable"), help("check the path and its permissions"))]
    ConfigIo {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no signing config, or asks for what cannot be done.
    #[error("{} is no signing config that can be used: {why}", path.display())]
    #[diagnostic(
        code("sign/signing-config"),
        help(
            "take the file as it was written: media type application/vnd.dev.sigstore.signingconfig.v0.2+json, \
             with a certificate authority and one log"
        )
    )]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A service would get a token or a signature without encryption.
    #[error("{url} is not asked: it is no https URL, and not on this machine")]
    #[diagnostic(code("sign/insecure-url"), help("give an https URL"))]
    Insecure {
        /// The service.
        url: String,
    },
    /// The text is no identity token, or one that is no use any more.
    #[error("the identity token is of no use: {0}")]
    #[diagnostic(
        code("sign/token"),
        help("give a fresh OpenID Connect token for the audience `sigstore`, as the issuer wrote it")
    )]
    Token(&'static str),
    /// What is to be signed is no Statement v1.
    #[error("what is to be signed is no in-toto statement: {0}")]
    #[diagnostic(
        code("sign/statement"),
        help(
            "give a Statement v1 whose subjects have SHA-256 digests, or leave out --in-toto to sign the file"
        )
    )]
    Statement(String),
    /// The artifact cannot be read.
    #[error("cannot read what is to be signed: {0}")]
    #[diagnostic(code("sign/unreadable"), help("check the file"))]
    Artifact(io::Error),
    /// No client for the services could be made.
    #[error("cannot speak to the services: {0}")]
    #[diagnostic(code("sign/client"), help("check `ca_files` in config.toml"))]
    Client(String),
    /// A service did not do its part.
    #[error("{service} did not do its part: {why}")]
    #[diagnostic(
        code("sign/service"),
        help("check its URL in the signing config, and that it knows the issuer of the identity token")
    )]
    Service {
        /// Which.
        service: &'static str,
        /// What it said, or why it was not reached.
        why: String,
    },
    /// Nobody logged in.
    #[error("nobody logged in: {0}")]
    #[diagnostic(code("sign/login"), help("try again, and enter the code that is shown"))]
    Login(String),
}

impl SigningError {
    /// What the signer says, without the token it was given.
    pub(super) fn of(error: Error, token: &IdentityToken) -> Self {
        let (service, why) = match error {
            Error::InvalidStatement(why) => return Self::Statement(why.to_string()),
            Error::ArtifactRead(source) => return Self::Artifact(source),
            Error::Fulcio(why) => ("the certificate authority", why.to_string()),
            Error::Rekor(why) => ("the transparency log", why.to_string()),
            Error::Tsa(why) => ("the timestamp authority", why.to_string()),
            other => ("the signer", other.to_string()),
        };
        Self::Service { service, why: words(&why, &[token.reveal()]) }
    }
}

impl From<BundleError> for SigningError {
    fn from(error: BundleError) -> Self {
        Self::Statement(error.to_string())
    }
}

/// What a service said, on one line and without secrets.
pub(super) fn words(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "(the token)");
        // Its signature alone would be enough to complete what a log has of it.
        if let Some((_, signature)) = secret.rsplit_once('.').filter(|(_, end)| end.len() >= 16) {
            text = text.replace(signature, "(the token)");
        }
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_WORDS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_repeats_a_token_does_not_spread_it() {
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLW9mLWl0";
        let said = format!("bad token {token}\nnear c2lnbmF0dXJlLW9mLWl0 {}", "x".repeat(1000));
        let kept = words(&said, &[token]);
        assert!(kept.starts_with("bad token (the token) near (the token) x"), "{kept}");
        assert_eq!(kept.chars().count(), MAX_WORDS);
    }
}
