//! `cofferdam lint`: everything wrong in some files at once, nothing run.

use serde_json::Value;

use crate::harness::{Task, World, repository, task_file};

fn pipeline(tasks: &str) -> String {
    format!(
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  params: [{{ name: level }}]\n  tasks:\n{tasks}"
    )
}

#[track_caller]
fn lint(world: &World, args: &[&str], status: i32) -> Value {
    let mut all = vec!["lint", "--format", "json"];
    all.extend(args);
    let done = world.run(&all);
    assert_eq!(done.status, status, "{done:?}");
    serde_json::from_str(&done.out).unwrap()
}

/// `CODE FILE:LINE:COLUMN` of every error, or of every warning.
fn codes(view: &Value, what: &str) -> Vec<String> {
    let files = view["files"].as_array().unwrap().iter();
    let found = files.flat_map(|file| file[what].as_array().unwrap());
    let words = |one: &Value| {
        let place = format!("{}:{}:{}", one["file"].as_str().unwrap(), one["line"], one["column"]);
        format!("{} {place}", one["code"].as_str().unwrap())
    };
    found.map(words).collect()
}

#[test]
fn all_errors_of_all_files_are_told_at_once_and_nothing_runs() {
    let world = World::with(&[Task::Test("echo")]);
    world.write(
        ".cofferdam/good.yaml",
        pipeline(
            "    - { name: a, taskRef: { name: echo }, params: [{ name: text, value: $(params.level) }] }\n",
        ),
    );
    world.write(
        ".cofferdam/bad.yaml",
        pipeline(
            "    - { name: a, taskRef: { name: nothing }, params: [{ name: text, value: $(params.lvl) }] }
    - { name: b, taskRef: { name: echo }, runAfter: [c], params: [{ name: text, value: $(params.level) }] }\n",
        ),
    );
    world.write(".cofferdam/broken.yaml", "kind: Pipeline\n  x: {\n");
    world.write(".cofferdam/other.yaml", "other: program\n");
    world.write("notes.yaml", "kind: Deployment\n");
    let view = lint(&world, &[], 3);
    let files: Vec<&str> =
        view["files"].as_array().unwrap().iter().map(|f| f["file"].as_str().unwrap()).collect();
    assert_eq!(files, [".cofferdam/bad.yaml", ".cofferdam/broken.yaml", ".cofferdam/good.yaml"]);
    let errors = codes(&view, "errors");
    let expected = [
        "registry/not-found .cofferdam/bad.yaml:7:",
        "plan/unknown-name .cofferdam/bad.yaml:7:",
        "plan/unknown-name .cofferdam/bad.yaml:8:",
        "document/syntax .cofferdam/broken.yaml:2:",
    ];
    for (found, expected) in errors.iter().zip(expected) {
        assert!(found.starts_with(expected), "{errors:?}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    assert_eq!(view["errors"], 4);
    assert!(world.runs().is_empty());
}

#[test]
fn pins_that_cannot_be_read_are_told_once_beside_everything_else() {
    let world = World::with(&[Task::Test("echo")]);
    for name in ["one", "two"] {
        world.write(
            &format!(".cofferdam/{name}.yaml"),
            pipeline("    - { name: a, taskRef: { name: nothing } }\n"),
        );
    }
    world.write(
        ".cofferdam/lock.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Lock\npins: { a/b:1: { digest: x } }\n",
    );
    let errors = codes(&lint(&world, &[], 3), "errors");
    let (pins, tasks): (Vec<_>, Vec<_>) = errors.iter().partition(|error| error.contains("lock.yaml:3:"));
    assert_eq!((pins.len(), tasks.len()), (1, 2), "{errors:?}");
    world.run(&["run", ".cofferdam/one.yaml"]).refused(3, "document/invalid-value", "lock.yaml:3:");
}

#[test]
fn what_is_worth_a_look_fails_only_where_that_is_asked_for() {
    let world = World::with(&[Task::Test("echo")]);
    let file = task_file(Task::Test("echo"));
    let text = pipeline(&format!(
        "    - {{ name: a, taskRef: {{ component: {} }} }}
    - {{ name: b, taskRef: {{ name: echo }}, inputs: [] , runAfter: [a], params: [{{ name: text, value: $(tasks.a.results.text) }}] }}\n",
        file.display()
    ));
    world.write(".cofferdam/test.yaml", text);
    let view = lint(&world, &[], 0);
    let expected = [
        "lint/unused-param .cofferdam/test.yaml:5:20",
        "lint/not-trusted .cofferdam/test.yaml:7:18",
        "lint/implied-order .cofferdam/test.yaml:8:",
    ];
    let warnings = codes(&view, "warnings");
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (found, expected) in warnings.iter().zip(expected) {
        assert!(found.starts_with(expected), "{warnings:?}");
    }
    lint(&world, &["--strict"], 1);
    let text = world.run(&["lint"]).ok().out;
    assert!(text.contains("warning[lint/unused-param]: nothing uses the param `level`"), "{text}");
    assert!(text.ends_with("checked 1 file: 0 errors, 3 warnings\n"), "{text}");
}

#[test]
fn without_tasks_it_is_said_what_could_not_be_checked() {
    let world = World::empty();
    world.write(".cofferdam/test.yaml", pipeline("    - { name: a, taskRef: { name: echo }, params: [{ name: text, value: $(params.level) }, { name: x, value: $(y) }] }\n"));
    let view = lint(&world, &[], 3);
    assert_eq!(view["errors"], 1, "what can be checked is: {view:#}");
    let unchecked = view["files"][0]["unchecked"].to_string();
    assert!(unchecked.contains("task `a`") && unchecked.contains("cofferdam setup"), "{unchecked}");
    assert!(!world.home().exists(), "a look makes nothing");
    let world = World::with(&[Task::Test("echo")]);
    world.write(".cofferdam/test.yaml", pipeline("    - { name: a, taskRef: { name: no-such-task }, params: [{ name: text, value: $(params.level) }] }\n"));
    lint(&world, &[], 3);
    let view = lint(&world, &["--offline"], 0);
    assert!(view["files"][0]["unchecked"].to_string().contains("--offline"), "{view:#}");
}

#[test]
fn tasks_and_trust_rules_are_checked_by_their_kind() {
    let world = World::with(&[]);
    world.write("a/task.yaml", "# yaml-language-server: $schema=pipeline.json\napiVersion: cofferdam.dev/v1\nkind: Task\nmetadata: { name: a, version: 0.1.0, description: d }\nspec: { parms: [] }\n");
    let trust = "apiVersion: cofferdam.dev/v1\nkind: Trust\ntrusted_task_rules:\n  allow:\n    mine:\n      - { pattern: '*', signing_key: none.pub }\n";
    world.write("trust.yaml", trust);
    world.write("other.yaml", "kind: Deployment\n");
    world.write("nothing.yaml", "# yaml-language-server: $schema=task.schema.json\nmetadata: {}\n");
    let view = lint(&world, &["a/task.yaml", "trust.yaml", "other.yaml", "nothing.yaml", "none.yaml"], 4);
    let errors = codes(&view, "errors");
    for expected in [
        "document/unknown-key a/task.yaml:5:",
        "trust/invalid trust.yaml:5:",
        "lint/unknown-kind other.yaml:1:",
        "document/missing-key nothing.yaml:",
        "io/unreadable none.yaml:",
    ] {
        assert!(errors.iter().any(|found| found.starts_with(expected)), "{expected}: {errors:?}");
    }
    assert_eq!(view["files"][3]["kind"], "Task", "by its schema");
    let warnings = codes(&view, "warnings");
    assert_eq!(warnings, ["lint/other-schema a/task.yaml:1:33", "lint/no-schema nothing.yaml:1:33"]);
    // A directory holds other programs' files, too.
    let view = lint(&world, &["."], 4);
    assert_eq!(view["files"].as_array().unwrap().len(), 3, "{view:#}");
}

#[test]
fn a_nested_pipeline_is_told_of_once_by_where_it_is() {
    let world = World::with(&[Task::Test("echo")]);
    world.write(".cofferdam/parts/inner.yaml", "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: i }\nspec: { tasks: [{ name: a, taskRef: { name: echo }, runAfter: [zzz] }] }\n");
    world.write(".cofferdam/test.yaml", pipeline("    - { name: a, pipelineRef: { file: parts/inner.yaml }, when: [{ cel: params.level == 'x' }] }\n"));
    let view = lint(&world, &[], 3);
    assert_eq!(codes(&view, "errors"), ["plan/unknown-name .cofferdam/parts/inner.yaml:4:64"]);
}

#[test]
fn in_github_actions_findings_are_annotations() {
    let world = World::with(&[]);
    world.write(".cofferdam/test.yaml", pipeline("    - { name: a, taskRef: { name: '::x' } }\n"));
    let mut command = world.command(&["lint"]);
    let done = crate::harness::done(command.env("GITHUB_ACTIONS", "true"));
    assert_eq!(done.status, 3, "{done:?}");
    let annotations: Vec<&str> = done.err.lines().collect();
    assert!(annotations[0].starts_with("::error file=.cofferdam/test.yaml,line=7,col="), "{done:?}");
    assert!(annotations.iter().all(|line| line.starts_with("::")), "{done:?}");
    assert!(!done.out.lines().any(|line| line.trim_start().starts_with("::")), "{done:?}");
}

#[test]
fn every_file_of_this_repository_is_in_order() {
    let world = World::empty();
    let examples = repository().join("examples").display().to_string();
    let view = lint(&world, &["--offline", &examples], 0);
    assert_eq!((&view["errors"], &view["warnings"]), (&0.into(), &0.into()), "{view:#}");
    assert!(view["files"].as_array().unwrap().len() >= 4, "{view:#}");
}
