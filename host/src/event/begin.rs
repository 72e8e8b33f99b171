//! A database that several processes begin at the same moment.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

/// How often is tried what another process is in the way of.
const PAUSE: Duration = Duration::from_millis(2);

/// Gives a database a log beside it (WAL) and, with `fill`, what it begins with.
///
/// Who changes the mode holds a shared lock and wants an exclusive one. When two
/// do, SQLite waits for neither and says at once that it is busy, whatever the
/// connection's timeout: source, "sqlite3_busy_handler()".
///
/// # Errors
/// What SQLite says; that it is busy, only after `patience`.
pub(crate) fn begin(
    connection: &Connection,
    patience: Duration,
    mut fill: impl FnMut() -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let begun = connection.pragma_update(None, "journal_mode", "WAL").and_then(|()| fill());
        match begun {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                // A transaction that was begun and could not be ended.
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
                std::thread::sleep(PAUSE);
            }
            ended => return ended,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
    use std::sync::Barrier;

    use crate::event::Journal;

    #[test]
    fn who_begins_at_the_same_moment_waits_for_the_other() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..100 {
            let path = directory.path().join(format!("{round}.db"));
            let together = Barrier::new(4);
            let open = || {
                together.wait();
                Journal::open(&path).map(|_| ())
            };
            std::thread::scope(|scope| {
                let opened: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                for opened in opened {
                    opened.join().unwrap().unwrap();
                }
            });
        }
    }
}
