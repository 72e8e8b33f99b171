//! Other graphs of a thousand tasks, all of them known already, and more of
//! them: what order, memory of results and number cost.

use std::fmt::Write as _;
use std::fs;

use super::figure::{Times, line};
use super::world::{TASKS, World, quiet};

const ROUNDS: usize = 5;

/// A graph: what each task waits for.
struct Graph {
    name: &'static str,
    after: Vec<Vec<usize>>,
}

fn chain() -> Graph {
    let after = (0..TASKS).map(|n| n.checked_sub(1).into_iter().collect()).collect();
    Graph { name: "chain", after }
}

/// Ten layers, each task of one after all of the layer before.
fn layers() -> Graph {
    let width = TASKS / 10;
    let before = |n: usize| match (n / width).checked_sub(1) {
        Some(layer) => (layer * width..(layer + 1) * width).collect(),
        None => Vec::new(),
    };
    Graph { name: "layers", after: (0..TASKS).map(before).collect() }
}

fn fan_out(count: usize) -> Graph {
    Graph { name: "fan-out", after: vec![Vec::new(); count] }
}

impl Graph {
    /// Writes the graph for each tool. With `files` the peers' tasks make one
    /// each, so that there is something to be up to date.
    fn write(&self, world: &World, files: bool) -> String {
        let directory = format!("{}-{}", self.name, self.after.len());
        fs::create_dir_all(world.directory.join(&directory)).unwrap();
        let command = if files { ["touch $out", "@touch $@"] } else { ["true", "@true"] };
        let mut ninja = format!("rule t\n command = {}\n", command[0]);
        let mut make = "all:".to_owned();
        (0..self.after.len()).for_each(|n| {
            let _ = write!(make, " t{n}");
        });
        make.push('\n');
        let mut pipeline =
            "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: noop }\nspec:\n  tasks:\n"
                .to_owned();
        for (n, after) in self.after.iter().enumerate() {
            let names: Vec<String> = after.iter().map(|n| format!("t{n}")).collect();
            let _ = writeln!(ninja, "build t{n}: t {}", names.join(" "));
            let _ = write!(make, "t{n}: {}\n\t{}\n", names.join(" "), command[1]);
            let order =
                if names.is_empty() { String::new() } else { format!(", runAfter: [{}]", names.join(", ")) };
            let _ = writeln!(pipeline, "    - {{ name: t{n}, taskRef: {{ name: noop }}{order} }}");
        }
        world.write(&format!("{directory}/many.yaml"), &pipeline);
        world.write(&format!("{directory}/build.ninja"), &ninja);
        world.write(&format!("{directory}/Makefile"), &make);
        directory
    }
}

/// A chain of a thousand, and ten layers of a hundred.
pub(super) fn shapes(world: &World) {
    for graph in [chain(), layers()] {
        let directory = graph.write(world, false);
        let file = format!("{directory}/many.yaml");
        let (mut ours, mut ninja, mut make) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
        for _ in 0..ROUNDS {
            ours.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", &file, "--jobs", "2"])));
            ninja.0.push(quiet(&mut world.command("ninja", &["-C", &directory, "-j2"])));
            make.0.push(quiet(&mut world.command("make", &["-C", &directory, "-j2", "-s"])));
        }
        let name = graph.name;
        let per_task = |seconds: f64| seconds * 1e3 / TASKS as f64;
        for (tool, times) in [("cofferdam run", &ours), ("ninja -j2", &ninja), ("make -j2", &make)] {
            let what = format!("{tool}, {name} of {TASKS}, per task");
            line(&what, per_task(times.median()), per_task(times.best()), "ms", "");
        }
        line(
            &format!("{name}: ratio to ninja"),
            ours.median() / ninja.median(),
            ours.best() / ninja.best(),
            "",
            "0.067",
        );
        line(
            &format!("{name}: ratio to make"),
            ours.median() / make.median(),
            ours.best() / make.best(),
            "",
            "0.125",
        );
    }
}

/// A thousand tasks whose outcome is known, decided, told and attested, beside
/// ninja with nothing to do; and one.
pub(super) fn cached(world: &World) {
    let directory = fan_out(TASKS).write(world, true);
    let file = format!("{directory}/many.yaml");
    quiet(&mut world.cofferdam(&["run", "--quiet", &file]));
    quiet(&mut world.cofferdam(&["run", "--quiet", "one.yaml"]));
    quiet(&mut world.command("ninja", &["-C", &directory, "-j2"]));
    quiet(&mut world.command("make", &["-C", &directory, "-j2", "-s"]));
    let (mut ours, mut ninja, mut make) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
    let (mut one, mut help) = (Times(Vec::new()), Times(Vec::new()));
    for _ in 0..ROUNDS * 3 {
        ours.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", &file])));
        ninja.0.push(quiet(&mut world.command("ninja", &["-C", &directory, "-j2"])));
        make.0.push(quiet(&mut world.command("make", &["-C", &directory, "-j2", "-s"])));
        one.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", "one.yaml"])));
        help.0.push(quiet(&mut world.cofferdam(&["--help"])));
    }
    for (what, times, wanted) in [
        ("cofferdam run, 1000 tasks, all known", &ours, ""),
        ("ninja -j2, 1000 files, all there", &ninja, ""),
        ("make -j2, 1000 files, all there", &make, ""),
        ("cofferdam run, one task, known, whole process", &one, "10ms"),
        ("cofferdam --help, whole process", &help, "5ms"),
    ] {
        line(what, times.median() * 1e3, times.best() * 1e3, "ms", wanted);
    }
    line("all known: ratio to ninja", ours.median() / ninja.median(), ours.best() / ninja.best(), "", "1");
}

/// What a task costs among a hundred, and among ten thousand.
pub(super) fn growth(world: &World) {
    let mut costs = Vec::new();
    for count in [100, 1000, 10_000] {
        let file = format!("{}/many.yaml", fan_out(count).write(world, false));
        let mut times = Times(Vec::new());
        for _ in 0..ROUNDS {
            times.0.push(quiet(&mut world.cofferdam(&[
                "run",
                "--quiet",
                "--no-cache",
                &file,
                "--jobs",
                "2",
            ])));
        }
        // Without what a process costs that runs one.
        let alone = quiet(&mut world.cofferdam(&["run", "--quiet", "--no-cache", "one.yaml"])).as_secs_f64();
        let per_task = |seconds: f64| (seconds - alone).max(0.0) * 1e3 / count as f64;
        let what = format!("cofferdam run, fan-out of {count}, per task");
        line(&what, per_task(times.median()), per_task(times.best()), "ms", "");
        costs.push(per_task(times.median()));
    }
    if let [few, _, many] = costs.as_slice() {
        line("growth from 100 to 10000 tasks", many / few, many / few, "", "1.1");
    }
}
