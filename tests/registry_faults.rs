//! A registry that breaks off, is busy, lies or wants to send the host somewhere
//! else: what can go better is tried again, and nothing false is kept or run.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::harness::{Done, Received, Server, Task, TestRegistry, World, reply, task_file};
use crate::registry_http::{parties, pipeline};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry with a signed task, a user who trusts it, and the pipeline.
struct Case {
    registry: TestRegistry,
    publisher: World,
    user: World,
    pipeline: String,
}

impl Case {
    fn new() -> Self {
        Self::of(TestRegistry::plain())
    }

    fn of(registry: TestRegistry) -> Self {
        let host = registry.host();
        let (publisher, user, pipeline) = parties(&host, "0.1.0");
        Self { registry, publisher, user, pipeline }
    }

    fn run(&self) -> Done {
        self.user.run(&["run", "--require-trusted", &self.pipeline])
    }

    /// Publishes a task that is sent in more than one piece.
    fn publish(&self) -> Done {
        let to = format!("{}/other", self.registry.host());
        let mut bytes = std::fs::read(task_file(Task::Test("noop"))).unwrap();
        // A custom section of 9 MiB: its kind, its length in LEB128, an empty name.
        bytes.extend([0, 0x80, 0x80, 0xc0, 0x04, 0]);
        bytes.resize(bytes.len() + (9 << 20) - 1, b'x');
        let file = self.publisher.path("large.wasm");
        std::fs::write(&file, bytes).unwrap();
        self.publisher.run(&["task", "publish", file.to_str().unwrap(), "--to", &to, "--sign"])
    }

    fn layer(&self) -> String {
        let manifest = self.registry.manifest("team/noop", "0.1.0");
        manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
    }

    /// What is kept of what was pulled, by digest.
    fn kept(&self, digest: &str) -> bool {
        !self.user.home_files(&format!("pulled/blobs/sha256/{}", &digest[7..])).is_empty()
    }
}

/// Requests that a fault may be meant for.
fn is(received: &Received, method: &str, part: &str) -> bool {
    received.method == method && received.target.contains(part)
}

fn cut() -> io::Result<bool> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

#[test]
fn a_pull_that_is_cut_at_any_request_goes_on() {
    for part in ["/v2/", "/manifests/0.1.0", "/blobs/", "/referrers/"] {
        let case = Case::new();
        let cuts = AtomicUsize::new(0);
        case.registry.fails(move |received, _| match received.target.contains(part) {
            true if cuts.fetch_add(1, Ordering::SeqCst) < 2 => cut(),
            _ => Ok(false),
        });
        case.run().ok();
    }
}

#[test]
fn a_push_that_is_cut_at_any_request_goes_on() {
    let case = Case::new();
    for (method, part) in
        [("POST", "/uploads/"), ("PATCH", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]
    {
        let case = Case {
            registry: TestRegistry::plain(),
            publisher: World::with(&[]),
            user: World::empty(),
            ..Case::new()
        };
        let met = Arc::new(AtomicUsize::new(0));
        let cuts = Arc::clone(&met);
        case.registry.fails(move |received, _| match is(received, method, part) {
            true if cuts.fetch_add(1, Ordering::SeqCst) == 0 => cut(),
            _ => Ok(false),
        });
        case.publish().ok();
        assert!(met.load(Ordering::SeqCst) > 1, "{method} {part} was never met");
    }
    drop(case);
}

#[test]
fn a_blob_that_breaks_off_is_gone_on_with_where_it_broke() {
    let case = Case::new();
    let layer = case.layer();
    let (cuts, wanted) = (AtomicUsize::new(0), layer.clone());
    case.registry.fails(move |received, out| {
        if !is(received, "GET", &wanted) || cuts.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(false);
        }
        write!(out, "HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n\0asm")?;
        out.flush()?;
        cut()
    });
    case.run().ok();
    let ranges: Vec<String> = case
        .registry
        .server
        .received()
        .iter()
        .filter(|r| is(r, "GET", &layer))
        .map(|r| r.header("range").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(ranges, ["", "bytes=4-"]);
}

#[test]
fn a_busy_registry_is_asked_again_and_one_that_stays_so_is_said() {
    for status in [429, 500, 503] {
        let case = Case::new();
        let busy = AtomicUsize::new(0);
        case.registry.fails(move |received, out| match is(received, "GET", "/manifests/") {
            true if busy.fetch_add(1, Ordering::SeqCst) == 0 => {
                reply(out, status, &[("retry-after", "0")], "").map(|()| true)
            }
            _ => Ok(false),
        });
        case.run().ok();
        case.registry.fails(move |received, out| {
            if received.method == "GET" {
                reply(out, status, &[("retry-after", "3600")], "").map(|()| true)
            } else {
                Ok(false)
            }
        });
        let other = World::with(&[]);
        let pipeline = pipeline(&other, &format!("{}/team/noop:0.1.0", case.registry.host()));
        other.run(&["run", &pipeline]).refused(1, "registry/answer", &status.to_string());
    }
}

#[test]
fn what_is_not_what_its_digest_says_is_neither_kept_nor_run() {
    let case = Case::new();
    let layer = case.layer();
    case.registry.corrupt("team/noop", &layer);
    case.run().refused(4, "registry/wrong-digest", &layer);
    assert!(!case.kept(&layer));
    // Shorter, and longer than it should be.
    let wanted = layer.clone();
    case.registry.fails(move |received, out| match is(received, "GET", &wanted) {
        true => reply(out, 200, &[], vec![7; 10 << 20]).map(|()| true),
        false => Ok(false),
    });
    case.run().refused(4, "registry/unsound", "larger than");
    assert!(!case.kept(&layer));
}

#[test]
fn a_registry_that_lies_about_a_digest_is_refused() {
    let case = Case::new();
    case.registry.fails(|received, out| match is(received, "GET", "/manifests/0.1.0") {
        true => reply(
            out,
            200,
            &[("content-type", MANIFEST), ("docker-content-digest", &format!("sha256:{}", "0".repeat(64)))],
            "{}",
        )
        .map(|()| true),
        false => Ok(false),
    });
    case.run().refused(4, "registry/wrong-digest", "manifests/0.1.0");
    // Under a digest, too.
    let digest = format!("sha256:{}", "1".repeat(64));
    case.registry.fails(|received, out| match is(received, "GET", "/manifests/sha256") {
        true => reply(out, 200, &[("content-type", MANIFEST)], "{}").map(|()| true),
        false => Ok(false),
    });
    let pipeline = pipeline(&case.user, &format!("{}/team/noop@{digest}", case.registry.host()));
    case.user.run(&["run", &pipeline]).refused(4, "registry/wrong-digest", &digest);
}

#[test]
fn sizes_that_are_claimed_cost_nothing() {
    let case = Case::new();
    let mut manifest = case.registry.manifest("team/noop", "0.1.0");
    manifest["layers"][0]["size"] = json!(10_u64 << 30);
    case.registry.put("team/noop", "0.1.0", MANIFEST, &manifest);
    case.run().refused(4, "registry/unsound", "claims more");
    manifest["layers"] = Value::Array(vec![manifest["layers"][0].clone(); 20]);
    case.registry.put("team/noop", "0.1.0", MANIFEST, &manifest);
    case.run().refused(4, "registry/unsound", "claims more");
    // A document without an end, whatever its length is said to be.
    case.registry.fails(|received, out| {
        if !is(received, "GET", "/manifests/") {
            return Ok(false);
        }
        write!(out, "HTTP/1.1 200 x\r\ncontent-type: {MANIFEST}\r\n\r\n")?;
        loop {
            out.write_all(&[b' '; 64 << 10])?;
        }
    });
    case.run().refused(4, "registry/unsound", "larger than");
}

#[test]
fn signatures_of_another_task_do_not_count() {
    let case = Case::new();
    let digest = case
        .user
        .run(&["task", "inspect", &format!("{}/team/noop:0.1.0", case.registry.host()), "--format", "json"])
        .ok()
        .out;
    let digest: Value = serde_json::from_str(&digest).unwrap();
    let digest = digest["digest"].as_str().unwrap().to_owned();
    // The same task without a signature, and a list that gives it the other's.
    let mut manifest = case.registry.manifest("team/noop", "0.1.0");
    manifest["annotations"]["other"] = json!("yes");
    case.registry.put("team/noop", "0.1.0", MANIFEST, &manifest);
    case.registry.fails(move |received, out| {
        let Some((_, asked)) = received.target.split_once("/referrers/") else { return Ok(false) };
        if asked.starts_with(&digest) {
            return Ok(false);
        }
        // As the registry would answer for the signed one.
        let other = Received { target: received.target.replace(asked, &digest), ..received.clone() };
        let answer = asked_past_the_fault(&other)?;
        out.write_all(&answer).map(|()| true)
    });
    case.run().refused(4, "trust/not-trusted", ".cofferdam/test.yaml:");
}

/// Asks the registry itself, past its fault, for what a request asks.
fn asked_past_the_fault(received: &Received) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let host = received.header("host").unwrap_or_default().to_owned();
    let mut stream = std::net::TcpStream::connect(host.replace("localhost", "127.0.0.1"))?;
    write!(stream, "GET {} HTTP/1.1\r\nhost: {host}\r\n\r\n", received.target)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if count == 0 || length.is_some_and(|length: usize| body.len() >= length) {
                return Ok(answer);
            }
        }
    }
}

#[test]
fn a_list_of_signatures_that_cannot_be_had_is_an_error_and_no_unsigned_task() {
    let case = Case::new();
    case.registry.fails(|received, out| match received.target.contains("/referrers/") {
        true => reply(out, 403, &[], "").map(|()| true),
        false => Ok(false),
    });
    case.user.run(&["run", &case.pipeline]).refused(3, "registry/unauthorized", "team/noop");
}

#[test]
fn a_registry_cannot_send_the_host_to_this_machine_or_a_private_network() {
    let target = Server::plain(|_, out| reply(out, 200, &[], "secret of this machine"));
    for to in [
        target.url("/"),
        format!("https://127.0.0.1:{}/", target.port()),
        format!("https://localhost:{}/", target.port()),
        "https://[::ffff:127.0.0.1]/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://user:password@registry.example/".to_owned(),
        "ftp://registry.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        for part in ["/manifests/", "/blobs/", "/referrers/"] {
            let case = Case::new();
            let there = to.clone();
            case.registry.fails(move |received, out| match is(received, "GET", part) {
                true => reply(out, 307, &[("location", &there)], "").map(|()| true),
                false => Ok(false),
            });
            case.run().refused(4, "registry/redirect", "sends to");
        }
    }
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_token_server_elsewhere_is_not_told_the_login() {
    let target = Server::plain(|_, out| reply(out, 200, &[], r#"{ "token": "x" }"#));
    let case = Case::new();
    let realm = target.url("/token").replace("127.0.0.1", "127.0.0.2");
    case.registry.fails(move |received, out| match received.target.as_str() {
        "/v2/" => {
            reply(out, 401, &[("www-authenticate", &format!("Bearer realm=\"{realm}\",service=\"s\""))], "")
                .map(|()| true)
        }
        _ => Ok(false),
    });
    case.run().refused(4, "registry/redirect", "127.0.0.2");
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_token_is_asked_for_once_and_sent_to_the_registry_alone() {
    let case = Case::of(TestRegistry::plain().without_referrers());
    let tokens = Arc::new(AtomicUsize::new(0));
    let (count, host) = (Arc::clone(&tokens), case.registry.host());
    case.registry.fails(move |received, out| {
        if received.target.starts_with("/token") {
            count.fetch_add(1, Ordering::SeqCst);
            assert!(received.target.contains("scope=repository%3Ateam%2Fnoop%3Apull"), "{}", received.target);
            return reply(out, 200, &[], r#"{ "token": "granted" }"#).map(|()| true);
        }
        if received.header("authorization") == Some("Bearer granted") {
            return Ok(false);
        }
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
        reply(out, 401, &[("www-authenticate", &challenge)], "").map(|()| true)
    });
    case.run().ok();
    assert_eq!(tokens.load(Ordering::SeqCst), 1);
}
