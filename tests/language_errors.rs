//! Every row of the language in a wrong form: refused before anything runs, in
//! its place, with what to write instead.

use crate::harness::{Task, World};

/// What is refused: a `spec`, the code, the place, and words of the message or
/// the help.
type Wrong = (&'static str, &'static str, &'static str, &'static str);

fn check(world: &World, rows: &[Wrong]) {
    let mut wrong = Vec::new();
    for (spec, code, place, words) in rows {
        let pipeline = world.pipeline_spec(spec);
        let done = world.run(&["run", &pipeline]);
        let said = done.err.contains(&format!("error[{code}]"))
            && done.err.contains(&format!("test.yaml:{place}"))
            && done.err.contains(words);
        if done.status != 3 || !said || done.err.contains("panicked") {
            wrong.push(format!("{spec}\nwanted {code} at {place} with {words:?}\n{}", done.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(world.runs().is_empty(), "something was run");
}

#[test]
fn conditions() {
    let world = World::with(&[Task::Test("echo")]);
    check(
        &world,
        &[
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ input: x }] }]\n",
                "plan/invalid-value",
                "5:",
                "`operator` and `values`, or `cel`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ input: x, operator: in, values: [] }] }]\n",
                "plan/invalid-value",
                "5:",
                "`values` is empty",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ input: x, operator: is, values: [x] }] }]\n",
                "document/invalid-value",
                "5:",
                "`in`, `notin`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ cel: 'params.x ==' }] }]\n",
                "plan/invalid-condition",
                "5:",
                "cannot be read",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ cel: 'level == 1' }] }]\n",
                "plan/invalid-condition",
                "5:",
                "there is no `level`",
            ),
            (
                "  params: [{ name: level, default: x }]\n  tasks: [{ name: a, taskRef: { name: echo }, when: [{ cel: params.levle == 'x' }] }]\n",
                "plan/unknown-name",
                "6:",
                "did you mean `level`?",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ input: $(tasks.a.results.text), operator: in, values: [x] }] }]\n",
                "plan/cycle",
                "5:",
                "a -> a",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, when: [{ input: $(tasks.status), operator: in, values: [x] }] }]\n",
                "plan/invalid-reference",
                "5:",
                "only `finally`",
            ),
        ],
    );
}

#[test]
fn matrices() {
    let world = World::with(&[Task::Test("echo")]);
    check(
        &world,
        &[
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: {} }]\n",
                "plan/invalid-value",
                "5:",
                "neither `params` nor `include`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { params: [{ name: txt, value: [x] }] } }]\n",
                "plan/unknown-name",
                "5:",
                "did you mean `text`?",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { params: [{ name: list, value: [x] }] } }]\n",
                "plan/invalid-value",
                "5:",
                "a matrix gives strings",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { params: [{ name: text, value: x }] } }]\n",
                "plan/invalid-value",
                "5:",
                "takes a list",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { params: [{ name: mode, value: [silent] }] } }]\n",
                "plan/invalid-value",
                "5:",
                "plain, loud",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [x] }, { name: text, value: [y] }] } }]\n",
                "plan/duplicate-name",
                "5:",
                "`text` is used twice",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, matrix: { include: [{ params: [{ name: text, value: [x] }] }] } }]\n",
                "plan/invalid-value",
                "5:",
                "takes a string in `include`",
            ),
            (
                "  tasks:\n    - { name: a, taskRef: { name: echo }, matrix: { params: [{ name: text, value: [x] }] } }\n    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) }] }\n",
                "plan/invalid-reference",
                "7:",
                "add [*], or name one",
            ),
            (
                "  tasks:\n    - { name: a, taskRef: { name: echo } }\n    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.a[x].results.text)' }] }\n",
                "plan/invalid-reference",
                "7:",
                "the task has no matrix",
            ),
            (
                "  tasks:\n    - { name: a, taskRef: { name: echo } }\n    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.matrix.length) }] }\n",
                "plan/invalid-reference",
                "7:",
                "the task has no matrix",
            ),
        ],
    );
    let many = (0..300).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    let spec = format!(
        "  tasks: [{{ name: a, taskRef: {{ name: echo }}, matrix: {{ params: [{{ name: text, value: [{many}] }}] }} }}]\n"
    );
    world
        .run(&["run", &world.pipeline_spec(&spec)])
        .refused(3, "plan/invalid-value", "5:")
        .says("at most 256");
}

#[test]
fn retries_timeouts_and_errors() {
    let world = World::with(&[Task::Test("echo")]);
    check(
        &world,
        &[
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, retries: 101 }]\n",
                "plan/invalid-value",
                "5:",
                "at most 100 times",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, retries: -1 }]\n",
                "document/invalid-value",
                "5:",
                "it takes 0 or more",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, retries: often }]\n",
                "document/wrong-type",
                "5:",
                "`retries` takes",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, retries: { max: 1, on: [tiemout] } }]\n",
                "document/invalid-value",
                "5:",
                "did you mean `timeout`?",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, retries: 1, onError: continue }]\n",
                "plan/invalid-value",
                "5:",
                "cannot stand together",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, onError: ignore }]\n",
                "document/invalid-value",
                "5:",
                "`stopAndFail`, `continue`",
            ),
            (
                "  timeouts: { pipeline: 10m, tasks: 8m, finally: 3m }\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-value",
                "5:",
                "together are longer than `pipeline`, which is 10m",
            ),
            (
                "  timeouts: { tasks: '0' }\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-value",
                "5:",
                "`pipeline` must be \"0\"",
            ),
            (
                "  timeouts: { pipeline: soon }\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "document/invalid-value",
                "5:",
                "span of time",
            ),
            (
                "  timeouts: { pipelines: 1h }\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "document/unknown-key",
                "5:",
                "did you mean `pipeline`?",
            ),
        ],
    );
}

#[test]
fn what_is_handed_back_and_what_finally_may_say() {
    let world = World::with(&[Task::Test("echo")]);
    check(
        &world,
        &[
            (
                "  results: [{ name: r, value: $(tasks.b.results.text) }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/unknown-name",
                "5:",
                "there is: a",
            ),
            (
                "  results: [{ name: r, value: $(tasks.a.results.txt) }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/unknown-name",
                "5:",
                "did you mean `text`?",
            ),
            (
                "  results: [{ name: r, value: $(tasks.a.results.list) }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-reference",
                "5:",
                "add [*] or [0]",
            ),
            (
                "  results: [{ name: r, value: $(context.task.name) }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-reference",
                "5:",
                "belongs to no task",
            ),
            (
                "  results: [{ name: r, value: a }, { name: r, value: b }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/duplicate-name",
                "5:",
                "`r` is used twice",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo } }]\n  finally: [{ name: f, taskRef: { name: echo }, runAfter: [a] }]\n",
                "plan/invalid-value",
                "6:",
                "no `runAfter`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo } }]\n  finally: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/duplicate-name",
                "6:",
                "`a` is used twice",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, runAfter: [f] }]\n  finally: [{ name: f, taskRef: { name: echo } }]\n",
                "plan/invalid-reference",
                "5:",
                "it runs in `finally`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo } }]\n  finally: [{ name: f, taskRef: { name: echo } }, { name: g, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.f.results.text) }] }]\n",
                "plan/invalid-reference",
                "6:",
                "it runs in `finally`",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.status) }] }]\n",
                "plan/invalid-reference",
                "5:",
                "only `finally` knows",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: text, value: $(context.pipelineRun.namespace) }] }]\n",
                "plan/invalid-reference",
                "5:",
                "there are no namespaces",
            ),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: text, value: $(workspaces.w.path) }] }]\n",
                "plan/invalid-reference",
                "5:",
                "pass artifacts",
            ),
        ],
    );
}

#[test]
fn params_and_their_choices() {
    let world = World::with(&[Task::Test("echo")]);
    check(
        &world,
        &[
            (
                "  params: [{ name: m, default: plain, enum: [plain, silent] }]\n  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: mode, value: $(params.m) }] }]\n",
                "plan/invalid-value",
                "6:",
                "allows silent",
            ),
            (
                "  params: [{ name: m, default: quiet }]\n  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: mode, value: $(params.m) }] }]\n",
                "plan/invalid-value",
                "6:",
                "it takes plain, loud",
            ),
            (
                "  tasks:\n    - name: n\n      matrix: { params: [{ name: m, value: [plain] }] }\n      pipelineSpec: { params: [{ name: m }], tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: mode, value: $(params.m) }] }] }\n",
                "plan/invalid-value",
                "8:",
                "allows any string",
            ),
            (
                "  params: [{ name: m, default: x, enum: [a] }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-value",
                "5:",
                "it takes a",
            ),
            (
                "  params: [{ name: o, type: object, properties: { k: {} }, default: {} }]\n  tasks: [{ name: a, taskRef: { name: echo } }]\n",
                "plan/invalid-value",
                "5:",
                "lacks k",
            ),
            (
                "  params: [{ name: l, default: [a] }]\n  tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: text, value: '$(params.l[4])' }] }]\n",
                "plan/invalid-reference",
                "6:",
                "it has 1 items",
            ),
            ("  tasks: [{ name: a }]\n", "plan/missing", "5:", "says not which task it is"),
            (
                "  tasks: [{ name: a, taskRef: { name: echo }, pipelineSpec: { tasks: [] } }]\n",
                "plan/invalid-value",
                "5:",
                "one of taskRef, pipelineRef and pipelineSpec",
            ),
        ],
    );
}

#[test]
fn nested_pipelines() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = |name: &str, spec: &str| {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: {name} }}\nspec:\n{spec}"
        );
        world.write(&format!(".cofferdam/{name}.yaml"), text);
    };
    pipeline("loop", "  tasks: [{ name: again, pipelineRef: { file: other.yaml } }]\n");
    pipeline("other", "  tasks: [{ name: back, pipelineRef: { file: loop.yaml } }]\n");
    pipeline(
        "broken",
        "  tasks: [{ name: x, taskRef: { name: echo }, params: [{ name: nope, value: a }] }]\n",
    );
    pipeline(
        "fed",
        "  inputs: [{ name: tree }]\n  params: [{ name: p }]\n  tasks: [{ name: x, taskRef: { name: echo } }]\n",
    );
    std::fs::write(world.path("secret.yaml"), "root:x:0:0\n").unwrap();
    check(
        &world,
        &[
            (
                "  tasks: [{ name: a, pipelineRef: { file: fed.yaml } }]\n",
                "plan/missing",
                "5:",
                "needs the param `p`",
            ),
            (
                "  tasks: [{ name: a, pipelineRef: { file: fed.yaml } }]\n",
                "plan/missing",
                "5:",
                "needs the input `tree`",
            ),
            (
                "  tasks: [{ name: a, pipelineRef: { file: gone.yaml } }]\n",
                "plan/unreadable-pipeline",
                "5:",
                "gone.yaml",
            ),
            (
                "  tasks: [{ name: a, pipelineRef: { file: ../../secret.yaml } }]\n",
                "plan/outside-pipeline",
                "5:",
                "below the same .cofferdam",
            ),
            (
                "  tasks: [{ name: a, pipelineRef: {} }]\n",
                "plan/ambiguous-pipeline",
                "5:",
                "exactly one of `file`, `bundle` and `resolver`",
            ),
            (
                "  tasks: [{ name: a, grants: {}, pipelineSpec: { tasks: [{ name: x, taskRef: { name: echo } }] } }]\n",
                "plan/invalid-value",
                "5:",
                "`grants` stands with a task",
            ),
            (
                "  tasks: [{ name: a, pipelineSpec: { tasks: [{ name: x, taskRef: { name: echo }, params: [{ name: text, value: $(inputs.t) }] }] } }]\n",
                "plan/invalid-reference",
                "5:",
                "an artifact is not a value",
            ),
            (
                "  tasks: [{ name: a, pipelineSpec: { tasks: [{ name: x, taskRef: { name: echo }, params: [{ name: text, value: $(params.y) }] }] } }]\n",
                "plan/unknown-name",
                "5:",
                "`y`",
            ),
        ],
    );
    let shown = |file: &str| world.run(&["run", &format!(".cofferdam/{file}")]);
    shown("loop.yaml").refused(3, "plan/cycle", "other.yaml:5:").says("loop.yaml -> other.yaml -> loop.yaml");
    let file = world.pipeline_spec("  tasks: [{ name: a, pipelineRef: { file: broken.yaml } }]\n");
    // Told in the file it stands in, with its line.
    world.run(&["run", &file]).refused(3, "plan/unknown-name", "broken.yaml:5:").says("name: nope");
    // One file that is read for each of many tasks.
    let padding = "# padding\n".repeat(20_000);
    let text = format!(
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: {{ name: big }}\nspec: {{ tasks: [{{ name: x, taskRef: {{ name: echo }} }}] }}\n{padding}"
    );
    world.write(".cofferdam/big.yaml", text);
    let many: String =
        (0..200).map(|n| format!("    - {{ name: t{n}, pipelineRef: {{ file: big.yaml }} }}\n")).collect();
    let file = world.pipeline_spec(&format!("  tasks:\n{many}"));
    world
        .run(&["run", &file])
        .refused(3, "plan/invalid-value", "test.yaml:1:1")
        .says("all pipeline files together");
    let deep = (0..12).fold("tasks: [{ name: x, taskRef: { name: echo } }]".to_owned(), |inner, _| {
        format!("tasks: [{{ name: n, pipelineSpec: {{ {inner} }} }}]")
    });
    let file = world.pipeline_spec(&format!("  {deep}\n"));
    world.run(&["run", &file]).refused(3, "plan/invalid-value", "5:").says("at most 8 deep");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_names_are_guessed() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = world.pipeline_spec(
        "  params: [{ name: level }]
  tasks:
    - { name: build, taskRef: { name: echo }, params: [{ name: texte, value: x }] }
    - { name: test, taskRef: { name: echo }, runAfter: [biuld], when: [{ cel: nothing }] }
    - { name: test, taskRef: { name: ecko }, retries: 1000 }
",
    );
    let done = world.run(&["run", &pipeline]).refused(3, "plan/unknown-name", "7:");
    for said in [
        "error[plan/missing]: the param `level`",
        "did you mean `text`?",
        "did you mean `build`?",
        "there is no `nothing`",
        "the name `test` is used twice",
        "at most 100 times",
        "error[registry/not-found]",
    ] {
        assert!(done.err.contains(said), "no {said:?} in {}", done.err);
    }
    assert!(world.runs().is_empty());
}
