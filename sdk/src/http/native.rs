//! Requests of a task that runs in its author's tests: there is no host, so the
//! test answers.

use std::cell::RefCell;
use std::fmt;
use std::io::Read as _;

use super::{Body, Error, Hop, Response};

/// A request as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `GET`, ...
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

type Respond = Box<dyn FnMut(&Sent) -> Result<Response, Error>>;

/// What answers in place of the network.
pub(crate) struct Responder(pub(crate) Respond);

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

thread_local! {
    /// Tests run beside each other, each task on the thread of its own test.
    static RESPONDER: RefCell<Option<Responder>> = const { RefCell::new(None) };
}

/// A responder that is in place until this is dropped.
pub(crate) struct Installed;

impl Installed {
    pub(crate) fn new(responder: Option<Responder>) -> Self {
        RESPONDER.replace(responder);
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        RESPONDER.replace(None);
    }
}

pub(super) fn send(hop: &Hop<'_>, body: Body) -> Result<Response, Error> {
    let body = match body {
        Body::Nothing => Vec::new(),
        Body::Bytes(bytes) => bytes,
        Body::Stream(mut reader) => {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(Error::Local)?;
            bytes
        }
    };
    let _ = hop.patience;
    let (method, url) = (hop.method.to_owned(), hop.url.to_string());
    let sent = Sent { method, url, headers: hop.headers.to_vec(), body };
    RESPONDER.with_borrow_mut(|responder| match responder {
        Some(Responder(respond)) => respond(&sent),
        None => Err(Error::Unreachable(format!(
            "{} {}: nothing answers outside the sandbox; give the harness a `respond`",
            sent.method, sent.url
        ))),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;
    use crate::http::Request;

    /// Answers `/N` with a redirect to `/N-1`, and `/0` with the method.
    fn countdown(sent: &Sent) -> Result<Response, Error> {
        let number: u32 = sent.url.rsplit('/').next().unwrap().parse().unwrap();
        Ok(match number {
            0 => Response::new(200, std::io::Cursor::new(sent.method.clone())),
            n => Response::new(302, std::io::empty()).with_header("Location", format!("./{}", n - 1)),
        })
    }

    fn counting() -> Installed {
        Installed::new(Some(Responder(Box::new(countdown))))
    }

    #[test]
    fn redirects_are_followed_as_far_as_the_task_says() {
        let _installed = counting();
        let url = |n: u32| format!("https://a.example.org/x/{n}");
        let mut last = Request::get(&url(10)).send().unwrap();
        assert_eq!((last.status(), last.url()), (200, url(0).as_str()));
        assert_eq!(last.bytes(3).unwrap(), b"GET");
        assert!(matches!(Request::get(&url(11)).send(), Err(Error::Redirect(_))));
        let seen = Request::get(&url(2)).redirects(0).send().unwrap();
        assert_eq!((seen.status(), seen.header("location")), (302, Some("./1")));
        assert!(matches!(seen.success(), Err(Error::Status { status: 302, .. })));
        for unfollowed in [Request::post(&url(1)), Request::get(&url(1)).body("x")] {
            assert_eq!(unfollowed.send().unwrap().status(), 302);
        }
    }

    #[test]
    fn what_is_meant_for_one_server_is_not_sent_to_another() {
        let elsewhere = |_: &Sent| {
            let response = Response::new(307, std::io::empty());
            Ok(response.with_header("location", "https://other.example.org/"))
        };
        let _installed = Installed::new(Some(Responder(Box::new(elsewhere))));
        let request = Request::get("https://a.example.org/").header("Authorization", "Bearer x").redirects(3);
        assert!(matches!(request.send(), Err(Error::Redirect(why)) if why.contains("`Authorization`")));
    }

    #[test]
    fn a_body_is_read_whole_and_never_beyond_its_limit() {
        let _installed = counting();
        let send = || Request::get("https://a.example.org/0").send().unwrap();
        assert!(matches!(send().bytes(2), Err(Error::TooLarge { limit: 2 })));
        let mut copied = Vec::new();
        assert_eq!(send().copy_to(&mut copied).unwrap(), 3);
        let mut read = String::new();
        send().reader().read_to_string(&mut read).unwrap();
        assert_eq!((copied, read.as_str()), (b"GET".to_vec(), "GET"));
    }

    #[test]
    fn without_a_responder_nothing_answers() {
        let refused = Request::get("https://a.example.org/").send();
        assert!(matches!(refused, Err(Error::Unreachable(why)) if why.contains("harness")));
    }
}
