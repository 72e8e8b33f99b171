//! Opens sockets of every kind to wherever it is told, and tells what came of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use cofferdam_sdk::{Context, Failure, task};
use wasip2::io::streams::StreamError;
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

task!("dialler/task.yaml", run);

fn run(_: &Context, params: Params, _: Inputs, _: Outputs) -> Result<Results, Failure> {
    let to = params.to.as_str();
    let told = match params.how {
        How::Connect => connect(to, &params.send)?,
        How::Listen => failed(TcpListener::bind(to))?,
        How::Bind => failed(TcpListener::bind("0.0.0.0:0"))?,
        How::Datagram => {
            let socket = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", to));
            failed(socket)?
        }
        How::Abandon => begin(resolve(to)?).map(|_| "begun".to_owned()).map_err(|code| refused(&code))?,
        How::Many => many(resolve(to)?),
        How::Pour => pour(resolve(to)?, &params.send)?,
    };
    Ok(Results { told })
}

/// `N*TEXT` is a text many times.
fn repeated(send: &str) -> (usize, &str) {
    let (count, text) = send.split_once('*').unwrap_or(("1", send));
    (count.parse().unwrap_or(1), text)
}

fn connect(to: &str, send: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(to)?;
    let (count, text) = repeated(send);
    for _ in 0..count {
        stream.write_all(text.as_bytes())?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let local = stream.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
    Ok(format!("{answer} at {local}"))
}

fn failed<T>(tried: std::io::Result<T>) -> Result<String, Failure> {
    match tried {
        Ok(_) => Err(Failure::new("Escaped", "a socket that nothing granted was opened")),
        Err(error) => Ok(error.kind().to_string()),
    }
}

/// The first address of a name: from here on without the standard library,
/// which waits for everything.
fn resolve(to: &str) -> Result<SocketAddr, Failure> {
    to.to_socket_addrs()?.next().ok_or_else(|| Failure::new("NoAddress", to))
}

fn refused(code: &ErrorCode) -> Failure {
    Failure::new("Refused", format!("{code:?}"))
}

/// Begins a connection, and waits for nothing.
fn begin(to: SocketAddr) -> Result<TcpSocket, ErrorCode> {
    let SocketAddr::V4(to) = to else { return Err(ErrorCode::InvalidArgument) };
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let [a, b, c, d] = to.ip().octets();
    let address = Ipv4SocketAddress { port: to.port(), address: (a, b, c, d) };
    socket.start_connect(&instance_network(), IpSocketAddress::Ipv4(address))?;
    Ok(socket)
}

/// Begins connections until one is refused.
fn many(to: SocketAddr) -> String {
    let mut begun = Vec::new();
    loop {
        match begin(to) {
            Ok(socket) => begun.push(socket),
            Err(code) => return format!("{} and then {}", begun.len(), code.name()),
        }
    }
}

/// Sends all it can, says that this was all, and only then waits for anything:
/// the last bytes are still on their way.
fn pour(to: SocketAddr, send: &str) -> Result<String, Failure> {
    let socket = begin(to).map_err(|code| refused(&code))?;
    socket.subscribe().block();
    let (input, output) = socket.finish_connect().map_err(|code| refused(&code))?;
    let (count, text) = repeated(send);
    let all = text.repeat(count);
    let mut left = all.as_bytes();
    while !left.is_empty() {
        let room = output.check_write().map_err(|error| Failure::new("Broken", error.to_string()))?;
        let Some((piece, rest)) = left.split_at_checked(left.len().min(usize::try_from(room).unwrap_or(0)))
        else {
            break;
        };
        if piece.is_empty() {
            output.subscribe().block();
        } else {
            output.write(piece).map_err(|error| Failure::new("Broken", error.to_string()))?;
            left = rest;
        }
    }
    socket.shutdown(ShutdownType::Send).map_err(|code| refused(&code))?;
    let mut answer = Vec::new();
    loop {
        match input.blocking_read(1 << 10) {
            Ok(bytes) => answer.extend(bytes),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Err(error) => return Err(Failure::new("Broken", error.to_string())),
        }
    }
}
