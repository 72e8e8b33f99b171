//! Whole files, sound, wrong and hostile, and what becomes of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use super::konflux::{self, Becomes};
use super::*;

fn request<'a>(text: &'a str, tasks: &[(&str, &str)]) -> ImportRequest<'a> {
    let tasks = tasks.iter().map(|(name, reference)| ((*name).to_owned(), (*reference).to_owned())).collect();
    ImportRequest { text, pipeline: None, tasks }
}

/// Imports a file, and holds the result against what holds for every result.
fn imported(text: &str, tasks: &[(&str, &str)]) -> Import {
    let import = import(&request(text, tasks)).unwrap();
    assert_eq!(super::import(&request(text, tasks)).unwrap().pipeline, import.pipeline);
    let document = Document::parse(&import.pipeline).unwrap();
    assert_eq!(document.to_json().get("apiVersion").unwrap(), "cofferdam.dev/v1");
    assert!(import.pipeline.starts_with("# yaml-language-server: $schema=pipeline.schema.json\n"));
    for line in import.pipeline.lines() {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    import
}

/// A pipeline of one task `a`, which is our own `x`; with what was left out.
fn task(text: &str) -> (String, Vec<String>) {
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  tasks:\n    - name: a\n      taskRef: {{ name: x }}\n      {text}\n"
    );
    let import = imported(&text, &[("x", "x")]);
    let left = import
        .left_out
        .iter()
        .map(|left| format!("{}:{} {} {}", left.line, left.column, left.path, left.what));
    (import.pipeline.clone(), left.collect())
}

fn left(import: &Import) -> String {
    serde_json::to_string_pretty(&serde_json::json!({"tasks": import.tasks, "leftOut": import.left_out}))
        .unwrap()
}

#[test]
fn a_build_of_konflux_becomes_what_can_be_run_and_a_list_of_the_rest() {
    let import = imported(include_str!("../../../tests/fixtures/tekton/docker-build-push.yaml"), &[]);
    insta::assert_snapshot!("docker_build_pipeline", import.pipeline);
    insta::assert_snapshot!("docker_build_left_out", left(&import));
}

#[test]
fn a_build_with_volumes_and_one_for_several_platforms_become_what_can_be_run() {
    let import = imported(include_str!("../../../tests/fixtures/tekton/docker-build-pull-request.yaml"), &[]);
    insta::assert_snapshot!("docker_build_pull_request_pipeline", import.pipeline);
    insta::assert_snapshot!("docker_build_pull_request_left_out", left(&import));
    let text = include_str!("../../../tests/fixtures/tekton/docker-build-multi-platform-push.yaml");
    let import = imported(text, &[]);
    insta::assert_snapshot!("docker_build_multi_platform_pipeline", import.pipeline);
    insta::assert_snapshot!("docker_build_multi_platform_left_out", left(&import));
}

#[test]
fn the_language_is_carried_over() {
    let tasks = [
        ("acme-lint", "lint:0.1.0"),
        ("acme-test", "test.wasm"),
        ("acme-publish", "oci:vendor:publish:1"),
        ("acme-notify", "notify"),
    ];
    let import = imported(include_str!("../../../tests/fixtures/tekton/release.yaml"), &tasks);
    insta::assert_snapshot!("release_pipeline", import.pipeline);
    insta::assert_snapshot!("release_left_out", left(&import));
}

#[test]
fn nothing_is_left_out_where_everything_has_a_counterpart() {
    let import = imported(include_str!("../../../tests/fixtures/tekton/whole.yaml"), &[]);
    assert_eq!(import.left_out, []);
    insta::assert_snapshot!("whole_pipeline", import.pipeline);
}

#[test]
fn another_pipeline_of_the_file_can_be_chosen() {
    let text = include_str!("../../../tests/fixtures/tekton/release.yaml");
    let mut request = request(text, &[]);
    request.pipeline = Some("nightly");
    assert!(super::import(&request).unwrap().pipeline.contains("\n  name: nightly\n"));
    request.pipeline = Some("nightyl");
    let error = super::import(&request).unwrap_err();
    let ImportError::NoPipeline { why, help, .. } = error else { panic!("{error:?}") };
    assert_eq!(why, "no pipeline of the file is called `nightyl`");
    assert_eq!(help, "did you mean `nightly`? there is: nightly, release, release-");
}

#[test]
fn a_task_that_is_not_there_cannot_be_chosen() {
    let text = include_str!("../../../tests/fixtures/tekton/whole.yaml");
    let error = import(&request(text, &[("show-sbon", "mine")])).unwrap_err();
    let ImportError::NoTask { help, .. } = error else { panic!("{error:?}") };
    assert_eq!(help, "did you mean `show-sbom`? there is: git-clone, sast-unicode-check, show-sbom");
    let chosen = imported(text, &[("show-sbom", "mine:2.0.0")]);
    assert!(chosen.pipeline.contains("name: mine\n        version: \"2.0.0\"\n"), "{}", chosen.pipeline);
}

#[test]
fn every_task_of_the_catalog_becomes_what_its_row_says() {
    for row in konflux::rows() {
        for name in row.names {
            let text = format!(
                "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  tasks:\n    - name: a\n      taskRef:\n        resolver: bundles\n        params: [{{ name: bundle, value: 'r.example.org/{name}:1' }}, {{ name: name, value: {name}-oci-ta }}]\n"
            );
            let import = imported(&text, &[]);
            let became = &import.tasks.first().unwrap().became;
            match &row.becomes {
                Becomes::Task(ours) => {
                    assert_eq!(*became, Became::Task(ours.name.to_owned()));
                    assert_eq!(import.left_out, []);
                }
                Becomes::Host { .. } => assert_eq!(*became, Became::Host, "{name}"),
                Becomes::Nothing { instead, .. } => {
                    assert_eq!(*became, Became::Nothing, "{name}");
                    assert!(
                        import.left_out.iter().any(|left| left.instead == *instead && left.line == 6),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_carried_over_is_named_in_its_place() {
    for (text, place, what) in [
        ("retries: many", "8:7 spec.tasks[0].retries", "which is no number"),
        ("timeout: '0'", "8:7 spec.tasks[0].timeout", "the timeout `0`"),
        ("timeout: 1.5h", "8:7 spec.tasks[0].timeout", "the timeout `1.5h`"),
        ("onError: maybe", "8:7 spec.tasks[0].onError", "`onError`"),
        ("runAfter: [b]", "8:18 spec.tasks[0].runAfter[0]", "a task that is not there"),
        ("wen: []", "", ""),
        ("wen: [x]", "8:7 spec.tasks[0].wen", "no key of a task"),
        (
            "computeResources: { limits: { cpu: '1' } }",
            "8:7 spec.tasks[0].computeResources",
            "of a container",
        ),
        (
            "workspaces: [{ name: w }]",
            "8:20 spec.tasks[0].workspaces[0]",
            "nothing that is run here fills it",
        ),
        (
            "params: [{ name: a.b, value: x }]",
            "8:16 spec.tasks[0].params[0]",
            "its name is none that can be used here",
        ),
        ("params: [{ name: p, value: [[x]] }]", "8:16 spec.tasks[0].params[0]", "a value is a string"),
        (
            "params: [{ name: p, value: { a: { b: c } } }]",
            "8:16 spec.tasks[0].params[0]",
            "a value is a string",
        ),
        ("params: [{ name: p, value: '$(params.x' }]", "8:16 spec.tasks[0].params[0]", "`$(` is not closed"),
        ("params: [{ name: p, value: $(date) }]", "8:16 spec.tasks[0].params[0]", "plain text to Tekton"),
        (
            "params: [{ name: p, value: $(steps.a.results.b) }]",
            "8:16 spec.tasks[0].params[0]",
            "plain text to Tekton",
        ),
        (
            "params: [{ name: p, value: $(workspaces.w.path) }]",
            "8:16 spec.tasks[0].params[0]",
            "the place of a volume",
        ),
        (
            "params: [{ name: p, value: $(context.taskRun.name) }]",
            "8:16 spec.tasks[0].params[0]",
            "has no meaning here",
        ),
        (
            "params: [{ name: p, value: $(tasks.b.results.r) }]",
            "8:16 spec.tasks[0].params[0]",
            "there is no task `b`",
        ),
        (
            "params: [{ name: SOURCE_ARTIFACT, value: x }]",
            "8:16 spec.tasks[0].params[0]",
            "not the result of a task",
        ),
        (
            "params: [{ name: SOURCE_ARTIFACT, value: $(params.x) }]",
            "8:16 spec.tasks[0].params[0]",
            "is not the result of a task",
        ),
        ("when: { a: b }", "6:7 spec.tasks[0]", "its `when` is no list"),
        (
            "when: [{ input: a, operator: like, values: [b] }]",
            "6:7 spec.tasks[0]",
            "its `when` has a `operator`",
        ),
        ("when: [{ input: a, operator: in, values: b }]", "6:7 spec.tasks[0]", "its `when` has a `values`"),
        ("when: [{ input: a, operator: in }]", "6:7 spec.tasks[0]", "not whole"),
        (
            "when: [{ input: a, operator: in, values: [b], cel: c }]",
            "6:7 spec.tasks[0]",
            "neither of the two forms",
        ),
        ("when: [{ inputs: a }]", "6:7 spec.tasks[0]", "its `when` has a key `inputs`"),
        (
            "when: [{ cel: '$(tasks.b.results.r)' }]",
            "6:7 spec.tasks[0]",
            "cannot be asked: there is no task `b`",
        ),
        ("matrix: { strategy: x }", "6:7 spec.tasks[0]", "its `matrix` has a key `strategy`"),
        (
            "matrix: { params: [{ name: p, value: [$(tasks.b.results.r)] }] }",
            "6:7 spec.tasks[0]",
            "its `matrix` cannot be made",
        ),
        ("matrix: { params: [{ name: 'p q', value: [x] }] }", "6:7 spec.tasks[0]", "its name is none"),
    ] {
        let (_, found) = task(text);
        if place.is_empty() {
            assert_eq!(found, [""; 0], "{text}");
            continue;
        }
        let first = found.iter().find(|one| one.starts_with(place) && one.contains(what));
        assert!(first.is_some(), "{text}: {found:?}");
    }
}

#[test]
fn a_task_that_is_none_is_left_out_in_its_place() {
    for (tasks, what) in [
        ("[{ name: 'A B', taskRef: { name: sbom } }]", "its name is none that a task can have here"),
        ("[{ taskRef: { name: sbom } }]", "its name is none that a task can have here"),
        ("[{ name: a }]", "it names no task"),
        ("[{ name: a, taskRef: { name: own } }]", "nothing here is known to do the same"),
        (
            "[{ name: a, taskRef: { name: x, apiVersion: example.dev/v1, kind: Wait } }]",
            "a controller of Kubernetes",
        ),
        ("[{ name: a, pipelineRef: { name: other } }]", "a pipeline of another file"),
        ("[{ name: a, taskSpec: { steps: [{ image: x }] } }]", "it runs steps in containers"),
    ] {
        let text = format!(
            "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  tasks: {tasks}\n"
        );
        let import = imported(&text, &[]);
        let left = import.left_out.iter().find(|left| (left.line, left.column) == (5, 11)).unwrap();
        assert!(left.what.contains(what), "{left:?}");
        assert!(import.left_out.iter().any(|left| left.what == "no task is left to run"));
    }
}

#[test]
fn a_reference_to_a_renamed_or_absent_result_is_rewritten_or_named() {
    let text = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: p }\nspec:\n  tasks:
    - { name: init, taskRef: { name: init } }
    - { name: check, taskRef: { name: unicode-check } }
    - name: tell
      taskRef: { name: tell }
      when: [{ input: $(tasks.init.results.build), operator: in, values: ['true'] }]
      params:
        - { name: good, value: $(tasks.check.results.TEST_OUTPUT) }
        - { name: bad, value: $(tasks.check.results.SCAN_OUTPUT) }\n";
    let import = imported(text, &[("tell", "tell")]);
    assert!(import.pipeline.contains("- input: \"true\"\n"), "{}", import.pipeline);
    assert!(import.pipeline.contains("value: $(tasks.check.results.TEST_OUTPUT)\n"));
    let [left] = import.left_out.as_slice() else { panic!("{:?}", import.left_out) };
    assert!(
        left.what
            .ends_with("`check` has no result `SCAN_OUTPUT` here: it is the built-in task `unicode-check`")
    );
}

#[test]
fn what_pipelines_as_code_fills_in_becomes_a_param_that_must_be_given() {
    for value in ["'r-{{revision}}'", "\"r-{{ revision }}\"", "r-{{ revision }}"] {
        let (pipeline, left) = task(&format!("params:\n        - name: p\n          value: {value}"));
        assert_eq!(left, [""; 0]);
        assert!(pipeline.contains("value: r-$(params.event-revision)\n"), "{pipeline}");
        assert!(pipeline.contains("- name: event-revision\n"), "{pipeline}");
    }
    // Without quotes this is a mapping whose key is a mapping.
    let (pipeline, left) = task("params:\n        - name: p\n          value: {{ headers['x-y'] }}/z");
    assert_eq!(left, [""; 0]);
    assert!(pipeline.contains("value: $(params.event-headers--x-y)/z\n"), "{pipeline}");
}

#[test]
fn a_condition_on_what_the_host_does_is_told_unless_it_always_holds() {
    for (input, told) in [("$(tasks.init.results.build)", 0), ("$(params.clone)", 1)] {
        let text = format!(
            "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: p }}\nspec:\n  tasks:
    - {{ name: init, taskRef: {{ name: init }} }}
    - {{ name: clone, taskRef: {{ name: git-clone }}, when: [{{ input: {input}, operator: in, values: ['true'] }}] }}
    - {{ name: bom, taskRef: {{ name: show-sbom }} }}\n"
        );
        let import = imported(&text, &[]);
        assert_eq!(import.left_out.len(), told, "{:?}", import.left_out);
        assert!(
            import.left_out.iter().all(|left| (left.line, left.path.as_str()) == (7, "spec.tasks[1].when"))
        );
    }
}

#[test]
fn an_empty_list_is_a_value() {
    let text = "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: { name: p }\nspec:\n  params: [{ name: list, value: [] }]\n  pipelineSpec:
    params: [{ name: list, type: array, default: [a] }]
    tasks: [{ name: t, taskRef: { name: x }, params: [{ name: p, value: [] }, { name: q, value: ['$(params.list[*])'] }] }]\n";
    let read = Document::parse(&imported(text, &[("x", "x")]).pipeline).unwrap().to_json();
    assert_eq!(read.pointer("/spec/params/0/default"), Some(&serde_json::json!([])));
    assert_eq!(read.pointer("/spec/tasks/0/params/0/value"), Some(&serde_json::json!([])));
}

#[test]
fn what_is_no_pipeline_of_tektons_is_refused() {
    for (text, what, place) in [
        ("a: b\n", "this is no file of Tekton: no `apiVersion` is in it", "1:1"),
        ("[]\n", "this is no file of Tekton: no `apiVersion` is in it", "1:1"),
        ("apiVersion: v1\nkind: Pod\n", "this is no file of Tekton: its `apiVersion` is `v1`", "1:13"),
        (
            "apiVersion: tekton.dev/v1alpha1\nkind: Pipeline\n",
            "this is no file of Tekton: its `apiVersion` is `tekton.dev/v1alpha1`",
            "1:13",
        ),
        (
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\n",
            "this is no file of Tekton: its `apiVersion` is `cofferdam.dev/v1`",
            "1:13",
        ),
        ("apiVersion: tekton.dev/v1\nkind: Task\n", "the file holds no pipeline, but a Task", "1:13"),
        ("apiVersion: tekton.dev/v1\n", "the file holds no pipeline, but a document of no kind", "1:13"),
        ("a: [\n", "not valid YAML", "2:1"),
        ("a: &x 1\nb: *x\n", "anchors and aliases are not read", "1:4"),
        ("", "the file holds no YAML document", "1:1"),
    ] {
        let error = import(&request(text, &[])).unwrap_err();
        assert!(error.to_string().starts_with(what), "{text:?}: {error}");
        let found = match error {
            ImportError::Unreadable(fault) => fault.place,
            ImportError::NotTekton { place, .. } | ImportError::NoPipeline { place, .. } => place,
            ImportError::NoTask { .. } | ImportError::TooLarge { .. } => Place::default(),
        };
        assert_eq!(found.to_string(), place, "{text:?}");
    }
}

#[test]
fn no_text_of_the_file_ends_a_comment_or_reaches_the_terminal() {
    let evil = "x\\n  tasks: []\\r\\u2028\\e[2J\\u202e# y";
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: \"{evil}\", annotations: {{ \"pipelinesascode.tekton.dev/{evil}\": \"{evil}\", \"{evil}\": a }} }}\nspec:\n  description: \"{evil}\"\n  params:\n    - {{ name: \"{evil}\", default: \"{evil}\" }}\n    - {{ name: o, default: {{ \"{evil}\": \"{evil}\" }} }}\n  tasks:\n    - {{ name: \"{evil}\", taskRef: {{ name: \"{evil}\", bundle: \"{evil}\" }} }}\n    - {{ name: a, taskRef: {{ name: \"{evil}\" }}, \"{evil}\": 1, params: [{{ name: \"{evil}\", value: \"$({evil})\" }}, {{ name: b, value: \"{evil}\" }}] }}\n    - {{ name: c, taskRef: {{ name: ok }}, description: \"{evil}\", displayName: \"{evil}\", when: [{{ input: \"{evil}\", operator: in, values: [\"{evil}\"] }}] }}\n"
    );
    let import = imported(&text, &[("ok", "ok"), ("x\n  tasks: []\r\u{2028}\u{1b}[2J\u{202e}# y", "mine")]);
    for hidden in ['\u{1b}', '\u{2028}', '\u{202e}', '\r'] {
        assert!(!import.pipeline.contains(hidden), "{hidden:?}");
    }
    let read = Document::parse(&import.pipeline).unwrap().to_json();
    let names: Vec<_> = read
        .pointer("/spec/tasks")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.get("name").unwrap())
        .collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(
        read.pointer("/spec/tasks/1/description").unwrap(),
        "x\n  tasks: []\r\u{2028}\u{1b}[2J\u{202e}# y"
    );
}

#[test]
fn large_files_are_converted_or_refused_and_never_for_long() {
    let head = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: p }\nspec:\n";
    let many = |one: &dyn Fn(usize) -> String| (0..20_000).map(one).collect::<String>();
    let chain = many(&|n| {
        format!(
            "    - {{ name: a{n}, runAfter: [a{}], taskRef: {{ name: {} }} }}\n",
            n.saturating_sub(1),
            if n % 2 == 0 { "x" } else { "y" }
        )
    });
    let fan = many(&|n| {
        format!(
            "    - {{ name: a{n}, taskRef: {{ name: x }}, params: [{{ name: p, value: $(tasks.g{n}.results.r) }}] }}\n"
        )
    });
    let volumes =
        many(&|n| format!("    - {{ name: a{n}, taskRef: {{ name: x }}, workspaces: [{{ name: w }}] }}\n"));
    let lost = many(&|n| {
        format!(
            "    - {{ name: a{n}, taskRef: {{ name: x }}, when: [{{ cel: '$(tasks.a{}.results.r)' }}] }}\n",
            n + 1
        )
    });
    let bare = many(&|n| format!("    - {{ name: a{n} }}\n"));
    for tasks in [chain, fan, volumes, lost, bare] {
        let text = format!("{head}  tasks:\n{tasks}");
        let _ = import(&request(&text, &[("x", "x")]));
    }
    let marks = "$".repeat(1 << 20) + &"{".repeat(1 << 20) + &"$()".repeat(1 << 18);
    let text = format!(
        "{head}  tasks:\n    - {{ name: a, taskRef: {{ name: x }}, params: [{{ name: p, value: '{marks}' }}] }}\n"
    );
    let _ = import(&request(&text, &[("x", "x")]));
    let params = many(&|n| format!("    - {{ name: p{n}, value: x }}\n"));
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata: {{ name: p }}\nspec:\n  params:\n{params}  pipelineSpec:\n    params:\n{params}"
    );
    let _ = import(&request(&text, &[]));
    let deep = format!("{head}  tasks: {}{}\n", "[".repeat(70), "]".repeat(70));
    assert!(matches!(import(&request(&deep, &[])), Err(ImportError::Unreadable(_))));
    let nested = (0..60).fold("[]".to_owned(), |inner, _| format!("[{inner}]"));
    imported(&format!("{head}  tasks: {nested}\n"), &[]);
    let pipelines = (0..14)
        .fold("[]".to_owned(), |inner, _| format!("[{{ name: n, pipelineSpec: {{ tasks: {inner} }} }}]"));
    imported(&format!("{head}  tasks: {pipelines}\n"), &[]);
    assert!(matches!(import(&request(&"#".repeat((4 << 20) + 1), &[])), Err(ImportError::Unreadable(_))));
}
