//! What a statement may know of the session it runs in.

use std::sync::Arc;

use crate::base::{CancelFlag, Oid};
use crate::database::Database;
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
    pub client_address: Option<String>,
    pub server_version: &'static str,
    /// Values of all settings by name, for `current_setting` and `pg_settings`.
    pub settings: Vec<(String, String)>,
    /// For the functions and views that tell of it; none where there is no database.
    pub server: Option<Arc<Database>>,
}

/// Everything a running statement carries with it; shared with portals that outlive the call.
#[derive(Clone, Debug)]
pub struct StatementContext {
    pub session: Arc<SessionInfo>,
    pub format: Arc<Format>,
    pub cancel: Arc<CancelFlag>,
}
