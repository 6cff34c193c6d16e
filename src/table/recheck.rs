//! Deferrable unique constraints: rows may share a key until that is checked.
//!
//! The tree of such an index holds (key, row id), as that of an index that is not unique. Who gives
//! a row a key takes the key's lock if that is free, and waits for nobody. Unless it is, and the
//! newest state has no other row with the key, a [`KeyClaim`] is left with the transaction, to be
//! checked by [`check_claim`] at the end of the statement or of the transaction. The check waits
//! for the lock, and for whoever is about to take the key away from another row.
//!
//! So who commits a row with a key holds the lock of that key since a moment when no other row had
//! it, and nobody else can have given it to one since (D2).

use std::ops::Bound;
use std::sync::Arc;

use crate::base::{CancelFlag, Oid, Result, RowId};
use crate::table::access::{
    RowLock, decode_key_columns, duplicate_key, lock_key, lock_row_id, row_id, row_key,
};
use crate::table::key::{IndexKey, all_of};
use crate::table::{IndexDef, TableDef, Txn, newest_row};
use crate::txn::{Key, LockMode, LockWait, bound_bytes, read_write_conflict};
use crate::types::Datum;

const ENTRIES_PER_CANCEL_CHECK: u64 = 1000;

/// A row has got a key that another may have, too.
#[derive(Clone, Debug)]
pub struct KeyClaim {
    /// Of the constraint; it may have been renamed since.
    pub index: Arc<IndexDef>,
    pub table: Oid,
    pub row: RowId,
}

/// Before a row gets a key.
pub(super) async fn claim(
    txn: &mut Txn,
    table: &TableDef,
    index: &Arc<IndexDef>,
    key: &IndexKey,
    row: RowId,
    cancel: &CancelFlag,
) -> Result<()> {
    let wait = LockWait::SkipLocked;
    let is_held = lock_key(txn, table, index.tree, &key.key, wait, cancel).await?;
    // A SERIALIZABLE transaction learns of the key when it is checked.
    let is_sole =
        is_held && !txn.base.is_serializable() && other_row(txn, index, &key.key, row)?.is_none();
    if !is_sole {
        txn.claims.push(KeyClaim {
            index: Arc::clone(index),
            table: table.oid,
            row,
        });
    }
    Ok(())
}

/// Checks that no other row has the key of a row, if that is still there.
///
/// # Errors
/// 23505; before the end of a SERIALIZABLE transaction 40001 if the snapshot says otherwise than
/// the newest state.
pub async fn check_claim(
    claim: &KeyClaim,
    txn: &mut Txn,
    at_end: bool,
    cancel: &CancelFlag,
) -> Result<()> {
    let catalog = txn.catalog();
    let Some(table) = catalog.tables.get(&claim.table) else {
        return Ok(());
    };
    let mut indexes = table.indexes.iter();
    let Some(index) = indexes.find(|index| index.oid == claim.index.oid) else {
        return Ok(());
    };
    let Some(bytes) = newest_row(txn, table, claim.row)? else {
        return Ok(());
    };
    let mut row = vec![Datum::Null; table.columns.len()];
    decode_key_columns(table, index, &bytes, &mut row)?;
    let key = IndexKey::of(table, index, &row)?;
    if key.has_null {
        return Ok(());
    }
    lock_key(txn, table, index.tree, &key.key, LockWait::Wait, cancel).await?;
    let is_shared = is_shared(txn, table, index, &key.key, claim.row, cancel).await?;
    // As in the check of a key that is never shared. At the end nothing can be done any more with
    // what is learned, and it holds in the moment of the commit.
    if txn.base.is_serializable() && !at_end {
        txn.begin_statement().await?;
        if is_shared != is_shared_at_snapshot(txn, index, &key.key, claim.row)? {
            return Err(read_write_conflict());
        }
    }
    match is_shared {
        true => Err(duplicate_key(table, index, &row)),
        false => Ok(()),
    }
}

/// Whether another row has the key, and keeps it. Under the key's lock.
async fn is_shared(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &[u8],
    row: RowId,
    cancel: &CancelFlag,
) -> Result<bool> {
    while let Some(other) = other_row(txn, index, key, row)? {
        if txn.base.has_written(table.tree, &row_key(other)) {
            return Ok(true);
        }
        // Who takes the key away from it has its lock.
        let held = txn.base.locks_held();
        let lock = RowLock {
            mode: LockMode::ROW_KEY_SHARE,
            wait: LockWait::Wait,
            cancel,
        };
        lock_row_id(txn, table, other, lock).await?;
        let entry = txn.base.get_newest(index.tree, &entry(key, other));
        txn.base.release_since(held);
        if entry?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn entry(key: &[u8], row: RowId) -> Key {
    let mut entry = Key::from_slice(key);
    entry.extend_from_slice(&row_key(row));
    entry
}

/// A row with the key in the newest state, own changes included, that is not `row`.
fn other_row(txn: &mut Txn, index: &IndexDef, key: &[u8], row: RowId) -> Result<Option<RowId>> {
    let range = all_of(Key::from_slice(key));
    let (lower, upper) = (bound_bytes(&range.lower), bound_bytes(&range.upper));
    for (_, value) in txn.base.newest_entries(index.tree, lower, upper, 2)? {
        let found = row_id(&value)?;
        if found != row {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn is_shared_at_snapshot(txn: &Txn, index: &IndexDef, key: &[u8], row: RowId) -> Result<bool> {
    let range = all_of(Key::from_slice(key));
    let (lower, upper) = (bound_bytes(&range.lower), bound_bytes(&range.upper));
    let mut scan = txn.base.scan(index.tree, lower, upper, false)?;
    let mut is_shared = false;
    while let Some((_, value)) = scan.next()? {
        is_shared |= row_id(value)? != row;
    }
    Ok(is_shared)
}

/// A row that shares its key with another at the snapshot.
pub(super) fn find_shared(
    txn: &Txn,
    table: &TableDef,
    index: &IndexDef,
    cancel: &CancelFlag,
) -> Result<Option<RowId>> {
    let mut scan = txn
        .base
        .scan(index.tree, Bound::Unbounded, Bound::Unbounded, false)?;
    let mut last = Key::new();
    let mut may_share = true;
    let mut values = vec![Datum::Null; table.columns.len()];
    let mut count = 0_u64;
    while let Some((entry, value)) = scan.next()? {
        count += 1;
        if count.is_multiple_of(ENTRIES_PER_CANCEL_CHECK) {
            cancel.check()?;
        }
        let row = row_id(value)?;
        let key = entry.strip_suffix(value).unwrap_or(entry);
        if *key != *last {
            last = Key::from_slice(key);
            may_share = true;
            continue;
        }
        if !may_share {
            continue;
        }
        // Keys with nulls are alike and yet not the same.
        let bytes = txn.base.get(table.tree, &row_key(row))?;
        decode_key_columns(
            table,
            index,
            bytes.as_deref().unwrap_or_default(),
            &mut values,
        )?;
        may_share = !IndexKey::of(table, index, &values)?.has_null;
        if may_share {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
