//! What the others of its kind in a run are packed beside: how the first TaskRun
//! began, and the bundle that attests the first. Each is a row as any other, kept
//! on its own.

use std::cell::RefCell;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::packed::{self, MAX_BASE};
use crate::model::RunId;

/// Where a base is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The event of this number.
    Event(u64),
    /// The bundle of this type about this task.
    Bundle(String, String),
}

/// The bases that were read last: what is read in a row is of one run.
#[derive(Debug, Default)]
pub(super) struct Bases(RefCell<Vec<Base>>);

type Base = (RunId, Place, Arc<[u8]>);

/// Two kinds of two runs: one run's tasks may have what another's made.
const REMEMBERED: usize = 4;

impl Bases {
    /// The base in a place of a run; empty where nothing that could be one is there.
    pub(super) fn find(
        &self,
        connection: &Connection,
        run: &RunId,
        place: Place,
    ) -> rusqlite::Result<Arc<[u8]>> {
        let known = self.0.borrow().iter().find(|known| (&known.0, &known.1) == (run, &place)).cloned();
        if let Some((_, _, base)) = known {
            return Ok(base);
        }
        let base: Arc<[u8]> = read(connection, run, &place)?.into();
        let mut known = self.0.borrow_mut();
        known.truncate(REMEMBERED - 1);
        known.insert(0, (run.clone(), place, Arc::clone(&base)));
        Ok(base)
    }
}

fn read(connection: &Connection, run: &RunId, place: &Place) -> rusqlite::Result<Vec<u8>> {
    let found = match place {
        Place::Event(seq) => {
            let mut find = connection.prepare_cached("SELECT fact FROM event WHERE run = ?1 AND seq = ?2")?;
            let fact = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_str().map(packed::base_of_facts).ok());
            find.query_row(params![run.as_str(), seq], fact).optional()?
        }
        Place::Bundle(task, predicate_type) => {
            let sql = "SELECT bundle FROM attestation WHERE run = ?1 AND task = ?2 AND predicate_type = ?3";
            let bundle = |row: &rusqlite::Row<'_>| {
                let kept = row.get_ref(0)?;
                Ok(kept.as_bytes().ok().and_then(|kept| packed::base_of_bundles(kept).ok()))
            };
            let key = params![run.as_str(), task, predicate_type];
            connection.prepare_cached(sql)?.query_row(key, bundle).optional()?
        }
    };
    Ok(found.flatten().unwrap_or_default())
}

/// The bases of the run that is being written.
#[derive(Debug, Default)]
pub(super) struct OwnBases {
    start: Option<(RunId, u64, Vec<u8>)>,
    bundle: Option<(RunId, (String, String), Vec<u8>)>,
}

impl OwnBases {
    /// The number of the event that this one, which tells how a TaskRun began, is
    /// packed beside, and its bytes; nothing, where it is the first itself.
    pub(super) fn start(&mut self, run: &RunId, seq: u64, fact: &str) -> Option<(u64, &[u8])> {
        if self.start.as_ref().is_none_or(|(of, ..)| of != run) {
            self.start = Some((run.clone(), seq, packed::base_of_facts(fact)));
            return None;
        }
        self.start.as_ref().map(|(_, seq, base)| (*seq, base.as_slice()))
    }

    /// The task whose bundle this one of the same type is packed beside, and its
    /// bytes; nothing, where it is the first itself.
    pub(super) fn bundle(
        &mut self,
        run: &RunId,
        (task, predicate_type): (&str, &str),
        piece: &[u8],
    ) -> Option<(&str, &[u8])> {
        let same = |of: &RunId, kind: &str| of == run && kind == predicate_type;
        if self.bundle.as_ref().is_none_or(|(of, (_, kind), _)| !same(of, kind)) {
            if !packed::can_be_named(task) {
                return None;
            }
            let base = piece.get(..MAX_BASE).unwrap_or(piece).to_vec();
            self.bundle = Some((run.clone(), (task.to_owned(), predicate_type.to_owned()), base));
            return None;
        }
        self.bundle.as_ref().map(|(_, (task, _), base)| (task.as_str(), base.as_slice()))
    }
}
