//! Tekton's language, row by row: a pipeline, and what it comes to.

use serde_json::Value;

use crate::harness::{Task, World};

const TASKS: &[Task] = &[
    Task::Test("echo"),
    Task::Test("fail"),
    Task::Test("partial"),
    Task::Test("picky"),
    Task::Test("stamp"),
];

/// A row of the language.
pub(crate) struct Row {
    /// What it shows.
    name: &'static str,
    /// The pipeline's `spec`.
    spec: &'static str,
    /// What the command line adds.
    args: &'static [&'static str],
    /// The status of the process.
    status: i32,
    /// Paths such as `tasks.a.reason` and what they hold.
    holds: &'static [(&'static str, &'static str)],
}

pub(crate) const fn row(
    name: &'static str,
    spec: &'static str,
    status: i32,
    holds: &'static [(&'static str, &'static str)],
) -> Row {
    Row { name, spec, args: &[], status, holds }
}

/// The value at a path: a task's, a nested pipeline's, or the run's own.
fn at(run: &Value, path: &str) -> Value {
    let found = |list: &str, name: &str| {
        run[list].as_array().into_iter().flatten().find(|entry| entry["task"] == name).cloned()
    };
    let (mut value, rest) = match path.split_once(' ') {
        Some((name, rest)) => match name.strip_prefix('@') {
            Some(nested) => (found("pipelines", nested).unwrap_or_default(), rest),
            None => (found("tasks", name).unwrap_or_default(), rest),
        },
        None => (run.clone(), path),
    };
    for step in rest.split('.') {
        value = step.parse::<usize>().map_or_else(|_| value[step].clone(), |index| value[index].clone());
    }
    value
}

pub(crate) fn check(world: &World, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let pipeline = world.pipeline_spec(row.spec);
        let args: Vec<&str> = std::iter::once(pipeline.as_str()).chain(row.args.iter().copied()).collect();
        let (status, run) = world.run_json(&args);
        if status != row.status {
            wrong.push(format!("{}: status {status}: {}", row.name, run["message"]));
        }
        for (path, expected) in row.holds {
            let found = at(&run, path);
            let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            if text != *expected {
                wrong.push(format!("{}: {path} is {text}, not {expected}", row.name));
            }
        }
        let verified = world.run(&["verify", run["run"].as_str().unwrap()]);
        if verified.status != 0 {
            wrong.push(format!("{}: {}", row.name, verified.out));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn results_pass_between_tasks_and_out_of_the_pipeline() {
    let rows = [
        row(
            "pipeline results: whole, item, key, of finally; one that is missing is left out",
            "  results:
    - { name: text, value: 'got $(tasks.a.results.text)' }
    - { name: item, value: '$(tasks.a.results.list[1])' }
    - { name: list, value: '$(tasks.a.results.list[*])' }
    - { name: key, value: '$(tasks.a.results.fields.k)' }
    - { name: last, value: $(finally.f.results.text) }
    - { name: gone, value: $(tasks.never.results.text) }
  tasks:
    - { name: a, taskRef: { name: echo }, params: [{ name: text, value: x }, { name: list, value: [p, q] }, { name: fields, value: { k: v } }] }
    - { name: never, taskRef: { name: echo }, when: [{ input: a, operator: in, values: [b] }] }
  finally:
    - { name: f, taskRef: { name: echo }, params: [{ name: text, value: bye }] }
",
            0,
            &[
                ("reason", "Completed"),
                ("results.text", "got x"),
                ("results.item", "q"),
                ("results.list", r#"["p","q"]"#),
                ("results.key", "v"),
                ("results.last", "bye"),
                ("results.gone", "null"),
                ("message", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 1"),
            ],
        ),
        row(
            "context variables",
            "  results: [{ name: who, value: $(context.pipeline.name) }]
  tasks:
    - name: a
      taskRef: { name: echo }
      params: [{ name: text, value: '$(context.pipeline.name) $(context.task.name) $(context.taskRun.name) $(context.pipelineTask.retries) $(context.task.retry-count)' }]
      retries: 2
",
            0,
            &[("a results.text", "test a a 2 0"), ("results.who", "test")],
        ),
        row(
            "bracket and quote forms of references",
            "  params: [{ name: o, type: object, default: { k: v } }, { name: l, default: [a, b] }]
  tasks:
    - { name: a-b, taskRef: { name: echo }, params: [{ name: text, value: '$(params[\"o\"].k) $(params[''l''][1])' }] }
    - { name: c, taskRef: { name: echo }, params: [{ name: text, value: \"$(tasks['a-b'].results['text'])\" }] }
",
            0,
            &[("a-b results.text", "v b"), ("c results.text", "v b")],
        ),
    ];
    check(&World::with(TASKS), &rows);
}

#[test]
fn conditions_decide_and_what_is_skipped_says_why() {
    let rows = [
        row(
            "in, notin, and with several all must hold",
            "  params: [{ name: level, default: strict }, { name: levels, default: [lax, strict] }]
  tasks:
    - { name: yes, taskRef: { name: echo }, when: [{ input: $(params.level), operator: in, values: ['$(params.levels[*])'] }, { input: x, operator: notin, values: [a, b] }] }
    - { name: no, taskRef: { name: echo }, when: [{ input: $(params.level), operator: in, values: [strict] }, { input: a, operator: notin, values: [a] }] }
",
            0,
            &[
                ("yes status", "Succeeded"),
                ("no status", "Skipped"),
                ("no reason", "When Expressions evaluated to false"),
                ("reason", "Completed"),
            ],
        ),
        row(
            "ordering dependents run, resource dependents do not, nor what waits for those",
            "  tasks:
    - { name: guarded, taskRef: { name: echo }, when: [{ cel: 'false' }] }
    - { name: ordered, taskRef: { name: echo }, runAfter: [guarded] }
    - { name: fed, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.guarded.results.text) }] }
    - { name: last, taskRef: { name: echo }, runAfter: [fed] }
",
            0,
            &[
                ("ordered status", "Succeeded"),
                ("fed reason", "Results were missing"),
                ("last reason", "Parent Tasks were skipped"),
                ("message", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 3"),
            ],
        ),
        row(
            "an artifact that is missing is a result that is missing",
            "  tasks:
    - { name: guarded, taskRef: { name: echo }, when: [{ input: a, operator: in, values: [b] }] }
    - { name: fed, taskRef: { name: stamp }, inputs: [{ name: source, from: $(tasks.guarded.outputs.copy) }] }
",
            0,
            &[("fed reason", "Results were missing")],
        ),
        row(
            "cel over typed values, and as Tekton writes it",
            "  params: [{ name: names, default: [a, b] }, { name: n, default: '3' }]
  tasks:
    - { name: a, taskRef: { name: echo }, params: [{ name: text, value: it's }] }
    - { name: typed, taskRef: { name: echo }, when: [{ cel: \"size(params.names) == 2 && int(params.n) > 2 && tasks.a.results.text == 'it\\\\'s'\" }] }
    - { name: quoted, taskRef: { name: echo }, when: [{ cel: \"'$(params.n)' == '3' && '$(tasks.a.results.text)' != 'x'\" }] }
",
            0,
            &[("typed status", "Succeeded"), ("quoted status", "Succeeded"), ("reason", "Succeeded")],
        ),
        row(
            "a condition that fails at run time fails the run",
            "  tasks:
    - { name: a, taskRef: { name: echo }, params: [{ name: text, value: x }] }
    - { name: b, taskRef: { name: echo }, when: [{ cel: int(tasks.a.results.text) > 1 }] }
",
            1,
            &[("reason", "CELEvaluationFailed"), ("b status", "Skipped"), ("status", "Failed")],
        ),
    ];
    check(&World::with(TASKS), &rows);
}

#[test]
fn finally_runs_whatever_happened_and_knows_what() {
    let asks = "  finally:
    - { name: all, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.status) $(tasks.a.status) $(tasks.a.reason)' }] }
    - { name: only-if, taskRef: { name: echo }, when: [{ input: $(tasks.status), operator: in, values: [Failed] }] }
    - { name: fed, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.text) }] }
";
    let failed = format!(
        "  tasks: [{{ name: a, taskRef: {{ name: picky }}, params: [{{ name: text, value: bad }}] }}]\n{asks}"
    )
    .leak();
    let succeeded = format!("  tasks: [{{ name: a, taskRef: {{ name: echo }} }}]\n{asks}").leak();
    let skipped =
        format!("  tasks: [{{ name: a, taskRef: {{ name: echo }}, when: [{{ cel: 'false' }}] }}]\n{asks}")
            .leak();
    let rows = [
        row(
            "after a failure",
            failed,
            1,
            &[
                ("all results.text", "Failed Failed Failed"),
                ("only-if status", "Succeeded"),
                ("fed reason", "Results were missing"),
                ("reason", "Failed"),
                ("message", "Tasks Completed: 3 (Failed: 1, Cancelled 0), Skipped: 1"),
            ],
        ),
        row(
            "after a success",
            succeeded,
            0,
            &[
                ("all results.text", "Succeeded Succeeded Succeeded"),
                ("only-if reason", "When Expressions evaluated to false"),
                ("fed status", "Succeeded"),
                ("reason", "Completed"),
            ],
        ),
        row(
            "after a skip",
            skipped,
            0,
            &[("all results.text", "Completed None When Expressions evaluated to false")],
        ),
        row(
            "a task of finally that fails fails the run, and the others run",
            "  tasks: [{ name: a, taskRef: { name: echo } }]
  finally: [{ name: bad, taskRef: { name: fail } }, { name: good, taskRef: { name: echo } }]
",
            1,
            &[("reason", "Failed"), ("bad status", "Failed"), ("good status", "Succeeded")],
        ),
    ];
    check(&World::with(TASKS), &rows);
}

#[test]
fn failures_are_tried_again_or_passed_over() {
    let rows = [
        row(
            "every attempt is told, and the last one counts",
            "  tasks:
    - { name: a, taskRef: { name: fail }, retries: { max: 2, backoff: 10ms } }
    - { name: b, taskRef: { name: echo }, runAfter: [a] }
",
            1,
            &[
                ("a earlier.0.attempt", "1"),
                ("a earlier.1.reason", "Failed"),
                ("a earlier.2", "null"),
                ("a status", "Failed"),
                ("b reason", "PipelineRun was stopping"),
                ("message", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1"),
            ],
        ),
        row(
            "only after the failures that are named",
            "  tasks: [{ name: a, taskRef: { name: fail }, retries: { max: 5, backoff: 10ms, on: [timeout, memory, network] } }]\n",
            1,
            &[("a earlier", "null")],
        ),
        row(
            "onError: continue",
            "  tasks:
    - { name: a, taskRef: { name: fail }, onError: continue }
    - { name: b, taskRef: { name: echo }, runAfter: [a] }
  finally:
    - { name: f, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.a.status) $(tasks.a.reason) $(tasks.status)' }] }
",
            0,
            &[
                ("a status", "Failed"),
                ("a afterFailure", "FailureIgnored"),
                ("b status", "Succeeded"),
                ("f results.text", "Failed FailureIgnored Succeeded"),
                ("reason", "Succeeded"),
                ("message", "Tasks Completed: 3 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 0"),
            ],
        ),
        row(
            "a result that an ignored failure did not give",
            "  tasks:
    - { name: a, taskRef: { name: fail }, onError: continue }
    - { name: b, taskRef: { name: echo }, runAfter: [a] }
    - { name: c, taskRef: { name: echo }, params: [{ name: list, value: '$(tasks.d.results.list[*])' }] }
    - { name: d, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.e.results.list[3])' }] }
    - { name: e, taskRef: { name: echo } }
",
            1,
            &[("reason", "ParamArrayIndexingInvalid"), ("d status", "Skipped")],
        ),
    ];
    check(&World::with(TASKS), &rows);
}

#[test]
fn a_task_that_fails_hands_back_the_results_it_had_come_to() {
    let rows = [
        row(
            "in finally and in the results of the pipeline; those of the last attempt",
            "  results: [{ name: kept, value: $(tasks.a.results.found) }, { name: gone, value: $(tasks.a.results.rest) }]
  tasks:
    - { name: a, taskRef: { name: partial }, params: [{ name: found, value: 'half $(context.task.retry-count)' }], retries: { max: 1, backoff: 10ms } }
    - { name: b, taskRef: { name: echo }, runAfter: [a] }
  finally:
    - { name: f, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.found) }] }
    - { name: g, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.rest) }] }
    - { name: h, taskRef: { name: stamp }, inputs: [{ name: source, from: $(tasks.a.outputs.copy) }] }
",
            1,
            &[
                ("a reason", "Failed"),
                ("a results.found", "half 1"),
                ("a results.rest", "null"),
                ("b status", "Skipped"),
                ("f results.text", "half 1"),
                ("g reason", "Results were missing"),
                ("h reason", "Results were missing"),
                ("results.kept", "half 1"),
                ("results.gone", "null"),
            ],
        ),
        row(
            "with onError: continue in the tasks after it, and of each combination",
            "  tasks:
    - { name: a, taskRef: { name: partial }, params: [{ name: found, value: half }], onError: continue }
    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.found) }] }
    - { name: m, taskRef: { name: partial }, matrix: { params: [{ name: found, value: [x, ''] }] }, onError: continue }
    - { name: c, taskRef: { name: echo }, params: [{ name: list, value: '$(tasks.m.results.found[*])' }, { name: text, value: '$(tasks.m.matrix.rest.length)' }] }
",
            0,
            &[
                ("b results.text", "half"),
                ("c results.list", r#"["x",""]"#),
                ("c results.text", "1"),
                ("reason", "Succeeded"),
            ],
        ),
        row(
            "one that it did not come to fails whoever needs it",
            "  tasks:
    - { name: a, taskRef: { name: partial }, params: [{ name: found, value: half }], onError: continue }
    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.a.results.rest) }] }
",
            1,
            &[("reason", "InvalidTaskResultReference"), ("b status", "Skipped")],
        ),
        row(
            "of a nested pipeline that failed the results, and no artifact",
            "  tasks:
    - name: inner
      onError: continue
      pipelineSpec:
        results: [{ name: r, value: $(tasks.a.results.found) }]
        outputs: [{ name: o, from: $(tasks.s.outputs.copy) }]
        tasks:
          - { name: s, taskRef: { name: partial }, params: [{ name: found, value: '' }] }
          - { name: a, taskRef: { name: partial }, params: [{ name: found, value: half }], runAfter: [s] }
    - { name: b, taskRef: { name: echo }, params: [{ name: text, value: $(tasks.inner.results.r) }] }
  finally:
    - { name: f, taskRef: { name: stamp }, inputs: [{ name: source, from: $(tasks.inner.outputs.o) }] }
",
            0,
            &[
                ("@inner status", "Failed"),
                ("@inner results.r", "half"),
                ("b results.text", "half"),
                ("f reason", "Results were missing"),
            ],
        ),
    ];
    check(&World::with(TASKS), &rows);
}

#[test]
fn a_matrix_runs_every_combination_and_hands_on_each() {
    let rows = [
        row(
            "combinations, include, keyed and gathered results, lengths",
            "  params: [{ name: words, default: [one, two] }]
  tasks:
    - name: m
      taskRef: { name: echo }
      matrix:
        params: [{ name: text, value: '$(params.words[*])' }, { name: mode, value: [plain, loud] }]
        include: [{ name: three, params: [{ name: text, value: three }, { name: mode, value: loud }] }]
    - { name: all, taskRef: { name: echo }, params: [{ name: list, value: '$(tasks.m.results.text[*])' }, { name: text, value: $(tasks.m.matrix.length) $(tasks.m.matrix.text.length) }] }
    - { name: one, taskRef: { name: echo }, params: [{ name: text, value: '$(tasks.m[two,loud].results.text) $(tasks.m[three].results.text) $(tasks.m[0].results.text)' }] }
    - { name: read, taskRef: { name: stamp }, inputs: [{ name: source, from: '$(tasks.m[one,plain].outputs.copy)' }] }
",
            0,
            &[
                ("m[one,loud] results.text", "ONE"),
                ("m[three] results.text", "THREE"),
                ("all results.list", r#"["one","ONE","two","TWO","THREE"]"#),
                ("all results.text", "5 5"),
                ("one results.text", "TWO THREE one"),
                ("read status", "Succeeded"),
                ("message", "Tasks Completed: 4 (Failed: 0, Cancelled 0), Skipped: 0"),
            ],
        ),
        row(
            "from a result, which may be empty",
            "  tasks:
    - { name: a, taskRef: { name: echo }, params: [{ name: list, value: [x, y] }] }
    - { name: b, taskRef: { name: echo } }
    - { name: some, taskRef: { name: echo }, matrix: { params: [{ name: text, value: '$(tasks.a.results.list[*])' }] } }
    - { name: none, taskRef: { name: echo }, matrix: { params: [{ name: text, value: '$(tasks.b.results.list[*])' }] } }
    - { name: after, taskRef: { name: echo }, runAfter: [none] }
",
            0,
            &[
                ("some[y] results.text", "y"),
                ("none reason", "Matrix Parameters have an empty array"),
                ("after reason", "Parent Tasks were skipped"),
            ],
        ),
        row(
            "one combination that fails stops those that have not begun",
            "  tasks:
    - { name: m, taskRef: { name: picky }, matrix: { params: [{ name: text, value: [good, bad, other] }] } }
    - { name: after, taskRef: { name: echo }, runAfter: [m] }
"
            ,
            1,
            &[("after reason", "PipelineRun was stopping"), ("m[bad] status", "Failed"), ("m[good] status", "Succeeded"), ("m[other] reason", "PipelineRun was stopping")],
        ),
        row(
            "in finally, and with failures passed over",
            "  tasks: [{ name: a, taskRef: { name: echo } }]
  finally:
    - { name: f, taskRef: { name: picky }, onError: continue, matrix: { params: [{ name: text, value: [bad, good] }] } }
",
            0,
            &[("f[bad] afterFailure", "FailureIgnored"), ("f[good] status", "Succeeded"), ("reason", "Succeeded")],
        ),
    ];
    let world = World::with(&[Task::Test("echo"), Task::Test("stamp"), Task::Test("picky")]);
    let rows: Vec<Row> = rows.into_iter().map(|row| Row { args: &["--jobs", "1"], ..row }).collect();
    check(&world, &rows);
}

#[test]
fn time_runs_out_for_a_task_for_tasks_for_finally_and_for_all() {
    let slow = "{ name: slow, taskRef: { name: stall }, params: [{ name: how, value: loop }] }";
    let rows = [
        row(
            "tasks",
            format!(
                "  timeouts: {{ pipeline: 1h, tasks: 300ms }}\n  tasks: [{slow}, {{ name: after, taskRef: {{ name: echo }}, runAfter: [slow] }}]\n  finally: [{{ name: f, taskRef: {{ name: echo }}, params: [{{ name: text, value: $(tasks.slow.reason) }}] }}]\n"
            )
            .leak(),
            1,
            &[
                ("reason", "PipelineRunTimeout"),
                ("slow reason", "TaskRunCancelled"),
                ("slow message", "TaskRun cancelled as the PipelineRun it belongs to has timed out."),
                ("after reason", "PipelineRun Tasks timeout has been reached"),
                ("f results.text", "TaskRunCancelled"),
            ],
        ),
        row(
            "all of it: finally has no time left either",
            format!("  timeouts: {{ pipeline: 300ms }}\n  tasks: [{slow}]\n  finally: [{{ name: f, taskRef: {{ name: echo }} }}]\n").leak(),
            1,
            &[("reason", "PipelineRunTimeout"), ("f reason", "PipelineRun timeout has been reached")],
        ),
        row(
            "finally",
            format!("  timeouts: {{ pipeline: 1h, finally: 300ms }}\n  tasks: [{{ name: a, taskRef: {{ name: echo }} }}]\n  finally: [{slow}]\n").leak(),
            1,
            &[("reason", "PipelineRunTimeout"), ("slow reason", "TaskRunCancelled")],
        ),
        row(
            "one task, tried again, and one nested pipeline",
            "  tasks:
    - { name: t, taskRef: { name: stall }, params: [{ name: how, value: loop }], timeout: 200ms, retries: { max: 1, backoff: 10ms, on: [timeout] }, onError: stopAndFail }
",
            1,
            &[("t reason", "TaskRunTimeout"), ("t earlier.0.reason", "TaskRunTimeout"), ("reason", "Failed")],
        ),
        row(
            "a nested pipeline has no more time than what it stands in, however often it is tried",
            format!("  timeouts: {{ pipeline: 400ms }}\n  tasks: [{{ name: n, retries: {{ max: 50, backoff: 10ms }}, pipelineSpec: {{ timeouts: {{ pipeline: '0' }}, tasks: [{slow}] }} }}]\n").leak(),
            1,
            &[
                ("reason", "PipelineRunTimeout"),
                ("@n reason", "PipelineRunTimeout"),
                ("@n afterFailure", "null"),
                ("n/slow reason", "TaskRunCancelled"),
            ],
        ),
        row(
            "a nested pipeline",
            format!("  tasks: [{{ name: n, timeout: 300ms, pipelineSpec: {{ tasks: [{slow}] }} }}]\n").leak(),
            1,
            &[("@n reason", "PipelineRunTimeout"), ("n/slow reason", "TaskRunCancelled"), ("reason", "Failed")],
        ),
    ];
    let world = World::with(&[Task::Test("echo"), Task::Hostile("stall")]);
    check(&world, &rows);
    let runs = world.runs();
    let late = runs.iter().find(|run| run["reason"] == "PipelineRunTimeout").unwrap();
    assert!(late["message"].as_str().unwrap().contains("; slowest: "), "{late}");
}
