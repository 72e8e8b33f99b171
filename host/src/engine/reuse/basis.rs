//! Everything that decides the outcome of a hermetic TaskRun, and its digest:
//! the key under which an outcome is kept. Names of runs and tasks and times
//! are no part of it.

use std::collections::BTreeMap;

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::event::{Grants, TaskStart};
use crate::model::{EffectiveLimits, Shared};

/// Changes with every change of what a key is made from.
const FORMAT: u32 = 1;
/// Of a longer param only the digest is kept, to tell that it changed.
const MAX_PARAM: usize = 256;

/// Where tasks run, as far as it may decide what they make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Operating system and processor: `linux/x86_64`.
    pub name: String,
    /// The version of this program, and the key it signs with: what another key
    /// attested is not taken for what this one does.
    pub version: String,
}

impl Platform {
    /// The one this program runs on, signing with a key.
    #[must_use]
    pub fn here(key: &str) -> Self {
        let name = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
        Self { name, version: format!("{} with key {key}", env!("CARGO_PKG_VERSION")) }
    }
}

/// What is hashed: what outputs and results a task must have follows from its
/// component.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Basis<'a> {
    format: u32,
    component: Digest,
    params: &'a BTreeMap<String, Value>,
    inputs: BTreeMap<&'a str, Digest>,
    #[serde(serialize_with = "Shared::as_json")]
    grants: &'a Shared<Grants>,
    #[serde(serialize_with = "Shared::as_json")]
    limits: &'a Shared<EffectiveLimits>,
    platform: &'a str,
    version: &'a str,
}

/// The digest of everything that decides a TaskRun's outcome.
pub(super) fn key(start: &TaskStart, platform: &Platform) -> Digest {
    let basis = Basis {
        format: FORMAT,
        component: start.identity.component,
        params: &start.params,
        inputs: inputs(start),
        grants: &start.grants,
        limits: &start.limits,
        platform: &platform.name,
        version: &platform.version,
    };
    // Maps and fields in an order of their own: equal values have equal bytes.
    // Strings, numbers and maps with string keys always serialise.
    Digest::of(&serde_json::to_vec(&basis).unwrap_or_default())
}

fn inputs(start: &TaskStart) -> BTreeMap<&str, Digest> {
    start.inputs.iter().map(|input| (input.name.as_str(), input.tree.digest)).collect()
}

/// The parts of a key by themselves, short enough to be kept for each task: only
/// to tell which of them changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parts {
    component: Digest,
    params: BTreeMap<String, String>,
    inputs: BTreeMap<String, Digest>,
    grants: Json,
    limits: Json,
    platform: String,
    version: String,
}

impl Parts {
    pub(super) fn of(start: &TaskStart, platform: &Platform) -> Self {
        let json = |value: serde_json::Result<Json>| value.unwrap_or_default();
        Self {
            component: start.identity.component,
            params: start.params.iter().map(|(name, value)| (name.clone(), shortened(value))).collect(),
            inputs: inputs(start).into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect(),
            grants: json(serde_json::to_value(&start.grants)),
            limits: json(serde_json::to_value(&start.limits)),
            platform: platform.name.clone(),
            version: platform.version.clone(),
        }
    }

    /// What is different from before, in words.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.component != before.component {
            found.push(format!("component: {} was {}", self.component, before.component));
        }
        differences("param", &self.params, &before.params, &mut found);
        differences("input", &self.inputs, &before.inputs, &mut found);
        fields("grant", &self.grants, &before.grants, &mut found);
        fields("limit", &self.limits, &before.limits, &mut found);
        if self.platform != before.platform {
            found.push(format!("platform: {} was {}", self.platform, before.platform));
        }
        if self.version != before.version {
            found.push(format!("version of cofferdam: {} was {}", self.version, before.version));
        }
        found
    }
}

/// A param as it is kept: a text with quotes, or the digest of a long value.
fn shortened(value: &Value) -> String {
    // Strings always serialise.
    let text = match value {
        Value::Text(text) => format!("`{text}`"),
        Value::Texts(_) | Value::Fields(_) => serde_json::to_string(value).unwrap_or_default(),
    };
    if text.len() > MAX_PARAM { Digest::of(text.as_bytes()).to_string() } else { text }
}

fn differences<T: PartialEq + std::fmt::Display>(
    what: &str,
    now: &BTreeMap<String, T>,
    before: &BTreeMap<String, T>,
    found: &mut Vec<String>,
) {
    for (name, value) in now {
        match before.get(name) {
            Some(old) if old == value => {}
            Some(old) => found.push(format!("{what} `{name}`: {value} was {old}")),
            None => found.push(format!("{what} `{name}`: {value} was not there")),
        }
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    found.extend(gone.map(|name| format!("{what} `{name}` is gone")));
}

fn fields(what: &str, now: &Json, before: &Json, found: &mut Vec<String>) {
    let map = |json: &Json| -> BTreeMap<String, Json> {
        let fields = json.as_object().into_iter().flatten();
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    differences(what, &map(now), &map(before), found);
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use serde_json::json;

    use super::*;
    use crate::event::Grants;
    use crate::model::{DEFAULT_LIMITS, EffectiveLimits};

    pub(in crate::engine::reuse) fn start() -> TaskStart {
        let digest = |byte| Digest::from_bytes([byte; 32]);
        serde_json::from_value(json!({
            "task": "t", "attempt": 1,
            "identity": {
                "name": "t", "version": "0.1.0", "reference": "t:0.1.0", "digest": digest(1),
                "component": digest(2), "trust": { "verdict": "untrusted", "cause": { "cause": "noRule" } },
            },
            "params": { "level": "strict" },
            "inputs": [{ "name": "source", "tree": { "digest": digest(3), "files": 1, "bytes": 1 } }],
            "after": [], "grants": { "realClock": false, "realRandom": false }, "hermetic": true,
            "limits": DEFAULT_LIMITS,
        }))
        .unwrap()
    }

    type Change = fn(&mut TaskStart);

    #[test]
    fn each_part_changes_the_key_and_is_named_and_nothing_else_does() {
        let here = Platform { name: "linux/x86_64".to_owned(), version: "0.1.0".to_owned() };
        let changes: [(Change, &str); 8] = [
            (
                |s| s.params = [("level".to_owned(), Value::Text("lax".to_owned()))].into(),
                "param `level`: `lax` was `strict`",
            ),
            (|s| s.params.clear(), "param `level` is gone"),
            (|s| s.inputs.clear(), "input `source` is gone"),
            (
                |s| s.inputs.iter_mut().for_each(|i| i.tree.digest = Digest::from_bytes([9; 32])),
                "input `source`: sha256:0909",
            ),
            (
                |s| s.grants = Grants { real_clock: true, ..Grants::clone(&s.grants) }.into(),
                "grant `realClock`: true was false",
            ),
            (|s| s.limits = EffectiveLimits { files: 7, ..*s.limits }.into(), "limit `files`: 7 was 1000000"),
            (
                |s| {
                    let component = Digest::from_bytes([8; 32]);
                    s.identity = crate::event::TaskIdentity { component, ..(*s.identity).clone() }.into();
                },
                "component: sha256:0808",
            ),
            (
                |s| s.params = [("level".to_owned(), Value::Text("x".repeat(300)))].into(),
                "param `level`: sha256:",
            ),
        ];
        let before = start();
        for (change, words) in changes {
            let mut after = start();
            change(&mut after);
            assert_ne!(key(&after, &here), key(&before, &here), "{words}");
            let found = Parts::of(&after, &here).changes(&Parts::of(&before, &here));
            assert!(matches!(found.as_slice(), [one] if one.starts_with(words)), "{found:?}");
        }
        let others = [
            (Platform { name: "linux/riscv64".to_owned(), ..here.clone() }, "platform: linux/riscv64 was "),
            (Platform { version: "0.2.0".to_owned(), ..here.clone() }, "version of cofferdam: 0.2.0 was "),
        ];
        for (there, words) in others {
            assert_ne!(key(&before, &there), key(&before, &here));
            let found = Parts::of(&before, &there).changes(&Parts::of(&before, &here));
            assert!(matches!(found.as_slice(), [one] if one.starts_with(words)), "{found:?}");
        }
        let mut same = start();
        (same.task, same.attempt, same.after) = ("other".to_owned(), 3, vec!["x".to_owned()].into());
        same.identity =
            crate::event::TaskIdentity { reference: "elsewhere".to_owned(), ..(*same.identity).clone() }
                .into();
        assert_eq!(key(&same, &here), key(&before, &here));
        assert_eq!(Parts::of(&same, &here), Parts::of(&before, &here));
    }
}
