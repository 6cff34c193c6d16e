//! `statement_timeout`: cancels a statement that takes too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::base::CancelFlag;

/// Runs until dropped.
pub(super) struct Timer {
    task: AbortHandle,
}

impl Timer {
    pub(super) fn start(limit: Duration, cancel: Arc<CancelFlag>) -> Timer {
        let task = tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            cancel.time_out();
        });
        Timer {
            task: task.abort_handle(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
