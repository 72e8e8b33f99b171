//! The example that uses the network, as its README says, against a server on
//! this machine.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::harness::{Authority, Server, Task, World, reply, repository, task, task_file};

/// Of `hello` and a line break.
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

#[test]
fn a_file_is_fetched_held_against_its_digest_and_attested() {
    let authority = Authority::new();
    let server =
        Server::tls(&authority, "files.example.org", |received, out| match received.target.as_str() {
            "/releases/moved" => reply(out, 302, &[("location", "./v1.txt")], ""),
            "/releases/away" => reply(out, 302, &[("location", "https://mirror.example.org/v1.txt")], ""),
            "/releases/v1.txt" => reply(out, 200, &[], "hello\n"),
            _ => reply(out, 404, &[], "no"),
        });
    let world = World::with(&[]);
    authority.trusted_by(&world, &["files.example.org"]);
    // What the README says to change, for this server.
    let manifest = fs::read_to_string(repository().join("examples/fetch/task.yaml")).unwrap();
    let here = format!("host: files.example.org, port: {}, addresses: [127.0.0.1],", server.port());
    world.write("fetch/task.yaml", manifest.replace("host: files.example.org,", &here));
    let compiled = task_file(Task::Example("fetch"));
    let compiled = compiled.to_str().unwrap();
    world.run(&["task", "build", "fetch", "--component", compiled, "--output", "fetch.wasm"]).ok();
    world.run(&["task", "publish", "fetch.wasm", "--sign"]).ok();
    let pipeline = repository().join("examples/fetch/.cofferdam/fetch.yaml");
    let url = |path: &str| format!("https://files.example.org:{}/releases/{path}", server.port());
    let run = |path: &str, digest: &str| {
        let (url, digest) = (format!("url={}", url(path)), format!("sha256={digest}"));
        let (_, run) = world.run_json(&[pipeline.to_str().unwrap(), "--param", &url, "--param", &digest]);
        task(&run, "fetch").clone()
    };
    let failed = |path: &str, digest: &str| run(path, digest)["failure"].clone();
    assert_eq!(failed("v1.txt", &"0".repeat(64))["reason"], "OtherDigest");
    assert_eq!(failed("none.txt", HELLO)["reason"], "HttpStatus");
    let away = failed("away", HELLO);
    assert_eq!(away["reason"], "NotGranted", "{away:#}");
    assert!(away["remedy"].as_str().unwrap().contains("{ host: mirror.example.org }"), "{away:#}");
    let moved = run("moved", HELLO);
    assert_eq!(
        (&moved["reason"], &moved["results"]["size"]),
        (&"Succeeded".into(), &"6".into()),
        "{moved:#}"
    );

    world.run(&["show", "--outputs", "out", "--attestations", "att"]).ok();
    let bundle = fs::read(world.project().join("att/task-fetch.sigstore.json")).unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let found = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    let fetched = found.iter().find(|one| one["name"] == "fetched").unwrap();
    assert_eq!((&fetched["uri"], &fetched["digest"]["sha256"]), (&url("v1.txt").into(), &HELLO.into()));
    assert_eq!(fs::read(world.project().join("out/fetch/file/moved")).unwrap(), b"hello\n");
    world.run(&["verify"]).ok();
}
