//! Raw sockets: a connection goes where a `tcp` rule says and nowhere else, and
//! nothing but connecting is possible.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{World, task};
use crate::hostile::{ended, line, run_whole};

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

/// Runs the dialler, whose manifest has port 40001 for whatever the port is.
fn dial(world: &World, port: u16, how: &str, to: &str, send: &str, grants: &str) -> Value {
    let manifest = task_with_port(world, port);
    let text = format!(
        "- {{ name: a, taskRef: {{ component: {manifest} }}, params: [{{ name: how, value: {how} }}, \
         {{ name: to, value: '{to}' }}, {{ name: send, value: '{send}' }}], grants: {grants} }}"
    );
    let run = run_whole(world, &[&world.pipeline(&text)]);
    task(&run, "a").clone()
}

/// The dialler with another port in its manifest.
fn task_with_port(world: &World, port: u16) -> String {
    let built = crate::harness::task_file(crate::harness::Task::Hostile("dialler"));
    let source = crate::harness::repository().join("tests/hostile/dialler/task.yaml");
    let yaml = fs::read_to_string(source).unwrap().replace("40001", &port.to_string());
    world.write("dialler/task.yaml", yaml);
    let file = format!("dialler-{port}.wasm");
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
    }
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
