//! Values of params and results.

use std::collections::BTreeMap;

/// A value of a param or a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of type `string`.
    Text(String),
    /// Of type `array`.
    Texts(Vec<String>),
    /// Of type `object`.
    Fields(BTreeMap<String, String>),
}

/// Values by name, in the manifest's order.
pub type Bindings = Vec<(String, Value)>;

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(fields: BTreeMap<String, String>) -> Self {
        Self::Fields(fields)
    }
}
