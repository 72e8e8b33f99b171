//! GitHub Actions: the lines of each task in a group, and an annotation for
//! whatever went wrong.
//! Source of the form: docs.github.com, "Workflow commands for GitHub Actions",
//! and the runner's `ActionCommand.cs`.
//!
//! The runner obeys whatever looks like a command in a log. Two things keep a
//! task's text from being obeyed: commands are stopped with a token that nobody
//! can guess, and every text is written so that it begins no command.

use std::borrow::Cow;
use std::io::{self, Write};

use super::Reader;
use super::block::{ending_block, status_words};
use super::gathered::{Gathered, Stories, Story};
use super::moment::{Ending, Moment, Outcome, Said};
use crate::event::{Event, LiveSink, LogLevel};
use crate::report::contacts::denial_words;
use crate::report::words::visible;

/// GitHub shows ten annotations of a kind for a step; a task must not crowd out
/// the others with more.
const ANNOTATIONS: usize = 10;

/// The log of a GitHub Actions step.
pub struct GithubLog {
    out: Box<dyn Write + Send>,
    reader: Reader,
    token: String,
    stories: Stories,
}

impl std::fmt::Debug for GithubLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GithubLog")
    }
}

impl GithubLog {
    /// A log written to `out`; `token` is made anew for each run, and nobody
    /// who writes into the log can know it.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, reader: Reader, token: String) -> Self {
        Self { out, reader, token, stories: Stories::default() }
    }

    /// Text in which the runner looks for no commands.
    fn stopped(&self, text: &str) -> String {
        // Without these it could find none.
        if !text.contains("::") && !text.contains("##[") {
            return text.to_owned();
        }
        format!("::stop-commands::{}\n{}::{}::\n", self.token, inert_text(text), self.token)
    }

    fn group(&self, task: &str, state: &str, story: &Story) -> String {
        let title = format!("{} ({state})", visible(task));
        let lines: String = story.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        format!("::group::{}\n{}::endgroup::\n", data(&inert_text(&title)), self.stopped(&lines))
    }
}

impl Drop for GithubLog {
    fn drop(&mut self) {
        for (task, story) in self.stories.rest() {
            let text = self.group(&task, "broken off", &story);
            let _ = self.out.write_all(text.as_bytes());
        }
    }
}

impl LiveSink for GithubLog {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let text = match self.stories.gather(event, &self.reader.palette, annotation) {
            Gathered::Kept => return Ok(()),
            Gathered::Line(line) => self.stopped(&(line + "\n")),
            Gathered::Ended(ending, story) => {
                let mut text = String::new();
                if !story.lines.is_empty() {
                    text += &self.group(ending.task, &status_words(&ending), &story);
                }
                // The group's title says it of a task that went well.
                if story.lines.is_empty() || ending.outcome != Outcome::Succeeded {
                    let block = ending_block(&ending, &story.tail, &event.run, &self.reader);
                    text += &self.stopped(&block);
                }
                for annotation in story.remarks.iter().take(ANNOTATIONS).chain(&ended(&ending)) {
                    text += &format!("{annotation}\n");
                }
                text
            }
        };
        self.out.write_all(text.as_bytes())
    }
}

/// What a moment is annotated with.
fn annotation(moment: &Moment<'_>) -> Option<String> {
    match moment {
        Moment::Said(said) => match said.level {
            LogLevel::Debug | LogLevel::Info => None,
            LogLevel::Warn => Some(said_annotation("warning", said)),
            LogLevel::Error => Some(said_annotation("error", said)),
        },
        Moment::Denied(denial) => {
            let title = format!("{} was denied", denial.task);
            Some(command("warning", &[("title", &title)], &denial_words(denial)))
        }
        Moment::RunBegan(_)
        | Moment::SourceTaken(_)
        | Moment::TaskBegan(_)
        | Moment::Asked(_)
        | Moment::TaskEnded(_)
        | Moment::AllKnown(_)
        | Moment::RunEnded
        | Moment::Unshown => None,
    }
}

fn said_annotation(kind: &str, said: &Said<'_>) -> String {
    let field = |name: &str| said.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let file = field("file").filter(|file| is_inside(file));
    let line = field("line").and_then(|line| line.parse::<u32>().ok()).filter(|line| *line > 0);
    let line = line.map(|line| line.to_string());
    match (file, &line) {
        (Some(file), Some(line)) => {
            command(kind, &[("file", file), ("line", line), ("title", said.task)], said.message)
        }
        _ => command(kind, &[("title", said.task)], said.message),
    }
}

/// An annotation of a place in a file: line and column where they are known.
#[must_use]
pub(in crate::report) fn annotation_of(
    kind: &str,
    place: (&str, Option<usize>, Option<usize>),
    title: &str,
    message: &str,
) -> String {
    let (file, line, column) = place;
    let file = file.strip_prefix("./").unwrap_or(file);
    let numbers =
        [("line", line), ("col", column)].map(|(name, number)| (name, number.map(|n| n.to_string())));
    let mut properties = Vec::new();
    if is_inside(file) {
        properties.push(("file", file));
        properties.extend(numbers.iter().filter_map(|(name, number)| Some((*name, number.as_deref()?))));
    }
    properties.push(("title", title));
    command(kind, &properties, message)
}

/// Whether a path is relative and leads out of nowhere.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.contains('\\') && path.split('/').all(|part| !["", "..", "."].contains(&part))
}

/// How a task's end is annotated.
fn ended(ending: &Ending<'_>) -> Option<String> {
    let kind = match ending.outcome {
        Outcome::Failed => "error",
        Outcome::Retried | Outcome::Ignored => "warning",
        Outcome::Cancelled => "notice",
        Outcome::Succeeded | Outcome::Reused | Outcome::Skipped => return None,
    };
    let mut words = Vec::new();
    words.extend(ending.reason.map(str::to_owned));
    words.extend(ending.message.map(str::to_owned));
    if let Some(failure) = ending.failure {
        words.push(format!("{}: {}", failure.reason, failure.message));
        words.extend(failure.remedy.iter().map(|remedy| format!("help: {remedy}")));
    }
    if words.is_empty() {
        words.push(ending.outcome.as_str().to_owned());
    }
    let title = format!("{} {}", ending.task, ending.outcome.as_str());
    Some(command(kind, &[("title", &title)], &words.join("\n")))
}

/// A workflow command, every text in it escaped.
fn command(kind: &str, properties: &[(&str, &str)], message: &str) -> String {
    let line = |text: &str| inert_text(&visible(text)).into_owned();
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(&line(value)))).collect();
    let message: Vec<String> = message.split('\n').map(line).collect();
    format!("::{kind} {}::{}", properties.join(","), data(&message.join("\n")))
}

/// Text as the message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text in which the runner sees no command: it takes `::` at the beginning of
/// a line for one, and `##[` anywhere.
#[must_use]
pub fn inert_text(text: &str) -> Cow<'_, str> {
    let begins = |line: &str| line.trim_start().starts_with("::");
    if !text.contains("##[") && !text.lines().any(begins) {
        return Cow::Borrowed(text);
    }
    let mut inert = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let line = line.replace("##[", "##\\u{5b}");
        if begins(&line) {
            inert += &line.replacen("::", "\\u{3a}:", 1);
        } else {
            inert += &line;
        }
    }
    Cow::Owned(inert)
}

/// A JSON document that says the same and in which the runner sees no command.
#[must_use]
pub fn inert_json(document: &str) -> Cow<'_, str> {
    if document.contains("##[") {
        // Outside of strings no `#` can stand.
        Cow::Owned(document.replace("##[", "##\\u005b"))
    } else {
        Cow::Borrowed(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_escaped_as_the_runner_reads_them() {
        assert_eq!(data("100%\r\n:,"), "100%25%0D%0A:,");
        assert_eq!(property("a%b:c,d\n"), "a%25b%3Ac%2Cd%0A");
        let text = command("error", &[("title", "a:b,c")], "one\ntwo\r50%\u{1b}");
        assert_eq!(text, "::error title=a%3Ab%2Cc::one%0Atwo\\u{d}50%25\\u{1b}");
    }

    #[test]
    fn no_line_of_a_task_begins_a_command() {
        for (text, shown) in [
            ("::add-mask::x\n", "\\u{3a}:add-mask::x\n"),
            ("a\n \t::set-output name=x::y\n", "a\n \t\\u{3a}:set-output name=x::y\n"),
            ("text ##[error]no, ##[group]", "text ##\\u{5b}error]no, ##\\u{5b}group]"),
            ("####[x] a::b", "####\\u{5b}x] a::b"),
        ] {
            assert_eq!(inert_text(text), shown);
        }
        let document = "{\"a\": \"##[add-mask]x\"}";
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(read(&inert_json(document)), read(document));
        assert!(!inert_json(document).contains("##["));
    }

    #[test]
    fn only_places_inside_the_source_are_pointed_at() {
        for (path, inside) in [
            ("src/main.rs", true),
            ("a", true),
            ("", false),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../b", false),
            ("a//b", false),
            ("a\\b", false),
        ] {
            assert_eq!(is_inside(path), inside, "{path}");
        }
    }
}
