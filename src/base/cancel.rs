//! Stopping a statement from outside.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Error, Result, SqlState};

/// Set from another thread to stop a statement (57014). Long loops look at it every few hundred
/// rows; waits are woken by it.
#[derive(Debug, Default)]
pub struct CancelFlag {
    cancelled: AtomicBool,
    wake: tokio::sync::Notify,
}

impl CancelFlag {
    pub fn cancel(&self) {
        // Relaxed: the flag guards no other data.
        self.cancelled.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
    }

    pub fn clear(&self) {
        self.cancelled.store(false, Ordering::Relaxed);
    }

    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }

    /// Returns when the statement has been cancelled.
    pub async fn cancelled(&self) {
        loop {
            let woken = self.wake.notified();
            if self.cancelled.load(Ordering::Relaxed) {
                return;
            }
            woken.await;
        }
    }
}
