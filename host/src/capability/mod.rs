//! What a task can do beyond computing, and what decides that it may.
//!
//! One file for each capability: what is granted, how it is checked, what the
//! task then gets. A task's imports say what it could use; its manifest what it
//! asks for; trust and the pipeline what it is granted. Everything not named
//! here is refused.

mod address;
mod clock;
mod files;
mod grants;
mod log;
mod network;
mod random;
mod reads;
mod redact;
mod trip;

use cofferdam_manifest::Capabilities;

pub(crate) use address::check_address;
pub(crate) use clock::FixedClock;
pub(crate) use files::{FileMeter, FileOverrun};
pub(crate) use grants::network_words;
pub use grants::{Deciders, GrantDecision, GrantLine, Withheld, WithheldRule};
pub(crate) use log::{LogMeter, cut};
pub use network::rule_of;
pub(crate) use network::{Target, find_rule, network_yaml, rule_for, tcp_yaml};
pub(crate) use random::SeededRandom;
pub(crate) use reads::InputFiles;
pub use redact::{RedactedStream, Redactor};
pub(crate) use trip::Trip;

/// Why no native tool runs.
pub(crate) const NO_EXEC: &str = "this version runs no native tools";
/// What a task does that wants one.
pub(crate) const INSTEAD_OF_EXEC: &str = "leave `exec` out: have the component do the work itself, with a crate or a \
    module that it is built with; or run the tool before, and wire the directory with what it made as an input";

/// What an import gives a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// Nothing from outside: types, streams, an empty environment.
    Inert,
    /// Lines for the person who watches.
    Log,
    /// Files under the inputs, outputs and scratch of the request.
    Files,
    /// The time: fixed, unless `clock` is granted.
    Clock,
    /// Random numbers: seeded, unless `random` is granted.
    Random,
    /// HTTP requests.
    Network,
    /// Raw sockets.
    Sockets,
    /// Native tools.
    Exec,
    /// Something this host does not know.
    Unknown,
}

impl Import {
    /// Classifies the name of an import, such as `wasi:clocks/wall-clock@0.2.6`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        match interface.split_once('/') {
            Some(("cofferdam:task", "types")) if version == "0.1.0" => Self::Inert,
            Some(("cofferdam:task", "log")) if version == "0.1.0" => Self::Log,
            Some(("cofferdam:task", "exec")) => Self::Exec,
            Some(_) if !version.starts_with("0.2.") => Self::Unknown,
            Some(("wasi:cli" | "wasi:io", _)) => Self::Inert,
            Some(("wasi:filesystem", _)) => Self::Files,
            Some(("wasi:clocks", _)) => Self::Clock,
            Some(("wasi:random", _)) => Self::Random,
            Some(("wasi:http", "types" | "outgoing-handler")) => Self::Network,
            Some(("wasi:sockets", _)) => Self::Sockets,
            Some(_) | None => Self::Unknown,
        }
    }

    /// What is wrong with an import, given what the manifest asks for.
    #[must_use]
    pub fn contradiction(self, asked: &Capabilities) -> Option<&'static str> {
        match self {
            Self::Inert | Self::Log | Self::Files | Self::Clock | Self::Random => None,
            Self::Network if asked.network.is_empty() => {
                Some("its manifest does not ask for `capabilities.network`")
            }
            Self::Exec if asked.exec.is_empty() => Some("its manifest does not ask for `capabilities.exec`"),
            Self::Sockets if asked.tcp.is_empty() => Some("its manifest does not ask for `capabilities.tcp`"),
            Self::Network | Self::Sockets | Self::Exec => None,
            Self::Unknown => Some("this host has no such interface"),
        }
    }

    /// Why this version cannot provide an import, asked for or not.
    #[must_use]
    pub fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Inert
            | Self::Log
            | Self::Files
            | Self::Clock
            | Self::Random
            | Self::Network
            | Self::Sockets => None,
            Self::Exec => Some(NO_EXEC),
            Self::Unknown => Some("this host has no such interface"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_here_can_be_imported() {
        for (name, expected) in [
            ("wasi:cli/environment@0.2.6", Import::Inert),
            ("wasi:clocks/wall-clock@0.2.0", Import::Clock),
            ("wasi:sockets/tcp@0.2.6", Import::Sockets),
            ("wasi:http/outgoing-handler@0.2.6", Import::Network),
            ("wasi:http/incoming-handler@0.2.6", Import::Unknown),
            ("wasi:http/client@0.3.0", Import::Unknown),
            ("wasi:filesystem/types@0.3.0", Import::Unknown),
            ("wasi:filesystem/types", Import::Unknown),
            ("cofferdam:task/log@0.1.0", Import::Log),
            ("cofferdam:task/log@0.2.0", Import::Unknown),
            ("evil:host/escape@1.0.0", Import::Unknown),
            ("run", Import::Unknown),
        ] {
            assert_eq!(Import::of(name), expected, "{name}");
        }
    }
}
