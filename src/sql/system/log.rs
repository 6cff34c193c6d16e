//! pg_stat_wal and pg_stat_bgwriter.

use std::time::Duration;

use crate::sql::func::EvalContext;
use crate::types::datetime::micros_at;
use crate::types::{Datum, Numeric};

use super::Rows;

/// What the log has done since the server started, which is when the counting began. A group is
/// one write and one sync.
///
/// `wal_fpi` is 0: no page is logged whole to survive a torn write. `wal_buffers_full` is 0: a full
/// buffer makes nobody write, sessions wait for room instead. The times are always measured.
pub(super) fn pg_stat_wal(cx: &EvalContext<'_>) -> Rows {
    let Some(server) = &cx.session.server else {
        return Vec::new();
    };
    let log = server.log();
    let stats = log.stats();
    vec![vec![
        count(stats.records),
        count(0),
        Datum::Numeric(Box::new(Numeric::from_i128(stats.bytes.into()))),
        count(0),
        count(stats.groups),
        count(stats.groups),
        millis(stats.write_time),
        millis(stats.sync_time),
        Datum::Timestamp(micros_at(log.started_at())),
    ]]
}

/// What checkpoints have done since the server started. Only they write pages: the counters of
/// other writers are 0.
pub(super) fn pg_stat_bgwriter(cx: &EvalContext<'_>) -> Rows {
    let Some(server) = &cx.session.server else {
        return Vec::new();
    };
    let (done, cache) = (server.checkpoint_stats(), server.cache_stats());
    vec![vec![
        count(done.timed),
        count(done.requested),
        millis(done.write_time),
        millis(done.sync_time),
        count(done.pages),
        count(0),
        count(0),
        count(0),
        count(0),
        count(cache.loads),
        Datum::Timestamp(micros_at(done.since)),
    ]]
}

fn count(n: u64) -> Datum {
    Datum::Int8(i64::try_from(n).unwrap_or(i64::MAX))
}

fn millis(time: Duration) -> Datum {
    Datum::Float8(time.as_secs_f64() * 1000.0)
}
