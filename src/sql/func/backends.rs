//! What a session can find out about others, and do to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::{Error, Result, SqlState};
use crate::sql::context::Backend;
use crate::sql::func::array::array;
use crate::sql::func::define::{eval, function};
use crate::sql::func::{EXPORT_SNAPSHOT, Eval, EvalContext, Function};
use crate::types::Datum;
use crate::types::Type::{Bool, Int4, Int4Array, Int8, Text};

pub(super) static FUNCTIONS: &[&[Function]] = &[&[
    function(
        EXPORT_SNAPSHOT,
        &[],
        Text,
        Eval::F0(|cx| {
            let server = cx.session.server.as_ref().ok_or_else(|| {
                Error::new(SqlState::INTERNAL_ERROR, "no database to export from")
            })?;
            let pid = cx.session.backend_pid;
            let name = backend(cx)?.export_snapshot(pid, server.exports())?;
            Ok(Datum::text(&name))
        }),
    )
    .volatile(),
    function(
        "pg_blocking_pids",
        &[Int4],
        Int4Array,
        eval!(cx; |pid: Int4| {
            let pids = backend(cx)?.locks.blocking(*pid);
            Ok(array(pids.into_iter().map(Datum::Int4).collect()))
        }),
    )
    .volatile(),
    function(
        "pg_cancel_backend",
        &[Int4],
        Bool,
        eval!(cx; |pid: Int4| {
            let found = backend(cx)?.sessions.find(*pid);
            if let Some(session) = &found {
                session.cancel();
            }
            known(cx, *pid, found.is_some())
        }),
    )
    .volatile(),
    function(
        "pg_terminate_backend",
        &[Int4],
        Bool,
        eval!(cx; |pid: Int4| terminate(cx, *pid, 0)),
    )
    .volatile(),
    function(
        "pg_terminate_backend",
        &[Int4, Int8],
        Bool,
        eval!(cx; |pid: Int4, timeout_ms: Int8| terminate(cx, *pid, *timeout_ms)),
    )
    .volatile(),
]];

/// How often a session that is to end is looked for.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn backend<'a>(cx: &'a EvalContext<'_>) -> Result<&'a Arc<Backend>> {
    cx.session.backend.as_ref().ok_or_else(|| {
        Error::new(
            SqlState::INTERNAL_ERROR,
            "a function of a session outside one",
        )
    })
}

pub(super) fn bool_datum(value: bool) -> Result<Datum> {
    Ok(Datum::Bool(value))
}

/// Whether the session was there, with PostgreSQL's warning if not.
fn known(cx: &EvalContext<'_>, pid: i32, found: bool) -> Result<Datum> {
    if !found {
        let message = format!("PID {pid} is not a PostgreSQL backend process");
        backend(cx)?.warn(message);
    }
    bool_datum(found)
}

/// Ends a session; waits for its end if there is a time for that.
fn terminate(cx: &EvalContext<'_>, pid: i32, timeout_ms: i64) -> Result<Datum> {
    let Ok(timeout_ms) = u64::try_from(timeout_ms) else {
        let message = "\"timeout\" must not be negative";
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    };
    let backend = backend(cx)?;
    let Some(session) = backend.sessions.find(pid) else {
        return known(cx, pid, false);
    };
    session.terminate();
    let (start, limit) = (Instant::now(), Duration::from_millis(timeout_ms));
    while timeout_ms > 0 && backend.sessions.find(pid).is_some() {
        if start.elapsed() >= limit {
            backend.warn(format!(
                "backend with PID {pid} did not terminate within {timeout_ms} milliseconds"
            ));
            return bool_datum(false);
        }
        backend.locks.check_cancel()?;
        crate::base::blocking(true, || std::thread::sleep(LOOK));
    }
    bool_datum(true)
}
