//! A value that many hold and nobody changes. A run of ten thousand tasks has
//! one copy of what is the same for all of them.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A value that is never changed; its clones are the same one. It is written
/// and read as the value itself.
pub struct Shared<T>(Arc<Held<T>>);

struct Held<T> {
    value: T,
    /// The value as JSON, once that was wanted of several holders.
    json: OnceLock<Box<RawValue>>,
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(Held { value, json: OnceLock::new() }))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T: Serialize> Shared<T> {
    /// Writes the value as JSON, and makes that text once for all who hold it:
    /// it is the same in two places of the record of each task of a run. For
    /// `serialize_with`, and for serialisers of JSON alone.
    pub(crate) fn as_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Of one that was read back nobody else has a copy, and the text would
        // only take room beside it.
        if Arc::strong_count(&self.0) == 1 {
            return self.serialize(serializer);
        }
        match self.0.json.get() {
            Some(json) => json.serialize(serializer),
            None => {
                let json = to_raw_value(&self.0.value).map_err(serde::ser::Error::custom)?;
                self.0.json.get_or_init(|| json).serialize(serializer)
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[derive(Serialize)]
    struct Row {
        #[serde(serialize_with = "Shared::as_json")]
        names: Shared<Vec<String>>,
    }

    #[test]
    fn the_text_is_the_same_however_many_hold_the_value() {
        let names = vec!["a \"b\"".to_owned(), "\u{7}\u{2028}".to_owned()];
        let expected = serde_json::json!({ "names": names });
        let mut row = Row { names: names.into() };
        let alone = serde_json::to_string(&row).unwrap();
        assert!(row.names.0.json.get().is_none());
        let other = Shared::clone(&row.names);
        for _ in 0..2 {
            assert_eq!(serde_json::to_string(&row).unwrap(), alone);
            assert_eq!(serde_json::to_value(&row).unwrap(), expected);
        }
        assert!(other.0.json.get().is_some());
        // Another value never has the text of one before it.
        row.names = vec!["c".to_owned()].into();
        assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"names":["c"]}"#);
    }
}
