//! Stops TaskRuns from outside: first those of `tasks`, then all.

use tokio::sync::watch;

/// Stops TaskRuns from outside. Clones stop the same ones.
#[derive(Clone, Debug)]
pub struct CancelToken {
    asked: watch::Sender<u8>,
    /// How often it must be asked before this one is concerned.
    heeds: u8,
}

impl Default for CancelToken {
    fn default() -> Self {
        Self { asked: watch::Sender::new(0), heeds: 1 }
    }
}

impl CancelToken {
    /// Asks everything that holds this token to stop. What cleans up afterwards
    /// only heeds the second time.
    pub fn cancel(&self) {
        self.asked.send_modify(|asked| *asked = asked.saturating_add(1));
    }

    /// How often someone asked.
    #[must_use]
    pub fn asked(&self) -> u8 {
        *self.asked.borrow()
    }

    /// The same token for what only heeds the second time.
    #[must_use]
    pub fn for_cleaning_up(&self) -> Self {
        Self { asked: self.asked.clone(), heeds: 2 }
    }

    /// Whether this one is concerned.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.asked() >= self.heeds
    }

    /// Waits until this one is concerned.
    pub(crate) async fn cancelled(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.asked.subscribe().wait_for(|asked| *asked >= self.heeds).await;
    }
}
