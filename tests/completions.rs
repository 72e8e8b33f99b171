//! What a shell completes, asked as bash asks; and manual pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Done, Task, World, done, name};

/// Calls the function that the script registers, as bash does when a person
/// presses the tab key behind the last of these words.
const PRESS: &str = r#"
source <(cofferdam completions bash)
complete -p cofferdam >/dev/null
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; COMP_KEY=9
COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
COMPREPLY=()
_clap_complete_cofferdam cofferdam "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

fn press(world: &World, words: &[&str]) -> Done {
    let program = world.command(&[]);
    let directory = Path::new(program.get_program()).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", PRESS, "bash", "cofferdam"]).args(words).current_dir(world.project());
    bash.env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            bash.env(name, value);
        }
    }
    done(bash.env("PATH", path))
}

/// What is offered, in order; nothing is ever said beside it.
#[track_caller]
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    let done = press(world, words).ok();
    assert_eq!(done.err, "", "{words:?}");
    done.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn runs_tasks_pipelines_and_params_are_completed() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = world.pipeline_spec(
        "  params: [{ name: level, default: a }, { name: label, default: b }, { name: other, default: c }]
  tasks:
    - { name: first, taskRef: { name: echo } }
    - { name: second, taskRef: { name: echo } }
",
    );
    world.write(".cofferdam/deeper/more.yaml", fs::read(world.project().join(&pipeline)).unwrap());
    world.write(".cofferdam/notes.yaml", "kind: Other\n");
    world.write(".cofferdam/broken.yaml", "{");
    let (_, one) = world.run_json(&[&pipeline]);
    let (_, two) = world.run_json(&[&pipeline]);
    let (one, two) = (name(&one), name(&two));
    assert_eq!(offered(&world, &["ru"]), ["run", "runs"]);
    for command in ["show", "verify", "logs"] {
        assert_eq!(offered(&world, &[command, "test-"]), [two.clone(), one.clone()], "{command}");
    }
    assert_eq!(offered(&world, &["logs", &one[..8]]), std::slice::from_ref(&one));
    assert_eq!(offered(&world, &["logs", &one, "s"]), ["second"]);
    assert_eq!(offered(&world, &["logs", "--level", "warn", &one, "f"]), ["first"]);
    let files = [".cofferdam/deeper/more.yaml", ".cofferdam/test.yaml"];
    assert_eq!(offered(&world, &["run", ".coff"]), files);
    assert_eq!(offered(&world, &["plan", ".cofferdam/t"]), [files[1]]);
    assert_eq!(offered(&world, &["run", &pipeline, "-p", "l"]), ["level=", "label="]);
    assert_eq!(offered(&world, &["run", &pipeline, "--param", "o"]), ["other="]);
    assert_eq!(offered(&world, &["run", "--log-format", "git"]), ["github", "gitlab"]);
    assert_eq!(offered(&world, &["runs", "--status", "inter"]), ["interrupted"]);
}

#[test]
fn a_completion_changes_nothing_and_never_fails_loudly() {
    let world = World::empty();
    let asked: [&[&str]; 5] =
        [&["show", "x"], &["logs", "x", "y"], &["run", "x"], &["run", "none", "-p", "x"], &["no-such", "x"]];
    for words in asked {
        assert!(offered(&world, words).is_empty(), "{words:?}");
    }
    assert!(!world.home().exists(), "a home was made");
    fs::create_dir_all(world.home()).unwrap();
    fs::write(world.home().join("state.db"), "no database".repeat(1000)).unwrap();
    for words in asked {
        assert!(offered(&world, words).is_empty(), "{words:?}");
    }
    let mut unknown = world.command(&["--", "cofferdam", ""]);
    let unknown = done(unknown.env("COFFERDAM_COMPLETE", "no-such-shell")).ok();
    assert_eq!((unknown.out, unknown.err), (String::new(), String::new()));
}

/// Every command below one, as its help lists them.
fn commands(world: &World, above: &[String], found: &mut Vec<Vec<String>>) {
    found.push(above.to_vec());
    let mut args: Vec<&str> = above.iter().map(String::as_str).collect();
    args.push("--help");
    let help = world.run(&args).ok().out;
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return };
    let list = list.split("\n\n").next().unwrap();
    for line in list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.trim_start().split(' ').next().unwrap();
        if name != "help" {
            let below: Vec<String> = above.iter().cloned().chain([name.to_owned()]).collect();
            commands(world, &below, found);
        }
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let world = World::empty();
    let printed = world.run(&["man", "pages/man1"]).ok().out;
    let mut all = Vec::new();
    commands(&world, &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    let mut expected = BTreeSet::new();
    for command in &all {
        let words: Vec<&str> =
            std::iter::once("cofferdam").chain(command.iter().map(String::as_str)).collect();
        let file = format!("{}.1", words.join("-"));
        let page = fs::read_to_string(world.project().join("pages/man1").join(&file)).unwrap();
        assert!(page.contains(".SH NAME\n") && page.contains(".SH SYNOPSIS\n"), "{page}");
        assert!(page.starts_with(".ie") || page.contains(".TH COFFERDAM"), "{page}");
        // A command that only holds others has none of its own.
        if !all.iter().any(|other| other.len() > command.len() && other.starts_with(command)) {
            let (_, examples) =
                page.split_once(".SH EXAMPLES\n.nf\n").unwrap_or_else(|| panic!("{file}: {page}"));
            let example = words.join(" ").replace('-', "\\-");
            assert!(examples.contains(&example), "no `{example}` in {file}: {page}");
        }
        expected.insert(file);
    }
    assert!(printed.contains(&format!("wrote {} pages", expected.len())), "{printed}");
    let entries = fs::read_dir(world.project().join("pages/man1")).unwrap();
    let found: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}
