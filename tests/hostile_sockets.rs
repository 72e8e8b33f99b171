//! Raw sockets: a connection goes where a `tcp` rule says and nowhere else, and
//! nothing but connecting is possible.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{World, task};
use crate::hostile::{ended, line, run_whole};
use crate::network_evidence::{contacts, provenance, silent_port};

/// A service that answers each connection with what it was sent, in capitals,
/// and hands that over. It ends with the process, or after ten connections.
fn service() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(10) {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            let _ = stream.write_all(text.to_uppercase().as_bytes());
            let _ = heard.send(text);
        }
    });
    (port, hears)
}

/// A user whose machine knows some names, all of which lead to itself.
fn world() -> World {
    let world = World::with(&[]);
    let names = "[network.hosts]\n\"clamd.example.test\" = [\"127.0.0.1\"]\n\
                 \"inside.example.test\" = [\"127.0.0.1\"]\n\"other.example.test\" = [\"127.0.0.1\"]\n";
    fs::write(world.home().join("config.toml"), names).unwrap();
    world
}

/// What the dialler may use, where nothing else is said.
const LIMITS: &str = "memory: 64Mi, timeout: 20s, egress: 64Ki, requests: 8";

/// Runs the dialler, whose manifest has port 40001 for whatever the port is.
fn dial(world: &World, port: u16, how: &str, to: &str, send: &str, grants: &str) -> Value {
    dial_within(world, port, (how, to, send, grants), LIMITS)
}

/// The same within other limits.
fn dial_within(
    world: &World,
    port: u16,
    (how, to, send, grants): (&str, &str, &str, &str),
    limits: &str,
) -> Value {
    let manifest = task_with(world, port, limits);
    let text = format!(
        "- {{ name: a, taskRef: {{ component: {manifest} }}, params: [{{ name: how, value: {how} }}, \
         {{ name: to, value: '{to}' }}, {{ name: send, value: '{send}' }}], grants: {grants} }}"
    );
    let run = run_whole(world, &[&world.pipeline(&text)]);
    task(&run, "a").clone()
}

/// The dialler with another port in its manifest, and other limits.
fn task_with(world: &World, port: u16, limits: &str) -> String {
    let built = crate::harness::task_file(crate::harness::Task::Hostile("dialler"));
    let source = crate::harness::repository().join("tests/hostile/dialler/task.yaml");
    let yaml = fs::read_to_string(source).unwrap().replace("40001", &port.to_string());
    let (contract, _) = yaml.split_once("  limits:").unwrap();
    let yaml = format!("{contract}  limits: {{ {limits} }}\n");
    world.write("dialler/task.yaml", yaml);
    let file = format!("dialler-{port}-{}.wasm", limits.len());
    let built = built.display().to_string();
    world.run(&["task", "build", "dialler", "--component", &built, "--output", &file]).ok();
    format!("../{file}")
}

fn granted(port: u16) -> String {
    format!(
        "{{ tcp: [{{ host: localhost, port: {port} }}, {{ host: clamd.example.test, port: {port}, \
         addresses: [127.0.0.1] }}, {{ host: inside.example.test, port: {port} }}] }}"
    )
}

#[test]
fn a_granted_connection_is_made_counted_and_hashed() {
    let (world, (port, hears)) = (world(), service());
    let a = dial(&world, port, "connect", &format!("clamd.example.test:{port}"), "hello", &granted(port));
    ended(&a, "Succeeded", "");
    // The task does not learn where on the machine it is.
    assert_eq!(a["results"]["told"], "HELLO at unknown");
    assert_eq!(hears.recv().unwrap(), "hello");
    assert_eq!((&a["hermetic"], &a["denials"]), (&json!(false), &Value::Null));
    let connection = &a["connections"][0];
    let digest = |text: &str| format!("sha256:{:x}", Sha256::digest(text.as_bytes()));
    assert_eq!(connection["host"], format!("clamd.example.test:{port}"));
    assert_eq!(connection["address"], format!("127.0.0.1:{port}"));
    assert_eq!(connection["sent"], json!({ "size": 5, "digest": digest("hello"), "complete": true }));
    assert_eq!(connection["received"], json!({ "size": 5, "digest": digest("HELLO"), "complete": true }));
    world.run(&["verify"]).ok();
}

#[test]
fn nothing_else_is_reached_and_the_refusal_says_what_to_add() {
    let (world, (port, hears)) = (world(), service());
    let (other, others) = service();
    for (to, remedy) in [
        // Another port, a host that is not granted, its address, and a name
        // whose address is not public and not named.
        (format!("clamd.example.test:{other}"), "port"),
        (format!("other.example.test:{port}"), ""),
        (format!("127.0.0.2:{port}"), "127.0.0.2"),
        (format!("[::1]:{port}"), "::1"),
        (format!("inside.example.test:{port}"), "addresses"),
        (format!("169.254.169.254:{port}"), "169.254.169.254"),
    ] {
        let a = dial(&world, port, "connect", &to, "hello", &granted(port));
        ended(&a, "Failed", "");
        let denial = &a["denials"][0];
        assert_eq!(denial["capability"], "tcp", "{to}: {a:#}");
        assert!(denial["remedy"].as_str().unwrap_or_default().contains(remedy), "{to}: {a:#}");
        assert_eq!(a["connections"], Value::Null, "{to}");
    }
    // Hermetic is what it says, and so is an empty grant.
    let none = dial(&world, port, "connect", &format!("localhost:{port}"), "hello", "{}");
    assert_eq!((none["reason"].as_str(), &none["hermetic"]), (Some("Failed"), &json!(true)));
    assert!(hears.try_recv().is_err() && others.try_recv().is_err());
}

#[test]
fn nobody_can_listen_bind_or_send_datagrams() {
    let (world, (port, _hears)) = (world(), service());
    for how in ["listen", "bind", "datagram"] {
        let a = dial(&world, port, how, &format!("127.0.0.1:{port}"), "", &granted(port));
        ended(&a, "Succeeded", "");
        assert_eq!(a["results"]["told"], "permission denied", "{how}");
        let denial = &a["denials"][0];
        assert_eq!((&denial["capability"], &a["usage"]["denials"]), (&"tcp".into(), &1.into()), "{a:#}");
        assert!(denial["why"].as_str().unwrap().contains("it cannot bind or listen"), "{a:#}");
    }
}

#[test]
fn without_a_grant_there_is_no_socket_and_the_refusal_says_what_to_add() {
    let (world, (port, hears)) = (world(), service());
    let pipeline_for = |how: &str| {
        let manifest = task_with(&world, port, LIMITS);
        let to = format!("clamd.example.test:{port}");
        world.pipeline(&format!(
            "- {{ name: a, taskRef: {{ component: {manifest} }}, params: [{{ name: how, value: {how} }}, \
             {{ name: to, value: '{to}' }}], grants: {{}} }}"
        ))
    };
    let remedy = |a: &Value| a["denials"][0]["remedy"].as_str().unwrap().to_owned();
    let clamd = format!("{{ host: clamd.example.test, port: {port}, addresses: [\"127.0.0.1/32\"] }}");
    let a = task(&run_whole(&world, &[&pipeline_for("connect")]), "a").clone();
    ended(&a, "Failed", "");
    assert_eq!(remedy(&a), format!("grants: {{ tcp: [{clamd}] }}"));
    assert_eq!(a["denials"][0]["why"], "the pipeline's `grants` leaves it out");
    // It goes on without, and that is no outcome to take for another's: whoever
    // has it would not be told of the refusal.
    for _ in 0..2 {
        let run = run_whole(&world, &["--explain-cache", &pipeline_for("bind")]);
        let a = task(&run, "a");
        ended(a, "Succeeded", "");
        assert_eq!((&a["hermetic"], &a["usage"]["denials"]), (&json!(true), &json!(1)), "{a:#}");
        assert!(remedy(a).contains(&clamd) && remedy(a).contains("{ host: localhost, port:"), "{a:#}");
        assert_eq!(a["reused"], Value::Null);
    }
    let run = run_whole(&world, &["--explain-cache", &pipeline_for("bind")]);
    assert_eq!(run["cache"]["a"]["why"], "it tried what it is not granted");
    // What the command line refuses, no pipeline can grant.
    let run = run_whole(&world, &["--hermetic", &pipeline_for("bind")]);
    let denial = &task(&run, "a")["denials"][0];
    assert_eq!((&denial["why"], &denial["remedy"]), (&"refused by --hermetic".into(), &Value::Null));
    assert!(hears.try_recv().is_err());
}

#[test]
fn a_connection_that_nobody_answers_is_told() {
    let (world, port) = (world(), silent_port());
    let a = dial(&world, port, "connect", &format!("localhost:{port}"), "hello", &granted(port));
    ended(&a, "Failed", "");
    let connection = &a["connections"][0];
    let address = format!("127.0.0.1:{port}");
    assert_eq!((&connection["unanswered"], &connection["address"]), (&true.into(), &address.as_str().into()));
    assert_eq!(connection["error"], "connection refused");
    assert_eq!((&connection["sent"]["size"], &connection["sent"]["complete"]), (&0.into(), &false.into()));
    let text = world.run(&["show"]).ok().out;
    assert!(text.contains(&format!("at {address}: no answer: connection refused")), "{text}");
    let statement = provenance(&world, "att");
    assert_eq!(contacts(&statement)["unanswered"], json!([address]));
    assert!(!statement.to_string().contains("\"connected\""), "{statement:#}");
    world.run(&["verify"]).ok();
}

#[test]
fn a_connection_that_is_let_go_of_is_told() {
    let (world, (port, _hears)) = (world(), service());
    let a = dial(&world, port, "abandon", &format!("localhost:{port}"), "", &granted(port));
    ended(&a, "Succeeded", "");
    let connection = &a["connections"][0];
    assert_eq!(connection["unanswered"], true, "{a:#}");
    assert_eq!(connection["error"], "it was let go of before the other end answered");
}

#[test]
fn connections_that_are_begun_are_limited_at_once_and_in_all() {
    let (world, (port, _hears)) = (world(), service());
    let to = format!("localhost:{port}");
    let a = dial(&world, port, "many", &to, "", &granted(port));
    ended(&a, "RequestLimit", "it made more than its 8 requests");
    // One request was for the name.
    assert_eq!(a["connections"].as_array().unwrap().len(), 7, "{a:#}");
    let limits = "memory: 64Mi, timeout: 20s, requests: 1000";
    let a = dial_within(&world, port, ("many", &to, "", &granted(port)), limits);
    ended(&a, "Succeeded", "");
    assert_eq!(a["results"]["told"], "64 and then new-socket-limit");
    assert_eq!(a["connections"].as_array().unwrap().len(), 64);
}

/// The text that is poured out, so many times.
const PIECE: &str = "0123456789abcdef";
const PIECES: usize = 1 << 19;

/// A service that waits for a word, and then hands over all that came; it says
/// how much that was. It ends after one connection.
fn late_service() -> (u16, Sender<()>, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let ((say, word), (heard, hears)) = (channel(), channel());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = word.recv_timeout(std::time::Duration::from_secs(60));
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        let _ = stream.write_all(all.len().to_string().as_bytes());
        let _ = heard.send(all);
    });
    (port, say, hears)
}

#[test]
fn what_is_on_its_way_when_sending_ends_is_sent() {
    let (world, (port, say, hears)) = (world(), late_service());
    say.send(()).unwrap();
    let limits = "memory: 64Mi, timeout: 60s, egress: 16Mi";
    let send = format!("{PIECES}*{PIECE}");
    let a = dial_within(&world, port, ("pour", &format!("localhost:{port}"), &send, &granted(port)), limits);
    ended(&a, "Succeeded", "");
    let all = PIECE.repeat(PIECES);
    assert_eq!(a["results"]["told"], all.len().to_string());
    let digest = format!("sha256:{:x}", Sha256::digest(&all));
    let sent = json!({ "size": all.len(), "digest": digest, "complete": true });
    assert_eq!(a["connections"][0]["sent"], sent);
    assert_eq!(hears.recv().unwrap(), all.as_bytes());
}

#[test]
fn bytes_count_as_sent_when_the_system_has_taken_them() {
    let (world, (port, say, hears)) = (world(), late_service());
    // Nobody reads while the task runs, so not all of it can leave.
    let limits = "memory: 64Mi, timeout: 2s, egress: 16Mi";
    let send = format!("{PIECES}*{PIECE}");
    let a = dial_within(&world, port, ("pour", &format!("localhost:{port}"), &send, &granted(port)), limits);
    ended(&a, "TaskRunTimeout", "");
    let sent = &a["connections"][0]["sent"];
    let size = usize::try_from(sent["size"].as_u64().unwrap()).unwrap();
    let all = PIECE.repeat(PIECES);
    assert!(size > 0 && size < all.len() && sent["complete"] == false, "{a:#}");
    assert_eq!(sent["digest"], format!("sha256:{:x}", Sha256::digest(&all[..size])));
    let text = world.run(&["show"]).ok().out;
    assert!(text.contains(" or more sent, "), "{text}");
    say.send(()).unwrap();
    let heard = hears.recv().unwrap();
    assert!(size <= heard.len() && all.as_bytes().starts_with(&heard), "{size} of {}", heard.len());
}

#[test]
fn what_is_sent_and_how_often_is_limited() {
    let (world, (port, _hears)) = (world(), service());
    let to = format!("localhost:{port}");
    let a = dial(&world, port, "connect", &to, "100*0123456789", &granted(port));
    ended(&a, "Succeeded", "");
    let a = dial(&world, port, "connect", &to, "10000*0123456789", &granted(port));
    ended(&a, "EgressLimit", "it sent more than its 64Ki");
}

#[test]
fn a_task_that_does_not_ask_cannot_even_import_sockets() {
    let world = world();
    let built = crate::harness::task_file(crate::harness::Task::Hostile("dialler"));
    let yaml =
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: dialler, version: 0.1.0 }\nspec: {}\n";
    world.write("silent/task.yaml", yaml);
    let built = built.display().to_string();
    world.run(&["task", "build", "silent", "--component", &built, "--output", "silent.wasm"]).refused(
        3,
        "component/undeclared-import",
        "wasi:sockets/",
    );
    // And a line that asks nobody is refused before anything runs.
    let pipeline = world.pipeline(&line("a", "dialler", &[("how", "bind"), ("to", "x:1")], ""));
    world.run(&["run", &pipeline]).refused(4, "plan/not-granted", "test.yaml:6:").says("grants: { tcp: [");
}
