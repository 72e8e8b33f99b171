//! A figure: its median, its best, and what is wanted of it.

use std::time::Duration;

/// How long each round took.
pub(super) struct Times(pub(super) Vec<Duration>);

impl Times {
    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map_or(0.0, Duration::as_secs_f64)
    }

    pub(super) fn best(&self) -> f64 {
        self.0.iter().min().map_or(0.0, Duration::as_secs_f64)
    }
}

/// Prints one figure.
pub(super) fn line(what: &str, median: f64, best: f64, unit: &str, wanted: &str) {
    println!(
        "{what:<46} {:>10} {:>10} {wanted:>8}",
        format!("{median:.3}{unit}"),
        format!("{best:.3}{unit}")
    );
}
