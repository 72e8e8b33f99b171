//! What each task that is under way has said and done, kept until it ends: a
//! service that folds logs needs the lines of a task together.

use std::collections::HashMap;

use jiff::Timestamp;

use super::block::{line, said_words};
use super::moment::{Ending, Moment};
use super::tail::Tail;
use crate::event::Event;
use crate::report::words::Palette;

/// What one task said and did.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) began: Option<Timestamp>,
    /// Everything, in order, a line for each.
    pub(super) lines: Vec<String>,
    pub(super) tail: Tail,
    /// What whoever sees only the summary should see, too.
    pub(super) remarks: Vec<String>,
}

/// What follows from an event.
pub(super) enum Gathered<'a> {
    /// Nothing yet.
    Kept,
    /// A line that is shown at once: about no task, or that one began. Whoever
    /// waits for a long one must see that it runs.
    Line(String),
    /// The whole story of a task.
    Ended(Ending<'a>, Story),
}

/// The tasks that are under way.
#[derive(Debug, Default)]
pub(super) struct Stories(HashMap<String, Story>);

impl Stories {
    /// Adds the next event; `remark` makes an annotation of a moment.
    pub(super) fn gather<'a>(
        &mut self,
        event: &'a Event,
        palette: &Palette,
        remark: impl Fn(&Moment<'_>) -> Option<String>,
    ) -> Gathered<'a> {
        let moment = Moment::of(event);
        let task = match &moment {
            Moment::TaskBegan(task) => {
                self.0.entry((*task).to_owned()).or_default().began = Some(event.at);
                return line(&moment, palette).map_or(Gathered::Kept, Gathered::Line);
            }
            Moment::TaskEnded(ending) => {
                let story = self.0.remove(ending.task).unwrap_or_default();
                return Gathered::Ended(*ending, story);
            }
            Moment::Said(said) => said.task,
            Moment::Asked(exchange) => &exchange.task,
            Moment::Denied(denial) => &denial.task,
            Moment::RunBegan(_)
            | Moment::SourceTaken(_)
            | Moment::AllKnown(_)
            | Moment::RunEnded
            | Moment::Unshown => {
                return line(&moment, palette).map_or(Gathered::Kept, Gathered::Line);
            }
        };
        let story = self.0.entry(task.to_owned()).or_default();
        story.remarks.extend(remark(&moment));
        if let Moment::Said(said) = &moment {
            story.tail.push(said, palette);
            story.lines.push(said_words(said, palette));
        } else {
            story.lines.extend(line(&moment, palette));
        }
        Gathered::Kept
    }

    /// The stories that have no end, where a run broke off: by name.
    pub(super) fn rest(&mut self) -> Vec<(String, Story)> {
        let mut rest: Vec<(String, Story)> = self.0.drain().collect();
        rest.retain(|(_, story)| !story.lines.is_empty());
        rest.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        rest
    }
}
