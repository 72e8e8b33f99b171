//! Which TaskRuns may begin now: those of all processes that share a home share
//! processors and memory, first come, first served.
//!
//! A process alone takes everything once and then asks nobody. When another one
//! waits, what is not used is given back at once, and what a TaskRun used when
//! it ends, but for a short turn in which the next one may have it: handing over
//! costs more than a task that does next to nothing.

mod ledger;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::EngineError;
use ledger::{Entry, Ledger, Share};

/// How often a process looks whether another one waits.
const LOOK: Duration = Duration::from_millis(20);
/// How often the first in line looks whether it is its turn.
const POLL: Duration = Duration::from_millis(5);
/// How long a process that others wait for may hand on what it has to its own
/// next task.
const TURN: Duration = Duration::from_millis(50);

/// What all TaskRuns on this machine may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// TaskRuns at once; at least one.
    pub processors: u32,
    /// Bytes: the sum of their memory limits.
    pub memory: u64,
}

/// The place of one process among those that share a home.
#[derive(Debug)]
pub struct Admission {
    shared: Arc<Shared>,
    look: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    budget: Share,
    ledger: Ledger,
    directory: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    /// Wakes the thread that looks out for others.
    over: Condvar,
}

#[derive(Debug)]
struct State {
    /// What this process may use without asking.
    held: Share,
    /// What its TaskRuns use.
    used: Share,
    /// Its own TaskRuns that wait, by number.
    line: VecDeque<u64>,
    next: u64,
    /// Its place in line among processes, while it waits.
    ticket: Option<u64>,
    /// Whether another process waits.
    contended: bool,
    /// When its turn began.
    since: Instant,
    over: bool,
}

/// The right of one TaskRun to run, until it is dropped.
#[derive(Debug)]
pub struct Permit<'a> {
    /// Nothing for one that was stopped while it waited.
    granted: Option<(&'a Shared, Share)>,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some((shared, share)) = self.granted {
            shared.release(share);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.over.notify_all();
        if let Some(look) = self.look.take() {
            // It does nothing that could fail.
            let _ = look.join();
        }
    }
}

impl Admission {
    /// Joins the processes that share `directory`. `jobs` is what the user asked
    /// for: of more than there are processors, this process may run as many.
    ///
    /// # Errors
    /// [`EngineError::Admission`]: a directory that cannot be made, written to or
    /// locked.
    pub fn join(directory: &Path, budget: Budget, jobs: u32) -> Result<Self, EngineError> {
        Self::begin(directory, budget, jobs).map_err(|source| failed(directory, source))
    }

    fn begin(directory: &Path, budget: Budget, jobs: u32) -> io::Result<Self> {
        let processors = u64::from(budget.processors.max(jobs).max(1));
        let state = State {
            held: Share::default(),
            used: Share::default(),
            line: VecDeque::new(),
            next: 0,
            ticket: None,
            contended: false,
            since: Instant::now(),
            over: false,
        };
        let shared = Arc::new(Shared {
            budget: Share { processors, memory: budget.memory },
            ledger: Ledger::join(directory)?,
            directory: directory.to_owned(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            over: Condvar::new(),
        });
        let watched = Arc::clone(&shared);
        let look = move || watched.look_out();
        let look = std::thread::Builder::new().name("admission".to_owned()).spawn(look)?;
        Ok(Self { shared, look: Some(look) })
    }

    /// Waits until a TaskRun may begin that may use so much memory, in bytes. One
    /// that may use more than there is for all runs beside no other. Gives a
    /// permit for nothing as soon as `stopped` says so.
    ///
    /// # Errors
    /// As [`Admission::join`].
    pub fn enter(&self, memory: u64, stopped: impl Fn() -> bool) -> Result<Permit<'_>, EngineError> {
        let entered = self.shared.enter(memory, stopped);
        entered.map_err(|source| failed(&self.shared.directory, source))
    }
}

fn failed(directory: &Path, source: io::Error) -> EngineError {
    EngineError::Admission { path: directory.display().to_string(), source }
}

impl State {
    fn fits(&self, wanted: Share) -> bool {
        self.used.plus(wanted).is_within(self.held)
    }

    fn entry(&self) -> Entry {
        Entry { held: self.held, ticket: self.ticket }
    }

    /// Whether another process has waited longer.
    fn yields_to(&self, others: &[Entry]) -> bool {
        let mut tickets = others.iter().filter_map(|other| other.ticket);
        tickets.any(|ticket| self.ticket.is_none_or(|own| ticket < own))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, memory: u64, stopped: impl Fn() -> bool) -> io::Result<Permit<'_>> {
        let wanted = Share { processors: 1, memory: memory.min(self.budget.memory) };
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.line.push_back(number);
        loop {
            let is_first = state.line.front() == Some(&number);
            let may = match is_first {
                true if state.fits(wanted) => Ok(true),
                true => self.claim(&mut state, wanted),
                false => Ok(false),
            };
            // Who cannot go on must not keep those behind it.
            let may = may.inspect_err(|_| self.leave(&mut state, number))?;
            if may {
                state.used = state.used.plus(wanted);
                self.leave(&mut state, number);
                return Ok(Permit { granted: Some((self, wanted)) });
            }
            if stopped() {
                self.leave(&mut state, number);
                return Ok(Permit { granted: None });
            }
            // What this process has gives back wakes it, and so it looks only
            // for what others do.
            let pause = if is_first { POLL } else { LOOK };
            let waited = self.changed.wait_timeout(state, pause);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Leaves the line of this process.
    fn leave(&self, state: &mut State, number: u64) {
        state.line.retain(|other| *other != number);
        // The next in line has its own place among processes.
        let waited = state.ticket.take().is_some();
        if !state.line.is_empty() {
            self.changed.notify_all();
        } else if waited {
            // Nobody must wait for one that waits no more.
            let _ = self.ledger.close().and_then(|gate| gate.write(state.entry()));
        }
    }

    /// Takes from what nobody holds as much as is wanted, unless others have
    /// waited longer; everything, where nobody waits.
    fn claim(&self, state: &mut State, wanted: Share) -> io::Result<bool> {
        let gate = self.ledger.close()?;
        let others = gate.others()?;
        state.contended = others.iter().any(|other| other.ticket.is_some());
        if state.ticket.is_none() {
            let last = others.iter().filter_map(|other| other.ticket).max();
            state.ticket = Some(last.unwrap_or(0) + 1);
        }
        let taken = others.iter().fold(Share::default(), |sum, other| sum.plus(other.held));
        let free = self.budget.minus(taken);
        let needed = state.used.plus(wanted);
        let granted = needed.is_within(free) && !state.yields_to(&others);
        if granted {
            state.held = if state.contended { state.held.at_least(needed).at_most(free) } else { free };
            state.ticket = None;
            if state.since.elapsed() >= TURN {
                state.since = Instant::now();
            }
        }
        gate.write(state.entry())?;
        Ok(granted)
    }

    /// Takes back what a TaskRun used.
    fn release(&self, share: Share) {
        let mut state = self.lock();
        state.used = state.used.minus(share);
        if state.contended && state.since.elapsed() >= TURN {
            // What cannot be written now is written by who looks out.
            let _ = self.give_back(&mut state);
        }
        if !state.line.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Gives back what is not used, if another process has waited longer.
    fn give_back(&self, state: &mut State) -> io::Result<()> {
        let gate = self.ledger.close()?;
        let others = gate.others()?;
        state.contended = others.iter().any(|other| other.ticket.is_some());
        if state.held != state.used && state.yields_to(&others) {
            state.held = state.used;
            gate.write(state.entry())?;
        }
        Ok(())
    }

    fn look_out(&self) {
        let mut state = self.lock();
        while !state.over {
            if let Err(error) = self.give_back(&mut state) {
                tracing::warn!(%error, "other runs may wait for what this one does not use");
            }
            let waited = self.over.wait_timeout(state, LOOK);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
