//! A real terminal: tmux, without a person in front of it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{World, done};

/// A terminal in which a command runs. It goes with the test, however that ends.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts a shell command in the world's project, in a terminal of a size.
    pub(crate) fn start(world: &World, (width, height): (u16, u16), line: &str) -> Self {
        let found = Command::new("tmux").arg("-V").output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "this test needs tmux: install the Debian package `tmux` (tests/install-tools does it as root)"
        );
        // Each has a server of its own: one that is ending takes nobody in.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { socket: world.path(&format!("tmux-{number}")) };
        let program = world.command(&[]);
        let directory = std::path::Path::new(program.get_program()).parent().unwrap();
        let mut shell = format!("export PATH={}:$PATH\n", directory.display());
        for (name, value) in program.get_envs() {
            if let (Some(name), Some(value)) = (name.to_str(), value.and_then(|value| value.to_str()))
                && name != "PATH"
            {
                shell += &format!("export {name}='{value}'\n");
            }
        }
        // The end is seen from what is printed; until then nothing scrolls.
        shell += &format!("{line}\nprintf '[exit %s]\\n' $?\nread -r\n");
        world.write("line.sh", &shell);
        let (width, height) = (width.to_string(), height.to_string());
        let mut start = terminal.tmux(&["-u", "-f", "/dev/null", "new-session", "-d"]);
        start.args(["-x", &width, "-y", &height, "bash", "--norc", "line.sh"]);
        done(
            start
                .current_dir(world.project())
                .env_clear()
                .env("PATH", std::env::var("PATH").unwrap())
                .envs([("LC_ALL", "C.UTF-8"), ("TERM", "xterm-256color"), ("SHELL", "/bin/sh")]),
        )
        .ok();
        terminal
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(args);
        tmux
    }

    /// The rows that are seen now, without what is blank below.
    pub(crate) fn rows(&self) -> String {
        done(&mut self.tmux(&["capture-pane", "-p"])).ok().out.trim_end().to_owned()
    }

    /// All there is, with what has scrolled away; `styled` with colours.
    pub(crate) fn everything(&self, styled: bool) -> String {
        let mut args = vec!["capture-pane", "-p", "-S", "-"];
        args.extend(styled.then_some("-e"));
        done(&mut self.tmux(&args)).ok().out.trim_end().to_owned()
    }

    /// Presses a key, as tmux names it.
    pub(crate) fn press(&self, key: &str) {
        done(&mut self.tmux(&["send-keys", key])).ok();
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, (width, height): (u16, u16)) {
        let (width, height) = (width.to_string(), height.to_string());
        done(&mut self.tmux(&["resize-window", "-x", &width, "-y", &height])).ok();
    }

    /// Waits until what is seen is so.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let rows = self.rows();
            if is(&rows) {
                return rows;
            }
            assert!(Instant::now() < until, "waited in vain for {what}:\n{rows}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the command has ended; gives all that it left.
    #[track_caller]
    pub(crate) fn end(&self) -> String {
        self.wait_for("the command to end", |rows| rows.contains("[exit "));
        self.everything(false)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
