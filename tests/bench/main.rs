//! `make bench`: what Cofferdam costs beside ninja, make and openssl, in one
//! run on one machine. Prints ratios; decides nothing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people who read its table")]

mod memory;
mod sandbox;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::store::Store;

const TASKS: usize = 1000;
const ROUNDS: usize = 9;
const TREE_BYTES: usize = 1 << 30;

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::new(directory.path());
    println!("{}", versions());
    println!("\n{:<46} {:>10} {:>10} {:>8}", "", "median", "best", "wanted");
    // `cargo bench --bench peers NAME ..` measures only what is named.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let figures: [(&str, &dyn Fn()); 6] = [
        ("fan-out", &|| fan_out(&world)),
        ("single", &|| single(&world)),
        ("no-op", &|| sandbox::no_op(&world)),
        ("reading", &|| sandbox::reading(&world)),
        ("memory", &|| memory::run(&world)),
        ("ingest", &|| ingest(directory.path())),
    ];
    for (name, measure) in figures {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            measure();
        }
    }
}

/// A home with one signed no-op task, and the same work for the peers.
struct World {
    directory: PathBuf,
}

impl World {
    fn new(directory: &Path) -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]);
        cargo.args(["--package", "cofferdam-test-tasks", "--examples"]).current_dir(repository);
        assert!(cargo.status().unwrap().success());
        let world = Self { directory: directory.to_owned() };
        for task in ["noop", "reader"] {
            let file = format!("{task}.wasm");
            let code = target.join("wasm32-wasip2/release/examples").join(&file);
            let mut build = world.cofferdam(&["task", "build"]);
            build.arg(repository.join("tests/tasks").join(task));
            quiet(build.arg("--component").arg(code).args(["-o", &file]));
        }
        quiet(&mut world.cofferdam(&["setup", "noop.wasm"]));
        world.write("many.yaml", &pipeline(TASKS));
        world.write("one.yaml", &pipeline(1));
        let mut ninja = "rule t\n command = true\n".to_owned();
        let mut make = format!("all: {}\n", (0..TASKS).map(|n| format!("t{n} ")).collect::<String>());
        for n in 0..TASKS {
            let _ = writeln!(ninja, "build t{n}: t");
            let _ = write!(make, "t{n}:\n\t@true\n");
        }
        world.write("build.ninja", &ninja);
        world.write("Makefile", &make);
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).unwrap();
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(&self.directory).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        command
    }

    /// From the beginning of the newest run to the end of its last task.
    fn newest_run_seconds(&self) -> f64 {
        let output = self.cofferdam(&["show", "--format", "json"]).output().unwrap();
        let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let micros = run.get("durationMicros").and_then(serde_json::Value::as_u64);
        Duration::from_micros(micros.unwrap_or(0)).as_secs_f64()
    }

    fn cofferdam(&self, args: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_cofferdam"), args);
        command.env("COFFERDAM_HOME", self.directory.join("home"));
        command
    }
}

fn pipeline(tasks: usize) -> String {
    let head = "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: noop }\nspec:\n  tasks:\n";
    let task = |n| format!("    - {{ name: t{n}, taskRef: {{ name: noop }} }}\n");
    (0..tasks).map(task).fold(head.to_owned(), |text, line| text + &line)
}

fn quiet(command: &mut Command) -> Duration {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
    started.elapsed()
}

fn version(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("missing").to_owned()
}

fn versions() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let programs =
        [("ninja", "--version"), ("make", "--version"), ("openssl", "version"), ("bwrap", "--version")];
    let peers: Vec<String> =
        programs.iter().map(|(name, arg)| format!("{name}: {}", version(name, &[arg]))).collect();
    format!("{cores} cores; cofferdam: {}; {}", env!("CARGO_PKG_VERSION"), peers.join("; "))
}

struct Times(Vec<Duration>);

impl Times {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map_or(0.0, Duration::as_secs_f64)
    }

    fn best(&self) -> f64 {
        self.0.iter().min().map_or(0.0, Duration::as_secs_f64)
    }
}

fn line(what: &str, median: f64, best: f64, unit: &str, wanted: &str) {
    println!(
        "{what:<46} {:>10} {:>10} {wanted:>8}",
        format!("{median:.3}{unit}"),
        format!("{best:.3}{unit}")
    );
}

/// The same thousand tasks, one tool after the other in each round.
fn fan_out(world: &World) {
    let (mut ours, mut ninja, mut make) = (Times(Vec::new()), Times(Vec::new()), Times(Vec::new()));
    quiet(&mut world.cofferdam(&["run", "--quiet", "many.yaml", "--jobs", "2"]));
    for _ in 0..ROUNDS {
        ours.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", "many.yaml", "--jobs", "2"])));
        ninja.0.push(quiet(&mut world.command("ninja", &["-j2"])));
        make.0.push(quiet(&mut world.command("make", &["-j2", "-s"])));
    }
    let per_task = |seconds: f64| seconds * 1e3 / TASKS as f64;
    for (name, times) in [("cofferdam run", &ours), ("ninja -j2", &ninja), ("make -j2", &make)] {
        let what = format!("{name}, {TASKS} no-op tasks, per task");
        line(&what, per_task(times.median()), per_task(times.best()), "ms", "");
    }
    line("ratio to ninja", ours.median() / ninja.median(), ours.best() / ninja.best(), "", "0.25");
    line("ratio to make", ours.median() / make.median(), ours.best() / make.best(), "", "");
    let tasks = world.newest_run_seconds();
    let rest = ours.median() - tasks;
    println!(
        "  limited by: {:.0} ms for the tasks on 2 threads (sandbox, journal, one signature each), {rest:.0} ms to plan, \
         to sign the whole run and to flush",
        tasks * 1e3,
        rest = rest * 1e3
    );
}

/// A whole process that runs one task, whose code is compiled already.
fn single(world: &World) {
    let mut times = Times(Vec::new());
    for _ in 0..50 {
        times.0.push(quiet(&mut world.cofferdam(&["run", "--quiet", "one.yaml"])));
    }
    line(
        "cofferdam run, one no-op task, whole process",
        times.median() * 1e3,
        times.best() * 1e3,
        "ms",
        "10ms",
    );
    let task = world.newest_run_seconds() * 1e3;
    let rest = times.median() * 1e3 - task;
    println!(
        "  limited by: {task:.1} ms for the run, {rest:.1} ms to load the program and compiled code, to verify the task, \
         and to wait for the disk"
    );
}

/// A tree of 1 GiB in files of many sizes into an empty store.
fn ingest(directory: &Path) {
    let tree = directory.join("tree");
    let mut made = 0;
    let mut bytes = vec![0_u8; 16 << 20];
    for n in 0_usize.. {
        let size =
            [4 << 10, 64 << 10, 1 << 20, 16 << 20].get(n % 4).copied().unwrap_or(0).min(TREE_BYTES - made);
        let below = tree.join(format!("d{}", n % 16));
        fs::create_dir_all(&below).unwrap();
        let content = bytes.get_mut(..size).unwrap();
        content.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
        content.get_mut(..8).unwrap().copy_from_slice(&n.to_le_bytes());
        fs::write(below.join(n.to_string()), content).unwrap();
        made += size;
        if made == TREE_BYTES {
            break;
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let mut rates = Vec::new();
    let mut checks = Vec::new();
    let mut hashes = Vec::new();
    for round in 0..3 {
        hashes.push(openssl_rate());
        // What is still being written from before would slow the next round down.
        quiet(&mut Command::new("sync"));
        let store = directory.join(format!("store{round}"));
        let opened = Store::open(&store).unwrap();
        let started = Instant::now();
        let digest = opened.ingest(&tree).unwrap().digest;
        rates.push(TREE_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
        opened.distrust();
        let started = Instant::now();
        opened.check_tree(digest).unwrap();
        checks.push(TREE_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9);
        fs::remove_dir_all(&store).unwrap();
    }
    let best = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let middle = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    };
    line("ingest of 1 GiB into an empty store, GB/s", middle(&rates), best(&rates), "", "");
    line("openssl speed sha256, one core, GB/s", middle(&hashes), best(&hashes), "", "");
    line(
        "ratio to openssl on one core",
        middle(&rates) / middle(&hashes),
        best(&rates) / best(&hashes),
        "",
        "0.8",
    );
    println!(
        "  limited by: reading and hashing alone run at {:.2} GB/s on one core; the rest is the copy into the store",
        middle(&checks)
    );
    let per_core = (middle(&rates) / middle(&hashes) / cores, best(&rates) / best(&hashes) / cores);
    line("ratio to openssl, per core used", per_core.0, per_core.1, "", "0.8");
}

fn openssl_rate() -> f64 {
    let args = ["speed", "-elapsed", "-seconds", "2", "-bytes", "1048576", "-evp", "sha256"];
    let output = Command::new("openssl").args(args).stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().and_then(|line| line.split_whitespace().last()).unwrap_or("0");
    last.trim_end_matches('k').parse::<f64>().unwrap_or(0.0) * 1e3 / 1e9
}
