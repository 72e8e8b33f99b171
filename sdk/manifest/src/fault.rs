//! What is wrong with a document, where, and how to mend it.

use crate::document::Place;

/// Which rule a document broke. Each has a stable code for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The text is not YAML, or uses a part of YAML that is refused here.
    Syntax,
    /// A mapping has the same key twice.
    DuplicateKey,
    /// A mapping has a key that means nothing there.
    UnknownKey,
    /// A required key is absent.
    MissingKey,
    /// A value has another type than the one expected.
    WrongType,
    /// A value has the right type and is still not allowed.
    InvalidValue,
}

impl FaultKind {
    /// The stable code, as printed in brackets.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "document/syntax",
            Self::DuplicateKey => "document/duplicate-key",
            Self::UnknownKey => "document/unknown-key",
            Self::MissingKey => "document/missing-key",
            Self::WrongType => "document/wrong-type",
            Self::InvalidValue => "document/invalid-value",
        }
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Which rule was broken.
    pub kind: FaultKind,
    /// Where, in lines and columns counted from one.
    pub place: Place,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, place: Place, message: impl Into<String>) -> Self {
        Self { kind, place, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
