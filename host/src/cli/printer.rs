//! Everything that is printed: results on standard output, the rest on
//! standard error.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::commands::{ColorChoice, Format};
use super::diagnostics::Diagnostics;
use super::failure::{Failure, Problem};
use super::log_format::{LogFormat, Place};
use crate::event::LiveSink;
use crate::report::{
    GithubLog, GitlabLog, Gravity, Heading, JsonLines, LogLine, Palette, PlainLines, PrettyLines,
    ProblemWords, Reader, Remarks, Screen, Surroundings, busy, escaped_json, inert_json, inert_text,
    log_text, problem_text,
};

/// More problems than this are counted, not printed: the first ones matter.
const MAX_PROBLEMS: usize = 20;

/// Prints, in the form and the colours that were asked for.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    out: Palette,
    err: Palette,
    /// Whether standard error is a terminal that can move its cursor.
    moves: bool,
    /// Whether nothing may be in colour, whoever prints it.
    colourless: bool,
    /// Whether what is on standard error is in colour.
    colours: bool,
    /// How a run is shown while it happens.
    log: LogFormat,
    diagnostics: Diagnostics,
    /// Whether GitHub's runner reads along and obeys what looks like a command.
    obeyed: bool,
    program: String,
    /// Why standard output could not be written, if it could not.
    unwritten: RefCell<Option<io::Error>>,
    /// Whether nobody reads standard output any more.
    closed: Cell<bool>,
}

impl Printer {
    pub(crate) fn new(format: Format, color: ColorChoice) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = |terminal: bool| match color {
            ColorChoice::Auto => terminal && !plain && !dumb,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let terminal = io::stderr().is_terminal();
        Self {
            format,
            out: Palette::new(wanted(io::stdout().is_terminal())),
            err: Palette::new(wanted(terminal)),
            // Moving the cursor takes the same sequences as colour does.
            moves: terminal && !dumb && color != ColorChoice::Never,
            colourless: color == ColorChoice::Never,
            colours: wanted(terminal),
            log: LogFormat::Plain,
            diagnostics: Diagnostics::default(),
            obeyed: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            unwritten: RefCell::default(),
            closed: Cell::default(),
            program: std::env::args().next().unwrap_or_else(|| "cofferdam".to_owned()),
        }
    }

    /// Shows runs in the form that was asked for, or that fits.
    pub(crate) fn choose_log(&mut self, given: Option<LogFormat>) -> Result<(), Failure> {
        let place = Place { variable: &|name| std::env::var_os(name), moves: self.moves };
        self.log = LogFormat::choose(given, &place)?;
        if self.log == LogFormat::Json {
            // Who asked for JSON Lines reads nothing else.
            self.diagnostics.go_through(Remarks::nowhere());
        }
        Ok(())
    }

    /// Whether what is found belongs into annotations, too.
    pub(crate) fn annotates(&self) -> bool {
        let place = Place { variable: &|name| std::env::var_os(name), moves: self.moves };
        LogFormat::choose(None, &place).is_ok_and(|form| form == LogFormat::Github)
    }

    /// Whether the tools that are run must not use colour, either.
    pub(crate) fn is_colourless(&self) -> bool {
        self.colourless
    }

    /// Begins to print diagnostics.
    pub(crate) fn start_diagnostics(&self) {
        self.diagnostics.start(self.colours);
    }

    /// What texts name beside what they tell: this program as it was called,
    /// and where the history is.
    pub(crate) fn surroundings<'a>(&'a self, history: &'a Path) -> Surroundings<'a> {
        Surroundings { program: &self.program, history }
    }

    /// Whether results are printed as JSON, which tells everything.
    pub(crate) fn prints_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result: as JSON, or as the text that `words` makes of it.
    pub(crate) fn result(&self, value: &impl Serialize, words: impl FnOnce(&Palette) -> String) {
        match self.format {
            Format::Text => self.words_of(&words(&self.out)),
            Format::Json => self.text(&self.json(value)),
        }
    }

    /// A value as JSON that is safe to look at.
    fn json(&self, value: &impl Serialize) -> String {
        // Views are strings, numbers and maps with string keys.
        let text = escaped_json(&serde_json::to_string_pretty(value).unwrap_or_default()) + "\n";
        if self.obeyed { inert_json(&text).into_owned() } else { text }
    }

    /// Prints text to standard output. Whoever reads it may stop reading.
    pub(crate) fn text(&self, text: &str) {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                self.unwritten.borrow_mut().get_or_insert(error);
                self.closed.set(true);
            }
            Err(_) => self.closed.set(true),
            Ok(()) => {}
        }
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Prints a line of a log: as text, or as JSON on one line.
    pub(crate) fn log_line(&self, line: &LogLine<'_>, heading: Heading) {
        match self.format {
            Format::Text => self.words_of(&log_text(line, heading, &self.out)),
            Format::Json => {
                let text = escaped_json(&serde_json::to_string(line).unwrap_or_default()) + "\n";
                self.text(if self.obeyed { inert_json(&text) } else { text.as_str().into() }.as_ref());
            }
        }
    }

    /// Prints text in which somebody else's may stand.
    fn words_of(&self, text: &str) {
        self.text(if self.obeyed { inert_text(text) } else { text.into() }.as_ref());
    }

    /// Whether everything that was printed was also written.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let unwritten = self.unwritten.borrow_mut().take();
        unwritten.map_or(Ok(()), |error| Err(Failure::io("write", Path::new("standard output"), &error)))
    }

    /// Prints a remark to standard error; not where JSON Lines go, whose readers
    /// read nothing else.
    pub(crate) fn note(&self, text: &str) {
        if self.log != LogFormat::Json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Shows a run while it happens; `token` is one that nobody can guess. The
    /// second is for what is said in between.
    pub(crate) fn live(&self, token: String) -> (Box<dyn LiveSink>, Remarks) {
        let out = || Box::new(io::stderr());
        let plain = || -> (Box<dyn LiveSink>, Remarks) {
            (Box::new(PlainLines::new(out(), self.reader())), Remarks::on_stderr())
        };
        match self.log {
            LogFormat::Pretty => match PrettyLines::new(Screen::stderr(), self.reader(), Timestamp::now) {
                Ok(lines) => {
                    let remarks = lines.remarks();
                    self.diagnostics.go_through(remarks.clone());
                    (Box::new(lines), remarks)
                }
                Err(_) => plain(),
            },
            LogFormat::Plain => plain(),
            LogFormat::Json => (Box::new(JsonLines::new(out())), Remarks::nowhere()),
            LogFormat::Github => {
                (Box::new(GithubLog::new(out(), self.reader(), token)), Remarks::on_stderr())
            }
            LogFormat::Gitlab => (Box::new(GitlabLog::new(out(), self.reader())), Remarks::on_stderr()),
        }
    }

    fn reader(&self) -> Reader {
        Reader { program: self.program.clone(), palette: self.err.clone() }
    }

    /// Does something that may take a while, and on a terminal says that it is
    /// being done.
    pub(crate) fn busy<T>(&self, what: &'static str, work: impl FnOnce() -> T) -> T {
        if self.log == LogFormat::Pretty { busy(Screen::stderr(), what, work) } else { work() }
    }

    /// Prints why a command could not do its work.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match (self.log, self.format) {
            // On a line of its own, like everything else there.
            (LogFormat::Json, _) => escaped_json(&serde_json::to_string(failure).unwrap_or_default()) + "\n",
            (_, Format::Json) => self.json(failure),
            (_, Format::Text) => {
                let words = self.words(failure);
                if self.obeyed { inert_text(&words).into_owned() } else { words }
            }
        };
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn words(&self, failure: &Failure) -> String {
        let shown = failure.problems.iter().take(MAX_PROBLEMS).map(|problem| self.problem(failure, problem));
        let mut text: String = shown.collect();
        let more = failure.problems.len().saturating_sub(MAX_PROBLEMS);
        if more > 0 {
            text += &format!("and {more} more; all of them: --format json\n");
        }
        text
    }

    fn problem(&self, failure: &Failure, problem: &Problem) -> String {
        let place = problem.file.as_deref().zip(problem.line).zip(problem.column);
        let words = ProblemWords {
            code: &problem.code,
            message: &problem.message,
            place: place.map(|((file, line), column)| (file, line, column)),
            source: failure.line_of(problem),
            help: problem.help.as_deref(),
        };
        problem_text(Gravity::Error, &words, &self.err)
    }
}
