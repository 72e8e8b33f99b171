//! The registries of this machine, as its configuration, its logins and the
//! repository's pins make them.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cofferdam_registry::{Moved, Progress, RemoteSettings};
use jiff::Timestamp;

use super::failure::Failure;
use super::home::Home;
use super::logins;
use crate::plan::{Lock, LockError, Pinning, Registries, RegistryResolver};
use crate::report::bytes;

/// Faster than this, nobody can read it.
const REFRESH: Duration = Duration::from_millis(100);

/// The registries without the pins of a repository.
pub(crate) fn open(home: &Home) -> Result<Registries, Failure> {
    let registries = Registries::new(&home.registry(), &home.pulled(), settings(home)?);
    Ok(registries.with_progress(progress()))
}

/// Finds tasks for the pipelines in a directory.
pub(crate) fn resolver(
    home: &Home,
    base: &Path,
    pinning: Pinning,
    require_trusted: bool,
) -> Result<RegistryResolver, Failure> {
    let registries = open(home)?.with_lock(Lock::load(base)?, pinning);
    Ok(RegistryResolver::new(registries, home.trust_levels(base)?, Timestamp::now(), require_trusted))
}

/// How registries over HTTP are reached.
pub(crate) fn settings(home: &Home) -> Result<RemoteSettings, Failure> {
    let configuration = home.configuration()?;
    let own = home.logins();
    Ok(RemoteSettings {
        ca_files: configuration.network(&home.configuration_directory()).ca_files,
        plain_http: configuration.plain_http(),
        login: std::sync::Arc::new(move |host| logins::find(&own, host)),
    })
}

/// Waits for an answer of a registry.
pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("start", Path::new("the network"), &error))?;
    Ok(runtime.block_on(answer))
}

/// Shows on a terminal how far blobs have come that take longer.
pub(crate) fn progress() -> Box<Progress<'static>> {
    if !std::io::stderr().is_terminal() {
        return Box::new(|_| {});
    }
    let state = Mutex::new((Instant::now(), HashMap::new(), 0));
    Box::new(move |moved: Moved| {
        let Ok(mut state) = state.lock() else { return };
        let (last, open, shown) = &mut *state;
        if moved.done == moved.total {
            open.remove(&moved.blob);
        } else {
            open.insert(moved.blob, (moved.done, moved.total));
        }
        if last.elapsed() < REFRESH && !open.is_empty() {
            return;
        }
        *last = Instant::now();
        let mut err = std::io::stderr().lock();
        let sum = |pick: fn(&(u64, u64)) -> u64| bytes(open.values().map(pick).sum());
        let (done, total) = (sum(|(done, _)| *done), sum(|(_, total)| *total));
        let line = match (open.len(), open.keys().next()) {
            (0, _) | (_, None) => String::new(),
            (1, Some(blob)) => format!("pulling {}  {done} of {total}", blob.short()),
            (count, Some(_)) => format!("pulling {count} blobs  {done} of {total}"),
        };
        // Written over with blanks: that needs no sequence that a terminal obeys.
        let _ = write!(err, "\r{:shown$}\r{line}", "");
        *shown = line.len();
        let _ = err.flush();
    })
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Faults { path, text, faults } => {
                Self::faults(&path.display().to_string(), &text, faults)
            }
            LockError::Io { action, path, source } => Self::io(action, &path, &source),
        }
    }
}
