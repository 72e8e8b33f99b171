//! A response: its head at once, its body as it is read.

use std::fmt;
use std::io::{Read, Write};

use super::url::Url;
use super::{BUFFER, Error};

/// A response. What is not read of its body is not fetched, and the host records
/// the transfer as incomplete.
pub struct Response {
    status: u16,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Box<dyn Read>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} {})", self.status, self.url)
    }
}

impl Response {
    /// A response to give in a test; the client makes its own.
    #[must_use]
    pub fn new(status: u16, body: impl Read + 'static) -> Self {
        Self { status, url: String::new(), headers: Vec::new(), body: Box::new(body) }
    }

    /// Adds a header, in a test.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    pub(super) fn set_url(&mut self, url: &Url) {
        self.url = url.to_string();
    }

    /// Where a redirect leads.
    pub(super) fn location(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location"))?
    }

    /// The status, such as 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where it came from, after the redirects that were followed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first header of that name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Insists on a status from 200 to 299.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub fn success(self) -> Result<Self, Error> {
        let Self { status, url, .. } = self;
        if (200..300).contains(&status) {
            Ok(Self { url, ..self })
        } else {
            Err(Error::Status { status, url })
        }
    }

    /// The body, as it arrives. An error of the network is an [`Error`] inside
    /// the [`std::io::Error`].
    pub fn reader(&mut self) -> &mut dyn Read {
        &mut self.body
    }

    /// All of the body, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what interrupted it.
    pub fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        let read = read.map_err(Error::of_io)?;
        if read as u64 > limit { Err(Error::TooLarge { limit }) } else { Ok(bytes) }
    }

    /// Writes all of the body, piece by piece, and gives its size.
    ///
    /// # Errors
    /// What interrupted it.
    pub fn copy_to(&mut self, to: &mut impl Write) -> Result<u64, Error> {
        let mut buffer = vec![0; BUFFER];
        let mut size = 0;
        loop {
            let read = self.body.read(&mut buffer).map_err(Error::of_io)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(size) };
            to.write_all(bytes).map_err(Error::Local)?;
            size += read as u64;
        }
    }
}
