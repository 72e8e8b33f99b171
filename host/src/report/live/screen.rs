//! The lower end of a terminal: lines that are drawn again and again, and above
//! them lines that stay.
//!
//! Nothing here reads from the terminal. What was drawn is found again by its
//! width, which is how terminals that break long lines anew place it after a
//! change of size.

use std::fmt::Write as _;
use std::io::{self, Write};

use console::{measure_text_width, strip_ansi_codes, truncate_str};

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many columns it has.
    pub width: usize,
    /// How many rows it has.
    pub height: usize,
}

/// Draws at the lower end of a terminal.
pub struct Screen {
    out: Box<dyn Write + Send>,
    size: Box<dyn Fn() -> Size + Send>,
    /// What stands there now.
    drawn: Vec<String>,
    drawn_for: Option<Size>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

impl Screen {
    /// The terminal behind `out`, which `size` measures.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, size: Box<dyn Fn() -> Size + Send>) -> Self {
        Self { out, size, drawn: Vec::new(), drawn_for: None }
    }

    /// The terminal that standard error is.
    #[must_use]
    pub fn stderr() -> Self {
        let size = || {
            let (height, width) = console::Term::stderr().size();
            Size { width: usize::from(width), height: usize::from(height) }
        };
        Self::new(Box::new(io::stderr()), Box::new(size))
    }

    /// How large it is now.
    #[must_use]
    pub fn size(&self) -> Size {
        let Size { width, height } = (self.size)();
        // A terminal that says nothing of its size says zero.
        Size { width: if width == 0 { 80 } else { width }, height: if height == 0 { 24 } else { height } }
    }

    /// Prints lines that stay, each ended, and draws others below them.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn draw(&mut self, above: &str, lines: Vec<String>, size: Size) -> io::Result<()> {
        // The last column stays free: what stands there is placed differently
        // by different terminals once the size changes.
        let width = size.width.saturating_sub(1).max(1);
        let cut = |line: &String| truncate_str(line, width, "…").into_owned();
        let lines: Vec<String> = lines.iter().take(size.height.max(1)).map(cut).collect();
        if above.is_empty() && lines == self.drawn && self.drawn_for == Some(size) {
            return Ok(());
        }
        let mut text = self.erase(size);
        text.push_str(above);
        if !lines.is_empty() {
            // Without automatic margins a character that is wider than it was
            // measured is lost at the margin, and breaks no line.
            // The cursor waits where the last line begins: what the terminal
            // echoes of a key, such as `^C`, breaks none either.
            let _ = write!(text, "\u{1b}[?7l{}\u{1b}[?7h\r", lines.join("\n"));
        }
        self.drawn = lines;
        self.drawn_for = Some(size);
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// What takes the cursor to where the drawn lines begin, and clears from
    /// there.
    fn erase(&self, size: Size) -> String {
        let Some((_, before)) = self.drawn.split_last() else { return String::new() };
        // What has scrolled out of the terminal since is out of reach.
        let above = before.iter().map(|line| rows(line, size.width)).sum::<usize>();
        let up = match above.min(size.height.saturating_sub(1)) {
            0 => String::new(),
            up => format!("\u{1b}[{up}A"),
        };
        // Some terminals keep what is cleared from the very first place of the
        // screen on, as if it had scrolled away: clear the row, then from its
        // second place on.
        format!("\r{up}\u{1b}[K\u{1b}[C\u{1b}[J\r")
    }
}

/// How many rows a line takes once it is broken anew at a width.
fn rows(line: &str, width: usize) -> usize {
    let (mut rows, mut column) = (1, 0);
    for c in strip_ansi_codes(line).chars() {
        // A wide character is never broken: it begins the next row.
        let wide = measure_text_width(c.encode_utf8(&mut [0; 4]));
        if column + wide > width && column > 0 {
            (rows, column) = (rows + 1, 0);
        }
        column += wide;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_terminals_break_lines() {
        for (line, width, count) in [
            ("", 10, 1),
            ("1234567890", 10, 1),
            ("1234567890", 9, 2),
            ("日本語", 6, 1),
            ("日本語", 5, 2),
            ("a日本語", 4, 2),
            ("日本語", 3, 3),
            ("\u{1b}[1mabcd\u{1b}[0m", 4, 1),
            ("abc", 0, 3),
        ] {
            assert_eq!(rows(line, width), count, "{line:?} at {width}");
        }
    }
}
