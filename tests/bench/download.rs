//! What observing a download adds to it: 500 MB over loopback through a task,
//! every byte counted and hashed by the host, beside curl.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::figure::{Times, line};
use super::world::{World, quiet};

const BYTES: usize = 500_000_000;

pub(super) fn run(world: &World) {
    let port = serve();
    let url = format!("http://127.0.0.1:{port}/");
    prepare(world, port, &url);
    let (mut ours, mut curls, mut sums) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
    for _ in 0..9 {
        quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "download.yaml"]));
        ours.0.push(exchange(world));
        curls.0.push(quiet(&mut world.command("curl", &["-s", "-o", "/dev/null", &url])));
        let summed = format!("curl -s {url} | openssl sha256");
        sums.0.push(quiet(&mut world.command("sh", &["-c", &summed])));
    }
    let millis = |seconds: f64| seconds * 1e3;
    line("500 MB over HTTP, observed and hashed", millis(ours.median()), millis(ours.best()), "ms", "");
    line("curl, not hashed", millis(curls.median()), millis(curls.best()), "ms", "");
    line("curl | openssl sha256", millis(sums.median()), millis(sums.best()), "ms", "");
    line("ratio to curl", ours.median() / curls.median(), ours.best() / curls.best(), "", "1.15");
    line("ratio to curl | openssl", ours.median() / sums.median(), ours.best() / sums.best(), "", "");
}

/// Answers every request with the same bytes, until the process ends.
fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let piece = vec![b'x'; 1_000_000];
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &piece);
        }
    });
    port
}

fn answer(mut stream: TcpStream, piece: &[u8]) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let _ = stream.read(&mut head)?;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    (0..BYTES / piece.len()).try_for_each(|_| stream.write_all(piece))
}

/// Builds the task with the server's port in its manifest, and a pipeline.
fn prepare(world: &World, port: u16, url: &str) {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let yaml = fs::read_to_string(repository.join("tests/tasks/download/task.yaml")).unwrap();
    fs::create_dir_all(world.directory.join("download")).unwrap();
    world.write("download/task.yaml", &yaml.replace("40002", &port.to_string()));
    let mut build = world.cofferdam(&["task", "build", "download", "-o", "download.wasm", "--component"]);
    quiet(build.arg(target.join("wasm32-wasip2/release/examples/download.wasm")));
    let head =
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: download }\nspec:\n  tasks:\n";
    let grant = format!("{{ network: [{{ host: 127.0.0.1, scheme: http, port: {port} }}] }}");
    let task = format!(
        "    - {{ name: d, taskRef: {{ component: download.wasm }}, params: [{{ name: url, value: '{url}' }}], \
         grants: {grant} }}\n"
    );
    world.write("download.yaml", &format!("{head}{task}"));
}

/// How long the newest run's request took, to the end of its body.
fn exchange(world: &World) -> Duration {
    let output = world.cofferdam(&["show", "--format", "json"]).output().unwrap();
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let micros = run.pointer("/tasks/0/exchanges/0/durationMicros").and_then(serde_json::Value::as_u64);
    Duration::from_micros(micros.unwrap())
}
