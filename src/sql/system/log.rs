//! What the server has counted since it started: pg_stat_wal, pg_stat_bgwriter, pg_stat_io,
//! pg_stat_database.

use std::time::Duration;

use crate::pages::PAGE_SIZE;
use crate::sql::func::EvalContext;
use crate::types::datetime::micros_at;
use crate::types::{Datum, Numeric};

use super::Rows;
use super::columns::{PG_STAT_DATABASE, PG_STAT_IO};
use super::values::{NULL, int4, oid, text};

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
/// other writers are 0. `buffers_alloc` counts the pages that came into memory from the data file.
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

/// Pages of the data file that sessions found in memory, read and evicted, and that checkpoints
/// wrote. What nobody counts is NULL.
pub(super) fn pg_stat_io(cx: &EvalContext<'_>) -> Rows {
    let Some(server) = &cx.session.server else {
        return Vec::new();
    };
    let (done, cache) = (server.checkpoint_stats(), server.cache_stats());
    let databases = server.databases();
    let hits = databases.iter().map(|d| server.reads_of(d).hits).sum();
    let row = |backend: &str, counted: &[(&str, Datum)]| -> Vec<Datum> {
        let value = |name: &str| match name {
            "backend_type" => text(backend),
            "object" => text("relation"),
            "context" => text("normal"),
            "op_bytes" => count(PAGE_SIZE as u64),
            "stats_reset" => Datum::Timestamp(micros_at(done.since)),
            _ => {
                let found = counted.iter().find(|(counted, _)| *counted == name);
                found.map_or(NULL, |(_, value)| value.clone())
            }
        };
        PG_STAT_IO.iter().map(|(name, _)| value(name)).collect()
    };
    vec![
        row(
            "client backend",
            &[
                ("reads", count(cache.loads)),
                ("writes", count(0)),
                ("hits", count(hits)),
                ("evictions", count(cache.evictions)),
                ("fsyncs", count(0)),
            ],
        ),
        row(
            "checkpointer",
            &[
                ("writes", count(done.pages)),
                ("write_time", millis(done.write_time)),
                ("fsync_time", millis(done.sync_time)),
            ],
        ),
    ]
}

/// How often pages of each database were found in memory and how often they were not. What nobody
/// counts is NULL; what never happens is 0.
pub(super) fn pg_stat_database(cx: &EvalContext<'_>) -> Rows {
    let backend = cx.session.backend.iter();
    let sessions: Vec<_> = backend.flat_map(|b| b.sessions.observed()).collect();
    let server = cx.session.server.iter();
    let databases =
        server.flat_map(|server| server.databases().into_iter().map(move |d| (server, d)));
    databases
        .map(|(server, database)| {
            let reads = server.reads_of(&database);
            let sessions = sessions.iter();
            let sessions = sessions.filter(|(_, s)| s.backend().database == database.oid);
            let sessions = i32::try_from(sessions.count()).unwrap_or(i32::MAX);
            let value = |name: &str| match name {
                "datid" => oid(database.oid.0),
                "datname" => text(&database.name),
                "numbackends" => int4(sessions),
                "blks_read" => count(reads.loads),
                "blks_hit" => count(reads.hits),
                "conflicts" | "temp_files" | "temp_bytes" => count(0),
                "blk_read_time" | "blk_write_time" => Datum::Float8(0.0), // track_io_timing is off
                "stats_reset" => Datum::Timestamp(micros_at(server.checkpoint_stats().since)),
                _ => NULL,
            };
            let columns = PG_STAT_DATABASE.iter();
            columns.map(|(name, _)| value(name)).collect()
        })
        .collect()
}

fn count(n: u64) -> Datum {
    Datum::Int8(i64::try_from(n).unwrap_or(i64::MAX))
}

fn millis(time: Duration) -> Datum {
    Datum::Float8(time.as_secs_f64() * 1000.0)
}
