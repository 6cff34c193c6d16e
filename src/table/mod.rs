//! Tables with their indexes kept in step: the catalog, the codecs of rows and keys.
//!
//! A table is a B+tree from row id to row ([`row`]); each of its indexes is a B+tree from an
//! order-preserving key ([`key_range`]) to the row id. The catalog is a B+tree of table
//! definitions, written by the same transactions as everything else and cached whole.
//!
//! - Reading: [`scan`], [`index_scan`], [`get_unique`], at the statement's snapshot.
//! - Changing: [`lock_row`] or [`lock_unique`], then [`update`] or [`delete`]; [`insert`], or
//!   [`insert_or_lock`] and [`insert_unless_exists`] where another row may have the keys.
//! - Sequences: [`Sequences`] of a session gives their values.
//! - DDL: [`ddl`], under a lock of the table ([`lock_table`]) that excludes writers, and those who
//!   read what changes.
//!
//! # Invariants
//! - **D1** Every row has exactly one entry in each index of its table, and every entry a row.
//! - **D2** No two committed rows share a whole, non-null key of a unique index: the key's lock is
//!   held from the check to the end of the transaction. If the index is deferrable, rows of one
//!   transaction may share a key until then (`recheck`).
//! - **D3** A row id is never given to a second row while the process lives.
//! - **D4** The shared catalog holds durable definitions only. A transaction that changes it keeps
//!   its locks until the change is durable and known.
//! - **D5** A value of a sequence is given out only when the log has set it aside, in a blob that
//!   whoever shows the value waits for: no crash gives it again. (Not of a sequence whose making
//!   or restart is not committed: a crash takes that back whole.)

mod access;
mod codec;
mod conflict;
pub mod ddl;
mod def;
mod deferred;
mod key;
mod newest;
mod recheck;
pub mod row;
mod sequence;
#[cfg(test)]
mod tests;
mod txn;
mod verify;

pub use access::{
    IndexScan, Locked, LockedRow, RowLock, TableReader, TableScan, delete, failing_row, get_unique,
    index_scan, insert, lock_definition, lock_row, lock_table, lock_unique, reader, scan, update,
};
pub use conflict::{Inserted, insert_or_lock, insert_unless_exists};
pub use def::{
    Catalog, CheckDef, ColumnDef, Deferral, ForeignKeyDef, Identity, IndexColumn, IndexDef,
    KeyAction, TableDef, TableState,
};
pub use deferred::{KeyChange, KeyCheck, KeyEvent};
pub use key::{KeyRange, as_key_type, is_indexable, key_range};
pub use newest::{NewestRows, changeable, has_fixed, has_unique, hold_unique, newest_row};
pub use recheck::{KeyClaim, check_claim};
pub use row::Layout;
pub use sequence::{
    Position, SequenceDef, SequenceOwner, SequenceParams, SequenceState, Sequences,
};
pub use txn::{Tables, Txn};
pub use verify::verify;
