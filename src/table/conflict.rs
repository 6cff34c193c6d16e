//! INSERT … ON CONFLICT: a row is added unless another one has its key in some of the unique
//! indexes, the arbiters. Neither ever fails for such a key, whatever others do meanwhile.
//!
//! 1. The newest state is asked for the arbiters' keys. A row that has one is what the caller
//!    wants: DO UPDATE locks it and asks again whether it still has the key, DO NOTHING only makes
//!    sure that nobody is about to take it away. No key is locked then beyond that: a row that
//!    many upsert is fought for by its own lock alone.
//! 2. Without such a row the keys of all unique indexes are locked. If another one holds a key, who
//!    inserts or deletes it, its outcome is waited for with no key of this row locked, so that no
//!    cycle closes over a row that may never be inserted; then 1 looks again. If the arbiters' keys
//!    are free under the locks, the row goes in; if not, they are given back, and 1 finds the row.

use std::sync::Arc;

use crate::base::{CancelFlag, Error, Result, RowId, SqlState, TreeId};
use crate::table::access::{
    LockedRow, RowLock, check_free, check_not_null, keys_of, lock_key, lock_key_row, put_row,
    row_key,
};
use crate::table::key::IndexKey;
use crate::table::{IndexDef, TableDef, Txn};
use crate::txn::{LockMode, LockTarget, LockWait, could_not_serialize};
use crate::types::Datum;

/// What came of a row that was to be inserted.
#[derive(Debug)]
pub enum Inserted {
    Row(RowId),
    /// This row is in the way, and locked.
    Conflict(RowId, LockedRow),
}

/// Adds a row, or locks the first that has its key in one of the `arbiters` (places of unique
/// indexes in the table). The lock is to be waited for.
///
/// # Errors
/// As [`crate::table::insert`]; 23505 for unique indexes that are no arbiters. 40001 above READ
/// COMMITTED if the row that is in the way has changed since the snapshot.
pub async fn insert_or_lock(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    row: &[Datum],
    arbiters: &[usize],
    lock: RowLock<'_>,
) -> Result<Inserted> {
    check_not_null(table, row)?;
    let keys = keys_of(table, row)?;
    loop {
        for place in arbiters {
            let Some((index, key)) = arbiter(table, &keys, *place)? else {
                continue;
            };
            let held = txn.base.locks_held();
            if let Some((id, locked)) = lock_key_row(txn, table, index, &key.key, lock).await? {
                check_seen(txn, table.tree, &row_key(id), &locked.bytes)?;
                return Ok(Inserted::Conflict(id, locked));
            }
            // Of a row that has lost the key while it was waited for.
            txn.base.release_since(held);
        }
        if let Some(id) = try_insert(txn, table, row, &keys, arbiters, lock.cancel).await? {
            return Ok(Inserted::Row(id));
        }
    }
}

/// Adds a row unless another one has its key in one of the `arbiters`.
///
/// # Errors
/// As [`insert_or_lock`].
pub async fn insert_unless_exists(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    row: &[Datum],
    arbiters: &[usize],
    cancel: &CancelFlag,
) -> Result<Option<RowId>> {
    check_not_null(table, row)?;
    let keys = keys_of(table, row)?;
    loop {
        for place in arbiters {
            if let Some((index, key)) = arbiter(table, &keys, *place)?
                && exists(txn, table, index, &key.key, cancel).await?
            {
                return Ok(None);
            }
        }
        let id = try_insert(txn, table, row, &keys, arbiters, cancel).await?;
        if id.is_some() {
            return Ok(id);
        }
    }
}

/// An arbiter and the row's key in it, unless that has nulls.
///
/// # Errors
/// 55000 if it is deferrable, as PostgreSQL says when it comes to it.
fn arbiter<'a>(
    table: &'a TableDef,
    keys: &'a [IndexKey],
    place: usize,
) -> Result<Option<(&'a Arc<IndexDef>, &'a IndexKey)>> {
    let (index, key) = (&table.indexes[place], &keys[place]);
    if index.deferral.deferrable {
        let message = "ON CONFLICT does not support deferrable unique constraints/exclusion \
                       constraints as arbiters";
        return Err(
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .with_table(&table.schema, &table.name)
                .with_constraint(&index.name),
        );
    }
    Ok((!key.has_null).then_some((index, key)))
}

/// Whether a key is there and stays: its deletion by another is waited for.
async fn exists(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &[u8],
    cancel: &CancelFlag,
) -> Result<bool> {
    let found = txn.base.get_newest(index.tree, key)?;
    if found.is_none() || txn.owns(table) {
        return Ok(found.is_some());
    }
    let held = txn.base.locks_held();
    let target = LockTarget::key(index.tree, key);
    txn.lock(target, LockMode::ROW_KEY_SHARE, cancel).await?;
    let found = txn.base.get_newest(index.tree, key);
    txn.base.release_since(held);
    match found? {
        Some(found) => check_seen(txn, index.tree, key, &found).map(|()| true),
        None => Ok(false),
    }
}

/// Above READ COMMITTED what an insertion meets must be what its snapshot shows, or its own.
///
/// # Errors
/// 40001.
fn check_seen(txn: &Txn, tree: TreeId, key: &[u8], newest: &[u8]) -> Result<()> {
    if !txn.base.has_fixed_snapshot() {
        return Ok(());
    }
    match txn.base.get(tree, key)? {
        Some(seen) if *seen == *newest => Ok(()),
        _ => Err(could_not_serialize("concurrent update")),
    }
}

/// Adds a row under the locks of its keys; `None`, and no lock, if another one may be in the way:
/// it held a key, or an arbiter has it by now.
async fn try_insert(
    txn: &mut Txn,
    table: &TableDef,
    row: &[Datum],
    keys: &[IndexKey],
    arbiters: &[usize],
    cancel: &CancelFlag,
) -> Result<Option<RowId>> {
    let held = txn.base.locks_held();
    let unique = || {
        let pairs = table.indexes.iter().zip(keys);
        pairs.filter(|(index, key)| index.unique && !key.has_null)
    };
    for (index, key) in unique() {
        let (tree, key) = (index.tree, &key.key);
        if !lock_key(txn, table, tree, key, LockWait::SkipLocked, cancel).await? {
            txn.base.release_since(held);
            lock_key(txn, table, tree, key, LockWait::Wait, cancel).await?;
            txn.base.release_since(held);
            return Ok(None);
        }
    }
    for place in arbiters {
        if let Some((index, key)) = arbiter(table, keys, *place)?
            && txn.base.get_newest(index.tree, &key.key)?.is_some()
        {
            txn.base.release_since(held);
            return Ok(None);
        }
    }
    for (index, key) in unique() {
        check_free(txn, table, index, key, row)?;
    }
    put_row(txn, table, row, keys, cancel).await.map(Some)
}
