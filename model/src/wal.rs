//! What the coordinator sees of `crate::wal`: itself is real, the medium below it watches.

// What only the tests of the log itself use is of no use here.
#[allow(dead_code)]
#[path = "../../src/wal/coordinator.rs"]
mod coordinator;
mod group;
mod record;

use std::time::Duration;

use crate::base::Lsn;

/// As in `src/wal/mod.rs`.
#[allow(dead_code)]
pub struct Stats {
    pub blobs: u64,
    pub records: u64,
    pub groups: u64,
    pub bytes: u64,
    pub write_time: Duration,
    pub sync_time: Duration,
}

#[derive(Clone, Copy)]
pub struct Position {
    pub lsn: Lsn,
}

mod scenarios;
