//! Logging in from a terminal: the OAuth 2.0 Device Authorization Grant (RFC
//! 8628), with the proof key of RFC 7636, which Sigstore's issuer wants.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;
use url::form_urlencoded::Serializer;

use super::SigningServices;
use super::error::{SigningError, words};
use super::http::{json, service_url};
use super::token::IdentityToken;
use crate::digest::Digest;

const SERVICE: &str = "the issuer of identities";
/// However long the issuer would wait.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
/// Seconds between two questions: RFC 8628, section 3.2, where the issuer gives
/// none; and 0 is none, since nobody is to be asked without a pause.
const INTERVAL: u64 = 5;

/// Where to log in, to be shown. All of it is the issuer's text.
#[derive(Clone, Debug, Deserialize)]
pub struct DeviceLogin {
    /// The code to enter.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// The same with the code in it.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    device_authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Begun {
    device_code: Option<String>,
    expires_in: Option<u64>,
    interval: Option<u64>,
    #[serde(flatten)]
    login: Option<DeviceLogin>,
}

#[derive(Deserialize)]
struct Polled {
    id_token: Option<String>,
    error: Option<String>,
}

impl SigningServices {
    /// Logs in as somebody who reads what `show` is given and enters a code
    /// elsewhere. Waits for that, 15 minutes at most.
    ///
    /// # Errors
    /// [`SigningError::Login`] when nobody does, or [`SigningError::Service`].
    pub async fn log_in(
        &self,
        client_id: &str,
        show: impl FnOnce(&DeviceLogin),
    ) -> Result<IdentityToken, SigningError> {
        let issuer = self.issuer.as_ref().ok_or_else(|| {
            failed("the signing config names none; give a token with --identity-token-file instead")
        })?;
        let (start, token) = self.endpoints(issuer).await?;
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| failed("no random numbers"))?;
        let verifier = URL_SAFE_NO_PAD.encode(secret);
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).as_bytes());
        let asked = [
            ("client_id", client_id),
            ("scope", "openid email"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let (_, begun) = json::<Begun>(self.form(&start, &asked), SERVICE, &[]).await?;
        let (Some(code), Some(login)) = (begun.device_code, begun.login) else {
            return Err(failed("it begins no login for this client"));
        };
        show(&login);

        let wait = begun.expires_in.map_or(MAX_WAIT, |seconds| Duration::from_secs(seconds).min(MAX_WAIT));
        let until = Instant::now() + wait;
        let asked = [
            ("client_id", client_id),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", &code),
            ("code_verifier", &verifier),
        ];
        let mut interval = first_interval(begun.interval);
        let poll = async {
            loop {
                sleep(Duration::from_secs(interval)).await;
                let request = self.form(&token, &asked);
                let (done, polled) = json::<Polled>(request, SERVICE, &[&code, &verifier]).await?;
                match (polled.id_token, polled.error.as_deref()) {
                    (Some(token), _) if done => return IdentityToken::parse(&token),
                    (_, Some("authorization_pending")) => {}
                    (_, Some("slow_down")) => interval = interval.saturating_add(INTERVAL),
                    (_, Some("access_denied")) => {
                        return Err(SigningError::Login("the issuer says that access was denied".to_owned()));
                    }
                    (_, Some("expired_token")) => {
                        return Err(SigningError::Login("the code has expired".to_owned()));
                    }
                    (_, Some(other)) => return Err(failed(&words(other, &[&code, &verifier]))),
                    (_, None) => return Err(failed("it gives no identity token")),
                }
            }
        };
        let late = |_| SigningError::Login("the code has expired".to_owned());
        timeout_at(until, poll).await.map_err(late)?
    }

    /// Where a login begins, and where its token is: OpenID Connect Discovery,
    /// section 4. Both must be where the signing config says the issuer is.
    async fn endpoints(&self, issuer: &Url) -> Result<(Url, Url), SigningError> {
        let place = format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'));
        let (found, discovery) = json::<Discovery>(self.client.get(place), SERVICE, &[]).await?;
        let own = |text: Option<String>| {
            let url =
                service_url(&text.filter(|_| found).ok_or_else(|| failed("it knows no login by code"))?)?;
            if url.origin() == issuer.origin() {
                Ok(url)
            } else {
                Err(failed("it sends the login to another host, which the signing config does not name"))
            }
        };
        Ok((own(discovery.device_authorization_endpoint)?, own(discovery.token_endpoint)?))
    }

    fn form(&self, url: &Url, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.client.post(url.clone()).header(CONTENT_TYPE, kind).body(body)
    }
}

/// The seconds to wait before the first question, of those the issuer gave.
fn first_interval(given: Option<u64>) -> u64 {
    given.filter(|seconds| *seconds > 0).unwrap_or(INTERVAL)
}

fn failed(why: &str) -> SigningError {
    SigningError::Service { service: SERVICE, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_no_faster_than_it_wants_and_never_without_a_pause() {
        for (given, seconds) in [(None, 5), (Some(0), 5), (Some(1), 1), (Some(5), 5), (Some(60), 60)] {
            assert_eq!(first_interval(given), seconds, "{given:?}");
        }
    }
}
