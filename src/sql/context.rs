//! What a statement may know of the session it runs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Error, Result, SqlState};
use crate::types::Format;

/// Facts about the session, for functions such as `current_user` and for resolving names.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub user: String,
    pub database: String,
    /// `$user` already replaced; `pg_catalog` is searched first when it is not named.
    pub search_path: Vec<String>,
    pub backend_pid: i32,
    pub client_address: Option<String>,
    pub server_version: &'static str,
    /// Values of all settings by name, for `current_setting` and `pg_settings`.
    pub settings: Vec<(String, String)>,
}

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

/// Everything a running statement carries with it; shared with portals that outlive the call.
#[derive(Clone, Debug)]
pub struct StatementContext {
    pub session: Arc<SessionInfo>,
    pub format: Arc<Format>,
    pub cancel: Arc<CancelFlag>,
}
