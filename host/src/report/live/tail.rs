//! The last lines of a task's log, kept until it ends: they are what explains a
//! failure.

use std::collections::{HashMap, VecDeque};

use super::block::said_words;
use super::moment::{Moment, Said};
use crate::report::words::Palette;

/// How many lines are kept.
pub(super) const KEPT: usize = 20;

/// The end of a log, and how long it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    count: usize,
}

impl Tail {
    pub(super) fn push(&mut self, said: &Said<'_>, palette: &Palette) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(said_words(said, palette));
        self.count += 1;
    }

    /// The lines that are kept.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// How many lines there were.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many came before those that are kept.
    pub(super) fn before(&self) -> usize {
        self.count - self.lines.len()
    }
}

/// The tails of the tasks that are under way.
#[derive(Debug, Default)]
pub(super) struct Tails(HashMap<String, Tail>);

impl Tails {
    /// Keeps what a task says; gives its tail when it ends.
    pub(super) fn follow(&mut self, moment: &Moment<'_>, palette: &Palette) -> Option<Tail> {
        match moment {
            Moment::Said(said) => {
                if let Some(tail) = self.0.get_mut(said.task) {
                    tail.push(said, palette);
                } else {
                    let mut tail = Tail::default();
                    tail.push(said, palette);
                    self.0.insert(said.task.to_owned(), tail);
                }
                None
            }
            Moment::TaskEnded(ending) => self.0.remove(ending.task),
            Moment::RunBegan(_)
            | Moment::SourceTaken(_)
            | Moment::TaskBegan(_)
            | Moment::Asked(_)
            | Moment::Denied(_)
            | Moment::AllKnown(_)
            | Moment::RunEnded
            | Moment::Unshown => None,
        }
    }
}
