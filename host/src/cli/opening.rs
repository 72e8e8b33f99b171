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

/// Something that is being opened, on a thread of its own. Whoever does not need
/// it after all lets it go: nothing of a run is written.
#[derive(Debug)]
pub(crate) struct Opens<T>(JoinHandle<Result<T, Failure>>);

impl<T: Send + 'static> Opens<T> {
    fn begin(open: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<Self, Failure> {
        let thread = std::thread::Builder::new().name("opening".to_owned()).spawn(open);
        let refused = |error: std::io::Error| {
            let help = "end other programs, or allow more threads (ulimit -u)";
            Failure::invalid("io/refused", format!("cannot start a thread: {error}"), help)
        };
        Ok(Self(thread.map_err(refused)?))
    }

    fn finish(self) -> Result<T, Failure> {
        // A bug there is one here.
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The journal, which is open or being opened, to be read.
#[derive(Debug)]
pub(crate) enum History {
    Open(Box<Journal>),
    Opens(Opens<Journal>),
}

impl History {
    /// Begins to open it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn begin(home: &Home) -> Result<Self, Failure> {
        let home = home.clone();
        Ok(Self::Opens(Opens::begin(move || home.journal())?))
    }

    /// Waits until it is open.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) fn finish(self) -> Result<Journal, Failure> {
        match self {
            Self::Open(journal) => Ok(*journal),
            Self::Opens(opens) => opens.finish(),
        }
    }
}

/// Everything that a run needs, which is being opened.
#[derive(Debug)]
pub(crate) struct Opening(Opens<Opened>);

/// What was opened.
#[derive(Debug)]
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
        Self::beside(History::begin(home)?, home, (jobs, cache, sandbox))
    }

    /// The same, where the journal is being opened already.
    ///
    /// # Errors
    /// As [`Opening::begin`].
    pub(crate) fn beside(
        history: History,
        home: &Home,
        (jobs, cache, sandbox): (Option<u32>, CacheWish, Option<Arc<Sandbox>>),
    ) -> Result<Self, Failure> {
        let home = home.clone();
        Ok(Self(Opens::begin(move || {
            let journal = history.finish()?;
            // First: its own thread has the most to do.
            let writer = journal.writer()?;
            let sandbox = sandbox.map_or_else(|| open_sandbox(jobs, &home).map(Arc::new), Ok)?;
            Ok(Opened { sandbox, journal, writer, cache: cache.open(&home) })
        })?))
    }

    /// Waits until everything is open.
    ///
    /// # Errors
    /// Why something cannot be opened.
    pub(crate) fn finish(self) -> Result<Opened, Failure> {
        self.0.finish()
    }
}
