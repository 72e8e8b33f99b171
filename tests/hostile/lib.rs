//! Tasks that try to escape, lie or exhaust. Each directory is one: its
//! `task.yaml` and its code, which cargo builds as an example of this crate.
//! `tests/hostile_*.rs` say what must become of each.
//!
//! Here is what they share: the host's interfaces without the standard library
//! in between, which refuses much on its own, and a list of what succeeded.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::Descriptor;

/// Attempts that succeeded, though none should have.
#[derive(Debug, Default)]
pub struct Breaches(Vec<String>);

impl Breaches {
    /// Notes an attempt that succeeded.
    pub fn tried<T, E>(&mut self, what: &str, result: Result<T, E>) {
        if result.is_ok() {
            self.0.push(what.to_owned());
        }
    }

    /// What succeeded.
    #[must_use]
    pub fn found(self) -> Vec<String> {
        self.0
    }
}

/// The directory that the host opened for the task at a path.
///
/// # Errors
/// A message, when it opened none there.
pub fn opened(path: &str) -> Result<Descriptor, std::io::Error> {
    let found = get_directories().into_iter().find(|(_, name)| name == path);
    found
        .map(|(directory, _)| directory)
        .ok_or_else(|| std::io::Error::other(format!("nothing is open at {path}")))
}
