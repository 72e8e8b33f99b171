//! What the documents show is run: every `console` block, in order, in a
//! project of its own, and every file a document tells the reader to write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{DebianRegistry, Task, World, done, repository};

/// The registry that documents speak of.
const REGISTRY: &str = "localhost:5000";

/// A fenced block of a document.
struct Block {
    language: String,
    /// The path in `<!-- file: PATH -->` on the line before.
    file: Option<String>,
    text: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut file = None;
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.to_owned(), file: file.take(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {
                let named = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
                file = named.map(str::to_owned);
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![repository().join("README.md")];
    for directory in ["docs", "examples/fetch", "examples/inspect", "examples/word-count"] {
        for entry in fs::read_dir(repository().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A project in which the repository's examples can be named as a reader
/// would name them, from the repository's own directory.
fn reader() -> World {
    let world = World::with(&[Task::Plugin("sbom"), Task::Plugin("unicode-check"), Task::Plugin("report")]);
    for name in ["examples", "plugins"] {
        std::os::unix::fs::symlink(repository().join(name), world.project().join(name)).unwrap();
    }
    // The project is a repository of its own, of which these are no part.
    world.write(".gitignore", "/examples\n/plugins\n/*.wasm\n/out\n");
    world.commit("begin");
    // Tasks that documents build and publish are run from a registry that has
    // them already, whichever document comes first.
    world.run(&["setup", crate::harness::task_file(Task::Example("word-count")).to_str().unwrap()]).ok();
    world
}

#[test]
fn every_command_that_is_shown_works() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        // Where a document needs a registry, there is one.
        let registry = text.contains(REGISTRY).then(DebianRegistry::open);
        let text = registry.as_ref().map_or(text.clone(), |own| text.replace(REGISTRY, &own.host()));
        let blocks = blocks(&text);
        let runs = blocks.iter().any(|block| block.language == "console");
        if !runs {
            continue;
        }
        let world = reader();
        for block in blocks {
            if let Some(file) = &block.file {
                world.write(file, &block.text);
            }
            if block.language != "console" {
                continue;
            }
            for command in block.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                let shown = shell(&world, command);
                assert_eq!(shown.status, 0, "{}: {command}\n{}{}", document.display(), shown.out, shown.err);
            }
        }
    }
}

/// Runs a line as a shell in which `cofferdam` is installed would.
fn shell(world: &World, line: &str) -> crate::harness::Done {
    let program = world.command(&[]);
    let directory = Path::new(program.get_program()).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", line]).current_dir(world.project()).env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    // New tasks are compiled from what this repository was, beside its own output.
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    shell.env("CARGO_TARGET_DIR", target.join("authoring")).env("CARGO_NET_OFFLINE", "true");
    done(shell.env("PATH", path))
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for after in text.split("](").skip(1) {
            let target = after.split(')').next().unwrap();
            if target.starts_with("https://") {
                continue;
            }
            let (file, section) = target.split_once('#').unwrap_or((target, ""));
            let path = document.parent().unwrap().join(file);
            let here = if file.is_empty() { document.clone() } else { path };
            let headed = || {
                let text = fs::read_to_string(&here).unwrap();
                let headings = text.lines().filter(|line| line.starts_with('#'));
                headings.into_iter().any(|line| anchor(line) == section)
            };
            if !here.exists() || (!section.is_empty() && !headed()) {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c)).collect::<String>().replace(' ', "-")
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    let world = World::empty();
    for kind in ["pipeline", "pipeline-run", "task", "task-test", "trust"] {
        let published = fs::read_to_string(repository().join(format!("docs/schema/{kind}.json"))).unwrap();
        let printed = world.run(&["schema", kind]).ok().out;
        assert!(printed == published, "docs/schema/{kind}.json is old; write it again with `make schemas`");
    }
}

#[test]
fn every_subcommand_explains_itself_with_an_example() {
    let world = World::empty();
    for command in [
        &[][..],
        &["run"],
        &["plan"],
        &["lint"],
        &["graph"],
        &["gc"],
        &["dev"],
        &["diff"],
        &["show"],
        &["logs"],
        &["runs"],
        &["verify"],
        &["verify-bundle"],
        &["setup"],
        &["import"],
        &["schema"],
        &["completions"],
        &["man"],
        &["lock"],
        &["vendor"],
        &["login"],
        &["logout"],
        &["trust", "add"],
        &["trust", "list"],
        &["trust", "explain"],
        &["task", "build"],
        &["task", "new"],
        &["task", "run"],
        &["task", "test"],
        &["task", "list"],
        &["task", "inspect"],
        &["task", "publish"],
        &["pipeline", "inspect"],
        &["pipeline", "publish"],
        &["key", "generate"],
        &["secret", "set"],
        &["secret", "list"],
        &["secret", "rm"],
    ] {
        let mut args = command.to_vec();
        args.push("--help");
        let help = world.run(&args).ok().out;
        assert!(help.contains("Example"), "{command:?} shows no example");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(world.run(&["completions", shell]).ok().out.contains("cofferdam"));
    }
}
