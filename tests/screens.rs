//! Runs as a person sees them, in a real terminal.

use crate::harness::{Task, Terminal, World};

const LARGE: (u16, u16) = (80, 24);
const SMALL: (u16, u16) = (40, 12);

fn world() -> World {
    World::with(&[Task::Test("echo"), Task::Test("slow")])
}

/// Two tasks that go on until they are stopped, after one that ends. Each fills
/// its row: what is echoed of a key must not break the last one.
const LONG: &str = "- { name: first, taskRef: { name: echo } }
- { name: left, taskRef: { name: slow }, runAfter: [first],
    params: [{ name: steps, value: '9000' }, { name: say, value: 'a long line about 日本語 and what else there is to say' }] }
- { name: right-as-rain, taskRef: { name: slow }, runAfter: [first],
    params: [{ name: steps, value: '9000' }, { name: say, value: 'step by step, and as wide as the terminal, too' }] }
- { name: last, taskRef: { name: echo }, runAfter: [left, right-as-rain] }";

const FAILING: &str = "- { name: good, taskRef: { name: echo } }
- { name: bad, taskRef: { name: slow }, runAfter: [good],
    params: [{ name: steps, value: '24' }, { name: millis, value: '10' }, { name: end, value: badly }] }
- { name: later, taskRef: { name: echo }, runAfter: [bad] }";

/// What is printed on standard output is shown elsewhere.
fn run(pipeline: &str) -> String {
    format!("cofferdam run --no-cache --jobs 2 {pipeline} > summary.txt")
}

fn going(rows: &str) -> bool {
    rows.contains("running 2, done 1 of 4") && rows.matches("/9000 ").count() == 2
}

/// The rows of running tasks by name: which of two begins first is chance.
fn in_order(rows: &str) -> String {
    let mut lines: Vec<&str> = rows.lines().collect();
    let running = |line: &&str| line.contains("/9000 ");
    let first = lines.iter().position(running).unwrap();
    let count = lines.iter().filter(|line| running(line)).count();
    lines[first..first + count].sort_by_key(|line| line.trim_start().to_owned());
    lines.join("\n")
}

/// Without what is different each time.
fn normal() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r" *\d+ min \d+ s| *\d+(\.\d+)? (ms|µs|s)\b", " TIME");
    settings.add_filter(r"test-[a-z0-9]{10}", "RUN");
    // Where a row is cut depends on how many digits stand before.
    settings.add_filter(r"\d+/9000 (a lo|step).*", "N/9000 $1");
    settings.bind_to_scope()
}

#[test]
fn a_run_that_passes_leaves_its_tasks() {
    let world = world();
    let pipeline = world.pipeline(
        "- { name: first, taskRef: { name: echo } }
- { name: second, taskRef: { name: slow }, runAfter: [first] }",
    );
    for (name, size) in [("large", LARGE), ("small", SMALL)] {
        let left = Terminal::start(&world, size, &run(&pipeline)).end();
        let _settings = normal();
        insta::assert_snapshot!(format!("passing_{name}"), left);
    }
}

#[test]
fn a_run_that_fails_says_why_in_one_block() {
    let world = world();
    let pipeline = world.pipeline(FAILING);
    for (name, size) in [("large", LARGE), ("small", SMALL)] {
        let left = Terminal::start(&world, size, &run(&pipeline)).end();
        let _settings = normal();
        insta::assert_snapshot!(format!("failing_{name}"), left);
    }
}

#[test]
fn a_run_under_way_shows_what_runs_and_can_be_stopped() {
    let world = world();
    let pipeline = world.pipeline(LONG);
    for (name, size) in [("large", LARGE), ("small", SMALL)] {
        let terminal = Terminal::start(&world, size, &run(&pipeline));
        let rows = terminal.wait_for("both tasks", going);
        {
            let _settings = normal();
            insta::assert_snapshot!(format!("under_way_{name}"), in_order(&rows));
        }
        terminal.press("C-c");
        let left = terminal.end();
        assert!(left.contains("\nstopping: running tasks"), "{left}");
        for task in ["left", "right-as-rain"] {
            assert_eq!(left.matches(&format!("Cancelled {task} in ")).count(), 1, "{left}");
        }
        assert!(left.ends_with("[exit 130]") && !left.contains("running 2"), "{left}");
    }
}

#[test]
fn more_tasks_than_rows_are_counted() {
    let world = world();
    // Each may use a gibibyte, and all are to run at once.
    std::fs::write(world.home().join("config.toml"), "[machine]\nmemory = \"64Gi\"\n").unwrap();
    let tasks: Vec<String> = (0..20)
        .map(|n| {
            format!("- {{ name: task-{n}, taskRef: {{ name: slow }}, params: [{{ name: steps, value: '9000' }}] }}")
        })
        .collect();
    let pipeline = world.pipeline(&tasks.join("\n"));
    let line = format!("cofferdam run --jobs 20 {pipeline} > summary.txt");
    let terminal = Terminal::start(&world, SMALL, &line);
    let rows =
        terminal.wait_for("all tasks", |rows| rows.contains("running 20") && rows.contains("and 11 more"));
    // One row of what scrolls, the state, nine tasks, the rest.
    assert_eq!(rows.lines().count(), 12, "{rows}");
    assert!(rows.starts_with("running test (20 tasks)\nrunning 20, done 0 of 20"), "{rows}");
    terminal.press("C-c");
    terminal.end();
}

#[test]
fn a_change_of_size_garbles_nothing() {
    let world = world();
    let pipeline = world.pipeline(LONG);
    // A terminal that is full: with blank rows below, tmux moves rows that are
    // seen out of reach when it becomes narrower.
    let terminal = Terminal::start(&world, LARGE, &format!("seq 40; {}", run(&pipeline)));
    terminal.wait_for("both tasks", going);
    for size in [SMALL, (100, 30), (20, 12), (61, 10), (33, 24), LARGE] {
        terminal.resize(size);
        // Long enough for some drawings at the new size.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let rows = terminal.rows();
        assert_eq!(rows.matches("running 2").count(), 1, "{size:?}:\n{rows}");
        for task in ["left", "right"] {
            assert_eq!(rows.matches(&format!("\n  {task}")).count(), 1, "{size:?}:\n{rows}");
        }
    }
    terminal.press("C-c");
    let left = terminal.end();
    assert_eq!(left.matches("running").count(), 2, "only the first line and the remark:\n{left}");
    assert_eq!(left.matches("Succeeded first in ").count(), 1, "{left}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let world = world();
    let pipeline = world.pipeline(FAILING);
    for line in [
        format!("TERM=dumb {}", run(&pipeline)),
        format!("CI=1 {}", run(&pipeline)),
        format!("TERM=dumb COFFERDAM_LOG_FORMAT=pretty {}", run(&pipeline)),
        format!("{} --log-format plain", run(&pipeline)),
    ] {
        let left = Terminal::start(&world, LARGE, &line).end();
        assert!(left.contains("started good\ngood info echoing text="), "{line}:\n{left}");
    }
}

#[test]
fn colour_is_as_asked_for() {
    let world = world();
    let pipeline = world.pipeline(FAILING);
    for (before, after, coloured) in [
        ("", "", true),
        ("NO_COLOR=1", "", false),
        ("", "--color never", false),
        ("NO_COLOR=1", "--color always", true),
        ("TERM=dumb", "", false),
        ("TERM=dumb", "--color always", true),
    ] {
        let line = format!("{before} {} {after}", run(&pipeline));
        let terminal = Terminal::start(&world, LARGE, &line);
        terminal.end();
        let left = terminal.everything(true);
        assert_eq!(left.contains('\u{1b}'), coloured, "{line}:\n{left:?}");
    }
}
