//! What whoever starts a run says about grants on the command line. Everything
//! but `allow` narrows; all of it is recorded with the run.

use std::fmt;
use std::str::FromStr;

use cofferdam_manifest::{Capabilities, HostPattern, InvalidHost, InvalidName, Name};
use serde::{Deserialize, Serialize};

/// What is granted or refused from the command line, beside manifests, trust
/// and the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overrides {
    /// Nothing that could see more than its inputs is granted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hermetic: bool,
    /// The change that is built is somebody else's: it gets no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrusted_source: Option<String>,
    /// Refused, whoever grants it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Override>,
    /// Granted as if the pipeline did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Override>,
}

/// One capability of one task, or of all: `[TASK=]CAPABILITY[:HOST]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Override {
    /// The task, or nothing for all.
    pub task: Option<Name>,
    /// The capability.
    pub kind: CapabilityKind,
    /// Only what goes to these hosts; for `network`, `tcp` and `secrets`.
    pub host: Option<HostPattern>,
}

/// A capability, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityKind {
    /// HTTP requests.
    Network,
    /// Raw TCP connections.
    Tcp,
    /// Secrets in requests.
    Secrets,
    /// The real time.
    Clock,
    /// Real randomness.
    Random,
}

/// A text that names no capability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOverride {
    /// Not one of the capabilities.
    #[error(
        "`{0}` is no capability: it takes network, tcp, secrets, clock or random, as in `fetch=network:example.org`"
    )]
    Kind(String),
    /// A host where none can be.
    #[error("`{0}` goes to no host: leave out what follows the `:`")]
    NoHost(&'static str),
    /// Not a host.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// A task as runs show one of a pipeline that is nested in another.
    #[error("a task of a nested pipeline is named without that pipeline, which means each of that name")]
    Nested,
    /// Not a task's name.
    #[error(transparent)]
    Task(#[from] InvalidName),
}

impl Overrides {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Override {
    /// Whether it allows something of what a manifest asks for: a rule whole, or
    /// nothing of it.
    #[must_use]
    pub fn allows_of(&self, asked: &Capabilities) -> bool {
        let covers = |host: &HostPattern| {
            self.host.as_ref().is_none_or(|own| own.intersect(host).as_ref() == Some(host))
        };
        match self.kind {
            CapabilityKind::Network => asked.network.iter().any(|rule| covers(&rule.host)),
            CapabilityKind::Tcp => asked.tcp.iter().any(|rule| covers(&rule.host)),
            CapabilityKind::Clock => asked.clock.is_some(),
            CapabilityKind::Random => asked.random.is_some(),
            // They go with trust.
            CapabilityKind::Secrets => false,
        }
    }

    /// Whether a task is meant.
    #[must_use]
    pub fn names_task(&self, task: &str) -> bool {
        self.task.as_ref().is_none_or(|name| name.as_str() == task)
    }
}

impl CapabilityKind {
    /// The word as it is typed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Tcp => "tcp",
            Self::Secrets => "secrets",
            Self::Clock => "clock",
            Self::Random => "random",
        }
    }
}

impl FromStr for Override {
    type Err = InvalidOverride;

    fn from_str(text: &str) -> Result<Self, InvalidOverride> {
        let (task, rest) = match text.split_once('=') {
            // To take its last part would allow more than was said.
            Some((task, _)) if task.contains('/') => return Err(InvalidOverride::Nested),
            Some((task, rest)) => (Some(Name::try_from(task.to_owned())?), rest),
            None => (None, text),
        };
        let (word, host) = match rest.split_once(':') {
            Some((word, host)) => (word, Some(host)),
            None => (rest, None),
        };
        let kinds = [
            CapabilityKind::Network,
            CapabilityKind::Tcp,
            CapabilityKind::Secrets,
            CapabilityKind::Clock,
            CapabilityKind::Random,
        ];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == word);
        let kind = kind.ok_or_else(|| InvalidOverride::Kind(word.chars().take(80).collect()))?;
        match kind {
            CapabilityKind::Clock | CapabilityKind::Random if host.is_some() => {
                return Err(InvalidOverride::NoHost(kind.as_str()));
            }
            CapabilityKind::Clock
            | CapabilityKind::Random
            | CapabilityKind::Network
            | CapabilityKind::Tcp
            | CapabilityKind::Secrets => {}
        }
        Ok(Self { task, kind, host: host.map(HostPattern::from_str).transpose()? })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.task {
            write!(f, "{task}=")?;
        }
        f.write_str(self.kind.as_str())?;
        match &self.host {
            Some(host) => write!(f, ":{host}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Override {
    type Error = InvalidOverride;

    fn try_from(text: String) -> Result<Self, InvalidOverride> {
        text.parse()
    }
}

impl From<Override> for String {
    fn from(value: Override) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_what_is_recorded() {
        for text in ["network", "fetch=network:*.example.org", "a=clock", "tcp:localhost", "secrets:[::1]"] {
            assert_eq!(text.parse::<Override>().map(|found| found.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "net", "Network", "clock:example.org", "=network", "network:", "network:a:1"] {
            assert!(text.parse::<Override>().is_err(), "{text}");
        }
    }
}
