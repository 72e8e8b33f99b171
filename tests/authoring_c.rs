//! Tasks in C: the whole way, and what the helpers of a new one do with values
//! that C has no words for.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::authoring_new::{Author, equipped, install, publish_and_use};
use crate::harness::repository;

/// A new task in C beside its compiler; none where that is not installed.
pub(crate) fn author() -> Option<Author> {
    let author = Author::begin("c");
    install(&author, "c", "python", ".venv").then_some(author)
}

#[test]
fn a_new_task_in_c_goes_the_whole_way() {
    let compiler = ("python-zig", "pip install -r requirements.txt");
    let Some(author) = equipped("c", ("c", "python", ".venv"), compiler) else { return };
    author.world.write("count-lines/tests/more.yaml", MORE);
    let tested = author.run(&["task", "test", "count-lines"]).ok().says("running ");
    assert!(!tested.err.contains("warning"), "{tested:?}");
    assert!(tested.out.ends_with("count-lines: 4 cases, 4 passed, 0 failed\n"), "{tested:?}");
    let inputs = "[{ name: source, from: $(source) }]";
    let run = publish_and_use(&author, "count-lines", "[{ name: word, value: fix }]", inputs);
    assert_eq!(run["tasks"][0]["hermetic"], true, "{run:#}");
    author.world.run(&["lint", "count-lines/task.yaml", "count-lines/tests/cases.yaml", "--strict"]).ok();
}

/// What the files of a task can hold.
const MORE: &str = "\
apiVersion: cofferdam.dev/v1
kind: TaskTest
cases:
  - name: text of any kind is read and written as it is
    params: { word: 'é€😀' }
    inputs: { source: { ü/ß.txt: 'né€😀', empty: '', ü.txt: 'no', a/b/c: \"x\\n\\né€😀 \\t\\n\" } }
    expect:
      results: { lines: '2' }
      outputs: { report: { lines.txt: \"a/b/c:3: é€😀\\nü/ß.txt:1: né€😀\\n\" } }
      logs: [info looked through files=4]
  - name: an input may be empty
    inputs: { source: {} }
    expect: { results: { lines: '0' }, outputs: { report: { lines.txt: '' } } }
";

#[test]
fn a_task_in_c_is_the_same_component_wherever_it_is_built() {
    let Some(author) = author() else { return };
    let world = &author.world;
    // More than one file, so that their order matters.
    world.write("count-lines/src/more/b.c", "int later(void) { return 2; }\n");
    world.write("count-lines/src/a.c", "int later(void);\nint sooner(void) { return later() * 3; }\n");
    author.run(&["task", "build", "count-lines", "--output", "one.wasm"]).ok();
    fs::create_dir(world.project().join("elsewhere")).unwrap();
    fs::rename(author.directory(), world.project().join("elsewhere/count-lines")).unwrap();
    author.run(&["task", "build", "elsewhere/count-lines", "--output", "two.wasm"]).ok();
    let built = |name: &str| fs::read(world.project().join(name)).unwrap();
    assert!(built("one.wasm") == built("two.wasm"));
    // Small, and nothing is in it that a task would have to ask for.
    assert!(built("one.wasm").len() < 128 << 10, "{}", built("one.wasm").len());
    let shown = author.run(&["task", "inspect", "one.wasm"]).ok().out;
    assert!(shown.contains("asks for  nothing beyond its inputs and outputs"), "{shown}");
}

#[test]
fn what_does_not_compile_in_c_is_said_in_the_compilers_words() {
    let Some(author) = author() else { return };
    let refused = || author.run(&["task", "build", "count-lines"]).refused(3, "component/not-built", "");
    author.world.write("count-lines/src/task.c", "#include \"cofferdam.h\"\nbool run(void) { return 1 }\n");
    refused().says("src/task.c:2:26: error");
    author.world.write("count-lines/src/task.c", "int nothing;\n");
    refused().says("undefined symbol: run");
    author.world.write("count-lines/compile_flags.txt", "--no-such-flag\n");
    refused().says("--no-such-flag");
    fs::remove_file(author.directory().join("cofferdam/wit/log.wit")).unwrap();
    refused().says("task.wit:9:12").says("put back cofferdam/wit");
    assert!(!author.world.project().join("count-lines.wasm").exists());
}

#[test]
fn names_and_links_of_a_source_in_c_do_nothing_to_whoever_builds_it() {
    let author = Author::begin("c");
    // It fails, and has been called by then.
    let compiler = author.world.write("count-lines/.venv/bin/python-zig", "#!/bin/sh\nexit 1\n");
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    author.world.write("count-lines/src/\u{1b}]0;mine\u{7}.c", "");
    let said = author.run(&["task", "build", "count-lines"]).refused(3, "component/not-built", "");
    assert!(said.err.contains("running ") && !said.err.contains('\u{1b}'), "{said:?}");
    let outside = author.world.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(author.directory().join("build")).unwrap();
    symlink(&outside, author.directory().join("build")).unwrap();
    author.run(&["task", "build", "count-lines"]).refused(3, "component/not-built", "is a link");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn the_task_in_c_that_the_book_shows_works() {
    let Some(author) = author() else { return };
    let book = fs::read_to_string(repository().join("docs/authoring.md")).unwrap();
    let (_, shown) = book.split_once("```c\n").unwrap();
    author.world.write("count-lines/src/task.c", shown.split_once("```").unwrap().0);
    author.world.write(
        "count-lines/task.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: count-lines, version: 0.1.0 }\nspec:\n  inputs: \
         [{ name: source }]\n  results: [{ name: files }]\n",
    );
    author.world.write(
        "count-lines/tests/cases.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: TaskTest\ncases:\n  - name: some\n    inputs: { source: { b: '', a/c: '' } \
         }\n    expect: { results: { files: '2' }, logs: [info listed first=a/c] }\n  - name: none\n    inputs: { \
         source: {} }\n    expect: { failed: NoFiles }\n",
    );
    let tested = author.run(&["task", "test", "count-lines"]).ok();
    assert!(!tested.err.contains("warning"), "{tested:?}");
    assert!(tested.out.ends_with("count-lines: 2 cases, 2 passed, 0 failed\n"), "{tested:?}");
}

#[test]
fn values_and_mistakes_in_c_come_out_as_they_are() {
    let Some(author) = author() else { return };
    author.world.write("count-lines/task.yaml", MANIFEST);
    author.world.write("count-lines/src/task.c", SOURCE);
    author.world.write("count-lines/tests/cases.yaml", CASES);
    let tested = author.run(&["task", "test", "count-lines"]).ok();
    assert!(tested.out.ends_with("count-lines: 13 cases, 13 passed, 0 failed\n"), "{tested:?}");
}

const MANIFEST: &str = "\
apiVersion: cofferdam.dev/v1
kind: Task
metadata: { name: count-lines, version: 0.1.0 }
spec:
  params:
    - { name: do, default: nothing }
    - { name: list, type: array, default: [a, '', ü] }
    - { name: map, type: object, default: { a: '1', b: '' } }
  results:
    - { name: text }
    - { name: list, type: array }
    - { name: map, type: object }
  inputs: [{ name: source }]
  limits: { memory: 16Mi, timeout: 1m }
";

const SOURCE: &str = r#"
#include "cofferdam.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static volatile int never;

static int endless(int depth) {
  volatile char here[64];
  here[depth & 63] = (char)depth;
  if (never) return 0;
  return endless(depth + 1) + here[3];
}

static bool asked(const char *what) { return strcmp(task_param("do"), what) == 0; }

bool run(void) {
  size_t values, fields;
  const char *const *list = task_param_array("list", &values);
  const struct task_field *map = task_param_object("map", &fields);
  task_result_array("list", list, values);
  task_result_object("map", map, fields);
  task_result("text", "%s", "old");
  task_result("text", "%zu %zu", values, fields);
  if (asked("damaged")) task_result("text", "%s", "\xff|\xc3|\xed\xa0\x80|\xc0\x80|\xf0\x9f\x98\x80|\xf4\x90\x80\x80");
  if (asked("printed")) printf("no line end");
  if (asked("unknown")) task_param("list");
  if (asked("input")) task_input("sources");
  if (asked("assert")) assert(values == 7);
  if (asked("endless")) return endless(1) == 0;
  if (asked("memory")) for (;;) task_format("%*s", 1 << 20, "");
  if (asked("fail")) return task_fail("Chosen", NULL, "%s", "it was so");
  if (asked("false")) return false;
  if (asked("write") && !fopen(task_format("%s/new", task_input("source")), "w")) return task_fail_file("new");
  if (asked("log")) task_log(TASK_WARN, "said", "scratch", task_scratch(), "empty", "", NULL);
  return true;
}
"#;

const CASES: &str = r#"
apiVersion: cofferdam.dev/v1
kind: TaskTest
cases:
  - name: every type of value
    params: { do: log, list: [], map: { é: "😀" } }
    inputs: { source: {} }
    expect:
      results: { text: "0 1", list: [], map: { é: "😀" } }
      logs: [warn said scratch=/scratch]
  - name: defaults
    inputs: { source: {} }
    expect: { results: { text: "3 2", list: [a, "", ü], map: { a: "1", b: "" } } }
  - name: what is no UTF-8
    params: { do: damaged }
    inputs: { source: {} }
    expect: { results: { text: "�|�|���|��|😀|����" } }
  - name: what is printed is a log line
    params: { do: printed }
    inputs: { source: {} }
    expect: { logs: [info no line end] }
  - name: a NUL is not lost
    params: { list: ["a\0b"] }
    inputs: { source: {} }
    expect: { failed: NulInParam }
  - name: a param of another type
    params: { do: unknown }
    inputs: { source: {} }
    expect: { failed: UnknownName, logs: ["error task.yaml has no param of the type string `list`"] }
  - name: an assertion
    params: { do: assert }
    inputs: { source: {} }
    expect: { failed: TaskTrapped, logs: ["Assertion failed: values == 7"] }
  - name: a stack that is used up
    params: { do: endless }
    inputs: { source: {} }
    expect: { failed: TaskTrapped }
  - name: memory that is used up
    params: { do: memory }
    inputs: { source: {} }
    expect: { failed: MemoryLimit, logs: ["raise `limits.memory` in task.yaml"] }
  - name: failures keep their reason and results
    params: { do: fail }
    inputs: { source: {} }
    expect: { failed: Chosen, results: { text: "3 2" } }
  - name: a failure without a reason
    params: { do: "false" }
    inputs: { source: {} }
    expect: { failed: Failed, results: { text: "3 2" } }
  - name: an input that there is not
    params: { do: input }
    inputs: { source: {} }
    expect: { failed: UnknownName, logs: ["error task.yaml has no input `sources`"] }
  - name: an input is not written
    params: { do: write }
    inputs: { source: {} }
    expect: { failed: InputOutput }
"#;
