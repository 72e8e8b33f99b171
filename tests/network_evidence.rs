//! What is told of requests afterwards: by `show`, the provenance, `verify`,
//! `plan` and `task diff`. All of it as it was on the wire.

use std::fs;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Server, Task, World, reply, task, task_file};
use crate::hostile_network::{Courier, get, loopback};

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The statement about the task `a`, of the newest run.
pub(crate) fn provenance(world: &World, to: &str) -> Value {
    world.run(&["show", "--attestations", to]).ok();
    let file = world.project().join(to).join("task-a.sigstore.json");
    let bundle: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[test]
fn a_request_is_recorded_as_it_was_on_the_wire() {
    let server =
        Server::plain(|received, out| reply(out, 200, &[], [b"<", received.body.as_slice()].concat()));
    let courier = Courier::trusted(&loopback(server.port(), ", methods: [GET, PUT]"), "");
    let put = json!({ "url": server.url("/put?a=b"), "method": "PUT", "body": "what is sent" });
    let steps = [put, json!({ "url": server.url("/get") })];
    let a = courier.run_with(&steps, "no", &["--deny", "a=tcp"]);
    assert_eq!(a["hermetic"], false);
    let [put, get] = [&a["exchanges"][0], &a["exchanges"][1]];
    assert_eq!((&put["method"], &put["status"], &put["number"]), (&"PUT".into(), &200.into(), &1.into()));
    assert_eq!(put["url"], server.url("/put?a=b").as_str());
    assert_eq!(put["address"], format!("127.0.0.1:{}", server.port()).as_str());
    assert_eq!(put["protocol"], "HTTP/1.1");
    for (transfer, bytes) in [
        (&put["request"], server.received()[0].body.clone()),
        (&put["response"], b"<what is sent".to_vec()),
        (&get["request"], Vec::new()),
        (&get["response"], b"<".to_vec()),
    ] {
        let whole =
            json!({ "size": bytes.len(), "digest": format!("sha256:{}", digest(&bytes)), "complete": true });
        assert_eq!(transfer, &whole);
    }
    let shown: Value =
        serde_json::from_str(&courier.world.run(&["show", "--format", "json"]).ok().out).unwrap();
    assert_eq!(task(&shown, "a")["exchanges"], a["exchanges"]);
    assert_eq!(shown["hermetic"], false);
    let text = courier.world.run(&["show"]).ok().out;
    assert!(text.contains(&format!("GET {}", server.url("/get"))) && text.contains("hermetic  no"), "{text}");

    let predicate = &provenance(&courier.world, "att")["predicate"]["buildDefinition"];
    let found = predicate["resolvedDependencies"].as_array().unwrap();
    let fetched: Vec<&Value> = found.iter().filter(|one| one["name"] == "fetched").collect();
    assert_eq!(fetched.len(), 1, "{found:#?}");
    assert_eq!(fetched[0]["uri"], server.url("/get").as_str());
    assert_eq!(fetched[0]["digest"]["sha256"], digest(b"<").as_str());
    assert!(predicate["externalParameters"].to_string().contains("a=tcp"), "{predicate:#}");
    courier.world.run(&["verify"]).ok();

    // What is refused is told as well, and leaves the run hermetic.
    let a = courier.run_with(&steps[1..], "no", &["--hermetic"]);
    assert_eq!((&a["hermetic"], a["denials"].as_array().unwrap().len()), (&true.into(), 1));
    let text = courier.world.run(&["show"]).ok().out;
    assert!(text.contains("denied") && text.contains("hermetic  yes"), "{text}");
    let predicate = provenance(&courier.world, "denied")["predicate"]["buildDefinition"].to_string();
    assert!(predicate.contains("hermetic") && !predicate.contains("\"fetched\""), "{predicate}");
    courier.world.run(&["verify"]).ok();
}

/// What a statement says of everything the task reached.
pub(crate) fn contacts(statement: &Value) -> &Value {
    let byproducts = statement["predicate"]["runDetails"]["byproducts"].as_array().unwrap();
    let found = byproducts.iter().find(|one| one["name"] == "taskRun/contacts");
    &found.unwrap_or_else(|| panic!("{byproducts:#?}"))["annotations"]
}

/// A port of this machine that nobody listens at.
pub(crate) fn silent_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn where_nobody_answers_is_recorded_shown_and_attested() {
    let port = silent_port();
    let courier = Courier::trusted(&loopback(port, ""), "");
    fs::write(courier.world.home().join("config.toml"), "[network]\nretries = 1\n").unwrap();
    let a = courier.run(&[get(&format!("http://127.0.0.1:{port}/"))]);
    let address = format!("127.0.0.1:{port}");
    let exchanges = a["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 2, "{a:#}");
    for exchange in exchanges {
        assert_eq!((&exchange["tried"], &exchange["address"]), (&json!([address]), &Value::Null));
    }
    let text = courier.world.run(&["show"]).ok().out;
    assert!(text.contains(&format!("no answer from {address}")), "{text}");
    assert_eq!(contacts(&provenance(&courier.world, "att"))["unanswered"], json!([address]));
    courier.world.run(&["verify"]).ok();
}

#[test]
fn what_an_attempt_fetched_is_attested_with_the_one_that_follows_it() {
    let server = Server::plain(|received, out| reply(out, 200, &[], received.number.to_string()));
    let mut courier = Courier::trusted(&loopback(server.port(), ""), "");
    courier.more = ", retries: 1".to_owned();
    let a = courier.run_with(&[get(&server.url("/"))], "fail", &[]);
    assert_eq!(
        (&a["earlier"][0]["attempt"], &a["exchanges"][1]["status"]),
        (&1.into(), &200.into()),
        "{a:#}"
    );
    let statement = provenance(&courier.world, "att");
    assert_eq!(contacts(&statement)["requests"], 2);
    let found = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let fetched = found.iter().filter(|one| one["name"] == "fetched");
    let fetched: Vec<&str> = fetched.map(|one| one["digest"]["sha256"].as_str().unwrap()).collect();
    assert_eq!(fetched, [digest(b"1"), digest(b"2")]);
    courier.world.run(&["verify"]).ok();
}

#[test]
fn what_a_task_asks_for_is_shown_before_it_runs() {
    let courier = Courier::trusted(&loopback(8080, ", path: /a/"), "");
    let pipeline = courier.world.pipeline(&courier.line("a", &[], "no"));
    let plan = courier.world.run(&["plan", &pipeline]).ok().out;
    assert!(plan.contains("GET,HEAD http://127.0.0.1:8080/a/"), "{plan}");
    let denied = courier.world.run(&["plan", &pipeline, "--deny", "network"]).ok().out;
    assert!(denied.contains("refused by --deny network"), "{denied}");
    let (with, without) = (courier.world.path("courier.wasm"), task_file(Task::Test("noop")));
    let [with, without] = [with, without].map(|file| file.display().to_string());
    let difference = courier.world.run(&["task", "diff", &without, &with]);
    assert_eq!(difference.status, 1, "{difference:?}");
    assert!(difference.out.contains("127.0.0.1:8080"), "{difference:?}");
    let same = courier.world.run(&["task", "diff", &with, &with]);
    assert_eq!(same.status, 0, "{same:?}");
}
