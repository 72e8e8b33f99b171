//! Running and testing one task while it is written.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Task, World, task_file};

fn file(task: Task) -> String {
    task_file(task).display().to_string()
}

fn run_json(world: &World, args: &[&str]) -> (i32, Value) {
    let mut all = vec!["task", "run", "--quiet", "--format", "json"];
    all.extend(args);
    let done = world.run(&all);
    let json = serde_json::from_str(&done.out);
    (done.status, json.unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

#[test]
fn a_task_runs_once_and_nothing_of_it_is_kept() {
    let world = World::empty();
    world.write("docs/a.md", "one two\n");
    world.write("docs/b.txt", "three\n");
    let task = file(Task::Example("word-count"));
    let (status, view) =
        run_json(&world, &[&task, "--input", "source=docs", "--param", "ending=txt", "--output", "out"]);
    assert_eq!((status, &view["reason"], &view["results"]["words"]), (0, &"Succeeded".into(), &"1".into()));
    assert!(fs::read_to_string(world.project().join("out/counts/counts.txt")).unwrap().contains("b.txt"));
    assert!(world.runs().is_empty(), "its history is its own");
    assert!(!world.home().join("keys/cofferdam.key").exists(), "no key of the user's is needed, or made");
}

#[test]
fn a_value_is_handed_over_as_it_is() {
    let world = World::empty();
    let task = file(Task::Test("echo"));
    let (status, view) =
        run_json(&world, &[&task, "-p", "text=$(params.mode) $(source)", "-p", "fields.a=$(x)"]);
    assert_eq!(status, 0, "{view}");
    assert_eq!(view["results"]["text"], "$(params.mode) $(source)");
    assert_eq!(view["results"]["fields"]["a"], "$(x)");
}

#[test]
fn a_task_that_fails_says_why() {
    let world = World::empty();
    let done = world.run(&["task", "run", &file(Task::Test("fail"))]);
    assert_eq!(done.status, 1, "{done:?}");
    assert!(done.out.contains("NothingToDo") && done.out.contains("put something into it"), "{done:?}");
}

#[test]
fn what_a_task_is_not_given_is_named() {
    let world = World::empty();
    let words = file(Task::Example("word-count"));
    let run = |args: &[&str]| {
        let mut all = vec!["task", "run"];
        all.extend(args);
        world.run(&all)
    };
    run(&[&words]).refused(3, "plan/missing", "`source`").says("--input source=DIRECTORY");
    run(&[&words, "--input", "sauce=."]).refused(3, "plan/unknown-name", "`sauce`").says("source");
    run(&[&words, "--input", "source"]).refused(2, "usage/invalid", "no `=`");
    run(&[&words, "--input", "source=.", "--input", "source=."]).refused(2, "usage/invalid", "given twice");
    run(&[&words, "--input", "source=.", "--param", "endin=x"]).refused(3, "plan/unknown-name", "`endin`");
    let fetch = file(Task::Example("fetch"));
    let asked = [&*fetch, "--param", "url=https://files.example.org/releases/a", "--param", "sha256=00"];
    run(&asked).refused(4, "plan/not-granted", "https://files.example.org").says("--allow CAPABILITY[:HOST]");
    let mut denied = asked.to_vec();
    denied.extend(["--deny", "network"]);
    let (status, view) = run_json(&world, &denied);
    assert_eq!((status, &view["denials"][0]["capability"]), (1, &"network".into()), "{view}");
}

/// Tests `task` by cases; gives the status and what was printed as JSON.
fn test(world: &World, task: Task, cases: &str) -> (i32, Value) {
    let directory = match task {
        Task::Test(name) => format!("tests/tasks/{name}"),
        Task::Example(name) => format!("examples/{name}"),
        Task::Hostile(name) => format!("tests/hostile/{name}"),
        Task::Plugin(name) => format!("plugins/{name}"),
    };
    let manifest = crate::harness::repository().join(directory).join("task.yaml");
    world.write("task/task.yaml", fs::read(manifest).unwrap());
    let text = format!("apiVersion: cofferdam.dev/v1\nkind: TaskTest\ncases:{cases}");
    world.write("task/tests/cases.yaml", text);
    let component = file(task);
    let done = world.run(&["task", "test", "task", "--component", &component, "--format", "json"]);
    (done.status, serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

/// The codes and lines of what was found wrong, by case.
fn problems(view: &Value) -> Vec<Vec<(String, u64)>> {
    let problem =
        |found: &Value| (found["code"].as_str().unwrap().to_owned(), found["line"].as_u64().unwrap());
    let case = |case: &Value| case["problems"].as_array().unwrap().iter().map(problem).collect();
    view["cases"].as_array().unwrap().iter().map(case).collect()
}

#[test]
fn cases_that_come_out_as_they_expect_pass() {
    let world = World::empty();
    world.write("task/tests/tree/a.md", "one two\n");
    let cases = "
  - name: from files
    inputs: { source: { a.md: 'one two', below/b.md: three, c.txt: x } }
    expect:
      results: { words: '3' }
      outputs: { counts: { counts.txt: { contains: a.md }, other: { exists: false } } }
      logs: [info counted files=2]
  - name: from a directory
    inputs: { source: tree }
    expect: { results: { words: '2' } }
  - name: it may fail
    params: { ending: rs }
    inputs: { source: tree }
    expect: { failed: NothingToCount }
";
    let (status, view) = test(&world, Task::Example("word-count"), cases);
    assert_eq!((status, &view["passed"], &view["failed"]), (0, &3.into(), &0.into()), "{view}");
    assert!(world.runs().is_empty());
}

#[test]
fn everything_that_comes_out_otherwise_is_told_with_its_line() {
    let world = World::empty();
    let looped = world.project().join("task/tests/looped");
    fs::create_dir_all(&looped).unwrap();
    std::os::unix::fs::symlink("../../../..", looped.join("up")).unwrap();
    let cases = "
  - name: wrong in every way
    inputs: { source: { a.md: one } }
    expect:
      results:
        words: '2'
        lines: '1'
      outputs:
        counts:
          counts.txt: nothing
          missing.txt: { exists: true }
          other.txt: { contains: x }
        more: {}
      denials: [network]
      logs: [warn counted]
  - name: it succeeds
    inputs: { source: { a.md: one } }
    expect:
      failed: NothingToCount
  - name: it fails
    inputs: { source: {} }
  - name: a path that leads outside
    inputs:
      source:
        ../a.md: one
  - name: a directory that is not there
    inputs:
      source: nowhere
  - name: a directory that no artifact can be
    inputs:
      source: looped
  - name: no such param
    params: { endin: md }
    inputs: { source: { a.md: one } }
  - name: no input
  - name: a directory of somebody else
    inputs:
      source: ../..
  - name: a directory of the system
    inputs:
      source: /etc
";
    let (status, view) = test(&world, Task::Example("word-count"), cases);
    let expected: &[&[(&str, u64)]] = &[
        &[
            ("test/result", 9),
            ("test/result", 8),
            ("test/output", 12),
            ("test/output", 13),
            ("test/output", 14),
            ("test/output", 15),
            ("test/denial", 16),
            ("test/log", 17),
        ],
        &[("test/ending", 21)],
        &[("test/ending", 22)],
        &[("test/input", 27)],
        &[("test/input", 30)],
        &[("test/input", 33)],
        &[("plan/unknown-name", 34)],
        &[("plan/missing", 37)],
        &[("test/input", 40)],
        &[("test/input", 43)],
    ];
    let expected: Vec<Vec<(String, u64)>> = expected
        .iter()
        .map(|case| case.iter().map(|(code, line)| ((*code).to_owned(), *line)).collect())
        .collect();
    assert_eq!((status, problems(&view)), (1, expected), "{view:#}");
    let message = view["cases"][0]["problems"][1]["message"].as_str().unwrap();
    assert_eq!(message, "result `words`: expected \"2\", found \"1\"");
    let help = view["cases"][7]["problems"][0]["help"].as_str().unwrap();
    assert_eq!(help, "give it in the case, under `params` or `inputs`");
}

#[test]
fn a_denial_that_no_case_expects_fails_it() {
    let world = World::empty();
    let params = format!("{{ url: 'https://files.example.org/releases/a', sha256: '{}' }}", "0".repeat(64));
    let cases = format!(
        "
  - name: it must be granted something
    params: {params}
  - name: it is refused, and nobody says so
    params: {params}
    grants: {{}}
    expect: {{ failed: NotGranted }}
  - name: it is refused
    params: {params}
    grants: {{}}
    expect: {{ failed: NotGranted, denials: [network GET https://files.example.org] }}
"
    );
    let (status, view) = test(&world, Task::Example("fetch"), &cases);
    let found = problems(&view);
    assert_eq!(status, 1);
    assert_eq!(found[0], [("plan/not-granted".to_owned(), 4)], "{view:#}");
    assert!(view["cases"][0]["problems"][0]["help"].as_str().unwrap().contains("under `grants`"));
    assert_eq!(found[1], [("test/denial".to_owned(), 6)], "{view:#}");
    assert!(found[2].is_empty(), "{view:#}");
}

#[test]
fn faults_of_a_file_of_cases_are_found_before_anything_is_built() {
    let world = World::empty();
    world.write("task/task.yaml", "nothing to read");
    let test = |text: &str| {
        world.write("task/tests/a.yaml", text);
        world.run(&["task", "test", "task"])
    };
    let head = "apiVersion: cofferdam.dev/v1\nkind: TaskTest\n";
    test(&format!("{head}cases:\n  - name: a\n    expects: {{}}\n")).refused(
        3,
        "document/unknown-key",
        "task/tests/a.yaml:5:5",
    );
    test(&format!("{head}cases: []\n")).refused(3, "test/no-cases", "tests");
    test(&format!("{head}cases: [{{ name: a, inputs: {{ source: [x] }} }}]\n")).refused(
        3,
        "document/wrong-type",
        "task/tests/a.yaml:3",
    );
    fs::remove_dir_all(world.project().join("task/tests")).unwrap();
    world.run(&["task", "test", "task"]).refused(3, "test/no-cases", "tests");
    // What is checked there is checked by lint, too.
    let bad = world.write("task/tests/a.yaml", format!("{head}cases:\n  - nam: a\n"));
    let done = world.run(&["lint", bad.to_str().unwrap()]);
    assert!(done.status == 3 && done.out.contains("a.yaml:4"), "{done:?}");
    let good = world.write("task/tests/a.yaml", format!("{head}cases:\n  - name: a\n"));
    world.run(&["lint", good.to_str().unwrap()]).ok();
}

#[test]
fn the_cases_of_the_examples_pass() {
    let world = World::empty();
    let directory = crate::harness::repository().join("examples/word-count");
    let component = file(Task::Example("word-count"));
    let done = world.run(&["task", "test", directory.to_str().unwrap(), "--component", &component]).ok();
    assert!(done.out.contains("PASS") && done.out.ends_with("2 cases, 2 passed, 0 failed\n"), "{done:?}");
    assert!(Path::new(&component).exists());
}
