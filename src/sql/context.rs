//! What a statement may know of the session it runs in.

use std::fmt;
use std::sync::Arc;

use crate::base::error::Severity;
use crate::base::sync::{AtomicBool, Mutex, Ordering};
use crate::base::{
    Activity, BackendFacts, CancelFlag, Current, Observed, Oid, Report, Result, Sessions, SqlState,
};
use crate::database::Database;
use crate::table::Sequences;
use crate::txn::SessionLocks;
use crate::types::Format;

/// Facts about the session, for functions such as `current_user` and for resolving names.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub user: String,
    pub database: String,
    pub database_oid: Oid,
    /// `$user` already replaced; `pg_catalog` is searched first when it is not named.
    pub search_path: Vec<String>,
    pub backend_pid: i32,
    pub server_version: &'static str,
    /// Values of all settings by name, for `current_setting` and `pg_settings`.
    pub settings: Vec<(String, String)>,
    /// What `set_config` has changed.
    pub changes: Arc<SettingChanges>,
    /// For the functions and views that tell of it; none where there is no database.
    pub server: Option<Arc<Database>>,
    /// What functions do to the session itself and to others; none where there is no session.
    pub backend: Option<Arc<Backend>>,
}

/// A session as functions reach it.
pub struct Backend {
    pub locks: SessionLocks,
    pub sessions: Arc<Sessions>,
    pub sequences: Sequences,
    pub activity: Activity,
    facts: BackendFacts,
    read_only: AtomicBool,
    warnings: Mutex<Vec<Report>>,
    has_warnings: AtomicBool,
}

impl Backend {
    pub fn new(
        facts: BackendFacts,
        locks: SessionLocks,
        sessions: Arc<Sessions>,
        sequences: Sequences,
    ) -> Backend {
        Backend {
            locks,
            sessions,
            sequences,
            activity: Activity::default(),
            facts,
            read_only: AtomicBool::new(false),
            warnings: Mutex::default(),
            has_warnings: AtomicBool::new(false),
        }
    }

    /// Whether the transaction is READ ONLY.
    pub fn is_read_only(&self) -> bool {
        // Relaxed: the same session stores it.
        self.read_only.load(Ordering::Relaxed)
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Warns the client, before it gets the row that is being computed.
    pub fn warn(&self, message: String) {
        let code = SqlState::WARNING;
        let mut warnings = self.warnings.lock();
        warnings.push(Report::new(Severity::Warning, code, message));
        // Relaxed: it is looked at by the same session.
        self.has_warnings.store(true, Ordering::Relaxed);
    }

    /// The warnings since this was last asked.
    pub fn take_warnings(&self) -> Vec<Report> {
        if !self.has_warnings.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.has_warnings.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.warnings.lock())
    }
}

impl Observed for Backend {
    fn backend(&self) -> &BackendFacts {
        &self.facts
    }

    fn current(&self) -> Current {
        self.activity.current()
    }

    fn waits_for(&self) -> Option<&'static str> {
        self.locks.waits_for()
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({:?})", self.locks)
    }
}

/// Changes of settings by a running statement; the session takes them over at its end.
pub struct SettingChanges {
    /// Gives the value that a setting, which has another now, would get.
    pub check: fn(name: &str, value: &str, now: &str) -> Result<String>,
    made: Mutex<Vec<SettingChange>>,
}

/// A setting, its new value, and whether only for this transaction.
pub type SettingChange = (String, String, bool);

impl SettingChanges {
    pub fn new(check: fn(&str, &str, &str) -> Result<String>) -> SettingChanges {
        SettingChanges {
            check,
            made: Mutex::default(),
        }
    }

    /// Where there is no session to take anything over.
    #[cfg(test)]
    pub fn none() -> Arc<SettingChanges> {
        Arc::new(SettingChanges::new(|_, value, _| Ok(value.to_owned())))
    }

    pub fn push(&self, change: SettingChange) {
        self.made.lock().push(change);
    }

    pub fn take(&self) -> Vec<SettingChange> {
        std::mem::take(&mut *self.made.lock())
    }
}

impl std::fmt::Debug for SettingChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.made.lock().fmt(f)
    }
}

/// Everything a running statement carries with it; shared with portals that outlive the call.
#[derive(Clone, Debug)]
pub struct StatementContext {
    pub session: Arc<SessionInfo>,
    pub format: Arc<Format>,
    pub cancel: Arc<CancelFlag>,
}
