//! What a terminal shows of a run: how far it is, what runs and for how long,
//! and the lines that are to stay. Knows nothing of terminals.

use std::collections::HashMap;

use console::{measure_text_width, pad_str, truncate_str};
use jiff::Timestamp;

use super::Reader;
use super::block::{ending_block, line};
use super::moment::{Moment, Outcome};
use super::screen::Size;
use super::tail::Tail;
use crate::event::{Event, LogLevel};
use crate::report::words::visible;

/// A task that is under way.
#[derive(Debug)]
struct Row {
    /// Its place: tasks that began earlier stand above.
    place: u64,
    began: Timestamp,
    last: String,
    tail: Tail,
}

/// A run as a terminal shows it.
#[derive(Debug)]
pub(super) struct Board {
    reader: Reader,
    began: Option<Timestamp>,
    listed: usize,
    done: usize,
    failed: usize,
    signing: bool,
    places: u64,
    running: HashMap<String, Row>,
    above: String,
}

impl Board {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            began: None,
            listed: 0,
            done: 0,
            failed: 0,
            signing: false,
            places: 0,
            running: HashMap::new(),
            above: String::new(),
        }
    }

    /// Adds the next event. Writes nothing: a thousand short tasks must not
    /// wait for a terminal.
    pub(super) fn apply(&mut self, event: &Event) {
        let moment = Moment::of(event);
        match &moment {
            Moment::RunBegan(start) => {
                self.began = Some(event.at);
                self.listed = start.tasks.len();
                self.stay(&moment);
            }
            Moment::TaskBegan(task) => {
                self.places += 1;
                let row =
                    Row { place: self.places, began: event.at, last: String::new(), tail: Tail::default() };
                self.running.insert((*task).to_owned(), row);
            }
            Moment::Said(said) => {
                if let Some(row) = self.running.get_mut(said.task) {
                    row.tail.push(said, &self.reader.palette);
                    row.last = visible(said.message).into_owned();
                }
                if said.level >= LogLevel::Warn {
                    self.stay(&moment);
                }
            }
            Moment::Denied(_) => self.stay(&moment),
            Moment::TaskEnded(ending) => {
                let tail = self.running.remove(ending.task).map(|row| row.tail).unwrap_or_default();
                self.done += usize::from(ending.outcome != Outcome::Retried);
                self.failed += usize::from(ending.outcome == Outcome::Failed);
                self.above += &ending_block(ending, &tail, &event.run, &self.reader);
            }
            Moment::AllKnown(_) => {
                self.done = self.listed;
                self.stay(&moment);
            }
            Moment::RunEnded => self.signing = true,
            Moment::SourceTaken(_) | Moment::Asked(_) | Moment::Unshown => {}
        }
    }

    /// Shows how far a task has come.
    pub(super) fn progress(&mut self, task: &str, done: u64, total: Option<u64>, message: &str) {
        if let Some(row) = self.running.get_mut(task) {
            let of = total.map(|total| format!("/{total}")).unwrap_or_default();
            row.last = format!("{done}{of} {}", visible(message));
        }
    }

    /// Adds a remark that stays.
    pub(super) fn remark(&mut self, text: &str) {
        self.above += &format!("{text}\n");
    }

    /// The lines that are to stay and were not taken yet, each ended.
    pub(super) fn take_above(&mut self) -> String {
        std::mem::take(&mut self.above)
    }

    fn stay(&mut self, moment: &Moment<'_>) {
        if let Some(line) = line(moment, &self.reader.palette) {
            self.above += &line;
            self.above.push('\n');
        }
    }

    /// What stands below: how far the run is, and a line for each running task,
    /// no more of them than there is room for.
    pub(super) fn below(&self, now: Timestamp, size: Size) -> Vec<String> {
        let Some(began) = self.began else { return Vec::new() };
        let mut lines = vec![self.status(elapsed(began, now))];
        let mut rows: Vec<(&String, &Row)> = self.running.iter().collect();
        rows.sort_unstable_by_key(|(_, row)| row.place);
        // One row stays for what scrolls by above.
        let room = size.height.saturating_sub(2);
        let shown = if rows.len() <= room { rows.len() } else { room.saturating_sub(1) };
        let hidden = rows.len() - shown;
        rows.truncate(shown);
        let longest = rows.iter().map(|(name, _)| measure_text_width(&visible(name))).max().unwrap_or(0);
        let column = longest.min(size.width / 3).max(1);
        let palette = &self.reader.palette;
        for (name, row) in rows {
            let name = visible(name);
            let name = truncate_str(&name, column, "…");
            let name = palette.strong.apply_to(pad_str(&name, column, console::Alignment::Left, None));
            let took = palette.faint.apply_to(format!("{:>9}", elapsed(row.began, now)));
            let line = format!("  {name} {took}  {}", palette.faint.apply_to(&row.last));
            lines.push(line.trim_end().to_owned());
        }
        if hidden > 0 && room > 0 {
            lines.push(palette.faint.apply_to(format!("  and {hidden} more")).to_string());
        }
        lines
    }

    /// `running 3, done 12 of 40, failed 1, 4.2 s`.
    fn status(&self, took: String) -> String {
        let palette = &self.reader.palette;
        let running = self.running.len();
        // Tasks may appear that the run did not list when it began.
        let all = self.listed.max(self.done + running);
        let mut parts = Vec::new();
        if self.signing {
            parts.push("signing".to_owned());
        } else {
            parts.push(format!("{} {running}", palette.strong.apply_to("running")));
        }
        parts.push(format!("done {} of {all}", self.done));
        if self.failed > 0 {
            parts.push(palette.bad.apply_to(format!("failed {}", self.failed)).to_string());
        }
        parts.push(took);
        parts.join(", ")
    }
}

/// A time that goes on while it is looked at.
fn elapsed(from: Timestamp, to: Timestamp) -> String {
    let tenths = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0) / 100;
    match tenths {
        0..600 => format!("{}.{} s", tenths / 10, tenths % 10),
        600..36_000 => format!("{} min {:02} s", tenths / 600, tenths / 10 % 60),
        more => format!("{} h {:02} min", more / 36_000, more / 600 % 60),
    }
}
