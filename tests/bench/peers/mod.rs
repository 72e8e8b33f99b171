//! The tools to compare with, a file for each: how it is told of a graph, and
//! the commands that are timed. Nothing of them leaves the machine.

mod bazel;
mod go_task;
mod make;
mod moon;
mod ninja;
mod nx;
mod turbo;

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::graphs::Graph;
use super::world::{World, as_from_a_shell};

pub(super) use make::MAKE;
pub(super) use ninja::{NINJA, NINJA_SH_BUILTIN};

pub(super) const ALL: [Peer; 8] =
    [MAKE, NINJA, NINJA_SH_BUILTIN, go_task::GO_TASK, bazel::BAZEL, moon::MOON, nx::NX, turbo::TURBO];

/// What each task runs, in all tools but bazel: a program, as a task that does
/// something would be. By its path, so that no shell takes a word of its own for it.
const NO_OP: &str = "/usr/bin/true";

/// What takes longer than this is ended, and has no figure.
const LIMIT: Duration = Duration::from_secs(300);

/// No telemetry, no daemon, no question for a newer version.
const QUIET: [(&str, &str); 6] = [
    ("DO_NOT_TRACK", "1"),
    ("TURBO_TELEMETRY_DISABLED", "1"),
    ("TURBO_NO_UPDATE_NOTIFIER", "1"),
    ("NX_DAEMON", "false"),
    ("NX_NO_CLOUD", "true"),
    ("NX_TUI", "false"),
];

/// Paths below the peer's directory, and what is in them.
type Files = Vec<(String, String)>;

/// A tool: a command's first word is its program, and `{directory}` in one is
/// the directory with the peer's files of a graph.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// All that have to be installed.
    programs: &'static [&'static str],
    version: &'static [&'static str],
    files: fn(&Graph) -> Files,
    /// Whether its files are those of a repository, which it asks git about.
    git: bool,
    /// Whether it wants the modules of Node that it is installed among.
    modules: bool,
    /// Goes before each timed command, outside its time.
    prepare: &'static [&'static str],
    uncached: &'static [&'static str],
    /// Whether it is let do everything once before it is timed: its server becomes
    /// faster with what it does.
    pub(super) warms_up: bool,
    /// The same tasks again when nothing changed, if the tool knows of that.
    cached: Option<&'static [&'static str]>,
    /// Ends what the tool leaves running.
    stop: &'static [&'static str],
    /// Whether it keeps what came of tasks in a cache, as Cofferdam does, rather
    /// than to compare the times of files.
    pub(super) remembers: bool,
    /// Cofferdam's wanted share of its time.
    pub(super) wanted: Option<&'static str>,
}

impl Peer {
    const PLAIN: Self = Self {
        name: "",
        programs: &[],
        version: &[],
        files: |_| Vec::new(),
        git: false,
        modules: false,
        prepare: &[],
        uncached: &[],
        warms_up: false,
        cached: None,
        stop: &[],
        remembers: false,
        wanted: None,
    };

    /// The first line with a number that it says of itself, or which program is missing.
    pub(super) fn version(&self, world: &World) -> Result<String, String> {
        let found = |program: &&&str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut directories = std::env::split_paths(&path).chain([world.tools.join("bin")]);
            directories.any(|directory| directory.join(program).is_file())
        };
        if let Some(missing) = self.programs.iter().find(|program| !found(program)) {
            return Err(format!("`{missing}` is missing; tests/bench/install-peers installs it"));
        }
        let output = command(world, &world.directory, self.version).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
        Ok(line.unwrap_or("says no version").split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Writes the graph for it.
    pub(super) fn take(&self, world: &World, graph: &Graph) -> Ready {
        let name = format!("{}-{}/{}", graph.name, graph.after.len(), self.name.replace(' ', "-"));
        let ready = Ready { peer: *self, directory: world.directory.join(name) };
        // The same graph may have been measured already.
        if ready.directory.exists() {
            return ready;
        }
        for (name, text) in (self.files)(graph) {
            let path = ready.directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if self.modules {
            let modules = world.tools.join("node_modules");
            std::os::unix::fs::symlink(modules, ready.directory.join("node_modules")).unwrap();
        }
        if self.git {
            let author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
            let commit = ["git"].into_iter().chain(author).chain(["commit", "-qm", "tasks"]);
            let commit: Vec<&str> = commit.collect();
            for args in [&["git", "init", "-q"][..], &["git", "add", "-A"], &commit] {
                let done = command(world, &ready.directory, args).stdout(Stdio::null()).status();
                assert!(done.is_ok_and(|status| status.success()), "{args:?}");
            }
        }
        ready
    }
}

/// A tool with its files of one graph.
pub(super) struct Ready {
    pub(super) peer: Peer,
    directory: PathBuf,
}

impl Ready {
    /// Whether it can tell what is up to date.
    pub(super) fn caches(&self) -> bool {
        self.peer.cached.is_some()
    }

    /// How long all tasks took.
    ///
    /// # Errors
    /// Why it has no figure, in one line.
    pub(super) fn uncached(&self, world: &World) -> Result<Duration, String> {
        if !self.peer.prepare.is_empty() {
            self.time(world, self.peer.prepare)?;
        }
        self.time(world, self.peer.uncached)
    }

    /// How long it took to see that nothing is to be done; before the first time,
    /// what there is to do is done.
    ///
    /// # Errors
    /// As [`Self::uncached`].
    pub(super) fn cached(&self, world: &World) -> Result<Duration, String> {
        self.time(world, self.peer.cached.unwrap_or_default())
    }

    /// Ends what it left running.
    pub(super) fn stop(&self, world: &World) {
        if !self.peer.stop.is_empty() {
            let _ = self.time(world, self.peer.stop);
        }
    }

    fn time(&self, world: &World, args: &[&str]) -> Result<Duration, String> {
        let said = self.directory.with_extension("log");
        let log = File::create(&said).unwrap();
        let mut command = command(world, &self.directory, args);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let words = args.join(" ").replace("{directory}", &self.directory.to_string_lossy());
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let (ended, waiting) = mpsc::channel::<()>();
        let pid = child.id().to_string();
        let guard = std::thread::spawn(move || {
            let late = waiting.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
            late && Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).status().is_ok()
        });
        let status = child.wait();
        let took = started.elapsed();
        drop(ended);
        if guard.join().unwrap_or(false) {
            return Err(format!("`{words}` took longer than {} s", LIMIT.as_secs()));
        }
        if status.is_ok_and(|status| status.success()) {
            return Ok(took);
        }
        let text = fs::read_to_string(said).unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        Err(format!("`{words}` failed: {last}"))
    }
}

fn command(world: &World, directory: &Path, args: &[&str]) -> Command {
    let own = [world.tools.join("bin")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let (program, args) = args.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(args.iter().map(|arg| arg.replace("{directory}", &directory.to_string_lossy())));
    command.current_dir(directory);
    as_from_a_shell(&mut command);
    // With everything that it starts it can be ended as one.
    command.envs(QUIET).env("PATH", path).process_group(0);
    command
}
