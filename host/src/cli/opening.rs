//! What a run needs of its home. It is opened beside the planning of the run:
//! SQLite reads its log, the writer moves a long one, the sandbox takes its
//! memory, and none of that depends on what is planned.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::execute::{CacheWish, open_sandbox};
use super::failure::Failure;
use super::home::Home;
use crate::engine::CacheUse;
use crate::event::{Journal, JournalWriter};
use crate::sandbox::Sandbox;

/// What is being opened, on a thread of its own. Whoever does not need it after
/// all lets it go: nothing of a run is written.
#[derive(Debug)]
pub(crate) struct Opening(JoinHandle<Result<Opened, Failure>>);

/// What was opened.
pub(crate) struct Opened {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) journal: Journal,
    pub(crate) writer: JournalWriter,
    pub(crate) cache: CacheUse,
}

impl Opening {
    /// Begins to open everything for a run of up to `jobs` TaskRuns at once; a
    /// sandbox that is there already is taken as it is.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(
        home: &Home,
        jobs: Option<u32>,
        cache: CacheWish,
        sandbox: Option<Arc<Sandbox>>,
    ) -> Result<Self, Failure> {
        let home = home.clone();
        let open = move || {
            let journal = home.journal()?;
            // First: its own thread has the most to do.
            let writer = journal.writer()?;
            let sandbox = sandbox.map_or_else(|| open_sandbox(jobs, &home).map(Arc::new), Ok)?;
            Ok(Opened { sandbox, journal, writer, cache: cache.open(&home) })
        };
        let thread = std::thread::Builder::new().name("opening".to_owned()).spawn(open);
        let refused = |error: std::io::Error| {
            let help = "end other programs, or allow more threads (ulimit -u)";
            Failure::invalid("io/refused", format!("cannot start a thread: {error}"), help)
        };
        Ok(Self(thread.map_err(refused)?))
    }

    /// Waits until everything is open.
    ///
    /// # Errors
    /// Why something cannot be opened.
    pub(crate) fn finish(self) -> Result<Opened, Failure> {
        // A bug there is one here.
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
