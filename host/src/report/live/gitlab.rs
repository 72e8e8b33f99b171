//! GitLab CI: the lines of each task in a section that can be folded.
//! Source of the form: docs.gitlab.com, "CI/CD job logs", custom collapsible
//! sections.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;

use super::Reader;
use super::block::{ending_block, ending_words};
use super::gathered::{Gathered, Stories, Story};
use super::moment::Outcome;
use crate::event::{Event, LiveSink};
use crate::report::words::visible;

/// The log of a GitLab CI job.
pub struct GitlabLog {
    out: Box<dyn Write + Send>,
    reader: Reader,
    stories: Stories,
    sections: u64,
}

impl std::fmt::Debug for GitlabLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitlabLog")
    }
}

impl GitlabLog {
    /// A log written to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, reader: Reader) -> Self {
        Self { out, reader, stories: Stories::default(), sections: 0 }
    }

    /// A marker needs a carriage return and an escape sequence, which are
    /// escaped wherever a task's text is shown: it can write none.
    fn section(&mut self, task: &str, heading: &Heading<'_>, story: &Story) -> String {
        self.sections += 1;
        let name = format!("task_{}_{}", self.sections, sanitised(task));
        let ended = heading.ended.or(story.began).unwrap_or_default();
        let (from, to) = (story.began.unwrap_or(ended).as_second(), ended.as_second());
        let (title, folded) = (heading.title, if heading.folded { "[collapsed=true]" } else { "" });
        let mut text = format!("\u{1b}[0Ksection_start:{from}:{name}{folded}\r\u{1b}[0K{title}\n");
        for line in &story.lines {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "\u{1b}[0Ksection_end:{to}:{name}\r\u{1b}[0K");
        text
    }
}

/// What stands at the beginning of a section.
struct Heading<'a> {
    title: &'a str,
    folded: bool,
    ended: Option<Timestamp>,
}

impl Drop for GitlabLog {
    fn drop(&mut self) {
        for (task, story) in self.stories.rest() {
            let title = format!("broken off {}", visible(&task));
            let heading = Heading { title: &title, folded: false, ended: None };
            let text = self.section(&task, &heading, &story);
            let _ = self.out.write_all(text.as_bytes());
        }
    }
}

/// A name in the characters that a section's name may have.
fn sanitised(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

impl LiveSink for GitlabLog {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let text = match self.stories.gather(event, &self.reader.palette, |_| None) {
            Gathered::Kept => return Ok(()),
            Gathered::Line(line) => line + "\n",
            Gathered::Ended(ending, story) => {
                let mut text = String::new();
                if !story.lines.is_empty() {
                    let title = ending_words(&ending, &self.reader.palette);
                    // What went wrong is read at once.
                    let folded = ending.outcome != Outcome::Failed;
                    let heading = Heading { title: &title, folded, ended: Some(event.at) };
                    text += &self.section(ending.task, &heading, &story);
                }
                // The section's title says it of a task that went well.
                if story.lines.is_empty() || ending.outcome != Outcome::Succeeded {
                    text += &ending_block(&ending, &story.tail, &event.run, &self.reader);
                }
                text
            }
        };
        self.out.write_all(text.as_bytes())
    }
}
