//! How a registry is told who asks: anonymously, with user and password, or with
//! a token that its token server gives for one repository (distribution's
//! "Token Authentication Specification").

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http_auth::ParamValue;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::error::RemoteError;
use super::settings::Login;
use super::transport::{Ask, Transport, cut, shown};

/// Token servers answer with less.
const MAX_TOKEN: usize = 1 << 20;

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Pull,
    Push,
}

impl Access {
    /// What a token server is asked for.
    fn scope(self, repository: &str) -> String {
        let actions = match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        };
        format!("repository:{repository}:{actions}")
    }
}

/// What a request to the registry carries.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    None,
    Basic { user: String, password: String },
    Bearer(String),
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Authorization::None",
            Self::Basic { .. } => "Authorization::Basic",
            Self::Bearer(_) => "Authorization::Bearer",
        })
    }
}

impl Authorization {
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::None => return None,
            Self::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// What the registry asks for.
enum Challenge {
    Nothing,
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// Asks the registry how it wants to be told, and finds out what to tell it about
/// some repositories, of which the first is the one that matters.
pub(super) async fn authorize(
    transport: &Transport,
    login: Option<Login>,
    wanted: &[(&str, Access)],
) -> Result<Authorization, RemoteError> {
    let repository = wanted.first().map_or("", |(repository, _)| repository);
    let answer = transport.get(transport.url("")?, &Ask::default()).await?;
    match challenge(&answer)? {
        Challenge::Nothing => Ok(Authorization::None),
        Challenge::Basic => match login {
            Some(Login::Basic { user, password }) => Ok(Authorization::Basic { user, password }),
            Some(Login::Identity(_)) => Err(refused(
                transport,
                repository,
                "it wants a user and a password, and the login is a token",
            )),
            None => Err(refused(transport, repository, "it wants a login")),
        },
        Challenge::Bearer { realm, service } => {
            let url = realm_url(transport, &realm)?;
            let scopes: Vec<String> =
                wanted.iter().map(|(repository, access)| access.scope(repository)).collect();
            token(transport, url, login, (service.as_deref(), &scopes), repository).await
        }
    }
}

fn challenge(answer: &Response) -> Result<Challenge, RemoteError> {
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Ok(Challenge::Nothing);
    }
    let unsound = |why: &str| RemoteError::Unsound { url: shown(answer.url()), why: why.to_owned() };
    let mut basic = false;
    for header in answer.headers().get_all(WWW_AUTHENTICATE) {
        let text = header.to_str().map_err(|_| unsound("its WWW-Authenticate is no text"))?;
        let found =
            http_auth::parse_challenges(text).map_err(|_| unsound("its WWW-Authenticate cannot be read"))?;
        for one in found {
            if one.scheme.eq_ignore_ascii_case("bearer") {
                let param = |wanted: &str| {
                    let found = one.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                    found.map(|(_, value): &(&str, ParamValue<'_>)| value.to_unescaped())
                };
                let realm = param("realm").ok_or_else(|| unsound("its challenge has no realm"))?;
                return Ok(Challenge::Bearer { realm, service: param("service") });
            }
            basic |= one.scheme.eq_ignore_ascii_case("basic");
        }
    }
    if basic { Ok(Challenge::Basic) } else { Err(unsound("it asks for a login of a kind that is not known")) }
}

/// The token server is somewhere else as a rule, and gets the login: so it must
/// be as safe a place as the registry itself.
fn realm_url(transport: &Transport, realm: &str) -> Result<Url, RemoteError> {
    let refuse = |to: String, why| {
        Err(RemoteError::Redirected { from: format!("the registry {}", transport.host()), to, why })
    };
    match Url::parse(realm) {
        Err(_) => refuse(cut(realm), "that is no URL"),
        Ok(url) => match transport.refusal_of_realm(&url) {
            Some(why) => refuse(shown(&url), why),
            None => Ok(url),
        },
    }
}

async fn token(
    transport: &Transport,
    mut url: Url,
    login: Option<Login>,
    (service, scopes): (Option<&str>, &[String]),
    repository: &str,
) -> Result<Authorization, RemoteError> {
    let client = transport.client();
    let request = match login {
        // OAuth 2's form, which the specification has for identity tokens.
        Some(Login::Identity(identity)) => {
            let scope = scopes.join(" ");
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", "cofferdam"),
                ("refresh_token", &identity),
                ("scope", &scope),
            ];
            form.extend(service.map(|service| ("service", service)));
            let body: String =
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let kind = "application/x-www-form-urlencoded";
            client.post(url.clone()).header(http::header::CONTENT_TYPE, kind).body(body)
        }
        login => {
            let scopes = scopes.iter().map(|scope| ("scope", scope.as_str()));
            url.query_pairs_mut().extend_pairs(scopes.chain(service.map(|service| ("service", service))));
            let request = client.get(url.clone());
            match login {
                Some(Login::Basic { user, password }) => request.basic_auth(user, Some(password)),
                Some(Login::Identity(_)) | None => request,
            }
        }
    };
    let mut answer = request.send().await.map_err(|error| transport.unreachable(&error))?;
    if answer.status() == StatusCode::UNAUTHORIZED || answer.status() == StatusCode::FORBIDDEN {
        return Err(refused(transport, repository, "its token server does not take the login"));
    }
    if !answer.status().is_success() {
        let (url, status) = (shown(&url), answer.status().as_u16());
        return Err(RemoteError::Answer { url, status, message: "it gives no token".to_owned() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| transport.unreachable(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_TOKEN {
            return Err(RemoteError::Unsound { url: shown(&url), why: "its answer is too large".to_owned() });
        }
    }
    let unsound = |why: &str| RemoteError::Unsound { url: shown(&url), why: why.to_owned() };
    let found: Token = serde_json::from_slice(&body).map_err(|_| unsound("its answer is no token"))?;
    let token = if found.token.is_empty() { found.access_token } else { found.token };
    if token.is_empty() || HeaderValue::from_str(&token).is_err() {
        return Err(unsound("its answer has no token that can be sent"));
    }
    Ok(Authorization::Bearer(token))
}

pub(super) fn refused(transport: &Transport, repository: &str, why: &str) -> RemoteError {
    RemoteError::Unauthorized {
        host: transport.host().to_owned(),
        repository: repository.to_owned(),
        why: why.to_owned(),
    }
}
