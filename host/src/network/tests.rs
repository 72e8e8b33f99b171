//! The client against servers of its own on loopback: what no test of the whole
//! program can arrange, such as a resolver whose answers change.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cofferdam_manifest::NetworkRule;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use serde_json::json;

use super::resolve::{Resolver, Resolving};
use super::session::{NetworkError, Session, SessionRequest, TaskBody, Timeouts};
use super::{Connections, Network, NetworkSettings};
use crate::capability::{Redactor, Trip};
use crate::event::{Fact, Journal, Recorder};
use crate::model::{DEFAULT_LIMITS, RunId, SecretValue};

/// A server that answers every connection with the same bytes, and keeps what
/// it was sent. It ends with the test.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().take(20) {
                let Ok(mut stream) = stream else { return };
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).unwrap_or(0);
                let head = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
                kept.lock().unwrap().push(head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// Gives one answer, then another.
struct Rebinding {
    asked: Arc<AtomicUsize>,
    answers: [Vec<IpAddr>; 2],
}

impl Resolver for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let count = self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.answers.get(count.min(1)).cloned().unwrap_or_default();
        Box::pin(async move { Ok(answer) })
    }
}

struct Client {
    session: Arc<Session>,
    recorder: Arc<Recorder>,
    journal: Journal,
    _directory: tempfile::TempDir,
}

impl Client {
    fn new(network: Network, rule: serde_json::Value) -> Self {
        Self::masking(network, rule, &Redactor::new([]))
    }

    /// Of a run that has secrets, whether or not this task's rules name any.
    fn masking(network: Network, rule: serde_json::Value, redactor: &Redactor) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(&directory.path().join("state.db")).unwrap();
        let id = RunId::new("test", 1);
        let recorder =
            Arc::new(Recorder::new(id, journal.writer().unwrap(), Vec::new(), jiff::Timestamp::now));
        let rules: Vec<NetworkRule> = vec![serde_json::from_value(rule).unwrap()];
        let request = SessionRequest {
            task: &Arc::from("t"),
            rules: &rules,
            withheld: &Arc::default(),
            credentials: &[],
            redactor,
            limits: &DEFAULT_LIMITS,
            trip: &Trip::default(),
            recorder: &recorder,
        };
        let session = Arc::new(Session::new(&Arc::new(network), request));
        Self { session, recorder, journal, _directory: directory }
    }

    fn get(&self, url: &str) -> Result<(u16, Bytes), NetworkError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.send(url))
    }

    async fn send(&self, url: &str) -> Result<(u16, Bytes), NetworkError> {
        let body: TaskBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(url).body(body).unwrap();
        let timeouts = Timeouts::asked(Some(Duration::from_secs(5)), None, None);
        let response = self.request(request, timeouts).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    async fn request(
        &self,
        request: Request<TaskBody>,
        timeouts: Timeouts,
    ) -> Result<Response<TaskBody>, NetworkError> {
        let allowed = self.session.allow(&request, timeouts)?;
        Arc::clone(&self.session).send(request, allowed).await
    }

    fn facts(&self) -> Vec<Fact> {
        self.recorder.flush().unwrap();
        let mut facts = Vec::new();
        self.journal.replay(self.recorder.run(), |event| facts.push(event.fact)).unwrap();
        facts
    }
}

fn loopback() -> Vec<IpAddr> {
    vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
}

fn rule(port: u16, addresses: &[&str]) -> serde_json::Value {
    json!({ "host": "files.example.test", "scheme": "http", "port": port, "addresses": addresses })
}

#[test]
fn an_answer_that_changes_after_it_was_checked_leads_nowhere_else() {
    let (granted, other) = (Server::start(OK), "127.0.0.2".parse::<IpAddr>().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let resolver = Rebinding { asked: Arc::clone(&asked), answers: [loopback(), vec![other]] };
    let network = Network::with_resolver(NetworkSettings::default(), Box::new(resolver));
    let client = Client::new(network, rule(granted.port, &["127.0.0.1"]));
    let url = format!("http://files.example.test:{}/", granted.port);
    assert_eq!(client.get(&url).unwrap(), (200, Bytes::from_static(b"ok")));
    // One question, and the connection went to its answer.
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(granted.heads().len(), 1);
    // The next request asks again, and the new answer is checked again.
    let refused = client.get(&url).unwrap_err();
    assert!(refused.to_string().contains("127.0.0.2, an address of this machine"), "{refused}");
    assert_eq!(granted.heads().len(), 1);
}

#[test]
fn of_several_addresses_only_one_that_is_allowed_is_used() {
    let server = Server::start(OK);
    let both = vec!["127.0.0.2".parse().unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let resolver = Rebinding { asked: Arc::default(), answers: [both.clone(), both] };
    let network = Network::with_resolver(NetworkSettings::default(), Box::new(resolver));
    let client = Client::new(network, rule(server.port, &["127.0.0.1"]));
    client.get(&format!("http://files.example.test:{}/", server.port)).unwrap();
}

#[test]
fn a_refused_address_names_the_rule_to_add() {
    let server = Server::start(OK);
    let resolver = Rebinding { asked: Arc::default(), answers: [loopback(), loopback()] };
    let network = Network::with_resolver(NetworkSettings::default(), Box::new(resolver));
    let client = Client::new(network, rule(server.port, &[]));
    let refused = client.get(&format!("http://files.example.test:{}/", server.port)).unwrap_err();
    assert!(matches!(refused, NetworkError::Denied(_)), "{refused}");
    assert!(refused.to_string().contains(r#"addresses: ["127.0.0.1/32"]"#), "{refused}");
    assert!(server.heads().is_empty());
}

#[test]
fn a_proxy_is_asked_for_the_address_that_was_checked() {
    let proxy = Server::start("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    let settings = NetworkSettings {
        https_proxy: Some(format!("http://me:secret@127.0.0.1:{}", proxy.port)),
        no_proxy: Some("direct.example.test".to_owned()),
        retries: 0,
        ..NetworkSettings::default()
    };
    let public: Vec<IpAddr> = vec!["93.184.216.34".parse().unwrap()];
    let resolver = Rebinding { asked: Arc::default(), answers: [public.clone(), public] };
    let network = Network::with_resolver(settings, Box::new(resolver));
    let client = Client::new(network, json!({ "host": "files.example.test" }));
    let refused = client.get("https://files.example.test/").unwrap_err();
    assert!(refused.to_string().contains("the proxy http://127.0.0.1"), "{refused}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
    let head = proxy.heads().first().cloned().unwrap();
    assert!(head.starts_with("CONNECT 93.184.216.34:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic"), "{head}");
}

#[test]
fn a_passing_failure_is_tried_again_and_every_try_is_told() {
    let server = Server::start(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let network = Network::new(NetworkSettings { retries: 2, ..NetworkSettings::default() });
    let client = Client::new(network, json!({ "host": "127.0.0.1", "scheme": "http", "port": server.port }));
    let (status, _) = client.get(&format!("http://127.0.0.1:{}/", server.port)).unwrap();
    assert_eq!((status, server.heads().len()), (503, 3));
    drop(client.session);
}

#[test]
fn what_ends_early_is_told_when_the_task_ends() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nhalf");
    let network = Network::new(NetworkSettings { retries: 0, ..NetworkSettings::default() });
    let client = Client::new(network, json!({ "host": "127.0.0.1", "scheme": "http", "port": server.port }));
    assert!(client.get(&format!("http://127.0.0.1:{}/", server.port)).is_err());
    client.session.close();
    let [Fact::RequestFinished(told)] = &*client.facts() else { panic!("{:?}", client.facts()) };
    assert_eq!(told.status, Some(200));
    assert!(!told.response.unwrap().complete && told.error.is_some());
}

/// Speaks HTTP/2 over TLS, with an authority of its own; ends with the process.
fn http2_server(directory: &std::path::Path) -> u16 {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let key = rcgen::generate_simple_self_signed(["files.example.test".to_owned()]).unwrap();
    std::fs::write(directory.join("ca.pem"), key.cert.pem()).unwrap();
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let stream = tokio_rustls::TlsAcceptor::from(Arc::new(tls)).accept(stream).await.unwrap();
            let answer = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
                let path = Bytes::from(format!("{} over {:?}", request.uri().path(), request.version()));
                Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(path)))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    });
    port
}

#[test]
fn requests_share_a_connection_over_http2() {
    let directory = tempfile::tempdir().unwrap();
    let port = http2_server(directory.path());
    let settings =
        NetworkSettings { ca_files: vec![directory.path().join("ca.pem")], ..NetworkSettings::default() };
    let resolver = Rebinding { asked: Arc::default(), answers: [loopback(), loopback()] };
    let network = Network::with_resolver(settings, Box::new(resolver));
    let rule = json!({ "host": "files.example.test", "port": port, "addresses": ["127.0.0.1"] });
    let client = Client::new(network, rule);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The server takes one connection, so both requests must be on it.
    for path in ["/one", "/two"] {
        let url = format!("https://files.example.test:{port}{path}");
        let (status, body) = runtime.block_on(client.send(&url)).unwrap();
        assert_eq!((status, body), (200, Bytes::from(format!("{path} over HTTP/2.0"))));
    }
}

#[test]
fn a_request_that_the_task_lets_go_of_is_told_all_the_same() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let rule = json!({ "host": "127.0.0.1", "scheme": "http", "port": port });
    let client = Client::new(Network::new(NetworkSettings::default()), rule);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/told");
    // Nobody answers, and then nobody waits any more.
    let waiting = async { tokio::time::timeout(Duration::from_millis(200), client.send(&url)).await };
    assert!(runtime.block_on(waiting).is_err());
    let [Fact::RequestFinished(told)] = &*client.facts() else { panic!("{:?}", client.facts()) };
    assert_eq!((told.url.as_str(), told.status), (url.as_str(), None));
    assert_eq!(told.address, Some((Ipv4Addr::LOCALHOST, port).into()), "it had a connection");
}

#[test]
fn where_nobody_answers_is_told() {
    let server = Server::start(OK);
    // Nobody listens at the other addresses of this machine.
    let silent: Vec<IpAddr> = ["127.0.0.2", "127.0.0.3"].map(|text| text.parse().unwrap()).into();
    let settings = || NetworkSettings { retries: 0, ..NetworkSettings::default() };
    for (answers, connected) in [(silent.clone(), false), ([silent.clone(), loopback()].concat(), true)] {
        let resolver = Rebinding { asked: Arc::default(), answers: [answers.clone(), answers] };
        let network = Network::with_resolver(settings(), Box::new(resolver));
        let client = Client::new(network, rule(server.port, &["127.0.0.0/8"]));
        assert_eq!(client.get(&format!("http://files.example.test:{}/", server.port)).is_ok(), connected);
        let [Fact::RequestFinished(told)] = &*client.facts() else { panic!("{:?}", client.facts()) };
        let tried: Vec<IpAddr> = told.tried.iter().map(std::net::SocketAddr::ip).collect();
        assert_eq!((tried, told.error.is_some()), (silent.clone(), !connected));
        assert_eq!(told.address.map(|address| address.ip()), connected.then_some(Ipv4Addr::LOCALHOST.into()));
    }
}

#[test]
fn a_connection_that_was_lost_is_told_with_its_address() {
    // Both take what they are sent; one closes without a word.
    for (answer, answered) in [(OK, true), ("", false)] {
        let server = Server::start(answer);
        let network = Network::new(NetworkSettings { retries: 0, ..NetworkSettings::default() });
        let rule = json!({ "host": "127.0.0.1", "scheme": "http", "port": server.port });
        let client = Client::new(network, rule);
        assert_eq!(client.get(&format!("http://127.0.0.1:{}/", server.port)).is_ok(), answered);
        let [Fact::RequestFinished(told)] = &*client.facts() else { panic!("{:?}", client.facts()) };
        assert_eq!((told.address, &*told.tried), (Some((Ipv4Addr::LOCALHOST, server.port).into()), &[][..]));
    }
}

#[test]
fn in_a_run_with_secrets_no_rule_is_a_way_around_the_mask() {
    let server = Server::start(
        "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok",
    );
    let rule = json!({ "host": "127.0.0.1", "scheme": "http", "port": server.port });
    let redactor = Redactor::new([SecretValue::new(b"sekrit-value-123".to_vec()).unwrap()]);
    let network = Network::new(NetworkSettings { retries: 0, ..NetworkSettings::default() });
    let client = Client::masking(network, rule, &redactor);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("http://127.0.0.1:{}/", server.port);
    for header in ["range", "request-range"] {
        let body: TaskBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(&url).header(header, "bytes=0-5").body(body).unwrap();
        let timeouts = Timeouts::asked(None, None, None);
        let refused = runtime.block_on(client.request(request, timeouts)).err();
        assert!(matches!(refused, Some(NetworkError::Secret(_))), "{header}: {refused:?}");
    }
    assert!(server.heads().is_empty());
    // What is compressed, however it is said, does not come through.
    assert!(matches!(client.get(&url), Err(NetworkError::Secret(_))));
}

#[test]
fn a_refusal_costs_the_journal_little_however_long_what_was_tried() {
    let rule = json!({ "host": "127.0.0.1", "scheme": "http", "port": 1 });
    let client = Client::new(Network::new(NetworkSettings::default()), rule);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body: TaskBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let method = "M".repeat(100_000);
    let url = format!("http://example.org/{}", "p".repeat(20_000));
    let request = Request::builder().method(method.as_str()).uri(url).body(body).unwrap();
    let timeouts = Timeouts::asked(None, None, None);
    let refused = runtime.block_on(client.request(request, timeouts));
    assert!(matches!(refused, Err(NetworkError::Denied(_))));
    let [Fact::CapabilityDenied(denial)] = &*client.facts() else { panic!("{:?}", client.facts()) };
    assert!(denial.subject.len() < 4096, "{}", denial.subject.len());
}

#[test]
fn a_handshake_that_never_ends_is_not_waited_for() {
    // It takes the connection, and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let rule = json!({ "host": "127.0.0.1", "port": port });
    let network = Network::new(NetworkSettings { retries: 0, ..NetworkSettings::default() });
    let client = Client::new(network, rule);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body: TaskBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = Request::get(format!("https://127.0.0.1:{port}/")).body(body).unwrap();
    let timeouts = Timeouts::asked(Some(Duration::ZERO), None, None);
    let refused = runtime.block_on(client.request(request, timeouts)).err();
    assert!(matches!(&refused, Some(NetworkError::Connect(why)) if why.contains("1s")), "{refused:?}");
}

/// Never answers, and counts who waits at once.
struct Stalling {
    waiting: Arc<AtomicUsize>,
}

impl Resolver for Stalling {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        Box::pin(async {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        })
    }
}

#[test]
fn only_so_many_names_are_looked_up_at_once() {
    let waiting: Arc<AtomicUsize> = Arc::default();
    let resolver = Stalling { waiting: Arc::clone(&waiting) };
    let network = Network::with_resolver(NetworkSettings::default(), Box::new(resolver));
    let client = Client::new(network, json!({ "host": "example.org" }));
    let rules = [serde_json::from_value(json!({ "host": "*.example.test", "port": 1 })).unwrap()];
    let connections = Arc::new(Connections::new(Arc::clone(&client.session), &rules));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for number in 0..50 {
            let name = format!("n{number}.example.test");
            tokio::spawn(connections.resolve(&name).unwrap());
        }
        assert!(connections.resolve("other.test").is_none(), "what no rule names is refused at once");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(waiting.load(Ordering::Relaxed), 8);
}
