//! Reads a SARIF 2.1.0 log, whoever made it, and only the parts that a report
//! shows.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::input::Malformed;

/// How much a finding matters (SARIF 2.1.0, section 3.27.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warning,
    Note,
    None,
}

/// What was found, by level and then by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Name and version of each tool.
    pub(crate) tools: Vec<String>,
    pub(crate) groups: BTreeMap<(Level, String), Group>,
}

/// The findings of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// What the rule finds; empty where the tool does not say.
    pub(crate) title: String,
    /// What to do; empty where the tool does not say.
    pub(crate) help: String,
    pub(crate) findings: Vec<Finding>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `file:line:column`, as much as is known.
    pub(crate) place: String,
    pub(crate) message: String,
}

#[derive(Deserialize)]
struct Log {
    version: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    #[serde(default)]
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
struct Driver {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default)]
    short_description: Text,
    #[serde(default)]
    help: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    rule_id: String,
    level: Option<Level>,
    message: Text,
    #[serde(default)]
    locations: Vec<Location>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Location {
    physical_location: PhysicalLocation,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Region {
    start_line: Option<u64>,
    start_column: Option<u64>,
}

/// Reads the log.
pub(crate) fn parse(bytes: &[u8]) -> Result<Findings, Malformed> {
    let log: Log = serde_json::from_slice(bytes)?;
    if log.version != "2.1.0" {
        return Err(Malformed::Other(format!("SARIF version `{}`, not `2.1.0`", log.version)));
    }
    let mut findings = Findings::default();
    for run in log.runs {
        findings.add(run);
    }
    Ok(findings)
}

impl Findings {
    /// How many findings have a level.
    pub(crate) fn count(&self, level: Level) -> usize {
        let groups = self.groups.iter().filter(|((of, _), _)| *of == level);
        groups.map(|(_, group)| group.findings.len()).sum()
    }

    fn add(&mut self, run: Run) {
        let driver = run.tool.driver;
        self.tools.push(format!("{} {}", driver.name, driver.version).trim_end().to_owned());
        let rules: BTreeMap<&str, &Rule> = driver.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        for entry in run.results {
            // Left out, the level is `warning` (section 3.27.10).
            let key = (entry.level.unwrap_or(Level::Warning), entry.rule_id.clone());
            let group = self.groups.entry(key).or_default();
            if let Some(rule) = rules.get(entry.rule_id.as_str()).filter(|_| group.title.is_empty()) {
                group.title.clone_from(&rule.short_description.text);
                group.help.clone_from(&rule.help.text);
            }
            let place = entry.locations.first().map(place).unwrap_or_default();
            group.findings.push(Finding { place, message: entry.message.text });
        }
    }
}

impl Level {
    /// The word for several findings.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Error => "errors",
            Self::Warning => "warnings",
            Self::Note => "notes",
            Self::None => "remarks",
        }
    }
}

fn place(location: &Location) -> String {
    let PhysicalLocation { artifact_location, region } = &location.physical_location;
    let mut place = decoded(&artifact_location.uri);
    for number in [region.start_line, region.start_column].into_iter().map_while(|number| number) {
        place = format!("{place}:{number}");
    }
    place
}

/// The path that a percent-encoded reference stands for; what is not UTF-8
/// stays encoded.
fn decoded(uri: &str) -> String {
    let mut bytes = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).filter(|_| *first == b'%');
        let value = pair.and_then(|(digits, _)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            valid.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
        });
        match (value, pair) {
            (Some(value), Some((_, after))) => {
                bytes.push(value);
                rest = after;
            }
            (_, _) => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| uri.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use super::*;

    #[test]
    fn findings_are_grouped_by_level_and_rule() {
        let text = r#"{ "version": "2.1.0", "runs": [{ "tool": { "driver": { "name": "t", "version": "1",
            "rules": [{ "id": "r", "shortDescription": { "text": "what" }, "help": { "text": "do" } }] } },
          "results": [
            { "ruleId": "r", "level": "error", "message": { "text": "m" }, "locations": [{ "physicalLocation": {
              "artifactLocation": { "uri": "a%20b.rs" }, "region": { "startLine": 3, "startColumn": 4 } } }] },
            { "message": {} } ] }] }"#;
        let findings = parse(text.as_bytes()).unwrap();
        let group = findings.groups.get(&(Level::Error, "r".to_owned())).unwrap();
        assert_eq!((group.title.as_str(), group.help.as_str()), ("what", "do"));
        assert_eq!(group.findings.first().unwrap().place, "a b.rs:3:4");
        assert_eq!((findings.count(Level::Warning), findings.count(Level::Note)), (1, 0));
        assert_eq!(findings.tools, ["t 1"]);
    }

    #[test]
    fn another_document_is_refused() {
        assert!(matches!(parse(b"[]"), Err(Malformed::Json(_))));
        assert!(matches!(parse(br#"{"version":"2.0.0","runs":[]}"#), Err(Malformed::Other(_))));
    }

    #[test]
    fn a_reference_is_decoded_as_far_as_it_is_text() {
        for (uri, path) in
            [("a%2fb", "a/b"), ("%C3%A9", "é"), ("%ff", "%ff"), ("100%", "100%"), ("%+1", "%+1")]
        {
            assert_eq!(decoded(uri), path);
        }
    }
}
