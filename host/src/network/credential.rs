//! A secret as a request carries it. Added at the very edge, after the task's
//! own headers and after every check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_manifest::{Host, SecretAsk, SecretUse};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::model::{SecretHost, SecretValue};

/// A secret, and where it may go.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretValue,
    /// The only hosts it may ever be sent to.
    pub hosts: Vec<SecretHost>,
}

impl Credential {
    /// Whether its owner lets it go to a host.
    pub(super) fn may_go_to(&self, host: &Host, port: u16) -> bool {
        self.hosts.iter().any(|allowed| allowed.matches(&host.to_string(), port))
    }

    /// Puts it into the headers of a request, in place of what the task put there.
    ///
    /// # Errors
    /// The value cannot stand in a header.
    pub(super) fn add_to(&self, ask: &SecretAsk, headers: &mut HeaderMap) -> Result<(), String> {
        let value = self.value.expose();
        let (name, text) = match ask.usage {
            SecretUse::Bearer => (AUTHORIZATION, Zeroizing::new([b"Bearer ", value].concat())),
            SecretUse::Basic => {
                let encoded = Zeroizing::new(STANDARD.encode(value));
                (AUTHORIZATION, Zeroizing::new([b"Basic ", encoded.as_bytes()].concat()))
            }
            SecretUse::Header => {
                let name = ask.header.as_deref().unwrap_or_default();
                let name = HeaderName::from_bytes(name.as_bytes());
                let name =
                    name.map_err(|_| format!("the header for the secret `{}` has no name", self.name))?;
                (name, Zeroizing::new(value.to_vec()))
            }
        };
        let mut header = HeaderValue::from_bytes(&text)
            .map_err(|_| format!("the secret `{}` cannot stand in a header", self.name))?;
        header.set_sensitive(true);
        headers.insert(name, header);
        Ok(())
    }
}
