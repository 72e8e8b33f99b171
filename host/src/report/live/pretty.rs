//! Lines on a terminal: finished tasks scroll by above; below, the state of the
//! run and of each running task, drawn ten times a second by one thread.
//!
//! Events only change the board. A run that is over before the first drawing
//! prints what stays, and nothing has flickered.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use super::Reader;
use super::board::Board;
use super::screen::Screen;
use crate::event::{Event, LiveSink};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Lines on a terminal.
#[derive(Debug)]
pub struct PrettyLines {
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    board: Mutex<Board>,
    // A terminal that is stopped holds up drawing, and not the run.
    screen: Mutex<Screen>,
    ended: Mutex<bool>,
    end: Condvar,
    now: fn() -> Timestamp,
}

/// Says something beside what a run shows.
#[derive(Clone, Debug)]
pub struct Remarks(Place);

#[derive(Clone, Debug)]
enum Place {
    Screen(Arc<Shared>),
    Stderr,
    Nowhere,
}

impl PrettyLines {
    /// Lines on a terminal.
    ///
    /// # Errors
    /// When the thread that draws cannot be started.
    pub fn new(screen: Screen, reader: Reader, now: fn() -> Timestamp) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            board: Mutex::new(Board::new(reader)),
            screen: Mutex::new(screen),
            ended: Mutex::new(false),
            end: Condvar::new(),
            now,
        });
        let drawing = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || drawing.tick())?;
        Ok(Self { shared, ticker: Some(thread) })
    }

    /// Says something between the lines.
    #[must_use]
    pub fn remarks(&self) -> Remarks {
        Remarks(Place::Screen(Arc::clone(&self.shared)))
    }
}

impl LiveSink for PrettyLines {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        self.shared.board().apply(event);
        Ok(())
    }

    fn progress(&mut self, task: &str, done: u64, total: Option<u64>, message: &str) -> io::Result<()> {
        self.shared.board().progress(task, done, total, message);
        Ok(())
    }
}

impl Drop for PrettyLines {
    fn drop(&mut self) {
        self.shared.finish();
        if let Some(thread) = self.ticker.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            let waited = self.end.wait_timeout(ended, TICK);
            ended = waited.unwrap_or_else(PoisonError::into_inner).0;
            if *ended {
                return;
            }
            drop(ended);
            self.draw(true);
            ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Draws what stays, and below it, if the run goes on, how it stands.
    fn draw(&self, going: bool) {
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let size = screen.size();
        let (above, below) = {
            let mut board = self.board();
            let below = if going { board.below((self.now)(), size) } else { Vec::new() };
            (board.take_above(), below)
        };
        // A terminal that is gone takes nothing with it.
        let _ = screen.draw(&above, below, size);
    }

    /// Stops drawing; what was drawn goes, and what stays is printed.
    fn finish(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.notify_all();
        self.draw(false);
    }
}

impl Remarks {
    /// Remarks on standard error.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self(Place::Stderr)
    }

    /// Remarks that are not made, where standard error is for programs.
    #[must_use]
    pub fn nowhere() -> Self {
        Self(Place::Nowhere)
    }

    /// Says something.
    pub fn say(&self, text: &str) {
        match &self.0 {
            Place::Screen(shared) => {
                shared.board().remark(text);
                if *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) {
                    shared.draw(false);
                }
            }
            Place::Stderr => {
                let _ = writeln!(io::stderr().lock(), "{text}");
            }
            Place::Nowhere => {}
        }
    }

    /// Leaves the terminal in order: the process is about to end.
    pub fn leave(&self) {
        match &self.0 {
            Place::Screen(shared) => shared.finish(),
            Place::Stderr | Place::Nowhere => {}
        }
    }
}
