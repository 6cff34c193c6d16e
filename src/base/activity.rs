//! What a session is doing, for others to look at: what pg_stat_activity shows.
//!
//! Times are microseconds since 2000-01-01 00:00 UTC.

use std::net::SocketAddr;

use crate::base::Oid;
use crate::base::sync::Mutex;

/// PostgreSQL's `track_activity_query_size`, of which one byte ends the text.
const QUERY_BYTES_MAX: usize = 1023;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    #[default]
    Idle,
    Active,
    IdleInTransaction,
    IdleInFailedTransaction,
}

/// Who is connected to what, and since when.
#[derive(Clone, Debug)]
pub struct BackendFacts {
    pub database: Oid,
    pub database_name: String,
    pub user: String,
    /// `None`: by a Unix socket.
    pub client: Option<SocketAddr>,
    pub start: i64,
}

/// What the session does now, or did last.
#[derive(Clone, Debug, Default)]
pub struct Current {
    pub doing: Doing,
    pub application_name: String,
    pub query: String,
    pub transaction_start: Option<i64>,
    pub query_start: Option<i64>,
    pub state_change: i64,
}

/// A session as others see it.
pub trait Observed: Send + Sync {
    fn backend(&self) -> &BackendFacts;
    fn current(&self) -> Current;
    /// What kind of lock it waits for, if it does, by PostgreSQL's name.
    fn waits_for(&self) -> Option<&'static str>;
}

/// The session's own record.
#[derive(Default)]
pub struct Activity {
    current: Mutex<Current>,
}

impl Activity {
    pub fn set_application_name(&self, name: &str) {
        let mut current = self.current.lock();
        if current.application_name != name {
            name.clone_into(&mut current.application_name);
        }
    }

    /// A query begins.
    pub fn begin(&self, query: &str, now: i64) {
        let mut current = self.current.lock();
        let query = &query[..query.floor_char_boundary(QUERY_BYTES_MAX)];
        query.clone_into(&mut current.query);
        current.doing = Doing::Active;
        current.transaction_start.get_or_insert(now);
        (current.query_start, current.state_change) = (Some(now), now);
    }

    /// The session waits for its client.
    pub fn rest(&self, doing: Doing, transaction_start: Option<i64>, now: i64) {
        let mut current = self.current.lock();
        (current.doing, current.state_change) = (doing, now);
        current.transaction_start = transaction_start;
    }

    pub fn current(&self) -> Current {
        self.current.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_query_is_cut_between_characters() {
        let activity = Activity::default();
        activity.begin(&"é".repeat(600), 7);
        let current = activity.current();
        assert_eq!(current.query, "é".repeat(511));
        assert_eq!(current.doing, Doing::Active);
        assert_eq!(current.transaction_start, Some(7));
        activity.begin("SELECT 1", 8);
        assert_eq!(activity.current().query, "SELECT 1");
        assert_eq!(activity.current().transaction_start, Some(7));
        activity.rest(Doing::Idle, None, 9);
        activity.begin("SELECT 2", 10);
        assert_eq!(activity.current().transaction_start, Some(10));
    }
}
