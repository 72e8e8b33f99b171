//! What a run keeps once of each kind, for all others of the kind to be packed
//! beside.

use std::cell::RefCell;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::RunId;

/// So much of the first of a kind, in bytes, is the base of the others.
const MAX_BASE: usize = 16 << 10;

/// What a run has one base for each of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// How a TaskRun began.
    Start,
    /// The bundle that attests a TaskRun.
    Bundle,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Bundle => "bundle",
        }
    }
}

/// The bases that were asked for last: most that is read or written in a row is of
/// one run.
#[derive(Debug, Default)]
pub(super) struct Bases(RefCell<Vec<(RunId, Kind, Arc<[u8]>)>>);

impl Bases {
    /// The base of a kind in a run; empty, where it has none.
    pub(super) fn find(
        &self,
        connection: &Connection,
        run: &RunId,
        kind: Kind,
    ) -> rusqlite::Result<Arc<[u8]>> {
        let known = self.0.borrow().iter().find(|known| (&known.0, known.1) == (run, kind)).cloned();
        if let Some((_, _, base)) = known {
            return Ok(base);
        }
        let sql = "SELECT text FROM base WHERE run = ?1 AND kind = ?2";
        let base = |row: &rusqlite::Row<'_>| Ok(Arc::from(row.get_ref(0)?.as_bytes()?));
        let mut find = connection.prepare_cached(sql)?;
        let Some(base) = find.query_row(params![run.as_str(), kind.name()], base).optional()? else {
            return Ok(Arc::default());
        };
        self.remember(run, kind, &base);
        Ok(base)
    }

    /// The same, which `first` becomes where there is none. Within a transaction
    /// that writes.
    pub(super) fn find_or_begin(
        &self,
        connection: &Connection,
        run: &RunId,
        kind: Kind,
        first: &[u8],
    ) -> rusqlite::Result<Arc<[u8]>> {
        let found = self.find(connection, run, kind)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let base: Arc<[u8]> = first.get(..MAX_BASE).unwrap_or(first).into();
        let sql = "INSERT INTO base (run, kind, text) VALUES (?1, ?2, ?3)";
        connection.execute(sql, params![run.as_str(), kind.name(), &*base])?;
        self.remember(run, kind, &base);
        Ok(base)
    }

    fn remember(&self, run: &RunId, kind: Kind, base: &Arc<[u8]>) {
        let mut known = self.0.borrow_mut();
        known.retain(|known| known.1 != kind);
        known.push((run.clone(), kind, Arc::clone(base)));
    }
}
