//! What ends a TaskRun early: the first limit that it went over.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::TaskRunReason;

/// The first limit a TaskRun went over. It decides the reason, whatever the
/// guest made of the error it got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trip(Arc<Mutex<Option<TaskRunReason>>>);

impl Trip {
    /// Notes a reason, unless there is one.
    pub(crate) fn note(&self, reason: TaskRunReason) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    pub(crate) fn reason(&self) -> Option<TaskRunReason> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
