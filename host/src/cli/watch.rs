//! Watches files, and waits until a change is over or somebody wants to stop.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::failure::Failure;
use super::interrupt;
use crate::sandbox::CancelToken;
use crate::source::Ignored;

/// A change is over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(100);
/// Where there is no end of it, this is long enough.
const STORM: Duration = Duration::from_secs(2);

/// What can happen while nothing runs, and while something does.
enum Happened {
    Changed(Vec<PathBuf>),
    Stop,
}

/// What the process waits for.
pub(crate) enum Next {
    /// These files changed.
    Changed(BTreeSet<PathBuf>),
    /// Somebody wants it to stop.
    Stop,
}

/// The run that is under way, for whoever wants to cancel it.
#[derive(Clone, Debug, Default)]
struct Current(Arc<Mutex<Option<CancelToken>>>);

impl Current {
    fn set(&self, token: Option<CancelToken>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Whether there was one.
    fn cancel(&self) -> bool {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.iter().for_each(CancelToken::cancel);
        current.is_some()
    }
}

/// Watches some directories.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    happened: Receiver<Happened>,
    current: Current,
    watched: BTreeSet<PathBuf>,
    stopping: bool,
}

impl Watch {
    /// Watches what is added, but what git ignores and what is below `own`. With
    /// `restart`, a change cancels the run that is under way.
    pub(crate) fn start(ignored: Ignored, own: Vec<PathBuf>, restart: bool) -> Result<Self, Failure> {
        let (sender, happened) = channel();
        let current = Current::default();
        listen(sender.clone(), current.clone())
            .map_err(|error| Failure::io("watch for signals in", Path::new("."), &error))?;
        let running = current.clone();
        let changed = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading a file changes nothing.
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            let others = ignored.others(&event.paths).into_iter();
            let others = others.filter(|path| !own.iter().any(|own| path.starts_with(own)));
            let paths: Vec<PathBuf> = others.map(Path::to_owned).collect();
            if !paths.is_empty() {
                if restart {
                    running.cancel();
                }
                let _ = sender.send(Happened::Changed(paths));
            }
        };
        let watcher = notify::recommended_watcher(changed).map_err(|error| cannot(Path::new("."), &error))?;
        Ok(Self { watcher, happened, current, watched: BTreeSet::new(), stopping: false })
    }

    /// Watches a directory, too, with what is below it or without.
    pub(crate) fn add(&mut self, directory: &Path, all: bool) -> Result<(), Failure> {
        let directory = directory.canonicalize().map_err(|error| Failure::unreadable(directory, &error))?;
        if self.watched.contains(&directory) {
            return Ok(());
        }
        let mode = if all { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        self.watcher.watch(&directory, mode).map_err(|error| cannot(&directory, &error))?;
        self.watched.insert(directory);
        Ok(())
    }

    /// Says which run is under way.
    pub(crate) fn running(&self, token: Option<CancelToken>) {
        self.current.set(token);
    }

    /// Waits until a change is over. What came together is one.
    pub(crate) fn next(&mut self) -> Next {
        let mut changed = BTreeSet::new();
        let mut until: Option<Instant> = None;
        while !self.stopping {
            let received = match until {
                None => self.happened.recv().ok(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now()).min(QUIET);
                    match self.happened.recv_timeout(left) {
                        Ok(happened) => Some(happened),
                        Err(_) => return Next::Changed(changed),
                    }
                }
            };
            match received {
                Some(Happened::Changed(paths)) => {
                    changed.extend(paths);
                    until.get_or_insert_with(|| Instant::now() + STORM);
                }
                Some(Happened::Stop) | None => self.stopping = true,
            }
        }
        Next::Stop
    }

    /// Whether somebody wants to stop, without waiting.
    pub(crate) fn is_stopping(&mut self, changed: &mut BTreeSet<PathBuf>) -> bool {
        while let Ok(happened) = self.happened.try_recv() {
            match happened {
                Happened::Changed(paths) => changed.extend(paths),
                Happened::Stop => self.stopping = true,
            }
        }
        self.stopping
    }
}

fn cannot(path: &Path, error: &notify::Error) -> Failure {
    let message = format!("cannot watch {}: {error}", path.display());
    let help =
        "there may be too many directories: raise fs.inotify.max_user_watches, or name a smaller --source";
    Failure::invalid("source/unwatchable", message, help)
}

/// Ctrl-C, `kill` and a lost terminal: each cancels what runs, a little more,
/// and the third ends the process.
fn listen(sender: Sender<Happened>, current: Current) -> std::io::Result<()> {
    interrupt::on_signal(move |_| {
        current.cancel();
        let _ = sender.send(Happened::Stop);
    })
}
