//! Reads what other tasks made, in bounded size. What is missing or malformed
//! is refused with its path, its line and what was expected.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cofferdam_sdk::Failure;

/// The largest document that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

const REASON: &str = "InputUnreadable";

/// Why a document is not what it should be.
#[derive(Debug)]
pub(crate) enum Malformed {
    /// Not JSON, or JSON of another shape.
    Json(serde_json::Error),
    /// The right shape for another format.
    Other(String),
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// Reads one file of an input.
pub(crate) fn read<T>(
    directory: &Path,
    name: &str,
    parse: fn(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Failure> {
    let mut bytes = Vec::new();
    File::open(directory.join(name))
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| refused(name, &format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("{name}: larger than {} MiB, the most this task reads", LARGEST >> 20);
        let remedy = "leave paths out with the params of the task that made it";
        return Err(Failure::new(REASON, message).remedy(remedy));
    }
    parse(&bytes).map_err(|malformed| match malformed {
        Malformed::Json(error) => refused(&format!("{name}:{}", error.line()), &error.to_string()),
        Malformed::Other(problem) => refused(name, &problem),
    })
}

fn refused(place: &str, problem: &str) -> Failure {
    let expected = if place.starts_with("bom.cdx.json") {
        "expected a CycloneDX JSON document; wire this input to the output `sbom` of the task sbom"
    } else {
        "expected a SARIF 2.1.0 log; wire this input to the output `findings` of the task unicode-check"
    };
    Failure::new(REASON, format!("{place}: {}", crate::visible::escape(problem))).remedy(expected)
}
