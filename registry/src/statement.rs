//! The in-toto Statement v1: what is claimed, of which artifacts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The `_type` of every Statement: in-toto attestation spec, `statement.md`.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A claim about artifacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement<P> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The artifacts.
    pub subject: Vec<Subject>,
    /// The kind of claim, a URI.
    pub predicate_type: String,
    /// The claim.
    pub predicate: P,
}

/// An artifact as named in a [`Statement`]. Conforma wants exactly one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What the artifact is called.
    pub name: String,
    /// Algorithm and hex digits.
    pub digest: BTreeMap<String, String>,
}

impl<P> Statement<P> {
    /// A claim of one kind about some artifacts.
    #[must_use]
    pub fn new(predicate_type: &str, subject: Vec<Subject>, predicate: P) -> Self {
        let statement_type = STATEMENT_TYPE.to_owned();
        Self { statement_type, subject, predicate_type: predicate_type.to_owned(), predicate }
    }
}

impl Subject {
    /// An artifact with a SHA-256 digest.
    #[must_use]
    pub fn new(name: impl Into<String>, digest: Digest) -> Self {
        Self { name: name.into(), digest: BTreeMap::from([("sha256".to_owned(), digest.to_hex())]) }
    }

    /// The artifact's SHA-256, where that is the one digest it has.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        let only = if self.digest.len() == 1 { self.digest.get("sha256") } else { None };
        only.and_then(|hex| Digest::from_hex(hex))
    }
}
