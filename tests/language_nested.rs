//! Pipelines in pipelines, and runs that name one.

use serde_json::json;

use crate::harness::{Task, World, task};
use crate::language::{check, row};

const CHILD: &str = "apiVersion: cofferdam.dev/v1
kind: Pipeline
metadata: { name: child }
spec:
  params: [{ name: word, enum: [a, b, c] }, { name: prefix, default: '<' }]
  inputs: [{ name: tree }]
  results: [{ name: said, value: $(tasks.say.results.text) }, { name: last, value: $(finally.end.results.text) }]
  outputs: [{ name: copy, from: $(tasks.say.outputs.copy) }]
  tasks:
    - { name: look, taskRef: { name: stamp }, inputs: [{ name: source, from: $(inputs.tree) }] }
    - { name: say, taskRef: { name: echo }, params: [{ name: text, value: '$(params.prefix)$(params.word) $(context.pipeline.name)' }], runAfter: [look] }
  finally:
    - { name: end, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.status) }] }
";

#[test]
fn a_pipeline_runs_in_another_like_a_function() {
    let world = World::with(&[Task::Test("echo"), Task::Test("stamp"), Task::Test("fail")]);
    world.write(".cofferdam/parts/child.yaml", CHILD);
    world.write(
        ".cofferdam/bad.yaml",
        "apiVersion: cofferdam.dev/v1
kind: Pipeline
metadata: { name: bad }
spec:
  tasks: [{ name: x, taskRef: { name: fail } }, { name: y, taskRef: { name: echo }, runAfter: [x] }]
  finally: [{ name: z, taskRef: { name: echo } }]
",
    );
    let rows = [
        row(
            "params, artifacts and results go in and out",
            "  tasks:
    - { name: first, taskRef: { name: echo }, params: [{ name: text, value: b }] }
    - name: inner
      pipelineRef: { file: parts/child.yaml }
      params: [{ name: word, value: $(tasks.first.results.text) }]
      inputs: [{ name: tree, from: $(tasks.first.outputs.copy) }]
    - { name: after, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.inner.results.said) $(tasks.inner.results.last)' }] }
    - { name: read, taskRef: { name: stamp }, inputs: [{ name: source, from: $(tasks.inner.outputs.copy) }] }
",
            0,
            &[
                ("inner/say results.text", "<b child"),
                ("inner/end results.text", "Succeeded"),
                ("@inner reason", "Succeeded"),
                ("@inner results.said", "<b child"),
                ("after results.text", "<b child Succeeded"),
                ("read status", "Succeeded"),
            ],
        ),
        row(
            "with a matrix, each combination a pipeline",
            "  tasks:
    - { name: first, taskRef: { name: echo } }
    - { name: inner, pipelineRef: { file: parts/child.yaml }, matrix: { params: [{ name: word, value: [a, b] }] }, inputs: [{ name: tree, from: $(tasks.first.outputs.copy) }] }
    - { name: after, taskRef: { name: echo }, params: [{ name: list, value: '$(tasks.inner.results.said[*])' }, { name: text, value: '$(tasks.inner[b].results.last)' }] }
",
            0,
            &[
                ("inner[b]/say results.text", "<b child"),
                ("after results.list", r#"["<a child","<b child"]"#),
                ("after results.text", "Succeeded"),
            ],
        ),
        row(
            "written in its place it sees the params around it, and its own first",
            "  params: [{ name: outer, default: o }, { name: both, default: outer }, { name: list, default: [x] }]
  tasks:
    - name: inner
      params: [{ name: both, value: inner }]
      pipelineSpec:
        params: [{ name: both }]
        results: [{ name: r, value: $(tasks.t.results.text) }]
        tasks: [{ name: t, taskRef: { name: echo }, params: [{ name: text, value: '$(params.outer) $(params.both)' }, { name: list, value: '$(params.list[*])' }] }]
",
            0,
            &[("inner/t results.text", "o inner"), ("inner/t results.list", r#"["x"]"#)],
        ),
        row(
            "its failure is the task's: tried again as a whole",
            "  tasks:
    - { name: inner, pipelineRef: { file: bad.yaml }, retries: { max: 1, backoff: 10ms } }
    - { name: after, taskRef: { name: echo }, runAfter: [inner] }
",
            1,
            &[
                ("@inner afterFailure", "ToBeRetried"),
                ("@inner#2 reason", "Failed"),
                ("inner/z status", "Succeeded"),
                ("inner#2/x status", "Failed"),
                ("inner#2/y reason", "PipelineRun was stopping"),
                ("after reason", "PipelineRun was stopping"),
            ],
        ),
        row(
            "its failure can be passed over",
            "  tasks:
    - { name: inner, pipelineRef: { file: bad.yaml }, onError: continue }
    - { name: after, taskRef: { name: echo }, runAfter: [inner] }
",
            0,
            &[("after status", "Succeeded"), ("@inner afterFailure", "FailureIgnored")],
        ),
        row(
            "a value known only at run time that its params do not take",
            "  tasks:
    - { name: first, taskRef: { name: echo }, params: [{ name: text, value: z }] }
    - { name: inner, pipelineRef: { file: parts/child.yaml }, params: [{ name: word, value: $(tasks.first.results.text) }], inputs: [{ name: tree, from: $(tasks.first.outputs.copy) }] }
",
            1,
            &[("@inner reason", "InvalidParamValue"), ("inner/look status", "Skipped")],
        ),
    ];
    check(&world, &rows);
}

#[test]
fn a_pipeline_run_names_a_pipeline_and_gives_it_params() {
    let world = World::with(&[Task::Test("echo")]);
    world.write(
        ".cofferdam/build.yaml",
        "apiVersion: cofferdam.dev/v1
kind: Pipeline
metadata: { name: build }
spec:
  params: [{ name: hermetic, default: 'false' }, { name: list, type: array, default: [] }]
  tasks: [{ name: t, taskRef: { name: echo }, params: [{ name: text, value: $(params.hermetic) }, { name: list, value: '$(params.list[*])' }] }]
",
    );
    let run = |spec: &str| {
        let text = format!(
            "apiVersion: cofferdam.dev/v1\nkind: PipelineRun\nmetadata: {{ name: nightly }}\nspec:\n{spec}"
        );
        world.write(".cofferdam/run.yaml", text);
    };
    run(
        "  pipelineRef: { file: build.yaml }\n  params:\n    - name: hermetic\n      value: 'true'\n    - { name: list, value: [a] }\n",
    );
    let (status, json) = world.run_json(&[".cofferdam/run.yaml"]);
    assert_eq!(status, 0, "{json}");
    assert_eq!(json["pipeline"], "nightly");
    assert_eq!(task(&json, "t")["results"]["text"], "true");
    assert_eq!(task(&json, "t")["results"]["list"], json!(["a"]));
    // The command line goes before the file.
    let (_, json) = world.run_json(&[".cofferdam/run.yaml", "--param", "hermetic=maybe"]);
    assert_eq!(task(&json, "t")["results"]["text"], "maybe");
    run("  timeouts: { pipeline: 5m }\n  pipelineSpec: { tasks: [{ name: t, taskRef: { name: echo } }] }\n");
    assert_eq!(world.run_json(&[".cofferdam/run.yaml"]).0, 0);
    for (spec, code, place) in [
        (
            "  pipelineRef: { file: build.yaml }\n  params: [{ name: hermetc, value: x }]\n",
            "plan/unknown-name",
            "run.yaml:6:20",
        ),
        (
            "  pipelineRef: { file: build.yaml }\n  params: [{ name: hermetic, value: [x] }]\n",
            "plan/invalid-value",
            "run.yaml:6:30",
        ),
        ("  pipelineRef: { file: gone.yaml }\n", "plan/unreadable-pipeline", "run.yaml:5:"),
        ("  pipelineRef: { file: ../../etc/passwd }\n", "plan/", "run.yaml:5:"),
        ("  pipelineRef: { file: run.yaml }\n", "plan/not-a-pipeline", "run.yaml:5:"),
        ("  params: []\n", "plan/invalid-value", "run.yaml:4:1"),
        ("  pipelineRef: { file: a, bundle: b }\n", "plan/ambiguous-pipeline", "run.yaml:5:"),
    ] {
        run(spec);
        let done = world.run(&["run", ".cofferdam/run.yaml"]);
        assert_eq!(done.status, 3, "{spec}: {done:?}");
        assert!(done.err.contains(code) && done.err.contains(place), "{spec}: {done:?}");
    }
}
