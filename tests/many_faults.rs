//! Faults of one file that have nothing to do with each other are told at once,
//! and nothing is told that only follows from one of them.

use serde_json::Value;

use crate::harness::{Done, Task, World, task_file};

const HEAD: &str = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: p }\nspec:\n";

fn world() -> World {
    let world = World::with(&[Task::Test("echo"), Task::Example("word-count")]);
    // It asks for a host, and nobody trusts it.
    world.write(".cofferdam/courier.wasm", std::fs::read(task_file(Task::Hostile("courier"))).unwrap());
    world
}

/// `LINE CODE WORD` of each error, the word the first that stands between marks.
fn told(world: &World, text: &str) -> Vec<String> {
    world.write(".cofferdam/test.yaml", text);
    let done = world.run(&["lint", "--format", "json", ".cofferdam/test.yaml"]);
    assert_ne!(done.status, 0, "{done:?}");
    let view: Value = serde_json::from_str(&done.out).unwrap();
    let errors = view["files"][0]["errors"].as_array().unwrap();
    let words = |error: &Value| {
        let message = error["message"].as_str().unwrap();
        let word = message.split('`').nth(1).unwrap_or(message);
        let (_, code) = error["code"].as_str().unwrap().split_once('/').unwrap();
        format!("{} {code} {word}", error["line"])
    };
    errors.iter().map(words).collect()
}

#[track_caller]
fn check(world: &World, text: &str, expected: &[&str]) {
    assert_eq!(told(world, text), expected, "{text}");
}

#[test]
fn a_part_that_is_wrong_as_a_whole_hides_nothing() {
    let world = world();
    let spec = "  tasks:
    - { name: a, taskSpec: {}, runAfter: [nope] }
    - { name: b, taskRef: { name: echo }, params: [{ name: tex, value: x }], timeout: 5x }
    - { name: c, taskRef: 5, params: [{ name: any, value: $(params.n) }] }
    - 7
    - { name: d, taskRef: { name: word-count }, workspaces: [], retries: 1000 }
";
    let expected = [
        "6 unsupported taskSpec",
        "7 unknown-name tex",
        "7 invalid-value 5x",
        "8 wrong-type taskRef",
        "8 unknown-name n",
        "9 wrong-type tasks",
        "10 missing d",
        "10 unsupported workspaces",
        "10 invalid-value a task is tried again at most 100 times",
    ];
    // The item that is no task may be `nope`; all else is told.
    check(&world, &format!("{HEAD}{spec}"), &expected);
    let named = spec.replace("    - 7\n", "    - { name: e, taskRef: { name: echo } }\n");
    assert!(told(&world, &format!("{HEAD}{named}")).contains(&"6 unknown-name nope".to_owned()));
    let whole = "  tasks: { a: { taskRef: { name: echo } } }
  finally: [{ name: f, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.status) }, { name: q, value: x }] }]
";
    check(&world, &format!("{HEAD}{whole}"), &["5 wrong-type tasks", "6 unknown-name q"]);
    check(
        &world,
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: p }\n",
        &["1 missing-key spec"],
    );
}

#[test]
fn what_has_no_name_or_a_misspelled_key_is_looked_at_too() {
    let world = world();
    let spec = "  tasks:
    - { taskRef: { name: echo }, params: [{ name: nope, value: $(params.q) }] }
    - { name: b, taskRef: { name: word-count }, input: [{ name: source, from: $(source) }], runAfter: [other] }
    - { name: c, taskRef: { name: word-count }, parms: [{ name: ending, value: [x] }], inputs: [{ name: srce, from: $(inputs.z) }] }
    - { name: d, taskRef: { name: word-count }, with: { source: x }, onError: maybe }
    - { name: e, taskRef: { name: word-count }, when: [{ input: $(params.x), operator: is, values: [] }] }
";
    check(
        &world,
        &format!("{HEAD}{spec}"),
        &[
            "6 missing-key tasks",
            "6 unknown-name nope",
            "6 unknown-name q",
            "7 unknown-key input",
            "8 unknown-key parms",
            "8 invalid-value ending",
            "8 unknown-name srce",
            "8 unknown-name z",
            "9 unknown-key with",
            "9 invalid-value onError",
            "10 missing e",
            "10 unknown-name x",
            "10 invalid-value operator",
        ],
    );
    check(
        &world,
        "apiVersion: cofferdam.dev/v1\nkind: Pipelin\nmetadata: { name: P }\nspec:\n  tasks: [{ name: a, taskRef: { name: echo }, runAfter: [b] }]\n",
        &["2 invalid-value kind", "3 invalid-value P", "5 unknown-name b"],
    );
}

#[test]
fn what_is_declared_wrongly_is_not_told_again_where_it_is_used() {
    let world = world();
    let spec = "  params: [{ name: level, type: strng }, { nam: x }, { name: 5 }, { name: list, default: [1] }]
  tasks:
    - { name: a, taskRef: { name: echo }, matrix: { params: { text: [x] } }, params: [{ name: list, value: ['$(params.zz)', '$(params.level)'] }] }
    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.a[0].results.text) $(tasks.nope.results.x)' }, { name: mode, value: quiet }] }
    - name: n
      pipelineSpec:
        params: [{ name: own, enum: x }]
        results: [{ name: r }]
        tasks: [{ name: i, taskRef: { name: echo }, params: [{ name: text, value: $(params.own) $(params.level) }], runAfter: [k] }]
    - { name: m, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.n.results.s) }, { name: text, value: y }] }
";
    check(
        &world,
        &format!("{HEAD}{spec}"),
        &[
            "5 invalid-value type",
            "5 unknown-key nam",
            "5 wrong-type name",
            "5 wrong-type default",
            "7 wrong-type params",
            "8 unknown-name nope",
            "8 invalid-value mode",
            "11 wrong-type enum",
            "12 missing-key results",
            "13 unknown-name k",
            "14 duplicate-name text",
        ],
    );
    // Where every name could be read, one that is not there is told.
    let named = spec.replace(", { nam: x }, { name: 5 }", "");
    assert!(told(&world, &format!("{HEAD}{named}")).contains(&"7 unknown-name zz".to_owned()));
}

#[test]
fn grants_and_limits_that_cannot_be_read_refuse_nothing_else() {
    let world = world();
    let spec = "  timeouts: { pipeline: 5x, tasks: 2h, finally: 7y }
  tasks:
    - { name: a, taskRef: { component: courier.wasm }, grants: { network: [{ host: 'a b' }] }, params: [{ name: nope, value: x }] }
    - { name: b, taskRef: { component: courier.wasm }, grants: { clock: real }, timeout: never }
    - { name: b, taskRef: { name: echo }, retries: 99999999999 }
    - { name: c, taskRef: { name: echo }, retries: { max: 1, backoff: x, on: [never] } }
";
    check(
        &world,
        &format!("{HEAD}{spec}"),
        &[
            "5 invalid-value 5x",
            "5 invalid-value 7y",
            "7 invalid-value a b",
            "7 unknown-name nope",
            "8 unasked-grant grants",
            "8 invalid-value never",
            "9 duplicate-name b",
            "9 invalid-value retries",
            "10 invalid-value x",
            "10 invalid-value on",
        ],
    );
}

#[test]
fn every_reference_and_every_way_round_is_told() {
    let world = world();
    let spec = "  tasks:
    - { name: a, taskRef: { name: echo }, runAfter: [b] }
    - { name: b, taskRef: { name: echo }, runAfter: [a], bad: 1 }
    - { name: c, taskRef: { name: echo }, runAfter: [c] }
    - { name: d, taskRef: { name: echo }, params: [{ name: list, value: ['$(params.v)', '$(params.w)'] }, { name: fields, value: { k: '$(params.x)', l: '$(params.y)' } }, { name: no, value: $(params.z) }], when: [{ cel: 'params.q == params.r' }] }
  results: [{ name: x, value: $(tasks.e.results.y) }, { name: y, value: $(tasks.a.results.z) }, { name: 1x, value: y }]
  outputs: [{ name: o, from: $(tasks.a.outputs.nope) }, { name: p, frm: x }]
";
    check(
        &world,
        &format!("{HEAD}{spec}"),
        &[
            "6 cycle these tasks wait for each other: a -> b -> a",
            "7 unknown-key bad",
            "8 cycle these tasks wait for each other: c -> c",
            "9 unknown-name v",
            "9 unknown-name w",
            "9 unknown-name x",
            "9 unknown-name y",
            "9 unknown-name no",
            "9 unknown-name z",
            "9 unknown-name q",
            "9 unknown-name r",
            "10 unknown-name e",
            "10 unknown-name z",
            "10 invalid-value 1x",
            "11 unknown-name nope",
            "11 unknown-key frm",
            "11 invalid-value x",
        ],
    );
    let warned = world.run(&["lint", ".cofferdam/test.yaml"]);
    assert!(!warned.out.contains("lint/implied-order"), "{warned:?}");
}

#[test]
fn a_pipeline_run_and_the_files_it_names_are_told_together() {
    let world = world();
    let run = "apiVersion: cofferdam.dev/v1\nkind: PipelineRun\nmetadata: { name: r }\nspec:
  params: [{ name: level, value: 5 }, { name: other, value: x }, { name: other, value: y }]
  timeouts: { pipeline: x }
  pipelineSpec:
    params: [{ name: level }]
    tasks: [{ name: a, taskRef: { name: echo }, params: [{ name: text, value: $(params.lvl) }], workspaces: [] }]
";
    let expected = [
        "5 wrong-type value",
        "5 duplicate-name other",
        "5 unknown-name other",
        "6 invalid-value x",
        "9 unknown-name lvl",
        "9 unsupported workspaces",
    ];
    check(&world, run, &expected);
    // A run tells the same: the value that cannot be read is not missing.
    let done = world.run(&["run", ".cofferdam/test.yaml"]);
    assert_eq!(done.err.matches("error[").count(), expected.len(), "{done:?}");
    world.write(".cofferdam/inner.yaml", format!("{HEAD}  params: [{{ nme: x }}]\n  tasks: [{{ name: a, taskRef: {{ name: echo }}, runAfter: [b] }}]\n"));
    let spec = "  tasks:
    - { name: a, pipelineRef: { file: inner.yaml }, grants: {}, params: [{ name: x, value: $(params.u) }] }
    - { name: b, pipelineRef: { file: none.yaml }, retries: { backoff: x } }
";
    check(
        &world,
        &format!("{HEAD}{spec}"),
        &[
            "6 invalid-value grants",
            "6 unknown-name u",
            "7 unreadable-pipeline the pipeline cannot be had: cannot read none.yaml: No such file or directory (os error 2)",
            "7 missing-key retries",
            "7 invalid-value x",
            "5 unknown-key nme",
            "6 unknown-name b",
        ],
    );
}

#[test]
fn what_needs_kubernetes_hides_nothing_else() {
    let world = world();
    let text = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: p }\nspec:
  workspaces: [{ name: w }]
  tasks:
    - { name: a, taskSpec: { steps: [{ name: s, image: x }] } }
    - { name: b, taskRef: { resolver: git }, runAfter: [nope, a] }
    - { name: c, taskRef: { name: echo }, params: [{ name: tex, value: $(tasks.a.results.x) }], timeout: 5x }
    - { name: d, taskSpec: {} }
";
    check(
        &world,
        text,
        &[
            "5 kubernetes-only w",
            "7 kubernetes-only steps",
            "7 kubernetes-only image",
            "8 kubernetes-only git",
            "8 unknown-name nope",
            "9 unknown-name tex",
            "9 invalid-value 5x",
            "10 unsupported taskSpec",
        ],
    );
    check(
        &world,
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: p }\nspec: { tasks: [{ name: a, taskRef: { name: echo, kind: ClusterTask }, params: [{ name: any, value: x }] }] }\n",
        &["4 kubernetes-only kind: ClusterTask"],
    );
}

#[test]
fn a_task_that_is_run_alone_tells_wrong_params_and_inputs_together() {
    let world = world();
    let file = task_file(Task::Example("word-count")).display().to_string();
    let run = |args: &[&str]| -> Done { world.run(&[&["task", "run", &file], args].concat()) };
    let codes = |done: &Done| -> Vec<String> {
        done.err.lines().filter_map(|line| line.strip_prefix("error")).map(str::to_owned).collect()
    };
    let done = run(&["--param", "endin=x", "--input", "srce=gone", "--input", "other=."]);
    assert_eq!(
        codes(&done),
        [
            "[plan/unknown-name]: there is no param `endin`",
            "[plan/unknown-name]: there is no input `other`",
            "[plan/unknown-name]: there is no input `srce`",
            "[source/not-a-directory]: gone is not a directory, and the input `srce` is one",
        ]
    );
    assert_eq!(done.status, 3);
    let done = run(&["--param", "q=1"]);
    assert_eq!(
        codes(&done),
        ["[plan/unknown-name]: there is no param `q`", "[plan/missing]: the task needs the input `source`",]
    );
    assert!(run(&["--input", "source=gone"]).err.contains("source/not-a-directory"));
}

#[test]
fn of_many_names_only_some_are_told() {
    let world = World::with(&[Task::Test("echo")]);
    let tasks = |after: &str, count: usize| -> String {
        let task = |n: usize| format!("    - {{ name: t{n:03}, taskRef: {{ name: echo }}{after} }}\n");
        format!("{HEAD}  tasks:\n{}", (0..count).map(task).collect::<String>())
    };
    let lint = |text: String| {
        world.write(".cofferdam/test.yaml", text);
        let done = world.run(&["lint", ".cofferdam/test.yaml"]);
        assert_eq!(done.status, 3, "{done:?}");
        done.out + &done.err
    };
    let few = lint(tasks(", runAfter: [zebra]", 13));
    assert!(few.contains("t010, t011, ..\n") && !few.contains("t011, t012"), "{few}");
    let many = lint(tasks(", runAfter: [zebra]", 300));
    assert_eq!(many.matches("there is: t000, t001").count(), 100);
    assert_eq!(many.matches("what there is, is told of the first of them").count(), 200);
}
