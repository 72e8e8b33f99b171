//! Requests that try to go where no rule lets them: each beside one that may,
//! and a server that would have seen it.

use serde_json::{Value, json};

use crate::harness::{Authority, Server, name, reply};
use crate::hostile::ended;
use crate::hostile_network::{Courier, answered, get, loopback, refused, told};

fn hello() -> Server {
    Server::plain(|_, out| reply(out, 200, &[], "hello"))
}

#[test]
fn a_redirect_leads_nowhere_that_is_not_granted_itself() {
    let other = hello();
    let to = other.url("/");
    let server = Server::plain(move |received, out| {
        let to = match received.target.as_str() {
            "/port" => to.as_str(),
            "/metadata" => "http://169.254.169.254/latest/meta-data/",
            "/file" => "file:///etc/passwd",
            _ => return reply(out, 200, &[], "here"),
        };
        reply(out, 302, &[("location", to)], "")
    });
    let courier = Courier::trusted(&loopback(server.port(), ""), "");
    let steps = ["/", "/port", "/metadata", "/file"].map(|path| get(&server.url(path)));
    let told_first = told(&courier.run(&steps));
    answered(&told_first[0], 200);
    // The host follows none; what a task makes of one is a request like any other.
    let follow: Vec<Value> = told_first[1..]
        .iter()
        .map(|told| {
            answered(told, 302);
            let headers = told["headers"].as_array().unwrap();
            let to = headers.iter().find(|pair| pair[0] == "location").unwrap();
            get(to[1].as_str().unwrap())
        })
        .collect();
    let a = courier.run(&follow);
    let followed = told(&a);
    refused(&followed[0], "the rule for this host is for port");
    refused(&followed[1], "no rule names the host");
    refused(&followed[2], "");
    assert!(other.received().is_empty());
    // The one that could be granted says how.
    let denials = a["denials"].as_array().unwrap();
    let remedy =
        format!("grants: {{ network: [{{ host: \"127.0.0.1\", scheme: http, port: {} }}] }}", other.port());
    assert_eq!(denials[0]["remedy"], remedy.as_str(), "{a:#}");
    let granted =
        Courier::trusted(&format!("{}, {}", loopback(server.port(), ""), loopback(other.port(), "")), "");
    answered(&told(&granted.run(&follow[..1]))[0], 200);
    assert_eq!(other.received().len(), 1);
}

#[test]
fn no_spelling_of_an_address_gets_past_its_rule() {
    let server = hello();
    let port = server.port();
    let name = format!("{{ host: files.example.test, scheme: http, port: {port} }}");
    let courier = Courier::trusted(&name, "");
    Authority::new().trusted_by(&courier.world, &["files.example.test"]);
    let spellings = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "files.example.test@127.0.0.1",
        "127.0.0.1.",
        "127.0.0.1%00.files.example.test",
        "files.example.test.evil.test",
    ];
    let steps: Vec<Value> = spellings.iter().map(|host| get(&format!("http://{host}:{port}/"))).collect();
    for (spelling, told) in spellings.iter().zip(told(&courier.run(&steps))) {
        assert!(told["status"].is_null(), "{spelling}: {told:#}");
    }
    // The name is granted and leads to this machine, which the rule does not say.
    let url = get(&format!("http://files.example.test:{port}/"));
    refused(
        &told(&courier.run(std::slice::from_ref(&url)))[0],
        "leads to 127.0.0.1, an address of this machine",
    );
    assert_eq!(server.connections(), 0);
    let named = format!("{{ host: files.example.test, scheme: http, port: {port}, addresses: [127.0.0.1] }}");
    let courier = Courier::trusted(&named, "");
    Authority::new().trusted_by(&courier.world, &["files.example.test"]);
    answered(&told(&courier.run(&[url]))[0], 200);
    assert_eq!(server.received()[0].header("host").unwrap(), format!("files.example.test:{port}"));
    // The same address in another spelling is the same address.
    let courier = Courier::trusted(&loopback(port, ""), "");
    let url = get(&format!("http://[::ffff:127.0.0.1]:{port}/"));
    answered(&told(&courier.run(&[url]))[0], 200);
}

#[test]
fn a_rule_for_a_path_is_not_climbed_out_of() {
    let server = hello();
    let courier = Courier::trusted(&loopback(server.port(), ", path: /public/"), "");
    let paths = [
        "/",
        "/public",
        "/publicity/",
        "/private/",
        "/public/../private/",
        "/public/./x",
        "/public/%2e%2e/private/",
        "/public/%2E./private/",
        "/public/%252e%252e/private/",
        "/public/%25252e%25252e/private/",
        "/public/..%2fprivate/",
        "/public/..%5cprivate/",
        "/public/..\\private/",
        "//public/x",
        "/%70ublic/../x",
        "http://127.0.0.1/public/",
        "*",
        "/public/x HTTP/1.1\r\nhost: evil.test\r\n\r\nGET /private/",
        "/public/\r\nx",
    ];
    let at = |path: &str| json!({ "url": server.url("/"), "path": path });
    let steps: Vec<Value> = paths.iter().map(|path| at(path)).collect();
    for (path, told) in paths.iter().zip(told(&courier.run(&steps))) {
        assert!(told["status"].is_null(), "{path}: {told:#}");
    }
    assert!(server.received().is_empty(), "{:?}", server.received());
    for told in told(&courier.run(&[at("/public/"), at("/public/a/b?c=../d"), at("/public/a%2fb..c")])) {
        answered(&told, 200);
    }
    assert_eq!(server.received()[1].target, "/public/a/b?c=../d");
}

#[test]
fn another_scheme_port_or_method_is_another_request() {
    let (server, other) = (hello(), hello());
    let courier = Courier::trusted(&loopback(server.port(), ", methods: [GET, PUT]"), "");
    let url = server.url("/");
    let method = |method: &str| json!({ "url": url, "method": method });
    let a = courier.run(&[
        method("GET"),
        method("PUT"),
        get(&url.replace("http://", "https://")),
        get(&other.url("/")),
        method("POST"),
        method("HEAD"),
        method("DELETE"),
        method("CONNECT"),
        method("TRACE"),
        method("get"),
        method("FETCH"),
        method("GET / HTTP/1.1\r\nhost: evil.test\r\n\r\nGET"),
        json!({ "scheme": "ftp", "authority": format!("127.0.0.1:{}", server.port()), "path": "/" }),
        json!({ "scheme": "HTTP", "authority": format!("127.0.0.1:{}", server.port()), "path": "/" }),
    ]);
    let told = told(&a);
    answered(&told[0], 200);
    answered(&told[1], 200);
    for (told, words) in told[2..].iter().zip([
        "is for http only",
        "is for port",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "is for GET, PUT only",
        "unacceptable method",
        "",
    ]) {
        refused(told, words);
    }
    let methods: Vec<String> = server.received().into_iter().map(|received| received.method).collect();
    assert!(methods.iter().all(|method| ["GET", "PUT"].contains(&method.as_str())), "{methods:?}");
    assert!(other.received().is_empty());
    // A tunnel and an echo of what the host adds can never be granted.
    for denial in a["denials"].as_array().unwrap() {
        let subject = denial["subject"].as_str().unwrap();
        if subject.starts_with("CONNECT") || subject.starts_with("TRACE") {
            assert!(denial["remedy"].is_null(), "{denial:#}");
        }
    }
}

#[test]
fn a_header_is_never_another_header_or_another_request() {
    let server = hello();
    let courier = Courier::trusted(&loopback(server.port(), ", methods: [GET, POST]"), "");
    let with = |name: &str, value: &str| json!({ "url": server.url("/"), "method": "POST", "body": "body", "headers": [[name, value]] });
    let evil = [
        with("x-a", "b\r\nhost: evil.test"),
        with("x-a", "b\nc: d"),
        with("x-a", "b\rc"),
        with("x-a", "b\0c"),
        with("x-a\r\nx-b", "c"),
        with("x a", "b"),
        with("", "b"),
        with(":authority", "evil.test"),
        with(":path", "/evil"),
        with("host", "evil.test"),
        with("connection", "x-evil"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        with("keep-alive", "timeout=1000"),
        with("proxy-authorization", "Basic eDp5"),
        with("proxy-connection", "keep-alive"),
        with("content-length", "3"),
        with("content-length", "5"),
        with("content-length", "+4"),
        with("content-length", "4, 4"),
        json!({ "url": server.url("/"), "headers": [["content-length", "10"]] }),
        json!({ "url": server.url("/"), "method": "POST", "body": "body",
                "headers": [["content-length", "4"], ["Content-Length", "40"]] }),
    ];
    for (step, told) in evil.iter().zip(told(&courier.run(&evil))) {
        assert!(told["status"].is_null(), "{step} {told:#}");
    }
    for received in server.received() {
        assert!(!received.headers.iter().any(|(_, value)| value.contains("evil")), "{received:?}");
    }
    let before = server.received().len();
    let fair = [with("x-a", "b"), with("content-length", "4"), with("te", "trailers")];
    for told in told(&courier.run(&fair)) {
        answered(&told, 200);
    }
    let received = &server.received()[before..];
    assert_eq!(received.iter().map(|r| r.body.as_slice()).collect::<Vec<_>>(), [b"body"; 3]);
    assert_eq!(received[0].header("x-a"), Some("b"));
    let host = format!("127.0.0.1:{}", server.port());
    for received in received {
        let hosts: Vec<_> = received.headers.iter().filter(|(name, _)| name == "host").collect();
        assert_eq!(hosts, [&("host".to_owned(), host.clone())]);
    }
}

#[test]
fn without_a_grant_nothing_is_sent_and_the_remedy_helps() {
    let server = hello();
    let mut courier = Courier::untrusted(&loopback(server.port(), ""), "");
    let steps = [get(&server.url("/"))];
    let pipeline = courier.world.pipeline(&courier.line("a", &steps, "no"));
    let not_granted = courier.world.run(&["run", &pipeline]).refused(4, "plan/not-granted", "test.yaml:6:");
    assert!(server.received().is_empty());
    // What the help shows can be pasted.
    let help = not_granted.err.split("add under this task: ").nth(1).unwrap();
    courier.more = format!(", {}", help.split("; to run it").next().unwrap());
    answered(&told(&courier.run(&steps))[0], 200);
    courier.more = String::new();
    for refuse in [&["--deny", "network"][..], &["--hermetic"], &["--deny", "a=network:127.0.0.1"]] {
        let a = courier.run_with(&steps, "no", refuse);
        refused(&told(&a)[0], "");
        assert!(a["hermetic"] == true, "{a:#}");
    }
    let a = courier.run_with(&steps, "no", &["--allow", "a=network:127.0.0.1"]);
    answered(&told(&a)[0], 200);
    assert_eq!(server.received().len(), 2);
}

#[test]
fn a_refused_request_names_the_rule_that_lets_it_through() {
    let (server, other) = (hello(), hello());
    let both = format!("{}, {}", loopback(server.port(), ""), loopback(other.port(), ""));
    let mut courier = Courier::untrusted(&both, "");
    courier.more = format!(", grants: {{ network: [{}] }}", loopback(server.port(), ""));
    let steps = [get(&other.url("/x"))];
    let a = courier.run(&steps);
    // The manifest asks for it already, and the command line did not refuse it.
    refused(&told(&a)[0], "the pipeline's `grants` leaves it out; to allow it, add in the pipeline: grants");
    courier.more = format!(", {}", a["denials"][0]["remedy"].as_str().unwrap());
    answered(&told(&courier.run(&steps))[0], 200);
    assert_eq!((server.received().len(), other.received().len()), (0, 1));
    // What the command line refuses, no line of a pipeline changes.
    let a = courier.run_with(&steps, "no", &["--deny", "network"]);
    refused(&told(&a)[0], "refused by --deny network");
    assert_eq!(a["denials"][0]["remedy"], serde_json::Value::Null, "{a}");
}

#[test]
fn two_tasks_of_a_run_share_no_connection() {
    let server = Server::plain(|received, out| {
        reply(out, 200, &[("set-cookie", "seen=1")], format!("{:?}", received.header("cookie")))
    });
    let courier = Courier::trusted(&loopback(server.port(), ""), "");
    let steps = [get(&server.url("/")), get(&server.url("/"))];
    let lines = [courier.line("a", &steps, "no"), courier.line("b", &steps, "no")].join("\n");
    let pipeline = courier.world.pipeline(&lines);
    let run = crate::hostile::run_whole(&courier.world, &[&pipeline, "--jobs", "2"]);
    for task in ["a", "b"] {
        let task = crate::harness::task(&run, task);
        ended(task, "Succeeded", "");
        // Nothing of one answer comes back with the next request, either.
        assert!(told(task).iter().all(|told| told["body"] == "None"), "{task:#}");
    }
    assert_eq!((server.received().len(), server.connections()), (4, 2));
    courier.world.run(&["verify", &name(&run)]).ok();
}
