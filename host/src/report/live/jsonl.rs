//! JSON Lines: every event of a run as it is recorded, for programs.

use std::io::{self, Write};

use crate::event::{Event, LiveSink};
use crate::report::words::escaped_json;

/// Each event as one line of JSON.
pub struct JsonLines {
    out: Box<dyn Write + Send>,
}

impl std::fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JsonLines")
    }
}

impl JsonLines {
    /// Lines written to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out }
    }
}

impl LiveSink for JsonLines {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let line = escaped_json(&serde_json::to_string(event)?) + "\n";
        self.out.write_all(line.as_bytes())
    }
}
