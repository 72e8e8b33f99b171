//! Opens sockets of every kind to wherever it is told, and tells what came of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use cofferdam_sdk::{Context, Failure, task};

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
    };
    Ok(Results { told })
}

/// `N*TEXT` sends a text many times.
fn connect(to: &str, send: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(to)?;
    let (count, text) = send.split_once('*').unwrap_or(("1", send));
    for _ in 0..count.parse().unwrap_or(1) {
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
