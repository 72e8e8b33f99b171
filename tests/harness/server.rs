//! A server on this machine that keeps what it was sent, byte for byte, and
//! answers as a test says: whole, slowly, without end or wrongly. It speaks
//! HTTP/1.1, over TLS too, and is gone when it is dropped.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::World;

/// What arrived at a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// Counted from one.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Answers one request; an error ends the connection.
pub(super) type Handler = dyn Fn(&Received, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// A server that stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    received: Mutex<Vec<Received>>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    stopped: AtomicBool,
}

/// Makes certificates that are valid where it is trusted.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn configuration(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let chain = vec![certificate.unwrap().der().clone()];
        builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap()
    }

    /// A certificate for a name, and its key, both in PEM.
    pub(crate) fn pem(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0);
        (certificate.unwrap().pem(), key.serialize_pem())
    }

    /// Makes a user trust it, and find these names on this machine.
    pub(crate) fn trusted_by(&self, world: &World, names: &[&str]) {
        std::fs::write(world.home().join("ca.pem"), self.0.pem()).unwrap();
        let names: String = names.iter().map(|name| format!("{name:?} = [\"127.0.0.1\"]\n")).collect();
        let text = format!("[network]\nca-files = [\"ca.pem\"]\n\n[network.hosts]\n{names}");
        std::fs::write(world.home().join("config.toml"), text).unwrap();
    }
}

impl Server {
    pub(crate) fn plain(
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(None, Arc::new(handler))
    }

    pub(crate) fn tls(
        authority: &Authority,
        name: &str,
        handler: impl Fn(&Received, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(Arc::new(authority.configuration(name))), Arc::new(handler))
    }

    fn start(tls: Option<Arc<ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A body that follows its head is not to wait for a receipt.
                let _ = stream.set_nodelay(true);
                shared.open.lock().unwrap().push(stream.try_clone().unwrap());
                let (tls, handler, seen) = (tls.clone(), Arc::clone(&handler), Arc::clone(&shared));
                seen.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let closing = stream.try_clone();
                    // A client that leaves is no failure of the server.
                    let _ = match tls {
                        None => serve(stream, &seen, &*handler),
                        Some(tls) => ServerConnection::new(tls)
                            .map_err(io::Error::other)
                            .and_then(|tls| serve(StreamOwned::new(tls, stream), &seen, &*handler)),
                    };
                    let _ = closing.map(|stream| stream.shutdown(Shutdown::Both));
                });
            }
        };
        Self { address, seen, accepting: Some(std::thread::spawn(accept)) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL of a plain server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.seen.received.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.seen.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

fn serve(mut stream: impl Read + Write, seen: &Seen, handler: &Handler) -> io::Result<()> {
    let mut ahead = Vec::new();
    loop {
        let head = match until(&mut stream, &mut ahead, b"\r\n\r\n") {
            // What other servers say to somebody who wants TLS.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                stream.write_all(b"HTTP/1.1 400 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
                return stream.flush();
            }
            head => head?,
        };
        let mut received = head_of(&head);
        let under_way = seen.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(under_way, Ordering::SeqCst);
        let served = body_of(&mut stream, &mut ahead, &mut received).and_then(|()| {
            let mut all = seen.received.lock().unwrap();
            received.number = all.len() + 1;
            all.push(received.clone());
            drop(all);
            handler(&received, &mut stream)?;
            stream.flush()
        });
        seen.under_way.fetch_sub(1, Ordering::SeqCst);
        served?;
    }
}

/// Everything up to and with an end.
fn until(stream: &mut impl Read, ahead: &mut Vec<u8>, end: &[u8]) -> io::Result<Vec<u8>> {
    loop {
        // The first byte of a TLS handshake: whoever sends it waits for an answer.
        if ahead.first() == Some(&0x16) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if let Some(at) = ahead.windows(end.len()).position(|window| window == end) {
            return Ok(ahead.drain(..at + end.len()).collect());
        }
        more(stream, ahead)?;
    }
}

fn exactly(stream: &mut impl Read, ahead: &mut Vec<u8>, count: usize) -> io::Result<Vec<u8>> {
    while ahead.len() < count {
        more(stream, ahead)?;
    }
    Ok(ahead.drain(..count).collect())
}

fn more(stream: &mut impl Read, ahead: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            ahead.extend_from_slice(&buffer[..read]);
            Ok(())
        }
    }
}

fn head_of(head: &[u8]) -> Received {
    let text = String::from_utf8_lossy(head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    Received { method, target, headers: headers_of(lines), ..Received::default() }
}

fn headers_of<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

fn body_of(stream: &mut impl Read, ahead: &mut Vec<u8>, received: &mut Received) -> io::Result<()> {
    if let Some(length) = received.header("content-length") {
        received.body = exactly(stream, ahead, length.parse().unwrap())?;
    } else if received.header("transfer-encoding").is_some() {
        loop {
            let line = String::from_utf8(until(stream, ahead, b"\r\n")?).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            let piece = exactly(stream, ahead, size + 2)?;
            received.body.extend_from_slice(&piece[..size]);
        }
        loop {
            let line = String::from_utf8(until(stream, ahead, b"\r\n")?).unwrap();
            if line.trim().is_empty() {
                break;
            }
            received.trailers.extend(headers_of([line.as_str()].into_iter()));
        }
    }
    Ok(())
}

/// Writes a whole response.
pub(crate) fn reply(
    out: &mut dyn Write,
    status: u16,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> io::Result<()> {
    let body = body.as_ref();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(out, "HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len())?;
    out.write_all(body)
}

/// Writes a response in chunks, with trailers.
pub(crate) fn reply_chunked(
    out: &mut dyn Write,
    pieces: &[&[u8]],
    trailers: &[(&str, &str)],
) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        write!(out, "{:x}\r\n", piece.len())?;
        out.write_all(piece)?;
        write!(out, "\r\n")?;
        out.flush()?;
    }
    let trailers: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(out, "0\r\n{trailers}\r\n")
}
