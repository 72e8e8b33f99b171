//! The result `TEST_OUTPUT` of another task (Konflux ADR-0030), as the report
//! shows it.

use cofferdam_sdk::Failure;
use serde::Deserialize;

/// What a test-like task concluded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) result: Outcome,
    #[serde(default)]
    pub(crate) note: String,
    pub(crate) timestamp: String,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) warnings: u64,
}

/// The five words of the convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Outcome {
    Success,
    Failure,
    Warning,
    Skipped,
    Error,
}

impl Outcome {
    /// The word in lower case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
            Self::Error => "error",
        }
    }
}

/// Reads the param; empty means that there is none.
pub(crate) fn parse(text: &str) -> Result<Option<Verdict>, Failure> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        Failure::new(
            "InputUnreadable",
            format!("test-output: {}", crate::visible::escape(&error.to_string())),
        )
        .remedy("expected the JSON of a result `TEST_OUTPUT`; pass `$(tasks.<name>.results.TEST_OUTPUT)`, or leave the param out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_the_convention_is_read() {
        let text = r#"{"result":"WARNING","namespace":"default","timestamp":"2025-01-01T00:00:00Z","successes":1,"note":"n","failures":0,"warnings":2}"#;
        let verdict = parse(text).ok().flatten();
        assert_eq!(verdict.map(|verdict| (verdict.result.as_str(), verdict.warnings)), Some(("warning", 2)));
        assert_eq!(parse(" "), Ok(None));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["x", "{}", r#"{"result":"GOOD"}"#] {
            assert_eq!(parse(text).err().map(|failure| failure.reason), Some("InputUnreadable".to_owned()));
        }
    }
}
