//! Names as they may be written in a manifest or a pipeline.
//!
//! Each becomes part of a path, a reference or a Rust identifier somewhere, so
//! none can hold a separator, a dot segment or anything that needs escaping.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A name that does not follow its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid name: {rule}")]
pub struct InvalidName {
    name: String,
    rule: &'static str,
}

/// The name of a task or a pipeline: an RFC 1123 label, at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The name of a param, result, input or output: `[A-Za-z_][A-Za-z0-9_-]*`, at
/// most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

const NAME_RULE: &str =
    "use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit";
const IDENTIFIER_RULE: &str = "use 1 to 63 letters, digits, `_` and `-`, beginning with a letter or `_`";

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_identifier(text: &str) -> bool {
    text.len() <= 63
        && text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Identifier {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        if is_name(&name) { Ok(Self(name)) } else { Err(InvalidName { name, rule: NAME_RULE }) }
    }
}

impl TryFrom<String> for Identifier {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        if is_identifier(&name) { Ok(Self(name)) } else { Err(InvalidName { name, rule: IDENTIFIER_RULE }) }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Identifier> for String {
    fn from(name: Identifier) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"})
    }
}

impl JsonSchema for Identifier {
    fn schema_name() -> Cow<'static, str> {
        "Identifier".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,62}$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_never_leave_its_directory() {
        for bad in ["", ".", "..", "a/b", "a.b", "-a", "a-", "A", "ä", &"a".repeat(64)] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for bad in ["", ".", "..", "a/b", "a.b", "-a", "1a", "ä", &"a".repeat(64)] {
            assert!(Identifier::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(Name::try_from("unicode-check".to_owned()).is_ok());
        assert!(Identifier::try_from("TEST_OUTPUT".to_owned()).is_ok());
    }
}
