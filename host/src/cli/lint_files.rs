//! Which files `lint` looks at, and what kind each is: by its `kind`, or where
//! that cannot be read, by the schema that its first lines name for editors.

use std::path::{Path, PathBuf};

use cofferdam_manifest::{Document, Place, nearest};

use super::failure::Failure;
use crate::model::MAX_PIPELINE;
use crate::report::Finding;

/// Directories deeper than this are not looked into.
const DEPTH: usize = 32;
/// What editors with the YAML language server look for.
const MODELINE: &str = "yaml-language-server:";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pipeline.
    Pipeline,
    /// A pipeline to run, and with what.
    PipelineRun,
    /// The manifest of a task.
    Task,
    /// Test cases of a task.
    TaskTest,
    /// Trust rules.
    Trust,
}

/// A file to look at.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// Its text, or why it is none that can be checked.
    pub(crate) text: Result<String, Failure>,
    schema: Option<Schema>,
}

/// The schema that a file names for editors.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Schema {
    place: Place,
    name: String,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pipeline => "Pipeline",
            Self::PipelineRun => "PipelineRun",
            Self::Task => "Task",
            Self::TaskTest => "TaskTest",
            Self::Trust => "Trust",
        }
    }

    /// The name of its schema, as `cofferdam schema` takes it.
    fn schema(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::PipelineRun => "pipeline-run",
            Self::Task => "task",
            Self::TaskTest => "task-test",
            Self::Trust => "trust",
        }
    }

    const ALL: [Self; 5] = [Self::Pipeline, Self::PipelineRun, Self::Task, Self::TaskTest, Self::Trust];

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind that is meant by a word, which may be misspelled.
    fn meant(word: &str) -> Option<Self> {
        let near = nearest(word, Self::ALL.map(Self::word));
        near.and_then(Self::of_word)
    }

    /// The kind of pipeline file that one of ours without a `kind` looks like.
    fn of_shape(json: &serde_json::Value) -> Option<Self> {
        json.get("apiVersion")?.as_str()?.strip_prefix("cofferdam.dev/")?;
        let spec = json.get("spec")?;
        let has = |key: &str| spec.get(key).is_some();
        if has("pipelineRef") || has("pipelineSpec") {
            return Some(Self::PipelineRun);
        }
        has("tasks").then_some(Self::Pipeline)
    }

    /// The kind whose schema has this file name.
    fn of_schema(name: &str) -> Option<Self> {
        let file = name.rsplit('/').next().unwrap_or_default();
        let stem = file.strip_suffix(".json").unwrap_or(file);
        let stem = stem.strip_suffix(".schema").unwrap_or(stem);
        Self::ALL.into_iter().find(|kind| kind.schema() == stem)
    }
}

impl Named {
    fn read(path: &Path) -> Self {
        let text = super::read_file(path, MAX_PIPELINE).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| {
                let message = format!("{} is not UTF-8 text", path.display());
                Failure::invalid("document/syntax", message, "save the file as UTF-8")
            })
        });
        let mut named = Self { path: path.to_owned(), kind: Kind::Pipeline, text, schema: None };
        let Ok(text) = &named.text else { return named };
        named.schema = schema(text);
        let by_schema = named.schema.as_ref().and_then(|schema| Kind::of_schema(&schema.name));
        let name = path.display().to_string();
        let by_name = || Self::kind_of_name(path);
        let expected = by_schema.or_else(by_name).unwrap_or(Kind::Pipeline);
        let (kind, failure) = match Document::parse_as(text, expected.schema()) {
            Err(fault) => (by_schema, Some(Failure::faults(&name, text, vec![fault]))),
            Ok(document) => {
                let word = document.to_json().get("kind").and_then(|kind| kind.as_str().map(str::to_owned));
                let kind = word.as_deref().and_then(Kind::meant);
                // Without a `kind`, its own schema says that it is missing.
                let absent = || by_schema.or_else(|| Kind::of_shape(&document.to_json()));
                let kind = kind.or_else(|| if word.is_none() { absent() } else { None });
                let message = match word {
                    Some(word) => format!("`{word}` is no kind of file that can be checked"),
                    None => "the file does not say of which `kind` it is".to_owned(),
                };
                let help = "there are Pipeline, PipelineRun, Task, TaskTest and Trust";
                let at = document.place("/kind");
                let failure = Failure::at(&name, text, at, ("lint/unknown-kind", &message, help));
                (kind, kind.is_none().then_some(failure))
            }
        };
        named.kind = kind.unwrap_or(Kind::Pipeline);
        if let Some(failure) = failure {
            named.text = Err(failure);
        }
        named
    }

    /// What a file is called that is of a kind.
    fn kind_of_name(path: &Path) -> Option<Kind> {
        match path.file_name()?.to_str()? {
            "task.yaml" | "task.yml" => Some(Kind::Task),
            "trust.yaml" | "trust.yml" => Some(Kind::Trust),
            _ => None,
        }
    }

    /// What the line for editors is worth a look for.
    pub(crate) fn schema_warnings(&self) -> Vec<Finding> {
        let (Some(schema), Ok(text)) = (&self.schema, &self.text) else { return Vec::new() };
        let here = self.path.parent().unwrap_or(Path::new(""));
        let remote = schema.name.contains("://");
        let (code, message) = if Kind::of_schema(&schema.name).is_some_and(|kind| kind != self.kind) {
            let message =
                format!("editors check it against `{}`, and it is a {}", schema.name, self.kind.word());
            ("lint/other-schema", message)
        } else if !remote && !here.join(&schema.name).is_file() {
            ("lint/no-schema", format!("editors find no schema at `{}`", schema.name))
        } else {
            return Vec::new();
        };
        let word = self.kind.schema();
        vec![Finding {
            code: code.to_owned(),
            message,
            file: self.path.display().to_string(),
            line: Some(schema.place.line),
            column: Some(schema.place.column),
            help: Some(format!("write it there: cofferdam schema {word} > {word}.schema.json")),
            source: text.lines().nth(schema.place.line - 1).map(str::to_owned),
        }]
    }
}

/// Finds the line for editors among the comments a file begins with.
fn schema(text: &str) -> Option<Schema> {
    let comments = text.lines().take_while(|line| line.starts_with('#')).enumerate();
    comments.into_iter().find_map(|(index, line)| {
        let words = line.trim_start_matches('#').trim_start().strip_prefix(MODELINE)?;
        let name = words.split_whitespace().find_map(|word| word.strip_prefix("$schema="))?;
        let before = line.get(..line.find(name)?)?;
        let place = Place { line: index + 1, column: before.chars().count() + 1 };
        Some(Schema { place, name: name.to_owned() })
    })
}

/// The files that were named, and those of directories whose kind is known.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Named>, Failure> {
    let own = [PathBuf::from(".cofferdam")];
    let paths = if paths.is_empty() {
        if !Path::new(".cofferdam").is_dir() {
            let message = "there is no directory `.cofferdam` here";
            return Err(Failure::usage(message, "name a file or a directory: cofferdam lint FILE"));
        }
        &own
    } else {
        paths
    };
    let mut found: Vec<Named> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(Named::read(path));
            continue;
        }
        let mut files = Vec::new();
        below(path, DEPTH, &mut files)?;
        files.sort();
        let only_pipelines = paths == own;
        let named = files.iter().map(|file| Named::read(file)).filter(|named| is_ours(named, only_pipelines));
        let before = found.len();
        found.extend(named);
        if found.len() == before {
            let message = format!("there is nothing to check below {}", path.display());
            return Err(Failure::invalid("lint/nothing", message, "name a file, or another directory"));
        }
    }
    Ok(found)
}

/// The pipelines that were named, and those of directories.
pub(crate) fn pipelines(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for named in find(paths)? {
        named.text?;
        if matches!(named.kind, Kind::Pipeline | Kind::PipelineRun) {
            found.push(named.path);
        }
    }
    Ok(found)
}

/// Whether a file of a directory is one of Cofferdam's: another program's may
/// stand beside it.
fn is_ours(named: &Named, only_pipelines: bool) -> bool {
    match &named.text {
        Ok(text) => {
            let pipeline = matches!(named.kind, Kind::Pipeline | Kind::PipelineRun);
            let ours = text.contains("cofferdam.dev/") || inside(&named.path) || named.schema.is_some();
            ours && (pipeline || !only_pipelines)
        }
        // What cannot be read is told where only pipelines should be.
        Err(failure) => {
            let foreign = failure.problems.iter().any(|problem| problem.code == "lint/unknown-kind");
            !foreign && inside(&named.path)
        }
    }
}

fn inside(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".cofferdam")
}

fn below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::unreadable(directory, &error);
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && depth > 0 {
            // Of hidden directories, only ours is ours.
            let hidden = name.starts_with('.') && name != ".cofferdam";
            if !hidden && name != "target" && name != "node_modules" {
                below(&path, depth - 1, found)?;
            }
        } else if kind.is_file() && (name.ends_with(".yaml") || name.ends_with(".yml")) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_editors_is_found_among_the_first_comments() {
        for (text, name, place) in [
            ("# yaml-language-server: $schema=a.json\nkind: X\n", "a.json", (1, 33)),
            ("# Copyright\n#yaml-language-server: $schema=../b.schema.json x\n", "../b.schema.json", (2, 32)),
        ] {
            let place = Place { line: place.0, column: place.1 };
            assert_eq!(schema(text), Some(Schema { place, name: name.to_owned() }), "{text}");
        }
        for text in ["kind: X\n# yaml-language-server: $schema=a.json", "# yaml-language-server: on", ""] {
            assert_eq!(schema(text), None, "{text}");
        }
    }

    #[test]
    fn a_schema_is_known_by_its_name() {
        for (name, kind) in [
            ("../docs/schema/pipeline.json", Some(Kind::Pipeline)),
            ("pipeline-run.schema.json", Some(Kind::PipelineRun)),
            ("https://example.org/task.json", Some(Kind::Task)),
            ("trust", Some(Kind::Trust)),
            ("other.json", None),
        ] {
            assert_eq!(Kind::of_schema(name), kind, "{name}");
        }
    }
}
