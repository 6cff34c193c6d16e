//! pg_stat_wal.

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
    let Some(log) = &cx.session.log else {
        return Vec::new();
    };
    let stats = log.stats();
    let count = |n: u64| Datum::Int8(i64::try_from(n).unwrap_or(i64::MAX));
    vec![vec![
        count(stats.records),
        count(0),
        Datum::Numeric(Box::new(Numeric::from_i128(stats.bytes.into()))),
        count(0),
        count(stats.groups),
        count(stats.groups),
        Datum::Float8(stats.write_time.as_secs_f64() * 1000.0),
        Datum::Float8(stats.sync_time.as_secs_f64() * 1000.0),
        Datum::Timestamp(micros_at(log.started_at())),
    ]]
}
