//! Plain lines: each complete, each written at once, each with the name of the
//! task it is about.

use std::io::{self, Write};

use super::Reader;
use super::block::{ending_block, line};
use super::moment::Moment;
use super::tail::Tails;
use crate::event::{Event, LiveSink};

/// Plain lines, each complete and each written at once.
pub struct PlainLines {
    out: Box<dyn Write + Send>,
    reader: Reader,
    tails: Tails,
}

impl std::fmt::Debug for PlainLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainLines")
    }
}

impl PlainLines {
    /// Lines written to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, reader: Reader) -> Self {
        Self { out, reader, tails: Tails::default() }
    }
}

impl LiveSink for PlainLines {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let moment = Moment::of(event);
        let tail = self.tails.follow(&moment, &self.reader.palette).unwrap_or_default();
        if let Moment::TaskEnded(ending) = moment {
            let block = ending_block(&ending, &tail, &event.run, &self.reader);
            return self.out.write_all(block.as_bytes());
        }
        match line(&moment, &self.reader.palette) {
            Some(line) => self.out.write_all(format!("{line}\n").as_bytes()),
            None => Ok(()),
        }
    }
}
