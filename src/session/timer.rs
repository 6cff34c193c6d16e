//! `statement_timeout`: cancels a statement that takes too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::base::CancelFlag;
use crate::base::{Error, SqlState};

/// Runs until dropped.
pub(super) struct Timer {
    fired: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Timer {
    pub(super) fn start(limit: Duration, cancel: Arc<CancelFlag>) -> Timer {
        let fired = Arc::new(AtomicBool::new(false));
        let flag = fired.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            // Release: pairs with the Acquire in explain(), which runs after the cancellation.
            flag.store(true, Ordering::Release);
            cancel.cancel();
        });
        Timer {
            fired,
            task: task.abort_handle(),
        }
    }

    /// Names the time-out as the reason of a cancellation that it caused.
    pub(super) fn explain(self, error: &Error) -> Error {
        let is_cancel = error.sqlstate() == SqlState::QUERY_CANCELED;
        // Acquire: pairs with the Release of the task.
        if is_cancel && self.fired.load(Ordering::Acquire) {
            return Error::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to statement timeout",
            );
        }
        error.clone()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
