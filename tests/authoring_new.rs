//! New tasks, the whole way: begun, built, tested, published, signed, used.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Done, World, done, repository, target};

/// A new task in a language, in a project of its own.
pub(crate) struct Author {
    pub(crate) world: World,
}

impl Author {
    pub(crate) fn begin(language: &str) -> Self {
        let world = World::empty();
        let made = world.run(&["task", "new", "count-lines", "--lang", language]).ok();
        assert!(made.out.contains("cofferdam task test count-lines"), "{made:?}");
        Self { world }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.world.project().join("count-lines")
    }

    /// The program, with what cargo needs to ask nobody for anything: the
    /// versions that this repository is locked to.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let mut command = self.world.command(args);
        command.env("CARGO_TARGET_DIR", target().join("authoring")).env("CARGO_NET_OFFLINE", "true");
        // The C library is compiled once, and thrown away with the compiler.
        command.env("ZIG_GLOBAL_CACHE_DIR", target().join("tools/c/cache"));
        done(&mut command)
    }
}

/// The files below a directory, relative to it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found
}

/// Publishes the task to a layout beside a pipeline that uses it.
pub(crate) fn publish_and_use(author: &Author, task: &str, params: &str, inputs: &str) -> serde_json::Value {
    let world = &author.world;
    author.run(&["setup"]).ok();
    let published = author.run(&["task", "publish", task, "--sign", "--to", "oci:tasks"]).ok();
    assert!(published.out.contains("signed by key"), "{published:?}");
    // Whatever language it is in, and whether it is published from its file or not.
    assert!(published.out.contains("  attached provenance, signed by "), "{published:?}");
    let sbom = ["  attached SBOM, signed by ", "  no SBOM: there is no package-lock.json"];
    assert!(sbom.iter().any(|line| published.out.contains(line)), "{published:?}");
    let pipeline = world.pipeline(&format!(
        "- name: count\n  taskRef: {{ bundle: 'oci:../tasks:count-lines:0.1.0' }}\n  params: {params}\n  inputs: \
         {inputs}"
    ));
    world.write("source/a.txt", "fix this\r\nnot this\n");
    // What compilers leave is in the source, too, where git ignores nothing.
    world.write("source/large.bin", [&b"\0fix\n"[..], &vec![b'x'; 40 << 20]].concat());
    let (status, run) = world.run_json(&[&pipeline, "--source", "source", "--no-git"]);
    assert_eq!(status, 0, "{run:#}");
    assert_eq!(run["tasks"][0]["results"]["lines"], "1", "{run:#}");
    run
}

#[test]
fn a_new_task_in_rust_goes_the_whole_way() {
    let author = Author::begin("rust");
    let directory = author.directory();
    assert!(!fs::read_to_string(directory.join("Cargo.toml")).unwrap().contains("my-task"));
    fs::copy(repository().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--quiet"]).current_dir(&directory).env("CARGO_NET_OFFLINE", "true");
    let native = done(cargo.env("CARGO_TARGET_DIR", target().join("authoring"))).ok();
    assert!(native.out.contains("1 passed"), "{native:?}");
    let tested = author.run(&["task", "test", "count-lines"]).ok();
    assert!(tested.out.ends_with("count-lines: 2 cases, 2 passed, 0 failed\n"), "{tested:?}");
    author.run(&["task", "build", "count-lines"]).ok();
    assert!(author.world.project().join("count-lines.wasm").exists());
    publish_and_use(
        &author,
        "count-lines",
        "[{ name: word, value: fix }]",
        "[{ name: source, from: $(source) }]",
    );
    author.world.run(&["lint", "count-lines/task.yaml", "count-lines/tests/cases.yaml", "--strict"]).ok();
}

/// Puts what compiles a language into a task, from where `tests/install-tools`
/// puts it; false, where it is not there and need not be.
pub(crate) fn install(author: &Author, language: &str, from: &str, to: &str) -> bool {
    let tools = target().join("tools").join(language).join(from);
    if !tools.exists() {
        let needed = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(!needed, "{} is missing: run tests/install-tools", tools.display());
        let words = format!("not tested: {} is missing; tests/install-tools installs it\n", tools.display());
        std::io::stderr().write_all(words.as_bytes()).unwrap();
        return false;
    }
    std::os::unix::fs::symlink(tools, author.directory().join(to)).unwrap();
    true
}

/// A new task in a language whose compiler, `program`, is installed beside it, once
/// it was told how; none where `tests/install-tools` has not installed it.
pub(crate) fn equipped(
    language: &str,
    (tools, from, to): (&str, &str, &str),
    (program, remedy): (&str, &str),
) -> Option<Author> {
    let author = Author::begin(language);
    let missing = author.run(&["task", "build", "count-lines"]);
    missing.refused(3, "component/no-toolchain", program).says(remedy);
    install(&author, tools, from, to).then_some(author)
}

#[test]
fn a_new_task_in_javascript_goes_the_whole_way() {
    let compiler = ("componentize-qjs", "npm install");
    let Some(author) = equipped("js", ("javascript", "node_modules", "node_modules"), compiler) else {
        return;
    };
    author.world.write("count-lines/tests/more.yaml", MORE);
    let tested = author.run(&["task", "test", "count-lines"]).ok().says("running ");
    assert!(tested.out.ends_with("count-lines: 4 cases, 4 passed, 0 failed\n"), "{tested:?}");
    let inputs = "[{ name: source, from: $(source) }]";
    let run = publish_and_use(&author, "count-lines", "[{ name: word, value: fix }]", inputs);
    assert_eq!(run["tasks"][0]["hermetic"], true, "{run:#}");
    // What does not compile is said in the compiler's own words.
    author.world.write("count-lines/src/task.js", "export const run = ;");
    author
        .run(&["task", "build", "count-lines"])
        .refused(3, "component/not-built", "ended with")
        .says("task.js");
}

/// What the files of a task in a language with texts of its own can hold.
pub(crate) const MORE: &str = "\
apiVersion: cofferdam.dev/v1
kind: TaskTest
cases:
  - name: text of any kind is read and written as it is
    params: { word: 'é€😀' }
    inputs: { source: { ü/ß.txt: 'né€😀', empty: '' } }
    expect: { results: { lines: '1' }, outputs: { report: { lines.txt: \"ü/ß.txt:1: né€😀\\n\" } } }
  - name: an input may be empty
    inputs: { source: {} }
    expect: { results: { lines: '0' }, outputs: { report: { lines.txt: '' } } }
";

#[test]
fn a_task_is_begun_only_where_there_is_nothing() {
    let world = World::empty();
    let new = |args: &[&str]| {
        let mut all = vec!["task", "new"];
        all.extend(args);
        world.run(&all)
    };
    new(&["a-task", "--lang", "rust", "--directory", "tasks/a"]).ok();
    let before = files(&world.project().join("tasks/a"));
    new(&["a-task", "--lang", "rust", "--directory", "tasks/a"]).refused(3, "io/not-empty", "tasks/a");
    assert_eq!(files(&world.project().join("tasks/a")), before);
    for bad in ["A", "a_b", "../a", "-a", ""] {
        let refused = new(&[bad, "--lang", "rust"]);
        assert_eq!(refused.status, 2, "{bad}: {refused:?}");
    }
    assert_eq!(new(&["b", "--lang", "cobol"]).status, 2);
    assert!(!world.project().join("b").exists());
}

#[test]
fn a_new_task_has_the_whole_sdk_of_this_repository() {
    let author = Author::begin("rust");
    let vendored = author.directory().join("cofferdam");
    let mut found = files(&vendored);
    assert!(found.remove(Path::new("Cargo.toml")));
    let mut expected = BTreeSet::new();
    for part in ["sdk/src", "sdk/macros", "sdk/manifest", "wit"] {
        expected.extend(files(&repository().join(part)).into_iter().map(|path| Path::new(part).join(path)));
    }
    expected.insert("sdk/Cargo.toml".into());
    assert_eq!(found, expected, "host/src/cli/task_files.rs lists other files than there are");
    for path in &found {
        let own = fs::read(repository().join(path)).unwrap();
        assert!(fs::read(vendored.join(path)).unwrap() == own, "{}", path.display());
    }
}

#[test]
fn the_sdk_of_a_new_task_asks_for_the_versions_of_this_repository() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let root = read("Cargo.toml");
    let known: BTreeSet<&str> = root.lines().collect();
    let vendored = read("sdk/templates/sdk/Cargo.toml");
    let own = ["resolver", "members", "#", "[", "cofferdam-"];
    for line in vendored.lines().filter(|line| !own.iter().any(|own| line.starts_with(own))) {
        assert!(known.contains(line), "{line}");
    }
    assert_eq!(read("sdk/templates/rust/rust-toolchain.toml"), read("rust-toolchain.toml"));
}
