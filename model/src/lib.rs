//! Model checks of the write-ahead log's coordinator: its real file, `src/wal/coordinator.rs`,
//! over the primitives of loom or shuttle and a medium that watches the invariants.
//! loom tries every interleaving of three threads up to a number of preemptions, and every old
//! value that a weakly ordered load may give; shuttle tries random schedules of more threads.
//!
//! ```text
//! cargo test --manifest-path model/Cargo.toml --features loom -- --show-output
//! cargo test --manifest-path model/Cargo.toml --features shuttle -- --show-output
//! ```
//! `LOOM_MAX_PREEMPTIONS=3` goes deeper; `SCHEDULES=1000000` longer; `SEED=…`, as printed, again.
//!
//! No wait here has a time-out: a lost wake-up is a deadlock, which both report.

#![cfg(test)]

mod base;
mod wal;
