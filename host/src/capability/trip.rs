//! What ends a TaskRun early: the first limit that it went over, or the host's
//! own failure.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::TaskRunReason;

/// Why a TaskRun was ended first. It decides the reason, whatever the guest made
/// of the error it got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trip(Arc<Mutex<Option<Tripped>>>);

#[derive(Debug)]
struct Tripped {
    reason: TaskRunReason,
    /// What more there is to say.
    why: Option<String>,
}

impl Trip {
    /// Notes a reason, unless there is one.
    pub(crate) fn note(&self, reason: TaskRunReason) {
        self.note_with(reason, None);
    }

    /// Notes a reason with more to say, unless there is one.
    pub(crate) fn note_with(&self, reason: TaskRunReason, why: Option<String>) {
        let mut tripped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tripped.get_or_insert(Tripped { reason, why });
    }

    pub(crate) fn reason(&self) -> Option<TaskRunReason> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|tripped| tripped.reason)
    }

    pub(crate) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.why.clone()
    }
}
