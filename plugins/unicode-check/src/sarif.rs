//! Writes a survey as SARIF 2.1.0 (OASIS). The same survey always gives the
//! same bytes, and no byte of it is a character that was found.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::finding::{Region, Rule};
use crate::survey::{Located, Survey};

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<Entry>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    organization: &'static str,
    version: &'static str,
    semantic_version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Text,
    help: Text,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Text,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Location; 1],
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Columns>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    uri_base_id: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Columns {
    start_line: usize,
    start_column: usize,
    end_column: usize,
}

/// The document, ending in a newline.
pub(crate) fn render(survey: &Survey) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let driver = Driver {
        name: "unicode-check",
        organization: "Cofferdam",
        version,
        semantic_version: version,
        rules: Rule::ALL.into_iter().map(descriptor).collect(),
    };
    let run = Run {
        tool: Tool { driver },
        invocations: [Invocation {
            execution_successful: true,
            tool_execution_notifications: notifications(survey),
        }],
        column_kind: "unicodeCodePoints",
        results: entries(survey.findings()),
    };
    let log = Log { schema: "https://json.schemastore.org/sarif-2.1.0.json", version: "2.1.0", runs: [run] };
    // Strings, numbers and lists always serialise.
    let mut bytes = serde_json::to_vec_pretty(&log).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

fn descriptor(rule: Rule) -> Descriptor {
    Descriptor {
        id: rule.id(),
        short_description: text(rule.title()),
        help: text(rule.help()),
        default_configuration: Configuration { level: rule.level().as_str() },
    }
}

fn notifications(survey: &Survey) -> Vec<Notification> {
    let skipped = survey.too_large_files().iter().map(|path| Notification {
        level: "warning",
        message: text("larger than 16 MiB, and not looked through"),
        locations: vec![location(path, None)],
    });
    let unlisted = (survey.unlisted() > 0).then(|| Notification {
        level: "warning",
        message: Text { text: format!("{} more findings are not listed", survey.unlisted()) },
        locations: Vec::new(),
    });
    skipped.chain(unlisted).collect()
}

fn entries(findings: &[Located]) -> Vec<Entry> {
    // The same text at another line keeps its fingerprint; the second of two
    // that say the same gets one of its own.
    let mut seen: BTreeMap<(&str, Rule, &str), usize> = BTreeMap::new();
    let mut entries = Vec::with_capacity(findings.len());
    for Located { path, finding } in findings {
        let nth = seen.entry((path, finding.rule, &finding.message)).or_default();
        *nth += 1;
        let said = format!("{}\n{path}\n{}\n{nth}", finding.rule.id(), finding.message);
        let digest: [u8; 32] = Sha256::digest(said).into();
        let (short, _) = digest.split_at(16);
        entries.push(Entry {
            rule_id: finding.rule.id(),
            rule_index: Rule::ALL.iter().position(|rule| *rule == finding.rule).unwrap_or_default(),
            level: finding.rule.level().as_str(),
            message: text(&finding.message),
            locations: [location(path, finding.region)],
            partial_fingerprints: BTreeMap::from([("cofferdamFinding/v1", hex::encode(short))]),
        });
    }
    entries
}

fn location(path: &str, region: Option<Region>) -> Location {
    let artifact_location = ArtifactLocation { uri: uri(path), uri_base_id: "%SRCROOT%" };
    let region = region.map(|region| Columns {
        start_line: region.line,
        start_column: region.start,
        end_column: region.end,
    });
    Location { physical_location: PhysicalLocation { artifact_location, region } }
}

/// A relative reference (RFC 3986, section 4.2): a colon in its first part
/// would read as a scheme, so colons are encoded too.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_relative_reference() {
        assert_eq!(uri("src/a b:c/é%\u{202e}.rs"), "src/a%20b%3Ac/%C3%A9%25%E2%80%AE.rs");
    }
}
