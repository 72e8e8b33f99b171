//! Tasks in Python: the whole way, and what Python's own library can do in one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::authoring_new::{Author, MORE, equipped, install, publish_and_use};
use crate::harness::repository;

/// A new task in Python beside its compiler; none where that is not installed.
fn author() -> Option<Author> {
    let author = Author::begin("python");
    install(&author, "python", "python", ".venv").then_some(author)
}

#[test]
fn a_new_task_in_python_goes_the_whole_way() {
    let compiler = ("componentize-py", "pip install -r requirements.txt");
    let Some(author) = equipped("python", ("python", "python", ".venv"), compiler) else { return };
    author.world.write("count-lines/tests/more.yaml", MORE);
    // Built once: it takes a while to prepare one for the sandbox.
    author.run(&["task", "build", "count-lines"]).ok().says("running ");
    let tested = author.run(&["task", "test", "count-lines", "--component", "count-lines.wasm"]).ok();
    assert!(tested.out.ends_with("count-lines: 4 cases, 4 passed, 0 failed\n"), "{tested:?}");
    let shown = author.run(&["task", "inspect", "count-lines.wasm"]).ok().out;
    assert!(shown.contains("asks for  nothing beyond its inputs and outputs"), "{shown}");
    assert!(!shown.contains("wasi:sockets"), "{shown}");

    let inputs = "[{ name: source, from: $(source) }]";
    let run = publish_and_use(&author, "count-lines.wasm", "[{ name: word, value: fix }]", inputs);
    let task = &run["tasks"][0];
    assert_eq!(task["hermetic"], true, "{run:#}");
    assert_eq!(task["outputs"]["report"]["files"], 1, "{run:#}");
    let shown = author.world.run(&["show", "--reads"]).ok().out;
    assert!(shown.contains("a.txt") && shown.contains("large.bin"), "{shown}");
    author.world.run(&["verify", run["run"].as_str().unwrap()]).ok();
    author.world.run(&["lint", "count-lines/task.yaml", "count-lines/tests/cases.yaml", "--strict"]).ok();

    author.world.write("count-lines/src/app.py", "def run(:\n");
    author.run(&["task", "build", "count-lines"]).refused(3, "component/not-built", "ended with");
}

#[test]
fn python_opens_what_the_task_was_given_and_nothing_else() {
    let Some(author) = author() else { return };
    // What the book shows, with more of what a task may try.
    let book = fs::read_to_string(repository().join("docs/authoring.md")).unwrap();
    let (_, shown) = book.split_once("```python\n").unwrap();
    author.world.write("count-lines/src/app.py", SOURCE.replace("BOOK", shown.split_once("```").unwrap().0));
    author.world.write("count-lines/task.yaml", MANIFEST);
    author.world.write("count-lines/tests/cases.yaml", CASES);
    let tested = author.run(&["task", "test", "count-lines"]).ok();
    assert!(tested.out.ends_with("count-lines: 8 cases, 8 passed, 0 failed\n"), "{tested:?}");
}

#[test]
fn pythons_own_sockets_reach_what_is_granted() {
    let Some(author) = author() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut said = [0; 4];
        stream.read_exact(&mut said).unwrap();
        stream.write_all(b"PONG").unwrap();
        said
    });
    let rule = format!("tcp: [{{ host: localhost, port: {port}, addresses: [127.0.0.1, \"::1\"] }}]");
    fs::remove_dir_all(author.directory().join("tests")).unwrap();
    author.world.write("count-lines/src/app.py", PING);
    let manifest = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: {{ name: count-lines, version: 0.1.0 }}\nspec:\n  \
         params: [{{ name: port }}]\n  results: [{{ name: said }}]\n  capabilities: {{ {rule} }}\n"
    );
    author.world.write("count-lines/task.yaml", manifest);
    author.run(&["task", "build", "count-lines"]).ok();
    author.world.run(&["setup", "count-lines.wasm"]).ok();
    let pipeline = |grants: &str| {
        author.world.pipeline(&format!(
            "  - {{ name: a, taskRef: {{ name: count-lines }}, params: [{{ name: port, value: '{port}' }}]{grants} }}"
        ))
    };
    let run = author.world.run(&["run", &pipeline(&format!(", grants: {{ {rule} }}"))]).ok();
    assert_eq!(&peer.join().unwrap(), b"PING");
    assert!(run.out.contains(&format!("no: tcp localhost:{port}")), "{run:?}");
    // Nobody answers any more: the message names the task's own line, the log the rest.
    let failed = author.world.run(&["run", &pipeline(&format!(", grants: {{ {rule} }}"))]);
    assert!(failed.out.contains("InputOutput: ConnectionRefusedError"), "{failed:?}");
    assert!(failed.out.contains("(app.py:8)"), "{failed:?}");
}

const PING: &str = "\
import socket

from cofferdam_task import task


def run(params, inputs, outputs):
    # Through the name, which the host looks up.
    with socket.create_connection((\"localhost\", int(params[\"port\"]))) as peer:
        peer.sendall(b\"PING\")
        return {\"said\": peer.recv(16).decode()}


WitWorld = task(run)
";

const MANIFEST: &str = "\
apiVersion: cofferdam.dev/v1
kind: Task
metadata: { name: count-lines, version: 0.1.0 }
spec:
  params: [{ name: do, default: book }]
  results: [{ name: files }, { name: said }]
  inputs: [{ name: source }]
  outputs: [{ name: report }]
  limits: { memory: 64Mi }
";

const SOURCE: &str = r#"
import hashlib, os, shutil, socket, sys, tempfile

BOOK

book = run


def write_large(inputs, outputs):
    # In constant memory: more than the task may have.
    with (outputs["report"] / "large").open("wb") as file:
        for _ in range(96):
            file.write(bytes(1 << 20))
    with (outputs["report"] / "large").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    (outputs["report"] / "large").unlink()
    return digest.hexdigest()


def move(inputs, outputs):
    report = outputs["report"]
    shutil.copytree(inputs["source"], report / "all")
    (report / "all/a.txt").rename(report / "moved")
    shutil.rmtree(report / "all")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copyfile(report / "moved", os.path.join(scratch, "x"))
    return " ".join(path.name for path in report.iterdir())


def refused(inputs, outputs):
    source = inputs["source"]
    for what in [
        lambda: open("/etc/passwd"),
        lambda: open("/python/os.py"),
        lambda: os.listdir("/"),
        lambda: (source / "../../etc/passwd").read_text(),
        lambda: os.listdir(source / ".."),
        lambda: (source / "new").write_text("x"),
        lambda: (source / "a.txt").unlink(),
        lambda: (outputs["report"] / "link").symlink_to("/etc"),
        socket.socket,
        lambda: socket.socket(type=socket.SOCK_DGRAM),
    ]:
        try:
            what()
        except OSError:
            continue
        return "not refused"
    return "refused"


def run(params, inputs, outputs):
    match params["do"]:
        case "book":
            return {**book(params, inputs, outputs), "said": ""}
        case "print":
            print("printed", "line")
            print("wrong", file=sys.stderr)
            said = ""
        case "exit":
            sys.exit(3)
        case "missing":
            said = (inputs["source"] / "no/such").read_text()
        case "large":
            said = write_large(inputs, outputs)
        case "move":
            said = move(inputs, outputs)
        case "refused":
            said = refused(inputs, outputs)
    return {"files": 0, "said": said}


WitWorld = task(run)
"#;

const CASES: &str = "\
apiVersion: cofferdam.dev/v1
kind: TaskTest
cases:
  - name: the book's own task measures
    inputs: { source: { a.txt: abc } }
    expect:
      results: { files: '1' }
      outputs: { report: { sizes.txt: \"a.txt 3\\n\" } }
      logs: [info measured files=1]
  - name: it fails with a reason of its own
    inputs: { source: {} }
    expect: { failed: NoFiles }
  - name: what is printed becomes log lines
    params: { do: print }
    inputs: { source: {} }
    expect: { logs: [info printed line, warn wrong] }
  - name: to exit is to fail
    params: { do: exit }
    inputs: { source: {} }
    expect: { failed: Exception }
  - name: a file that is not there has a reason, too
    params: { do: missing }
    inputs: { source: {} }
    expect: { failed: InputOutput }
  - name: large files need little memory
    params: { do: large }
    inputs: { source: {} }
    expect: { results: { said: 425382d5857f04fc49585cabbdef6fc647472ee26f52c54caaaeaad17320b3f8 } }
  - name: files are copied, moved and removed
    params: { do: move }
    inputs: { source: { a.txt: abc, b/c: d } }
    expect: { results: { said: moved }, outputs: { report: { moved: abc } } }
  - name: there is nothing else
    params: { do: refused }
    inputs: { source: { a.txt: abc } }
    expect: { results: { said: refused } }
";
