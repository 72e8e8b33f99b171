//! The identity token: who signs, in the words of an OpenID Connect issuer.

use std::fmt;
use std::path::PathBuf;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use sigstore_sign::oidc;

use super::error::SigningError;
use super::http::{client, json, service_url};

/// For whom a token is made.
const AUDIENCE: &str = "sigstore";
/// Longer texts are no token.
const MAX_TOKEN: usize = 64 << 10;

/// An identity token, shown to the certificate authority alone.
#[derive(Clone)]
pub struct IdentityToken(pub(super) oidc::IdentityToken);

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken")
    }
}

impl IdentityToken {
    /// Reads a token. Whether it is genuine, the certificate authority judges.
    ///
    /// # Errors
    /// [`SigningError::Token`] for one that it would refuse in any case.
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let refuse = |why| Err(SigningError::Token(why));
        let text = text.trim();
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_TOKEN || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("it is no JSON Web Token");
        }
        // What the parser says would repeat the token.
        let Ok(token) = oidc::IdentityToken::from_jwt(text) else {
            return refuse("it is no JSON Web Token that says who signs");
        };
        if token.is_expired() {
            return refuse("it has expired");
        }
        Ok(Self(token))
    }

    /// Asks GitHub's runner for a token of the job: "OpenID Connect reference",
    /// `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    ///
    /// # Errors
    /// [`SigningError`] when the runner is not reached or gives none.
    pub async fn of_github_job(
        request_url: &str,
        request_token: &str,
        ca_files: &[PathBuf],
    ) -> Result<Self, SigningError> {
        #[derive(Deserialize)]
        struct Answer {
            value: Option<String>,
        }
        const SERVICE: &str = "the job's token service";
        // The URL is the job's alone, so it is in no message.
        let mut url = service_url(request_url).map_err(|_| SigningError::Insecure {
            url: "the URL in ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(),
        })?;
        url.query_pairs_mut().append_pair("audience", AUDIENCE);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {request_token}"))
            .map_err(|_| SigningError::Token("ACTIONS_ID_TOKEN_REQUEST_TOKEN is none"))?;
        bearer.set_sensitive(true);
        let request = client(&[&url], ca_files)?
            .get(url)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        match json::<Answer>(request, SERVICE, &[request_token]).await? {
            (true, Answer { value: Some(token) }) => Self::parse(&token),
            (_, _) => {
                let why = "it gives none; the job needs `permissions: id-token: write`".to_owned();
                Err(SigningError::Service { service: SERVICE, why })
            }
        }
    }

    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn what_is_no_use_is_refused_before_anybody_is_asked() {
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let good = token(r#"{"iss":"https://issuer.test","sub":"me","aud":"sigstore","exp":4102444800}"#);
        let parsed = IdentityToken::parse(&format!("{good}\n")).unwrap();
        assert_eq!(parsed.reveal(), good);
        assert!(!format!("{parsed:?}").contains("e30"));
        let old = token(r#"{"iss":"https://issuer.test","sub":"me","aud":"sigstore","exp":1}"#);
        for bad in ["", " ", "a.b", "a b.c.d", "e30.e30.e30", &old, &token("[]"), &"a".repeat(MAX_TOKEN + 1)]
        {
            let error = IdentityToken::parse(bad).unwrap_err();
            assert!(matches!(error, SigningError::Token(_)), "{bad}");
            assert!(bad.len() < 4 || !error.to_string().contains(bad), "{error}");
        }
    }
}
