//! Servers and tasks that want too much of the network: bytes, time, requests,
//! connections. Each ends for a reason of its own, and the host goes on.

use std::io::{self, Write};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Server, reply, task};
use crate::hostile::{ended, run_whole};
use crate::hostile_network::{Courier, answered, get, loopback, refused, told};

/// Far more than any of these should take, on any machine.
const LONG: Duration = Duration::from_secs(60);

fn endless(out: &mut dyn Write) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 x\r\ncontent-length: 1073741824\r\n\r\n")?;
    loop {
        out.write_all(&[b'x'; 16 << 10])?;
    }
}

fn slow(out: &mut dyn Write) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n")?;
    loop {
        out.write_all(b"x")?;
        out.flush()?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// 64 MiB of zeroes in 64 KiB.
fn bomb() -> Vec<u8> {
    let packed = Command::new("sh").args(["-c", "head -c 67108864 /dev/zero | gzip -9"]).output().unwrap();
    assert!((10 << 10..100 << 10).contains(&packed.stdout.len()));
    packed.stdout
}

fn server() -> Server {
    let bomb = bomb();
    Server::plain(move |received, out| match received.target.as_str() {
        "/endless" => endless(out),
        "/slow" => slow(out),
        "/silent" => loop {
            std::thread::sleep(Duration::from_millis(100));
            // Nothing is said, until the other end is gone.
            out.write_all(b"")?;
            if received.number == 0 {
                return Ok(());
            }
        },
        "/bomb" => reply(out, 200, &[("content-encoding", "gzip")], &bomb),
        "/cut" => {
            write!(out, "HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\nhalf")?;
            Err(io::ErrorKind::BrokenPipe.into())
        }
        "/head" => {
            write!(out, "HTTP/1.1 200 x\r\n")?;
            for number in 0..100_000 {
                write!(out, "x-{number}: {number:0>1000}\r\n")?;
            }
            write!(out, "\r\n")
        }
        _ => reply(out, 200, &[], received.body.len().to_string()),
    })
}

#[test]
fn bytes_are_bounded_both_ways_and_a_body_by_itself() {
    let server = server();
    let rule = loopback(server.port(), ", methods: [GET, POST]");
    let upload = |size: usize| json!({ "url": server.url("/"), "method": "POST", "size": size });
    for (limits, step, reason) in [
        ("body: 1Mi", get(&server.url("/endless")), "BodyLimit"),
        ("ingress: 1Mi", get(&server.url("/endless")), "IngressLimit"),
        ("egress: 1Mi", upload(2 << 20), "EgressLimit"),
        ("body: 1Mi", upload(2 << 20), "BodyLimit"),
        (
            "egress: 1Ki",
            json!({ "url": server.url("/"), "headers": [["x", "y".repeat(2000)]] }),
            "EgressLimit",
        ),
    ] {
        let a = Courier::trusted(&rule, limits).run(&[step]);
        ended(&a, reason, "");
        let (sent, received) =
            (a["usage"]["sent"].as_u64().unwrap_or(0), a["usage"]["received"].as_u64().unwrap_or(0));
        assert!(sent < 3 << 20 && received < 4 << 20, "{a:#}");
    }
    let a = Courier::trusted(&rule, "body: 1Mi, egress: 3Mi, ingress: 3Mi")
        .run(&[upload(1 << 20), upload(1 << 20)]);
    for told in told(&a) {
        assert_eq!(told["body"], "1048576");
    }
}

#[test]
fn a_bomb_stays_packed_and_half_a_body_is_no_whole_one() {
    let server = server();
    let courier = Courier::trusted(&loopback(server.port(), ""), "memory: 32Mi");
    let a = courier.run(&[
        get(&server.url("/bomb")),
        get(&server.url("/cut")),
        get(&server.url("/head")),
        get(&server.url("/")),
    ]);
    let told = told(&a);
    answered(&told[0], 200);
    assert!(told[0]["size"].as_u64().unwrap() < 100 << 10, "{:#}", told[0]["size"]);
    assert!(told[1]["broken"].is_string() && told[1]["size"] == 4, "{:#}", told[1]);
    refused(&told[2], "");
    answered(&told[3], 200);
    let exchanges = a["exchanges"].as_array().unwrap();
    let cut = exchanges.iter().find(|one| one["url"].as_str().unwrap().ends_with("/cut")).unwrap();
    assert_eq!((&cut["response"]["complete"], &cut["response"]["size"]), (&false.into(), &4.into()));
}

#[test]
fn a_slow_server_is_waited_for_as_long_as_the_task_may_run() {
    let server = server();
    let rule = loopback(server.port(), "");
    let started = Instant::now();
    for path in ["/slow", "/silent"] {
        let a = Courier::trusted(&rule, "timeout: 1s").run(&[get(&server.url(path))]);
        ended(&a, "TaskRunTimeout", "longer than its timeout of 1s");
        // What was under way is told, and that it was not all.
        let exchange = &a["exchanges"][0];
        assert!(exchange["url"].is_string() && exchange["response"]["complete"] != true, "{a:#}");
    }
    let silence = |path: &str| json!({ "url": server.url(path), "silence": 100 });
    let told = told(&Courier::trusted(&rule, "").run(&[silence("/silent"), silence("/slow"), silence("/")]));
    refused(&told[0], "HttpResponseTimeout");
    assert_eq!(told[1]["broken"], "connection read timeout");
    answered(&told[2], 200);
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
}

#[test]
fn requests_are_counted_refused_ones_among_them() {
    let server = server();
    let rule = loopback(server.port(), "");
    let times = |times: u32, url: &str| json!({ "url": url, "times": times });
    let five = Courier::trusted(&rule, "requests: 5");
    assert_eq!(told(&five.run(&[times(5, &server.url("/"))])).len(), 5);
    ended(&five.run(&[times(6, &server.url("/"))]), "RequestLimit", "");
    assert_eq!(server.received().len(), 10);
    let a = five.run(&[times(100_000, "http://evil.example.test/")]);
    ended(&a, "RequestLimit", "");
    assert_eq!(a["denials"].as_array().unwrap().len(), 5, "{a:#}");
}

#[test]
fn requests_beyond_those_allowed_at_once_wait_for_each_other() {
    let server = Server::plain(|_, out| {
        std::thread::sleep(Duration::from_millis(30));
        reply(out, 200, &[], "x")
    });
    let together = |count: u32| json!({ "url": server.url("/"), "together": count });
    let courier = Courier::trusted(&loopback(server.port(), ""), "openRequests: 2");
    let told = told(&courier.run(&[together(20)]));
    assert!(told.iter().all(|told| told["status"] == 200), "{told:#?}");
    assert_eq!(server.received().len(), 20);
    assert!(server.most_at_once() <= 2, "{} at once", server.most_at_once());
}

#[test]
fn ten_thousand_requests_at_once_end_their_task_alone() {
    let server = server();
    let courier = Courier::trusted(&loopback(server.port(), ""), "");
    let flood = json!({ "url": server.url("/"), "together": 10_000 });
    let lines =
        [courier.line("flood", &[flood], "no"), courier.line("modest", &[get(&server.url("/"))], "no")]
            .join("\n");
    let pipeline = courier.world.pipeline(&lines);
    let run = run_whole(&courier.world, &[&pipeline, "--jobs", "2"]);
    ended(task(&run, "flood"), "HandleLimit", "");
    ended(task(&run, "modest"), "Succeeded", "");
}

/// Answers with a status a number of times, then well.
fn after(times: usize, status: u16, headers: &'static [(&'static str, &'static str)]) -> Server {
    let asked = AtomicUsize::new(0);
    Server::plain(move |received, out| {
        if asked.fetch_add(1, Ordering::SeqCst) < times {
            reply(out, status, headers, "later")
        } else {
            reply(out, 200, &[], &received.body)
        }
    })
}

#[test]
fn what_may_be_done_twice_is_tried_again_and_each_attempt_is_recorded() {
    let attempts = |a: &Value| -> Vec<(u64, u64)> {
        let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
        let exchanges = a["exchanges"].as_array().unwrap();
        exchanges.iter().map(|one| (number(one, "attempt"), number(one, "status"))).collect()
    };
    let run = |server: &Server, method: &str, body: &str| {
        let courier = Courier::trusted(&loopback(server.port(), ", methods: [GET, PUT, POST]"), "");
        courier.run(&[json!({ "url": server.url("/"), "method": method, "body": body })])
    };
    let server = after(2, 503, &[]);
    assert_eq!(attempts(&run(&server, "GET", "")), [(1, 503), (2, 503), (3, 200)]);

    let server = after(2, 503, &[]);
    let a = run(&server, "PUT", "the same bytes");
    assert_eq!(attempts(&a), [(1, 503), (2, 503), (3, 200)]);
    assert!(server.received().iter().all(|received| received.body == b"the same bytes"));
    assert_eq!(told(&a)[0]["body"], "the same bytes");

    let server = after(1, 503, &[]);
    assert_eq!(attempts(&run(&server, "POST", "once")), [(1, 503)]);
    assert_eq!(server.received().len(), 1);

    let server = after(1, 404, &[]);
    assert_eq!(attempts(&run(&server, "GET", "")), [(1, 404)]);

    let (server, started) = (after(1, 429, &[("retry-after", "1")]), Instant::now());
    assert_eq!(attempts(&run(&server, "GET", "")), [(1, 429), (2, 200)]);
    assert!((Duration::from_secs(1)..LONG).contains(&started.elapsed()), "{:?}", started.elapsed());

    let (server, started) = (after(1, 503, &[("retry-after", "3600")]), Instant::now());
    assert_eq!(attempts(&run(&server, "GET", "")), [(1, 503)]);
    assert!(started.elapsed() < LONG);
}

#[test]
fn a_run_of_many_tasks_counts_for_each() {
    let server = server();
    let courier = Courier::trusted(&loopback(server.port(), ""), "requests: 2");
    let two = [get(&server.url("/")), get(&server.url("/"))];
    let lines: Vec<String> = ["a", "b", "c"].iter().map(|name| courier.line(name, &two, "no")).collect();
    let pipeline = courier.world.pipeline(&lines.join("\n"));
    let run = run_whole(&courier.world, &[&pipeline]);
    for name in ["a", "b", "c"] {
        ended(task(&run, name), "Succeeded", "");
        assert_eq!(task(&run, name)["usage"]["requests"], 2);
    }
}
