//! The forms in which a run is shown while it happens.

use crate::harness::{Done, Task, World, done};
use crate::hostile::line;

fn world() -> (World, String) {
    let world = World::with(&[Task::Test("echo"), Task::Test("fail")]);
    let pipeline = world.pipeline(
        "- { name: good, taskRef: { name: echo } }
- { name: bad, taskRef: { name: fail }, runAfter: [good] }",
    );
    (world, pipeline)
}

fn run_with(world: &World, args: &[&str], variables: &[(&str, &str)]) -> Done {
    done(world.command(args).envs(variables.iter().copied()))
}

#[test]
fn json_lines_are_the_journal_and_nothing_else_is_on_standard_error() {
    let (world, pipeline) = world();
    let ran = world.run(&["run", &pipeline, "--log-format", "json", "--format", "json"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let events: Vec<serde_json::Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(events.iter().enumerate().all(|(seq, event)| event["seq"] == seq && event["run"] == run["run"]));
    assert_eq!(events[0]["fact"]["fact"], "runStarted");
    assert_eq!(events.last().unwrap()["fact"]["fact"], "runSealed");
    for key in ["at", "hash"] {
        assert!(events.iter().all(|event| event[key].is_string()), "{ran:?}");
    }
    // Not even diagnostics that were asked for.
    let debug = run_with(
        &world,
        &["run", &pipeline, "--log-format", "json", "--format", "json"],
        &[("COFFERDAM_LOG", "trace")],
    );
    assert!(debug.err.lines().all(|line| line.starts_with("{\"run\":")), "{debug:?}");
    // What is wrong before a run begins is JSON on one line, too.
    let none = world.run(&["run", "none.yaml", "--log-format", "json"]);
    assert_eq!((none.status, none.err.lines().count()), (3, 1), "{none:?}");
    let failure: serde_json::Value = serde_json::from_str(&none.err).unwrap();
    assert_eq!(failure["problems"][0]["code"], "io/unreadable");
}

#[test]
fn the_form_is_asked_for_or_found_out() {
    let (world, pipeline) = world();
    let run = ["run", "--no-cache", pipeline.as_str()];
    let github = run_with(&world, &run, &[("GITHUB_ACTIONS", "true"), ("CI", "true")]);
    assert!(github.err.contains("::group::good (Succeeded in "), "{github:?}");
    assert!(
        github.err.contains("::error title=bad Failed::NothingToDo: there was nothing to do"),
        "{github:?}"
    );
    let gitlab = run_with(&world, &run, &[("GITLAB_CI", "true")]);
    assert!(gitlab.err.contains("task_1_good[collapsed=true]\r\u{1b}[0KSucceeded good in "), "{gitlab:?}");
    let asked = run_with(&world, &run, &[("GITLAB_CI", "true"), ("COFFERDAM_LOG_FORMAT", "plain")]);
    assert!(asked.err.contains("\ngood info echoing text=\n"), "{asked:?}");
    // Without a terminal nothing can move.
    let pretty = world.run(&["run", "--no-cache", &pipeline, "--log-format", "pretty"]);
    assert!(pretty.err.contains("\nstarted good\n") && !pretty.err.contains('\u{1b}'), "{pretty:?}");
    let bad = run_with(&world, &run, &[("COFFERDAM_LOG_FORMAT", "fancy")]);
    bad.refused(2, "usage/invalid", "fancy").says("`pretty`, `plain`, `json`, `github` or `gitlab`");
    let bad = world.run(&["run", &pipeline, "--log-format", "fancy"]);
    assert!(bad.status == 2 && bad.err.contains("pretty, plain, json, github, gitlab"), "{bad:?}");
}

#[test]
fn a_failure_is_told_with_what_was_logged_and_what_to_type_next() {
    let world = crate::hostile::world();
    let pipeline = world.pipeline(&line("a", "chatter", &[("how", "lines")], ""));
    for form in ["plain", "github", "gitlab"] {
        let ran = world.run(&["run", &pipeline, "--log-format", form]);
        assert_eq!(ran.status, 1, "{ran:?}");
        let (_, block) = ran.err.rsplit_once("Failed a in ").unwrap();
        assert_eq!(block.matches("\n  | info a line of some length").count(), 20, "{form}: {block}");
        let run = ran.out.split(' ').next().unwrap();
        let all = format!("logs {run} a\n");
        assert!(block.contains(&all), "{form}: {block}");
        assert!(ran.out.ends_with(&all), "{}", ran.out);
    }
}

#[test]
fn a_task_commands_no_service_that_reads_its_log() {
    let world = World::with(&[Task::Test("echo")]);
    let text = "::add-mask::x ##[add-path]/tmp";
    let pipeline = world.pipeline(&format!(
        "- {{ name: a, taskRef: {{ name: echo }}, params: [{{ name: text, value: '{text}' }}] }}"
    ));
    let github = [("GITHUB_ACTIONS", "true")];
    let ran = run_with(&world, &["run", &pipeline], &github).ok();
    // The token stops commands once, and is another one in every run.
    let token = |done: &Done| {
        let (_, rest) = done.err.split_once("\n::stop-commands::").unwrap();
        let token = rest.lines().next().unwrap().to_owned();
        assert!(token.len() == 32 && rest.contains(&format!("\n::{token}::\n")), "{done:?}");
        token
    };
    assert_ne!(token(&ran), token(&run_with(&world, &["run", "--no-cache", &pipeline], &github).ok()));
    for args in [&["run", "--no-cache", &pipeline][..], &["show", "--logs"], &["show", "--format", "json"]] {
        let done = run_with(&world, args, &github).ok();
        for text in [&done.out, &done.err] {
            assert!(!text.contains("##["), "{text}");
        }
        assert!(!done.out.lines().any(|line| line.trim_start().starts_with("::")), "{}", done.out);
    }
    let json = run_with(&world, &["show", "--format", "json"], &github).ok().out;
    let run: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(run["tasks"][0]["results"]["text"], text, "the document says the same");
}
