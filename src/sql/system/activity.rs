//! pg_stat_activity.

use crate::base::{BackendFacts, Current, Doing, Observed};
use crate::sql::func::EvalContext;
use crate::types::Datum;

use super::Rows;
use super::roles::ROLE_OID;
use super::values::{NULL, int4, oid, text};

/// The sessions of all databases. What the server does in the background has no row; a session
/// that reads, writes or waits for the log is active and waits for nothing.
pub(super) fn pg_stat_activity(cx: &EvalContext<'_>) -> Rows {
    let Some(backend) = &cx.session.backend else {
        return Vec::new();
    };
    let sessions = backend.sessions.observed().into_iter();
    sessions.map(|(pid, session)| row(pid, &*session)).collect()
}

fn row(pid: i32, session: &dyn Observed) -> Vec<Datum> {
    let current = session.current();
    let (wait_type, wait) = match current.doing {
        Doing::Active => match session.waits_for() {
            Some(lock) => (text("Lock"), text(lock)),
            None => (NULL, NULL),
        },
        _ => (text("Client"), text("ClientRead")),
    };
    let BackendFacts {
        database,
        database_name,
        user,
        client,
        start,
    } = session.backend().clone();
    let Current {
        doing,
        application_name,
        query,
        transaction_start,
        query_start,
        state_change,
    } = current;
    let time = |time: Option<i64>| time.map_or(NULL, Datum::Timestamp);
    vec![
        oid(database.0),
        text(database_name),
        int4(pid),
        NULL, // leader_pid
        oid(ROLE_OID),
        text(user),
        text(application_name),
        client.map_or(NULL, |client| text(client.ip().to_string())),
        NULL, // client_hostname
        int4(client.map_or(-1, |client| client.port().into())),
        Datum::Timestamp(start),
        time(transaction_start),
        time(query_start),
        Datum::Timestamp(state_change),
        wait_type,
        wait,
        text(match doing {
            Doing::Idle => "idle",
            Doing::Active => "active",
            Doing::IdleInTransaction => "idle in transaction",
            Doing::IdleInFailedTransaction => "idle in transaction (aborted)",
        }),
        NULL, // backend_xid
        NULL, // backend_xmin
        NULL, // query_id
        text(query),
        text("client backend"),
    ]
}
