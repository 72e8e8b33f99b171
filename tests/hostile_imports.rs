//! Components made by hand: they import what no task has, export what is no
//! task, or carry a manifest that lies. Each is refused before anything runs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasm_encoder::{
    ComponentImportSection, ComponentSection, ComponentTypeRef, CustomSection, InstanceType, Section,
};

use crate::harness::{Done, World};
use crate::hostile::{ended, left_nothing, run_whole, world};

/// A `run` that takes and gives what the contract says, and does nothing.
const RUN: &str = r#"
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "run") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) i32.const 64))
  (core instance $i (instantiate $m))
  (import "cofferdam:task/types@0.1.0" (instance $types
    (type $value (variant (case "text" string) (case "texts" (list string))
      (case "fields" (list (tuple string string)))))
    (export "value" (type $value-x (eq $value)))
    (type $binding (record (field "name" string) (field "value" $value-x)))
    (export "binding" (type $binding-x (eq $binding)))
    (type $mount (record (field "name" string) (field "path" string)))
    (export "mount" (type $mount-x (eq $mount)))
    (type $request (record (field "params" (list $binding-x)) (field "inputs" (list $mount-x))
      (field "outputs" (list $mount-x)) (field "scratch" (option string))))
    (export "request" (type (eq $request)))
    (type $outcome (record (field "results" (list $binding-x))))
    (export "outcome" (type (eq $outcome)))
    (type $failure (record (field "reason" string) (field "message" string) (field "remedy" (option string))
      (field "results" (list $binding-x))))
    (export "failure" (type (eq $failure)))))
  (alias export $types "request" (type $request))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "failure" (type $failure))
  (func $run (param "request" $request) (result (result $outcome (error $failure)))
    (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "run" (func $run))
"#;

fn manifest(spec: Value) -> Vec<u8> {
    let manifest = json!({
        "apiVersion": "cofferdam.dev/v1", "kind": "Task",
        "metadata": { "name": "forged", "version": "0.1.0" }, "spec": spec,
    });
    serde_json::to_vec(&manifest).unwrap()
}

/// Appends a section as an attacker would, whatever is in it.
fn append(component: &mut Vec<u8>, section: &[u8]) {
    CustomSection { name: "cofferdam:task".into(), data: section.into() }.append_to_component(component);
}

fn component(text: &str, section: &[u8]) -> Vec<u8> {
    let mut bytes = wat::parse_str(format!("(component {text})")).unwrap();
    append(&mut bytes, section);
    bytes
}

/// A component that imports an interface of any name, even one that is none.
fn importing(name: &str, section: &[u8]) -> Vec<u8> {
    let mut component = wasm_encoder::Component::new();
    let mut types = wasm_encoder::ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    component.section(&types);
    let mut imports = ComponentImportSection::new();
    imports.import(name, ComponentTypeRef::Instance(0));
    component.section(&imports);
    let mut bytes = component.finish();
    // What is needed besides comes from a component that has it all.
    let whole = wat::parse_str(
        r#"(component (core module $m (func (export "run")))
        (core instance $i (instantiate $m)) (func $f (canon lift (core func $i "run"))) (export "run" (func $f)))"#,
    );
    bytes.extend_from_slice(&whole.unwrap()[8..]);
    append(&mut bytes, section);
    bytes
}

/// Tries to run a component, and to do everything else with it; nothing is run.
#[track_caller]
fn run(world: &World, bytes: &[u8]) -> Done {
    let path = world.write(".cofferdam/forged.wasm", bytes);
    let pipeline = world.pipeline("- { name: a, taskRef: { component: forged.wasm } }");
    let path = path.to_str().unwrap();
    for args in [&["task", "inspect", path][..], &["plan", &pipeline], &["task", "publish", path]] {
        plain(&world.run(args));
    }
    let done = world.run(&["run", &pipeline]);
    plain(&done);
    done
}

#[track_caller]
fn plain(done: &Done) {
    assert!((0..=4).contains(&done.status), "{done:?}");
    assert!(!done.err.contains("panicked"), "{done:?}");
    assert!(
        !done.out.contains(['\u{1b}', '\u{202e}']) && !done.err.contains(['\u{1b}', '\u{202e}']),
        "{done:?}"
    );
    assert!(
        done.out.len() + done.err.len() < 100_000,
        "{} bytes were printed",
        done.out.len() + done.err.len()
    );
}

#[test]
fn a_component_made_by_hand_that_imports_nothing_runs() {
    let world = world();
    let pipeline = world.pipeline("- { name: a, taskRef: { component: forged.wasm } }");
    // The manifest as `task build` puts it in, and as an attacker does.
    world.write("forged/task.yaml", manifest(json!({})));
    world.write("forged/code.wasm", wat::parse_str(format!("(component {RUN})")).unwrap());
    let (code, forged) = ("forged/code.wasm", ".cofferdam/forged.wasm");
    world.run(&["task", "build", "forged", "--component", code, "--output", forged]).ok();
    ended(&run_whole(&world, &[&pipeline])["tasks"][0], "Succeeded", "");
    world.write(forged, component(RUN, &manifest(json!({}))));
    ended(&run_whole(&world, &[&pipeline])["tasks"][0], "Succeeded", "");
}

#[test]
fn an_import_that_no_task_has_is_refused_by_its_name_and_nothing_runs() {
    let world = world();
    let network = manifest(json!({ "capabilities": { "network": [{ "host": "example.org" }] } }));
    let exec = manifest(json!({ "capabilities": { "exec": [{ "tool": "sh" }] } }));
    let none = manifest(json!({}));
    for (import, section) in [
        ("wasi:sockets/tcp@0.2.6", &none),
        ("wasi:sockets/tcp@0.2.6", &network),
        ("wasi:sockets/ip-name-lookup@0.2.0", &none),
        ("wasi:http/outgoing-handler@0.2.6", &none),
        ("wasi:http/incoming-handler@0.2.6", &network),
        ("wasi:http/client@0.3.0", &network),
        ("wasi:filesystem/types@0.3.0", &none),
        ("wasi:clocks/wall-clock@0.3.0", &none),
        ("wasi:cli/environment@0.1.0", &none),
        ("wasi:keyvalue/store@0.2.0", &none),
        ("cofferdam:task/exec@0.1.0", &none),
        ("cofferdam:task/exec@0.1.0", &exec),
        ("cofferdam:task/log@0.2.0", &none),
        ("evil:host/escape@1.0.0", &none),
        ("run-anything", &none),
    ] {
        let refused = run(&world, &importing(import, section));
        assert_eq!(refused.status, 4, "{import}: {refused:?}");
        assert!(refused.err.contains(import), "{import}: {refused:?}");
        assert!(refused.err.contains("plan/forbidden-import"), "{import}: {refused:?}");
    }
    assert!(world.runs().is_empty(), "something was run");
    left_nothing_if_any(&world);
}

#[test]
fn a_task_that_asks_for_a_native_tool_is_refused_with_what_to_do_instead() {
    let world = world();
    let spec = json!({ "capabilities": { "exec": [{ "tool": "sh" }] } });
    world.write("forged/task.yaml", manifest(spec.clone()));
    let instead = "help: leave `exec` out: have the component do the work itself";
    let linted = world.run(&["lint", "forged/task.yaml"]);
    assert_eq!(linted.status, 4, "{linted:?}");
    assert!(
        linted.out.contains("error[plan/not-granted]: no pipeline can run a task that asks for `exec`"),
        "{linted:?}"
    );
    assert!(linted.out.contains(instead) && linted.out.contains("forged/task.yaml:1:"), "{linted:?}");
    world.write(".cofferdam/forged.wasm", component(RUN, &manifest(spec.clone())));
    for more in ["", ", grants: {}", ", grants: { network: [] }"] {
        let pipeline =
            world.pipeline(&format!("- {{ name: a, taskRef: {{ component: forged.wasm }}{more} }}"));
        let linted = world.run(&["lint", &pipeline]);
        assert_eq!(linted.status, 4, "{linted:?}");
        assert!(linted.out.contains("asks for exec sh") && linted.out.contains(instead), "{linted:?}");
        for command in ["plan", "run"] {
            world.run(&[command, &pipeline]).refused(4, "plan/not-granted", "exec sh").says(instead);
        }
    }
    let alone =
        world.run(&["task", "run", ".cofferdam/forged.wasm"]).refused(4, "plan/not-granted", "exec sh");
    assert!(alone.err.contains(instead) && !alone.err.contains("--allow"), "{alone:?}");
    // Where the component imports it, too, that is one fault and not two.
    let import = "cofferdam:task/exec@0.1.0";
    let refused = run(&world, &importing(import, &manifest(spec)));
    assert_eq!(refused.err.matches("error[").count(), 1, "{refused:?}");
    assert!(refused.err.contains("plan/forbidden-import") && refused.err.contains(instead), "{refused:?}");
}

fn left_nothing_if_any(world: &World) {
    if world.home().join("work").exists() {
        left_nothing(world);
    }
}

#[test]
fn the_name_of_an_import_cannot_command_the_terminal() {
    let world = world();
    for import in ["evil:\u{1b}[2J/\u{202e}x@1.0.0", "\u{1b}]0;title\u{7}", "wasi:cli/\u{1b}[2J@0.2.0", ""] {
        let refused = run(&world, &importing(import, &manifest(json!({}))));
        assert_ne!(refused.status, 0, "{refused:?}");
    }
    assert!(world.home_files("forged").is_empty());
}

#[test]
fn an_interface_that_is_linked_gives_nothing_under_a_function_it_lacks() {
    let world = world();
    let text =
        r#"(import "wasi:cli/environment@0.2.6" (instance (export "get-secrets" (func (result string)))))"#;
    let refused = run(&world, &component(&format!("{text}{RUN}"), &manifest(json!({}))));
    assert!(refused.err.contains("error[sandbox/unfit-component]"), "{refused:?}");
    assert!(refused.err.contains("get-secrets"), "{refused:?}");
    left_nothing_if_any(&world);
}

#[test]
fn a_run_of_another_type_is_refused() {
    let world = world();
    for text in [
        r#"(core module $m (func (export "run"))) (core instance $i (instantiate $m))
           (func $f (canon lift (core func $i "run"))) (export "run" (func $f))"#,
        r#"(core module $m (func (export "run") (param i32) (result i32) local.get 0))
           (core instance $i (instantiate $m))
           (func $f (param "request" u32) (result u32) (canon lift (core func $i "run"))) (export "run" (func $f))"#,
        r#"(instance $i) (export "run" (instance $i))"#,
        r#"(core module $m) (export "run" (core module $m))"#,
    ] {
        let refused = run(&world, &component(text, &manifest(json!({}))));
        assert!(refused.status != 0, "{refused:?}");
        assert!(refused.err.contains("error[sandbox/unfit-component]"), "{text}: {refused:?}");
        assert!(world.runs().is_empty(), "something was run");
        left_nothing_if_any(&world);
    }
    let none = run(&world, &component("", &manifest(json!({}))));
    none.refused(3, "component/no-run", "forged.wasm");
}

#[test]
fn a_manifest_that_lies_or_overflows_is_refused() {
    let world = world();
    let huge = |count: usize| {
        let outputs: Vec<Value> = (0..count).map(|n| json!({ "name": format!("o{n}") })).collect();
        manifest(json!({ "outputs": outputs }))
    };
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let mut sections: Vec<Vec<u8>> = vec![
        b"not json".to_vec(),
        Vec::new(),
        b"{}".to_vec(),
        b"\xff\xfe{}".to_vec(),
        [b"\"".to_vec(), vec![0xff; 10], b"\"".to_vec()].concat(),
        deep,
        manifest(json!({ "unknown": true })),
        manifest(json!({ "limits": { "memory": "-1" } })),
        manifest(json!({ "capabilities": { "clock": "fake" } })),
        manifest(json!({ "results": [{ "name": "a" }, { "name": "a" }] })),
        huge(300_000),
    ];
    for name in ["..", ".", "", "a/b", "/etc", "a\0b", "\u{1b}[2J", "\u{202e}", &"a".repeat(64)] {
        for list in ["outputs", "inputs", "params", "results"] {
            sections.push(manifest(json!({ list: [{ "name": name }] })));
        }
    }
    for (key, value) in [("name", ".."), ("name", "a/b"), ("version", "../x"), ("version", "\u{1b}[2J")] {
        let mut lie: Value = serde_json::from_slice(&manifest(json!({}))).unwrap();
        lie["metadata"][key] = value.into();
        sections.push(serde_json::to_vec(&lie).unwrap());
    }
    for section in sections {
        let start = String::from_utf8_lossy(&section[..section.len().min(200)]).into_owned();
        let refused = run(&world, &component(RUN, &section));
        assert_eq!(refused.status, 3, "{start}: {refused:?}");
        assert!(refused.err.contains("error[component/bad-manifest]"), "{start}: {refused:?}");
    }
    let mut twice = component(RUN, &manifest(json!({})));
    append(&mut twice, &manifest(json!({ "capabilities": { "clock": "real" } })));
    run(&world, &twice).refused(3, "component/bad-manifest", "forged.wasm").says("there are two of them");
    assert!(world.runs().is_empty(), "something was run");
    assert!(!Path::new(&world.home()).join("work/tasks").exists());
}

#[test]
fn a_manifest_inside_a_module_inside_is_none() {
    let world = world();
    let mut inner = wat::parse_str("(module)").unwrap();
    CustomSection { name: "cofferdam:task".into(), data: manifest(json!({})).as_slice().into() }
        .append_to(&mut inner);
    let mut outer = wasm_encoder::Component::new();
    outer.section(&wasm_encoder::RawSection { id: 1, data: &inner });
    run(&world, &outer.finish()).refused(3, "component/no-manifest", "forged.wasm");
}

#[test]
fn words_of_a_manifest_cannot_command_the_terminal() {
    let world = world();
    let evil = "\u{1b}[2J\u{202e}\r\nevil";
    let mut lie: Value = serde_json::from_slice(&manifest(json!({
        "params": [{ "name": "p", "description": evil, "default": evil }],
        "outputs": [{ "name": "o", "description": evil }],
        "capabilities": { "exec": [{ "tool": evil }] },
    })))
    .unwrap();
    lie["metadata"]["description"] = evil.into();
    let refused = run(&world, &component(RUN, &serde_json::to_vec(&lie).unwrap()));
    assert_eq!(refused.status, 4, "{refused:?}");
    // A host that is no host is not even read.
    lie["spec"]["capabilities"] = json!({ "network": [{ "host": evil }] });
    run(&world, &component(RUN, &serde_json::to_vec(&lie).unwrap())).refused(
        3,
        "component/bad-manifest",
        "forged.wasm",
    );
}

/// Bytes as they are written in a data segment.
fn data(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

#[test]
fn what_crosses_between_host_and_task_is_checked_on_the_way() {
    let world = world();
    let spec = json!({ "outputs": [{ "name": "out" }] });
    let words = |words: [u32; 5]| data(&words.map(u32::to_le_bytes).concat());
    let answer = |text: &str| {
        RUN.replace("(memory (export", &format!("(data (i32.const 64) \"{text}\") (memory (export"))
    };
    let realloc = |body: &str| RUN.replace("(result i32) i32.const 1024)", &format!("(result i32) {body})"));
    for (text, reason) in [
        // A list beyond the memory, one that is too long, a pointer that is not aligned.
        (answer(&words([0, u32::MAX, 1, 0, 0])), "TaskTrapped"),
        (answer(&words([0, 128, u32::MAX, 0, 0])), "TaskTrapped"),
        (answer(&words([0, 129, 1, 0, 0])), "TaskTrapped"),
        // A case the type does not have, a text beyond the memory.
        (answer(&words([7, 0, 0, 0, 0])), "TaskTrapped"),
        (answer(&words([1, u32::MAX, 4, 0, 0])), "TaskTrapped"),
        // A text that is not UTF-8: its own address is a byte that begins nothing.
        (answer(&words([1, 76, 4, 0xffff_ffff, 0])), "TaskTrapped"),
        (answer(&words([1, 0, 0, 0, 0])), "Failed"),
        (RUN.replace("i32.const 64)", "i32.const -1)"), "TaskTrapped"),
        (RUN.replace("i32.const 64)", "i32.const 65)"), "TaskTrapped"),
        // Memory for what the host hands over: beyond the end, not aligned, never.
        (realloc("i32.const -1"), "TaskTrapped"),
        (realloc("i32.const 1025"), "TaskTrapped"),
        (realloc("i32.const 65535"), "TaskTrapped"),
        (realloc("unreachable"), "TaskTrapped"),
        (realloc("(loop (br 0)) unreachable"), "TaskRunTimeout"),
    ] {
        world.write(".cofferdam/forged.wasm", component(&text, &manifest(spec.clone())));
        let pipeline = world.pipeline("- { name: a, taskRef: { component: forged.wasm }, timeout: 2s }");
        ended(&run_whole(&world, &[&pipeline])["tasks"][0], reason, "");
    }
}

#[test]
fn code_that_would_keep_the_compiler_busy_is_refused() {
    let world = world();
    let text = format!("(core module $x (func {})) {RUN}", "nop ".repeat(1 << 20));
    let refused = run(&world, &component(&text, &manifest(json!({}))));
    refused.refused(3, "sandbox/unfit-component", "more than 1024 KiB of code");
}

#[test]
fn what_is_nested_without_end_is_refused() {
    let world = world();
    let mut inner = wat::parse_str("(component)").unwrap();
    for _ in 0..2000 {
        let mut outer = wasm_encoder::Component::new();
        outer.section(&wasm_encoder::RawSection { id: 4, data: &inner });
        inner = outer.finish();
    }
    append(&mut inner, &manifest(json!({})));
    assert_ne!(run(&world, &inner).status, 0);
    let types: String = (1..5000).map(|n| format!("(type $t{n} (list $t{}))", n - 1)).collect();
    let types = format!("(type $t0 string) {types}");
    let import = r#"(import "deep:deep/deep@0.1.0" (instance (export "f" (func (param "p" $t4999)))))"#;
    let exported = RUN.replace("(result (result $outcome", "(result (result $t4999");
    for text in [format!("{types} {import} {RUN}"), format!("{types} {exported}")] {
        assert_ne!(run(&world, &component(&text, &manifest(json!({})))).status, 0);
    }
}

#[test]
fn tables_and_instances_are_bounded_too() {
    let world = world();
    let limits = manifest(json!({ "limits": { "memory": "16Mi", "timeout": "30s" } }));
    for (inside, instances, expected) in [
        ("(table 1000000 funcref)", 1, "Succeeded"),
        ("(table 1000000 funcref)", 8, "MemoryLimit"),
        ("(memory 100)", 1, "Succeeded"),
        ("(memory 100)", 4, "MemoryLimit"),
        ("(start 0) (func (loop (br 0)))", 1, "TaskRunTimeout"),
    ] {
        let instances = "(core instance (instantiate $x))".repeat(instances);
        let text = format!("(core module $x {inside}) {instances} {RUN}");
        world.write(".cofferdam/forged.wasm", component(&text, &limits));
        let pipeline = world.pipeline("- { name: a, taskRef: { component: forged.wasm }, timeout: 2s }");
        ended(&run_whole(&world, &[&pipeline])["tasks"][0], expected, "");
    }
    let many = "(core instance (instantiate $x))".repeat(5000);
    let text = format!("(core module $x) {many} {RUN}");
    world.write(".cofferdam/forged.wasm", component(&text, &limits));
    let pipeline = world.pipeline("- { name: a, taskRef: { component: forged.wasm } }");
    let done = world.run(&["run", &pipeline]);
    plain(&done);
    assert_ne!(done.status, 0, "{done:?}");
    assert!(fs::read(world.home().join("state.db")).is_ok());
}
