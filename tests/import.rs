//! Converting files of Tekton: what is written where, what is said, and with
//! which status.

use std::fs;

use serde_json::Value;

use crate::harness::{Task, World, repository};

fn fixture(name: &str) -> String {
    fs::read_to_string(repository().join("tests/fixtures/tekton").join(name)).unwrap()
}

#[test]
fn a_pipeline_with_a_counterpart_for_everything_is_written_and_ends_well() {
    let world = World::empty();
    world.write("tekton.yaml", fixture("whole.yaml"));
    let printed = world.run(&["import", "tekton.yaml"]).ok();
    assert!(printed.err.is_empty(), "{printed:?}");
    let written = world.run(&["import", "tekton.yaml", "--output", ".cofferdam/new/build.yaml"]).ok();
    assert_eq!(
        written.out,
        "wrote .cofferdam/new/build.yaml: the pipeline `whole`; tasks: 2 carried over, 1 done by the host, 0 left out\n"
    );
    let text = fs::read_to_string(world.project().join(".cofferdam/new/build.yaml")).unwrap();
    assert_eq!(text, printed.out);
}

#[test]
fn what_was_left_out_is_told_with_its_line_and_the_file_is_written_all_the_same() {
    let world = World::empty();
    world.write("push.yaml", fixture("docker-build-push.yaml"));
    let done = world.run(&["import", "push.yaml", "--output", "build.yaml"]);
    assert_eq!(done.status, 1, "{done:?}");
    let done = done.says("left out of push.yaml:\nLINE ").says("-> build the image elsewhere");
    let row = done.err.lines().find(|line| line.contains("`build-container`")).unwrap();
    assert!(row.starts_with("148:9 ") && row.contains("spec.pipelineSpec.tasks[3]"), "{row}");
    assert!(world.project().join("build.yaml").exists());
    let json = world.run(&["import", "push.yaml", "--format", "json"]);
    assert_eq!((json.status, json.err.as_str()), (1, ""));
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["pipeline"], fs::read_to_string(world.project().join("build.yaml")).unwrap());
    assert_eq!(
        json["tasks"][7],
        serde_json::json!({"task": "sast-unicode-check", "origin": "sast-unicode-check-oci-ta", "became": {"task": "unicode-check"}})
    );
    let left = json["leftOut"].as_array().unwrap();
    let found = left.iter().find(|left| left["path"] == "spec.pipelineSpec.tasks[3]").unwrap();
    assert_eq!((&found["line"], &found["column"]), (&148.into(), &9.into()));
}

#[test]
fn what_onboarding_to_konflux_gives_becomes_a_pipeline_without_a_warning_that_runs() {
    let world = World::with(&[Task::Plugin("unicode-check"), Task::Plugin("sbom")]);
    world.write("src/main.rs", "fn main() {}\n");
    let schema = world.run(&["schema", "pipeline"]).ok();
    world.write(".cofferdam/pipeline.schema.json", schema.out);
    for (file, tasks) in [
        ("docker-build-push", vec!["sast-unicode-check", "show-sbom"]),
        ("docker-build-pull-request", vec!["sast-unicode-check", "show-sbom"]),
        ("docker-build-multi-platform-push", vec!["sast-unicode-check"]),
    ] {
        let text = fixture(&format!("{file}.yaml"));
        world.write(&format!(".tekton/{file}.yaml"), &text);
        let (from, to) = (format!(".tekton/{file}.yaml"), format!(".cofferdam/{file}.yaml"));
        let json = world.run(&["import", &from, "--output", &to, "--format", "json"]);
        assert_eq!(json.status, 1, "{json:?}");
        let json: Value = serde_json::from_str(&json.out).unwrap();
        // Every task of the file has a row, and what became of it.
        let rows = json["tasks"].as_array().unwrap();
        assert_eq!(rows.len(), text.matches("resolver: bundles").count(), "{file}");
        for row in rows.iter().filter(|row| row["became"] == "nothing") {
            let left = json["leftOut"].as_array().unwrap();
            let name = format!("the task `{}` (", row["task"].as_str().unwrap());
            let told = left.iter().find(|left| left["what"].as_str().unwrap().starts_with(&name));
            assert!(told.is_some_and(|told| told["instead"] != ""), "{file}: {name}");
        }
        let linted = world.run(&["lint", &to]).ok();
        assert!(linted.out.contains("0 errors, 0 warnings"), "{linted:?}");
        world.run(&["plan", &to]).ok();
        let (status, run) = world.run_json(&[&to, "--source", "src"]);
        assert_eq!(status, 0, "{run:#}");
        let names: Vec<&str> =
            run["tasks"].as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
        assert_eq!(names, tasks);
        // `when` on a param is kept: nothing is checked that was not to be.
        let (status, run) = world.run_json(&[&to, "--source", "src", "--param", "skip-checks=true"]);
        assert_eq!((status, &run["tasks"][0]["status"]), (0, &"Skipped".into()));
    }
}

#[test]
fn no_file_is_replaced_unasked() {
    let world = World::empty();
    world.write("tekton.yaml", fixture("whole.yaml"));
    world.write("mine.yaml", "mine");
    let import =
        |more: &[&str]| world.run(&[&["import", "tekton.yaml", "--output", "mine.yaml"], more].concat());
    import(&[]).refused(3, "io/exists", "mine.yaml").says("--force");
    assert_eq!(fs::read_to_string(world.project().join("mine.yaml")).unwrap(), "mine");
    import(&["--force"]).ok();
    assert!(fs::read_to_string(world.project().join("mine.yaml")).unwrap().contains("kind: Pipeline"));
    let itself = ["import", "tekton.yaml", "--output", "./tekton.yaml", "--force"];
    world.run(&itself).refused(2, "usage/invalid", "the file that is imported");
    assert_eq!(fs::read_to_string(world.project().join("tekton.yaml")).unwrap(), fixture("whole.yaml"));
}

#[test]
fn what_is_no_file_of_tekton_is_refused_with_its_place() {
    let world = World::empty();
    for (text, code, place) in [
        ("apiVersion: cofferdam.dev/v1\nkind: Pipeline\n", "document/not-tekton", "x.yaml:1:13"),
        ("apiVersion: tekton.dev/v1\nkind: Task\n", "document/no-pipeline", "x.yaml:1:13"),
        ("a: [\n", "document/syntax", "x.yaml:2:1"),
        ("\u{1b}[2J: \u{202e}\n", "document/not-tekton", "x.yaml:1:"),
    ] {
        world.write("x.yaml", text);
        let refused = world.run(&["import", "x.yaml", "--output", "out.yaml"]).refused(3, code, place);
        assert!(!refused.err.contains(['\u{1b}', '\u{202e}']), "{refused:?}");
    }
    assert!(!world.project().join("out.yaml").exists());
    world.run(&["import", "gone.yaml"]).refused(3, "io/unreadable", "gone.yaml");
    world.write("x.yaml", [0xff, 0xfe]);
    world.run(&["import", "x.yaml"]).refused(3, "document/syntax", "not UTF-8");
    world.write("x.yaml", "#".repeat((4 << 20) + 1));
    assert_eq!(world.run(&["import", "x.yaml"]).status, 3);
    world.write("x.yaml", fixture("whole.yaml"));
    world.run(&["import", "x.yaml", "--task", "a"]).refused(2, "usage/invalid", "NAME=REFERENCE");
    world
        .run(&["import", "x.yaml", "--task", "a=b"])
        .refused(2, "usage/invalid", "`a`")
        .says("there is: git-clone,");
    world.run(&["import", "x.yaml", "--pipeline", "other"]).refused(3, "document/no-pipeline", "x.yaml:2:1");
}

#[test]
fn nothing_of_a_hostile_file_reaches_the_terminal() {
    let world = World::empty();
    let evil = "\\e[2J\\u202e\\nLINE";
    let text = format!(
        "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{ name: a }}\nspec:\n  \"{evil}\": 1\n  tasks: [{{ name: \"{evil}\", taskRef: {{ name: \"{evil}\" }} }}]\n"
    );
    world.write("evil.yaml", text);
    let done = world.run(&["import", "evil.yaml"]);
    assert_eq!(done.status, 1);
    assert!(!(done.out + &done.err).contains(['\u{1b}', '\u{202e}']));
    let json = world.run(&["import", "evil.yaml", "--format", "json"]).out;
    assert!(!json.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn an_imported_pipeline_can_be_run() {
    let world = World::with(&[Task::Plugin("unicode-check"), Task::Plugin("sbom")]);
    let text = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: { name: ported }\nspec:\n  params: [{ name: level, default: error }]\n  tasks:
    - { name: clone, taskRef: { name: git-clone } }
    - name: check
      taskRef: { name: sast-unicode-check }
      runAfter: [clone]
      params: [{ name: SOURCE_ARTIFACT, value: $(tasks.clone.results.SOURCE_ARTIFACT) }, { name: fail-on, value: $(params.level) }]
    - { name: bom, taskRef: { name: show-sbom }, runAfter: [check] }\n";
    world.write("src/main.rs", "fn main() {}\n");
    world.write(".tekton/app.yaml", text);
    world.run(&["import", ".tekton/app.yaml", "--output", ".cofferdam/app.yaml"]).ok();
    let (status, run) = world.run_json(&[".cofferdam/app.yaml", "--source", "src"]);
    assert_eq!(status, 0, "{run}");
    assert_eq!(run["tasks"].as_array().unwrap().len(), 2);
}
