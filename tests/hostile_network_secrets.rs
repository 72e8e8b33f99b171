//! Secrets: sent by the host, seen by no task, kept by nobody. The server hands
//! back what it was sent in every form it can.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{Authority, Received, Server, Task, World, done, reply, reply_chunked, task, task_file};
use crate::hostile::{ended, run_whole};
use crate::hostile_network::{Courier, answered, build, get, loopback, refused, told};
use crate::network_evidence::provenance;

const VALUE: &str = "horse/battery+staple&correct=1";

const BEARER: &str = ", secret: { name: token, as: bearer }";

/// Every form in which a value is looked for.
fn forms() -> Vec<String> {
    let percent: String = VALUE
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    vec![VALUE.to_owned(), STANDARD.encode(VALUE), URL_SAFE_NO_PAD.encode(VALUE), percent, hex::encode(VALUE)]
}

fn keep(world: &World, host: &str) {
    let mut set = world.command(&["secret", "set", "token", "--host", host]);
    let mut child = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(VALUE.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Insists that no form of the value is in a text.
#[track_caller]
fn holds_nothing(what: &str, bytes: &[u8]) {
    for form in forms() {
        let found = bytes.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!found, "{what} holds {form}: {}", String::from_utf8_lossy(bytes));
    }
}

/// Insists that no form of the value is in any file of a user's home.
#[track_caller]
fn home_holds_nothing(world: &World) {
    for file in world.home_files("") {
        holds_nothing(&file.display().to_string(), &fs::read(&file).unwrap());
    }
}

/// Hands the value back as the path asks.
fn echo(received: &Received, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let sent = received.header("authorization").unwrap_or("nothing").replace("Bearer ", "");
    let form = |index: usize| if sent == VALUE { forms()[index].clone() } else { sent.clone() };
    let begin = &sent.as_bytes()[..sent.len() / 2];
    let end = &sent.as_bytes()[sent.len() / 2..];
    match received.target.as_str() {
        "/raw" => reply(out, 200, &[], format!("<{}>", form(0))),
        "/base64" => reply(out, 200, &[], form(1)),
        "/url-safe" => reply(out, 200, &[], form(2)),
        "/percent" => reply(out, 200, &[], form(3)),
        "/hex" => reply(out, 200, &[], form(4)),
        "/chunks" => reply_chunked(out, &[b"<", begin, end, b">"], &[]),
        "/bytes" => {
            let pieces: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
            reply_chunked(out, &pieces, &[])
        }
        "/header" => reply(out, 200, &[("x-echo", &sent), ("location", &format!("/?{sent}"))], ""),
        "/name" => reply(out, 200, &[(&hex::encode(&sent), "x")], ""),
        "/trailer" => reply_chunked(out, &[b"x"], &[("x-echo", &sent)]),
        "/gzip" => reply(out, 200, &[("content-encoding", "gzip")], &sent),
        _ => reply(out, 200, &[], "?"),
    }
}

const PATHS: [&str; 10] =
    ["/raw", "/base64", "/url-safe", "/percent", "/hex", "/chunks", "/bytes", "/header", "/name", "/trailer"];

fn echoing() -> (Server, Courier) {
    let server = Server::plain(echo);
    let courier = Courier::trusted(&loopback(server.port(), BEARER), "");
    keep(&courier.world, &format!("127.0.0.1:{}", server.port()));
    (server, courier)
}

#[test]
fn a_secret_is_sent_and_comes_back_in_no_form_and_by_no_way() {
    let (server, courier) = echoing();
    let steps: Vec<Value> = PATHS.iter().map(|path| get(&server.url(path))).collect();
    for leak in ["yes", "fail"] {
        let a = courier.run_with(&steps, leak, &[]);
        ended(&a, if leak == "yes" { "Succeeded" } else { "Failed" }, "");
        holds_nothing("the run", a.to_string().as_bytes());
        if leak == "yes" {
            for (path, told) in PATHS.iter().zip(told(&a)) {
                answered(&told, 200);
                let body = told["body"].as_str().unwrap();
                assert!(!body.contains('?') && !body.contains("nothing"), "{path}: {told:#}");
            }
            let masked = a["exchanges"].as_array().unwrap().iter().filter(|one| one["masked"] == true);
            assert!(masked.count() >= 8, "{a:#}");
        }
    }
    assert_eq!(server.received().len(), 2 * PATHS.len());
    for received in server.received() {
        assert_eq!(received.header("authorization"), Some(format!("Bearer {VALUE}").as_str()));
    }
    for args in [
        &["show", "--logs"][..],
        &["show", "--logs", "--format", "json"],
        &["show", "--outputs", "out", "--attestations", "att"],
        &["runs"],
        &["verify"],
        &["secret", "list", "--format", "json"],
    ] {
        let done = courier.world.run(args).ok();
        holds_nothing(&format!("{args:?}"), format!("{}{}", done.out, done.err).as_bytes());
    }
    for (name, bytes) in crate::hostile::contents(&courier.world.project()) {
        holds_nothing(&name, &bytes);
    }
    home_holds_nothing(&courier.world);
}

#[test]
fn what_is_shown_while_a_run_is_under_way_holds_no_secret() {
    let (server, courier) = echoing();
    let steps: Vec<Value> = PATHS.iter().map(|path| get(&server.url(path))).collect();
    let pipeline = courier.world.pipeline(&courier.line("a", &steps, "yes"));
    for args in [&["run", &pipeline][..], &["run", &pipeline, "--format", "json"], &["plan", &pipeline]] {
        let done = done(courier.world.command(args).env("RUST_LOG", "trace")).ok();
        holds_nothing(&format!("{args:?}"), format!("{}{}", done.out, done.err).as_bytes());
    }
}

#[test]
fn an_echo_that_could_not_be_masked_does_not_reach_the_task() {
    let (server, courier) = echoing();
    let told = told(&courier.run(&[
        get(&server.url("/gzip")),
        json!({ "url": server.url("/raw"), "headers": [["range", "bytes=0-0"]] }),
        json!({ "url": server.url("/raw"), "headers": [["accept-encoding", "gzip"]] }),
        get(&server.url("/raw")),
    ]));
    refused(&told[0], "the response is compressed");
    refused(&told[1], "cannot ask for a part");
    answered(&told[2], 200);
    answered(&told[3], 200);
    let received = server.received();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|received| received.header("accept-encoding") == Some("identity")));
    home_holds_nothing(&courier.world);
}

#[test]
fn what_one_task_had_stored_does_not_come_out_of_another() {
    let stored = Mutex::new(String::new());
    let server = Server::plain(move |received, out| {
        let mut stored = stored.lock().unwrap();
        if received.target == "/store" {
            received.header("authorization").unwrap_or_default().clone_into(&mut stored);
        }
        reply(out, 200, &[], format!("stored {stored}"))
    });
    let courier = Courier::trusted(&loopback(server.port(), BEARER), "");
    keep(&courier.world, &format!("127.0.0.1:{}", server.port()));
    // The second task has no secret, and nobody trusts it.
    let rule = loopback(server.port(), "");
    let file = build(&courier.world, "other", &rule, "");
    let fetch = json!([get(&server.url("/fetch")).to_string()]);
    let other = format!(
        "- {{ name: b, runAfter: [a], taskRef: {{ component: {} }}, grants: {{ network: [{rule}] }}, \
         params: [{{ name: steps, value: {fetch} }}, {{ name: leak, value: 'yes' }}] }}",
        file.display()
    );
    let pipeline = [courier.line("a", &[get(&server.url("/store"))], "yes"), other].join("\n");
    let run = run_whole(&courier.world, &[&courier.world.pipeline(&pipeline)]);
    let body = told(task(&run, "b"))[0]["body"].as_str().unwrap().to_owned();
    assert!(body.starts_with("stored Bearer ") && body.len() > "stored Bearer ".len(), "{body}");
    assert_eq!(server.received()[1].header("authorization"), None);
    assert_eq!(task(&run, "b")["exchanges"][0]["masked"], true);
    holds_nothing("the run", run.to_string().as_bytes());
    courier.world.run(&["show", "--outputs", "out", "--logs"]).ok();
    let written = fs::read(courier.world.project().join("out/b/out/told.txt")).unwrap();
    assert!(String::from_utf8_lossy(&written).contains("stored Bearer "));
    holds_nothing("its output", &written);
    home_holds_nothing(&courier.world);
}

#[test]
fn an_outcome_that_had_to_be_masked_is_not_kept() {
    let (server, courier) = echoing();
    courier.world.run(&["setup", task_file(Task::Test("echo")).to_str().unwrap()]).ok();
    let lines = [
        courier.line("a", &[get(&server.url("/raw"))], "no"),
        format!("- {{ name: e, taskRef: {{ name: echo }}, params: [{{ name: text, value: {VALUE:?} }}] }}"),
        "- { name: plain, taskRef: { name: echo }, params: [{ name: text, value: plain }] }".to_owned(),
    ];
    let pipeline = courier.world.pipeline(&lines.join("\n"));
    for round in 0..2 {
        let run = run_whole(&courier.world, &[&pipeline]);
        let e = task(&run, "e");
        assert_eq!(
            (&e["status"], &e["hermetic"], &e["reused"]),
            (&"Succeeded".into(), &true.into(), &Value::Null)
        );
        holds_nothing("its results", e["results"].to_string().as_bytes());
        assert_eq!(task(&run, "plain")["reused"].is_object(), round == 1);
    }
}

#[test]
fn a_task_cannot_put_its_own_in_place_of_a_secret() {
    let (server, courier) = echoing();
    let own = [["authorization", "Bearer own"], ["Authorization", "Basic b3duOm93bg=="]];
    let step = json!({ "url": server.url("/raw"), "headers": own });
    answered(&told(&courier.run(&[step]))[0], 200);
    let received = &server.received()[0];
    let sent: Vec<_> = received.headers.iter().filter(|(name, _)| name == "authorization").collect();
    assert_eq!(sent, [&("authorization".to_owned(), format!("Bearer {VALUE}"))]);
}

#[test]
fn a_secret_goes_to_no_host_that_its_owner_does_not_name() {
    let server = Server::plain(echo);
    let courier = Courier::trusted(&loopback(server.port(), BEARER), "");
    let steps = [get(&server.url("/raw"))];
    // There is none of that name.
    let pipeline = courier.world.pipeline(&courier.line("a", &steps, "no"));
    courier.world.run(&["run", &pipeline]).refused(3, "secret/not-stored", "`token`");
    for elsewhere in ["api.example.org", "127.0.0.1:1", "127.0.0.1"] {
        keep(&courier.world, elsewhere);
        let a = courier.run(&steps);
        refused(&told(&a)[0], "the secret `token` may not go to 127.0.0.1:");
        assert_eq!(a["denials"].as_array().unwrap().len(), 1, "{a:#}");
    }
    assert_eq!(server.connections(), 0);
    keep(&courier.world, &format!("127.0.0.1:{}", server.port()));
    answered(&told(&courier.run(&steps))[0], 200);
}

/// The body that came back of a run in these circumstances.
#[track_caller]
fn sent_in(
    courier: &Courier,
    server: &Server,
    args: &[&str],
    environment: &[(&str, &str)],
) -> Option<String> {
    let pipeline = courier.world.pipeline(&courier.line("a", &[get(&server.url("/x"))], "no"));
    let mut run = courier.world.command(&[&["run", "--quiet", &pipeline], args].concat());
    done(run.envs(environment.iter().copied())).ok();
    server.received().last().unwrap().header("authorization").map(str::to_owned)
}

#[test]
fn a_task_or_a_change_that_is_not_trusted_gets_no_secret() {
    let (server, courier) = echoing();
    let event = |head: u32| {
        let text = json!({ "pull_request": { "head": { "repo": { "id": head } }, "base": { "repo": { "id": 1 } } } });
        let file = courier.world.path(&format!("event{head}.json"));
        fs::write(&file, text.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (fork, own) = (event(2), event(1));
    let github = |path: &'static str, event: &str| -> [(&'static str, String); 2] {
        [("GITHUB_EVENT_NAME", path.to_owned()), ("GITHUB_EVENT_PATH", event.to_owned())]
    };
    let (fork, own) = (github("pull_request_target", &fork), github("pull_request", &own));
    let gitlab = |from: &str| {
        [
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", from.to_owned()),
            ("CI_MERGE_REQUEST_PROJECT_ID", "1".to_owned()),
        ]
    };
    for (args, environment, with) in [
        (&[][..], None, true),
        (&["--untrusted-source"], None, false),
        (&["--deny", "secrets"], None, false),
        (&["--deny", "a=secrets:127.0.0.1"], None, false),
        (&[], Some(fork), false),
        (&[], Some(own), true),
        (&[], Some(gitlab("2")), false),
        (&[], Some(gitlab("1")), true),
        (&["--allow", "network"], Some(gitlab("2")), false),
    ] {
        let environment = environment.unwrap_or_else(|| [("X", String::new()), ("Y", String::new())]);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let sent = sent_in(&courier, &server, args, &environment);
        assert_eq!(sent.is_some(), with, "{args:?} {environment:?}");
        // What made it somebody else's is signed with it.
        let statement = provenance(&courier.world, &format!("att{}", server.received().len()));
        let overrides = &statement["predicate"]["buildDefinition"]["externalParameters"]["overrides"];
        let denied = args.contains(&"--deny");
        assert_eq!(overrides["untrustedSource"].is_string(), !with && !denied, "{overrides}");
    }
    // Nobody allows one from the command line.
    let pipeline = courier.world.pipeline(&courier.line("a", &[get(&server.url("/x"))], "no"));
    let allowed = courier.world.run(&["run", &pipeline, "--allow", "secrets"]);
    allowed.refused(2, "usage/invalid", "--allow secrets").says("secrets go to tasks that are trusted");
    // A pull request that does not say whose it is, is nobody's.
    let pipeline = courier.world.pipeline(&courier.line("a", &[get(&server.url("/x"))], "no"));
    let mut run = courier.world.command(&["run", &pipeline]);
    done(run.env("GITHUB_EVENT_NAME", "pull_request")).refused(3, "origin/unknown", "--untrusted-source");

    let mut courier = Courier::untrusted(&loopback(server.port(), BEARER), "");
    keep(&courier.world, &format!("127.0.0.1:{}", server.port()));
    courier.more = format!(", grants: {{ network: [{}] }}", loopback(server.port(), BEARER));
    assert_eq!(sent_in(&courier, &server, &[], &[]), None);
    courier.more = String::new();
    assert_eq!(sent_in(&courier, &server, &["--allow", "network"], &[]), None);
}

#[test]
fn a_secret_travels_over_tls_to_who_can_show_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (by, of, fits) in [
        (&authority, "files.example.test", true),
        (&stranger, "files.example.test", false),
        (&authority, "other.example.test", false),
    ] {
        let server = Server::tls(by, of, echo);
        let rule = format!(
            "{{ host: files.example.test, port: {}, addresses: [127.0.0.1]{BEARER} }}",
            server.port()
        );
        let courier = Courier::trusted(&rule, "");
        authority.trusted_by(&courier.world, &["files.example.test"]);
        keep(&courier.world, &format!("files.example.test:{}", server.port()));
        let a = courier.run(&[get(&format!("https://files.example.test:{}/raw?key=1", server.port()))]);
        if fits {
            answered(&told(&a)[0], 200);
            assert_eq!(
                server.received()[0].header("authorization"),
                Some(format!("Bearer {VALUE}").as_str())
            );
            let url = format!("https://files.example.test:{}/raw?key=***", server.port());
            assert_eq!(a["exchanges"][0]["url"], url.as_str());
            assert_eq!(a["exchanges"][0]["secret"], "token");
        } else {
            refused(&told(&a)[0], "Tls");
            assert!(server.received().is_empty());
        }
        home_holds_nothing(&courier.world);
    }
    // In the clear it is not even planned.
    let courier = crate::hostile::world();
    let directory = courier.write("clear/task.yaml", "");
    fs::write(
        &directory,
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: clear, version: 0.1.0 }\nspec:\n  capabilities:\n    \
         network: [{ host: files.example.test, scheme: http, secret: { name: token, as: bearer } }]\n",
    )
    .unwrap();
    courier.run(&["task", "build", "clear"]).says("never sent over `http`");
}
