//! Whether what came of a case is what it expects.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use cofferdam_manifest::Value;
use cofferdam_registry::Digest;

use super::failure::Failure;
use super::one_task::{Line, Outcome};
use crate::event::Denial;
use crate::model::{ExpectedFile, FileChecks, TestCase, TestInput};
use crate::report::visible;
use crate::store::{Store, Tree};

/// More of a text than this is not shown.
const SHOWN: usize = 400;

/// A case, and where what it names is.
pub(crate) struct Checked<'a> {
    pub(crate) case: &'a TestCase,
    pub(crate) directory: &'a Path,
    pub(crate) store: &'a Store,
}

/// Something that is not as it must be.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Where the case says otherwise: a JSON pointer below it, without the
    /// first slash.
    pub(crate) below: String,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Wrong {
    fn new(below: impl Into<String>, code: &'static str, message: String) -> Self {
        Self { below: below.into(), code, message }
    }
}

impl Checked<'_> {
    /// The trees of its inputs, or what is wrong with one.
    pub(crate) fn inputs(&self) -> Result<Result<BTreeMap<String, Tree>, Wrong>, Failure> {
        let mut inputs = BTreeMap::new();
        for (name, input) in &self.case.inputs {
            let below = format!("inputs/{}", step(name));
            let tree = match input {
                TestInput::Directory(path) => {
                    let directory = match self.input_directory(path) {
                        Ok(directory) => directory,
                        Err(message) => return Ok(Err(Wrong::new(below, "test/input", message))),
                    };
                    match self.store.ingest(&directory) {
                        Ok(tree) => tree,
                        Err(error) => return Ok(Err(Wrong::new(below, "test/input", error.to_string()))),
                    }
                }
                TestInput::Files(files) => {
                    if let Some(path) = files.keys().find(|path| !is_inside(path)) {
                        let message = format!("`{}` is no path in an input", visible(path));
                        let below = format!("{below}/{}", step(path));
                        return Ok(Err(Wrong::new(below, "test/input", message)));
                    }
                    self.write(files)?
                }
            };
            inputs.insert(name.clone(), tree);
        }
        Ok(Ok(inputs))
    }

    /// A directory that a case may give its task: it is of the same task. Its
    /// author may be somebody else, and grant the task a network.
    fn input_directory(&self, path: &str) -> Result<PathBuf, String> {
        let directory = self.directory.join(path);
        let found = directory.canonicalize().ok().filter(|found| found.is_dir());
        let found = found.ok_or_else(|| format!("{} is not a directory", directory.display()))?;
        let own = if self.directory.ends_with("tests") {
            self.directory.join("..")
        } else {
            self.directory.to_owned()
        };
        match own.canonicalize() {
            Ok(own) if found.starts_with(&own) => Ok(found),
            Ok(_) | Err(_) => Err(format!("{} is outside the directory of the task", directory.display())),
        }
    }

    /// Takes files that are written in the case into the store.
    fn write(&self, files: &BTreeMap<String, String>) -> Result<Tree, Failure> {
        let temporary = std::env::temp_dir();
        let directory = tempfile::tempdir().map_err(|error| Failure::io("create", &temporary, &error))?;
        for (path, text) in files {
            let path = directory.path().join(path);
            let parent = path.parent().unwrap_or(directory.path());
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| Failure::io("write", &path, &error))?;
        }
        Ok(self.store.ingest(directory.path())?)
    }

    /// Everything that came out otherwise.
    pub(crate) fn compare(&self, outcome: &Outcome) -> Result<Vec<Wrong>, Failure> {
        let mut wrong = Vec::new();
        wrong.extend(self.ending(outcome));
        self.results(outcome, &mut wrong)?;
        // What a task that failed left in its outputs is not kept.
        if outcome.succeeded() || self.case.expect.failed.is_some() {
            self.outputs(outcome, &mut wrong)?;
        }
        self.denials(&outcome.record.contacts.denials, &mut wrong);
        self.logs(&outcome.lines, &mut wrong);
        Ok(wrong)
    }

    fn ending(&self, outcome: &Outcome) -> Option<Wrong> {
        let failure = outcome.view.failure.as_ref();
        let own = failure.map(|failure| failure.reason.as_str());
        let why = || match failure {
            Some(failure) => format!("{}: {}", visible(&failure.reason), visible(&failure.message)),
            None => match &outcome.view.message {
                Some(message) => format!("{}: {}", outcome.reason(), visible(message)),
                None => outcome.reason().to_owned(),
            },
        };
        match &self.case.expect.failed {
            None if outcome.succeeded() => None,
            None => {
                let message = format!("expected that it succeeds, found {}", why());
                Some(Wrong::new("name", "test/ending", message))
            }
            Some(expected) if own == Some(expected.as_str()) || outcome.reason() == expected => None,
            Some(expected) => {
                let found = if outcome.succeeded() { "that it succeeded".to_owned() } else { why() };
                let message = format!("expected that it fails with {expected}, found {found}");
                Some(Wrong::new("expect/failed", "test/ending", message))
            }
        }
    }

    fn results(&self, outcome: &Outcome, wrong: &mut Vec<Wrong>) -> Result<(), Failure> {
        let found = outcome.results(self.store)?;
        for (name, expected) in &self.case.expect.results {
            let below = format!("expect/results/{}", step(name));
            let message = match found.get(name) {
                Some(found) if found == expected => continue,
                Some(found) => {
                    format!("result `{name}`: expected {}, found {}", words(expected), words(found))
                }
                None => format!("result `{name}`: expected {}, found none", words(expected)),
            };
            wrong.push(Wrong::new(below, "test/result", message));
        }
        Ok(())
    }

    fn outputs(&self, outcome: &Outcome, wrong: &mut Vec<Wrong>) -> Result<(), Failure> {
        let found = outcome.record.end.as_ref().map(|(_, end)| &end.outputs);
        for (name, files) in &self.case.expect.outputs {
            let below = format!("expect/outputs/{}", step(name));
            let Some(tree) = found.and_then(|outputs| outputs.get(name)) else {
                wrong.push(Wrong::new(below, "test/output", format!("there is no output `{name}`")));
                continue;
            };
            for (path, expected) in files {
                if let Some(message) = self.file(*tree, path, expected)? {
                    let below = format!("{below}/{}", step(path));
                    wrong.push(Wrong::new(below, "test/output", format!("`{path}` in `{name}`: {message}")));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with one file of an output.
    fn file(&self, tree: Tree, path: &str, expected: &ExpectedFile) -> Result<Option<String>, Failure> {
        let found = if is_inside(path) { self.store.find(tree.digest, Path::new(path))? } else { None };
        let text = match expected {
            ExpectedFile::Text(text) => text,
            ExpectedFile::Checks(checks) => return self.checks(found, checks),
        };
        let Some(digest) = found else { return Ok(Some("expected a file, found none".to_owned())) };
        if digest == Digest::of(text.as_bytes()) {
            return Ok(None);
        }
        let found = self.store.read(digest)?;
        Ok(Some(format!("expected {}, found {}", quoted(text.as_bytes()), quoted(&found))))
    }

    fn checks(&self, found: Option<Digest>, checks: &FileChecks) -> Result<Option<String>, Failure> {
        let wanted = checks.exists.unwrap_or(true);
        let Some(found) = found.filter(|_| wanted) else {
            return Ok(match (wanted, found) {
                (true, None) => Some("expected a file, found none".to_owned()),
                (false, Some(_)) => Some("expected no file, found one".to_owned()),
                _ => None,
            });
        };
        if let Some(expected) = checks.digest.filter(|expected| *expected != found) {
            return Ok(Some(format!("expected {expected}, found {found}")));
        }
        let Some(part) = &checks.contains else { return Ok(None) };
        let bytes = self.store.read(found)?;
        if String::from_utf8_lossy(&bytes).contains(part.as_str()) {
            return Ok(None);
        }
        Ok(Some(format!("expected that it contains {}, found {}", quoted(part.as_bytes()), quoted(&bytes))))
    }

    fn denials(&self, found: &[Denial], wrong: &mut Vec<Wrong>) {
        let words = |denial: &Denial| format!("{} {}", denial.capability, denial.subject);
        let expected = &self.case.expect.denials;
        for (index, part) in expected.iter().enumerate() {
            if !found.iter().any(|denial| words(denial).contains(part.as_str())) {
                let found = list(found.iter().map(words));
                let message = format!("expected that it is refused {part}, found {found}");
                wrong.push(Wrong::new(format!("expect/denials/{index}"), "test/denial", message));
            }
        }
        for denial in found {
            let words = words(denial);
            if !expected.iter().any(|part| words.contains(part.as_str())) {
                let message = format!(
                    "it is refused {}, which no `denials` names: {}",
                    visible(&words),
                    visible(&denial.why)
                );
                wrong.push(Wrong::new("name", "test/denial", message));
            }
        }
    }

    fn logs(&self, found: &[Line], wrong: &mut Vec<Wrong>) {
        let lines: Vec<String> = found.iter().map(line_words).collect();
        for (index, part) in self.case.expect.logs.iter().enumerate() {
            if !lines.iter().any(|line| line.contains(part.as_str())) {
                let found = list(lines.iter().cloned());
                let message = format!("expected a line of the log with {part}, found {found}");
                wrong.push(Wrong::new(format!("expect/logs/{index}"), "test/log", message));
            }
        }
    }
}

/// Whether a path leads to a file below the directory it is relative to.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// A key as a step of a JSON pointer (RFC 6901).
fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn words(value: &Value) -> String {
    quoted_text(&serde_json::to_string(value).unwrap_or_default())
}

fn line_words(line: &Line) -> String {
    let level = format!("{:?}", line.level).to_lowercase();
    let fields: String = line.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{level} {}{fields}", line.message)
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| format!("`{}`", quoted_text(&item))).collect();
    if items.is_empty() { "none".to_owned() } else { quoted_text(&items.join(", ")) }
}

fn quoted(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => quoted_text(&format!("{text:?}")),
        Err(_) => format!("{} bytes that are no text, {}", bytes.len(), Digest::of(bytes)),
    }
}

fn quoted_text(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}..", visible(text.get(..end).unwrap_or_default())),
        None => visible(text).into_owned(),
    }
}
