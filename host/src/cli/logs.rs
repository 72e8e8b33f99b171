//! `cofferdam logs`: what the tasks of a run logged, also while it is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::commands::LogsArgs;
use super::failure::Failure;
use super::home::Home;
use super::printer::Printer;
use super::{exit, show};
use crate::event::{Cursor, Event, Fact, LogLevel};
use crate::model::RunId;
use crate::report::{Heading, LogLine, shell_word, visible};

/// How often a run that is under way is looked at.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &LogsArgs, home: &Home, printer: &Printer) -> Result<u8, Failure> {
    let journal = home.journal()?;
    let run = show::find(&journal, args.run.as_deref())?;
    let mut reader = Reader {
        args,
        printer,
        since: args.since.map(|since| since.moment(Timestamp::now())),
        tasks: BTreeSet::new(),
        reused: None,
        makers: BTreeMap::new(),
        printed: false,
        sealed: false,
    };
    let mut cursor = Cursor::start(&run);
    loop {
        // First this: all that a process has written that is gone is read after.
        let alive = home.is_alive(run.as_str());
        journal.read_on(&run, &mut cursor, |event| reader.read(&event))?;
        if let Some(reuse) = reader.reused.take() {
            // It has the tasks of that run, which are named there; they logged nothing.
            journal.replay(&reuse, |event| reader.learn(&event.fact))?;
        }
        reader.insist_on_task(run.as_str())?;
        if !args.follow || reader.sealed || !alive || printer.is_closed() {
            reader.say_where_else();
            return Ok(exit::OK);
        }
        std::thread::sleep(LOOK);
    }
}

struct Reader<'a> {
    args: &'a LogsArgs,
    printer: &'a Printer,
    since: Option<Timestamp>,
    /// Every task that the run listed, and those that it did not.
    tasks: BTreeSet<String>,
    /// The run whose outcomes it has, until its tasks were looked for.
    reused: Option<RunId>,
    /// The TaskRuns that logged what was made, by the tasks that have it.
    makers: BTreeMap<String, (RunId, String)>,
    printed: bool,
    sealed: bool,
}

impl Reader<'_> {
    fn read(&mut self, event: &Event) {
        self.learn(&event.fact);
        if let Fact::RunReused(reuse) = &event.fact {
            self.reused = Some(reuse.run.clone());
        } else if let Fact::TaskLogged { task, level, message, fields } = &event.fact {
            let (run, seq, at) = (event.run.as_str(), event.seq, event.at);
            self.print(&LogLine { run, seq, at, task, level: *level, message, fields });
        }
        self.sealed = event.fact == Fact::RunSealed;
    }

    /// Learns which tasks there are.
    fn learn(&mut self, fact: &Fact) {
        if let Fact::RunStarted(start) = fact {
            self.tasks.extend(start.tasks.iter().cloned());
        } else if let Fact::TaskStarted(start) = fact {
            self.tasks.insert(start.task.clone());
        } else if let Fact::TaskExpanded { runs, .. } = fact {
            self.tasks.extend(runs.iter().cloned());
        } else if let Fact::PipelineStarted(start) = fact {
            self.tasks.extend(start.tasks.iter().cloned());
        } else if let Fact::TaskFinished(end) = fact
            && let Some(reuse) = &end.reused
        {
            self.makers.insert(end.task.clone(), (reuse.run.clone(), reuse.task.clone()));
        }
    }

    fn print(&mut self, line: &LogLine<'_>) {
        let asked = self.args.task.as_deref();
        let level = self.args.level.map_or(LogLevel::Debug, LogLevel::from);
        if asked.is_some_and(|asked| !belongs(line.task, asked))
            || line.level < level
            || self.since.is_some_and(|since| line.at < since)
        {
            return;
        }
        let heading = Heading { task: asked != Some(line.task), time: self.args.timestamps };
        self.printed = true;
        self.printer.log_line(line, heading);
    }

    /// Says where the lines are of tasks that did not run, if nothing was printed.
    fn say_where_else(&self) {
        let asked = |task: &str| self.args.task.as_deref().is_none_or(|asked| belongs(task, asked));
        let mut makers = self.makers.iter().filter(|(task, _)| asked(task));
        if self.printed {
            return;
        }
        if let Some((task, (run, maker))) = makers.next() {
            let (task, maker) = (visible(task), shell_word(maker));
            let more = makers.count();
            let more = if more > 0 { format!(", and {more} more did not run either") } else { String::new() };
            let words =
                format!("{task} did not run here{more}; what it logged: cofferdam logs {run} {maker}");
            self.printer.note(&words);
        }
    }

    fn insist_on_task(&self, run: &str) -> Result<(), Failure> {
        const SHOWN: usize = 12;
        let Some(asked) = self.args.task.as_deref() else { return Ok(()) };
        if self.tasks.iter().any(|task| belongs(task, asked)) {
            return Ok(());
        }
        let near = self.tasks.iter().map(|task| (strsim::damerau_levenshtein(asked, task), task)).min();
        let help = match near {
            Some((distance, task)) if distance <= 1 + task.len() / 4 => format!("did you mean `{task}`?"),
            Some(_) => {
                let some: Vec<&str> = self.tasks.iter().take(SHOWN).map(String::as_str).collect();
                let more = if self.tasks.len() > SHOWN { ", .." } else { "" };
                format!("it has: {}{more}", some.join(", "))
            }
            None => "it has none yet".to_owned(),
        };
        Err(Failure::invalid("journal/no-such-task", format!("the run {run} has no task `{asked}`"), help))
    }
}

/// Whether a task is the one that was asked for, or one of several that are:
/// the combinations of a matrix, the tasks of a nested pipeline.
fn belongs(task: &str, asked: &str) -> bool {
    task.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_all_that_belong_to_it() {
        for (task, asked, belonging) in [
            ("compile", "compile", true),
            ("compile[linux,1.80]", "compile", true),
            ("compile[linux,1.80]", "compile[linux,1.80]", true),
            ("outer/inner", "outer", true),
            ("outer/inner[a]", "outer/inner", true),
            ("compiler", "compile", false),
            ("compile", "compile[linux]", false),
            ("inner", "outer/inner", false),
        ] {
            assert_eq!(belongs(task, asked), belonging, "{task} {asked}");
        }
    }
}
