//! Removes runs from the journal, each whole or not at all.

use rusqlite::{TransactionBehavior, params};

use super::journal::{Journal, JournalError, failed};
use crate::model::RunId;

/// How large the journal is, and how much of that holds nothing, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSize {
    /// All of it.
    pub bytes: u64,
    /// What removed runs left.
    pub free: u64,
}

impl Journal {
    /// Removes the events and attestations of a run.
    ///
    /// # Errors
    /// [`JournalError::Io`]; then all of the run is still there.
    pub fn remove(&mut self, run: &RunId) -> Result<(), JournalError> {
        let mut remove = || -> rusqlite::Result<()> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute("DELETE FROM event WHERE run = ?1", params![run.as_str()])?;
            transaction.execute("DELETE FROM attestation WHERE run = ?1", params![run.as_str()])?;
            transaction.commit()
        };
        remove().map_err(failed("remove a run from", &self.path))
    }

    /// How many bytes the journal keeps of the facts and attestations of a run.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn bytes_of(&self, run: &RunId) -> Result<u64, JournalError> {
        let sql = "SELECT (SELECT coalesce(sum(length(CAST(fact AS BLOB))), 0) FROM event WHERE run = ?1) \
                   + (SELECT coalesce(sum(length(CAST(bundle AS BLOB))), 0) FROM attestation WHERE run = ?1)";
        let bytes = self.connection.query_row(sql, params![run.as_str()], |row| row.get(0));
        bytes.map_err(failed("read", &self.path))
    }

    /// How large the journal is.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn size(&self) -> Result<JournalSize, JournalError> {
        let number = |name: &str| -> rusqlite::Result<u64> {
            self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        };
        let size = || -> rusqlite::Result<JournalSize> {
            let page = number("page_size")?;
            Ok(JournalSize { bytes: number("page_count")? * page, free: number("freelist_count")? * page })
        };
        size().map_err(failed("read", &self.path))
    }

    /// Gives back to the system what holds nothing.
    ///
    /// # Errors
    /// [`JournalError::Io`], also while others write.
    pub fn compact(&self) -> Result<(), JournalError> {
        let compact = self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
        compact.map_err(failed("compact", &self.path))
    }
}
