//! `config.toml` of the configuration directory: the most that any task may
//! use on this machine, and how it reaches others. Only its user can raise what
//! a manifest may ask for.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use cofferdam_manifest::{Limits, Place, Quantity};
use cofferdam_registry::read_named;
use serde::Deserialize;

use super::failure::Failure;
use super::machine;
use crate::engine::Budget;
use crate::model::{EffectiveLimits, MAX_INSTANCES, MAX_TABLES};
use crate::network::NetworkSettings;

/// Larger files are not read.
const MAX_CONFIGURATION: u64 = 1 << 20;

/// What the user set for this machine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    limits: Limits,
    machine: MachineTable,
    network: NetworkTable,
    registry: RegistryTable,
}

/// How registries are reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RegistryTable {
    plain_http: Vec<String>,
}

/// What all tasks on this machine may use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct MachineTable {
    processors: Option<NonZeroU32>,
    memory: Option<Quantity>,
}

/// How this machine reaches others.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct NetworkTable {
    ca_files: Vec<PathBuf>,
    proxy_resolves: bool,
    hosts: BTreeMap<String, Vec<IpAddr>>,
    retries: Option<u32>,
}

impl Configuration {
    /// Reads the file; without one, every default holds.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let bytes = match read_named(path, MAX_CONFIGURATION) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::unreadable(path, &error)),
        };
        let file = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&file, &text),
            Err(_) => Err(invalid(&file, "", 0, "it is not UTF-8 text")),
        }
    }

    fn parse(file: &str, text: &str) -> Result<Self, Failure> {
        let found: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            invalid(file, text, at, error.message())
        })?;
        for (name, value, most) in [
            ("instances", found.limits.instances, MAX_INSTANCES),
            ("tables", found.limits.tables, MAX_TABLES),
        ] {
            if value.is_some_and(|value| value > most) {
                let at = text.find(name).unwrap_or(0);
                return Err(invalid(file, text, at, &format!("`{name}` is at most {most}")));
            }
        }
        Ok(found)
    }

    /// How this machine reaches others. Paths are relative to the configuration
    /// directory; the proxy is what the environment says.
    pub(crate) fn network(&self, directory: &Path) -> NetworkSettings {
        let variable = |name: &str| {
            let lower = name.to_ascii_lowercase();
            let set = std::env::var(name).or_else(|_| std::env::var(lower));
            set.ok().filter(|value| !value.is_empty())
        };
        let default = NetworkSettings::default();
        NetworkSettings {
            ca_files: self.network.ca_files.iter().map(|file| directory.join(file)).collect(),
            https_proxy: variable("HTTPS_PROXY"),
            no_proxy: variable("NO_PROXY"),
            proxy_resolves: self.network.proxy_resolves,
            hosts: self.network.hosts.clone(),
            retries: self.network.retries.unwrap_or(default.retries).min(10),
            ..default
        }
    }

    /// Registries that are spoken to without TLS, beside those of this machine.
    pub(crate) fn plain_http(&self) -> Vec<String> {
        self.registry.plain_http.clone()
    }

    /// What all tasks on this machine may use together.
    pub(crate) fn budget(&self) -> Budget {
        let MachineTable { processors, memory } = self.machine;
        machine::budget(processors.map(NonZeroU32::get), memory.map(Quantity::bytes))
    }

    /// The most that any task may use.
    pub(crate) fn ceiling(&self) -> EffectiveLimits {
        EffectiveLimits::ceiling(&self.limits)
    }
}

fn invalid(file: &str, text: &str, at: usize, message: &str) -> Failure {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let help = "docs/configuration.md says what can be set";
    Failure::at(file, text, Place { line, column }, ("config/invalid", message, help))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;
    use crate::model::DEFAULT_LIMITS;

    #[test]
    fn what_is_not_set_keeps_its_default() {
        assert_eq!(Configuration::parse("c", "").unwrap().ceiling(), DEFAULT_LIMITS);
        let set = Configuration::parse("c", "[limits]\nmemory = \"4Gi\"\nfiles = 5\n").unwrap().ceiling();
        assert_eq!((set.memory.bytes(), set.files, set.log), (4 << 30, 5, DEFAULT_LIMITS.log));
    }

    #[test]
    fn what_all_tasks_share_can_be_set() {
        let set = Configuration::parse("c", "[machine]\nprocessors = 3\nmemory = \"2Gi\"\n").unwrap();
        assert_eq!(set.budget(), Budget { processors: 3, memory: 2 << 30 });
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, part) in [
            ("[limits]\nmemory = \"much\"\n", 2, "much"),
            ("[limits]\n\nmemroy = \"1Gi\"\n", 3, "memroy"),
            ("[limit]\n", 1, "limit"),
            ("[limits]\nfiles = -1\n", 2, "-1"),
            ("[limits]\ninstances = 100000\n", 2, "at most"),
            ("[limits]\ncpu = \n", 2, ""),
            ("[machine]\nprocessors = 0\n", 2, "0"),
            ("[machine]\nprocesors = 1\n", 2, "procesors"),
        ] {
            let failure = Configuration::parse("c", text).unwrap_err();
            let problem = &failure.problems[0];
            assert_eq!((problem.code.as_str(), problem.line), ("config/invalid", Some(line)), "{text}");
            assert!(problem.message.contains(part), "{problem:?}");
        }
    }
}
