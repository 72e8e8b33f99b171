//! What a task can do beyond computing, and what decides that it may.
//!
//! One file for each capability: what is granted, how it is checked, what the
//! task then gets. A task's imports say what it could use; its manifest what it
//! asks for; trust and the pipeline what it is granted. Everything not named
//! here is refused.

mod clock;
mod files;
mod log;
mod random;
mod reads;

use cofferdam_manifest::Capabilities;
use serde::Serialize;

use crate::event::Grants;
use crate::model::GrantSpec;

pub(crate) use clock::FixedClock;
pub(crate) use files::{FileMeter, FileOverrun};
pub(crate) use log::{LogMeter, cut};
pub(crate) use random::SeededRandom;
pub(crate) use reads::InputFiles;

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
            Some((package, _)) if !version.starts_with("0.2.") => match package {
                "wasi:http" => Self::Network,
                "wasi:sockets" => Self::Sockets,
                _ => Self::Unknown,
            },
            Some(("wasi:cli" | "wasi:io", _)) => Self::Inert,
            Some(("wasi:filesystem", _)) => Self::Files,
            Some(("wasi:clocks", _)) => Self::Clock,
            Some(("wasi:random", _)) => Self::Random,
            Some(("wasi:http", _)) => Self::Network,
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
            Self::Network | Self::Exec => None,
            Self::Sockets => Some("raw sockets are never linked"),
            Self::Unknown => Some("this host has no such interface"),
        }
    }

    /// Why this version cannot provide an import, asked for or not.
    #[must_use]
    pub fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Inert | Self::Log | Self::Files | Self::Clock | Self::Random => None,
            Self::Network => Some("this version links no network"),
            Self::Exec => Some("this version runs no native tools"),
            Self::Sockets => Some("raw sockets are never linked"),
            Self::Unknown => Some("this host has no such interface"),
        }
    }
}

/// One capability: asked for or not, granted or not, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantLine {
    /// The capability, with its detail.
    pub capability: String,
    /// Whether the manifest asks for it.
    pub asked: bool,
    /// Whether it is granted.
    pub granted: bool,
    /// Why, or why not.
    pub why: String,
}

/// What one task is granted: asked, and allowed by trust or by the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDecision {
    /// What the sandbox enforces.
    pub grants: Grants,
    /// Every capability the task asks for.
    pub lines: Vec<GrantLine>,
}

impl GrantDecision {
    /// Decides. A trusted task gets what it asks for; an untrusted one what the
    /// pipeline names besides.
    #[must_use]
    pub fn new(asked: &Capabilities, trusted: bool, pipeline: Option<&GrantSpec>) -> Self {
        let mut lines = Vec::new();
        let mut decide = |capability: &str, asked: bool, named: bool| {
            let granted = asked && (trusted || named);
            if asked {
                let why = match (trusted, named) {
                    (true, _) => "the task is trusted".to_owned(),
                    (false, true) => "the pipeline grants it".to_owned(),
                    (false, false) => {
                        format!("the task is not trusted; grants: {{ {capability}: real }} allows it")
                    }
                };
                lines.push(GrantLine { capability: capability.to_owned(), asked, granted, why });
            }
            granted
        };
        let grants = Grants {
            real_clock: decide("clock", asked.clock.is_some(), pipeline.is_some_and(|p| p.clock.is_some())),
            real_random: decide(
                "random",
                asked.random.is_some(),
                pipeline.is_some_and(|p| p.random.is_some()),
            ),
        };
        for ask in &asked.network {
            lines.push(unavailable(format!("network {}", ask.host), Import::Network));
        }
        for ask in &asked.exec {
            lines.push(unavailable(format!("exec {}", ask.tool), Import::Exec));
        }
        Self { grants, lines }
    }

    /// What was asked for and not granted.
    pub fn refused(&self) -> impl Iterator<Item = &GrantLine> {
        self.lines.iter().filter(|line| line.asked && !line.granted)
    }
}

fn unavailable(capability: String, import: Import) -> GrantLine {
    let why = import.unavailable().unwrap_or("not granted").to_owned();
    GrantLine { capability, asked: true, granted: false, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_manifest::{ExecAsk, RealOnly};

    #[test]
    fn only_what_is_named_here_can_be_imported() {
        for (name, expected) in [
            ("wasi:cli/environment@0.2.6", Import::Inert),
            ("wasi:clocks/wall-clock@0.2.0", Import::Clock),
            ("wasi:sockets/tcp@0.2.6", Import::Sockets),
            ("wasi:http/outgoing-handler@0.2.6", Import::Network),
            ("wasi:http/client@0.3.0", Import::Network),
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

    #[test]
    fn trust_or_the_pipeline_grants_what_is_asked_and_nothing_else() {
        let asked = Capabilities { clock: Some(RealOnly::Real), ..Capabilities::default() };
        let all = GrantSpec { clock: Some(RealOnly::Real), random: Some(RealOnly::Real) };
        for (trusted, pipeline, clock) in
            [(true, None, true), (false, None, false), (false, Some(&all), true), (true, Some(&all), true)]
        {
            let decision = GrantDecision::new(&asked, trusted, pipeline);
            assert_eq!(decision.grants, Grants { real_clock: clock, real_random: false });
            assert_eq!(decision.refused().count(), usize::from(!clock));
        }
    }

    #[test]
    fn what_cannot_be_provided_is_refused_even_to_a_trusted_task() {
        let asked =
            Capabilities { exec: vec![ExecAsk { tool: "cargo".to_owned() }], ..Capabilities::default() };
        assert_eq!(GrantDecision::new(&asked, true, None).refused().count(), 1);
    }
}
