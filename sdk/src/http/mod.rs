//! A small blocking HTTP client for tasks.
//!
//! The host sends each request: it holds it against the task's grants, resolves
//! names, speaks TLS, adds secrets, and records what went over the wire. A task
//! that never calls [`Request::send`] does not import `wasi:http` at all.
//!
//! ```ignore
//! use cofferdam_sdk::http::Request;
//!
//! let mut response = Request::get("https://files.example.org/v1.tar").send()?.success()?;
//! let mut file = std::fs::File::create(outputs.file.path().join("v1.tar"))?;
//! response.copy_to(&mut file)?;
//! ```

mod error;
#[cfg(not(target_family = "wasm"))]
mod native;
mod response;
mod url;
#[cfg(target_family = "wasm")]
mod wasi;

use std::io::Read;
use std::time::Duration;

pub use error::Error;
#[cfg(not(target_family = "wasm"))]
pub use native::Sent;
#[cfg(not(target_family = "wasm"))]
pub(crate) use native::{Installed, Responder};
pub use response::Response;
use url::Url;
#[cfg(target_family = "wasm")]
use wasi as transport;

#[cfg(not(target_family = "wasm"))]
use native as transport;

/// Bytes that are handed over at once, both ways.
const BUFFER: usize = 64 << 10;
/// Redirects that are followed where the task says nothing else.
const REDIRECTS: u32 = 10;

/// A request before it is sent.
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
    redirects: u32,
    patience: Option<Duration>,
}

/// What a request carries.
#[derive(Default)]
enum Body {
    #[default]
    Nothing,
    Bytes(Vec<u8>),
    Stream(Box<dyn Read>),
}

/// One request on its way: a redirect makes another.
struct Hop<'a> {
    method: &'a str,
    url: &'a Url,
    headers: &'a [(String, Vec<u8>)],
    patience: Option<Duration>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({} {})", self.method, self.url)
    }
}

impl Request {
    /// A request with any method. `CONNECT` and `TRACE` can never be granted.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Body::Nothing,
            redirects: REDIRECTS,
            patience: None,
        }
    }

    /// Reads what is at a URL.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// Reads only the headers of what is at a URL.
    #[must_use]
    pub fn head(url: &str) -> Self {
        Self::new("HEAD", url)
    }

    /// Sends something to a URL.
    #[must_use]
    pub fn post(url: &str) -> Self {
        Self::new("POST", url)
    }

    /// Replaces what is at a URL.
    #[must_use]
    pub fn put(url: &str) -> Self {
        Self::new("PUT", url)
    }

    /// Takes another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Adds a header; a second one of the same name stands beside the first.
    /// The host writes `Host`, and the header of a secret in place of this one.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sends these bytes, with their length.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self
    }

    /// Sends what a reader gives, piece by piece, in constant memory.
    #[must_use]
    pub fn stream(mut self, reader: impl Read + 'static) -> Self {
        self.body = Body::Stream(Box::new(reader));
        self
    }

    /// How many redirects `GET` and `HEAD` follow: 10, where nothing is said.
    /// Each is a request of its own that must be granted. With 0, the redirect
    /// itself is the response.
    #[must_use]
    pub fn redirects(mut self, most: u32) -> Self {
        self.redirects = most;
        self
    }

    /// How long to wait for the response to begin, and then for each piece of
    /// it; at most as long as the host waits.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Sends the request and waits for the head of its response, whatever its
    /// status is.
    ///
    /// # Errors
    /// [`Error`]: there is no response, and why.
    pub fn send(self) -> Result<Response, Error> {
        let Self { method, url, headers, body, redirects, patience } = self;
        let mut url = Url::parse(&url)?;
        // What is sent once may not be sent again to somebody else.
        let follows =
            redirects > 0 && matches!(method.as_str(), "GET" | "HEAD") && matches!(body, Body::Nothing);
        let mut body = Some(body);
        let mut left = redirects;
        loop {
            let hop = Hop { method: &method, url: &url, headers: &headers, patience };
            let mut response = transport::send(&hop, body.take().unwrap_or_default())?;
            response.set_url(&url);
            let Some(location) = response.location().filter(|_| follows) else { return Ok(response) };
            let next = url.join(location)?;
            if left == 0 {
                return Err(Error::Redirect(format!("{next} would be redirect {}", redirects + 1)));
            }
            if next.origin() != url.origin()
                && let Some(name) = headers.iter().map(|(name, _)| name).find(|name| is_personal(name))
            {
                let why = format!("{url} leads to {next}: `{name}` is not sent to another host unasked");
                return Err(Error::Redirect(why));
            }
            left -= 1;
            url = next;
        }
    }
}

/// Headers that are meant for one server.
fn is_personal(name: &str) -> bool {
    ["authorization", "cookie"].iter().any(|personal| name.eq_ignore_ascii_case(personal))
}
