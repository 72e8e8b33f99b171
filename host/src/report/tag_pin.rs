//! What a repository pins a tag to, as `task inspect` and `trust explain` show it.

use std::path::PathBuf;

use cofferdam_registry::Digest;
use serde::Serialize;

use crate::plan::TagPin;

/// What a repository pins a tag to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagPinView {
    /// The file that says so.
    pub file: PathBuf,
    /// The digest, which is what is shown and run.
    pub digest: Digest,
    /// What the tag stands for now; nothing where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Digest>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl From<TagPin> for TagPinView {
    fn from(pin: TagPin) -> Self {
        let TagPin { file, digest, now } = pin;
        let (now, unknown) = match now {
            Ok(now) => (Some(now), None),
            Err(why) => (None, Some(why.to_string())),
        };
        Self { file, digest, now, unknown }
    }
}

impl TagPinView {
    /// A line for the pin, and one for what the tag stands for now.
    #[must_use]
    pub fn words(&self) -> [String; 2] {
        let now = match (&self.now, &self.unknown) {
            (Some(now), _) if *now == self.digest => "the tag stands for the same now".to_owned(),
            (Some(now), _) => {
                format!("the tag stands for another now, {now}; to take that: cofferdam lock --update")
            }
            (None, Some(why)) => format!("what the tag stands for now is not known: {why}"),
            (None, None) => "what the tag stands for now is not known".to_owned(),
        };
        [format!("to {} in {}", self.digest, self.file.display()), now]
    }
}
