//! The newest state, as constraints between tables look at it.

use std::ops::Bound;
use std::sync::Arc;

use crate::base::{Result, RowId};
use crate::btree::Value;
use crate::table::access::{hold_key, row_id, row_key, unique_key};
use crate::table::{IndexDef, KeyRange, RowLock, TableDef, Txn, get_unique};
use crate::txn::{bound_bytes, could_not_serialize};
use crate::types::Datum;

/// Locks the row of a whole unique key as [`crate::table::lock_unique`], without reading it. Whether there is
/// one, and it was not skipped.
pub async fn hold_unique(
    txn: &mut Txn,
    table: &Arc<TableDef>,
    index: &Arc<IndexDef>,
    key: &[Datum],
    lock: RowLock<'_>,
) -> Result<bool> {
    let Some(key) = unique_key(table, index, key) else {
        return Ok(false);
    };
    let held = hold_key(txn, table, index, &key, lock).await?;
    Ok(held.is_some())
}

/// Whether a whole unique key is in the newest state.
pub fn has_unique(
    txn: &mut Txn,
    table: &TableDef,
    index: &IndexDef,
    key: &[Datum],
) -> Result<bool> {
    let Some(key) = unique_key(table, index, key) else {
        return Ok(false);
    };
    Ok(txn.base.get_newest(index.tree, &key)?.is_some())
}

/// Whether a whole unique key is at the snapshot, where one is kept: above READ COMMITTED.
pub fn has_fixed(
    txn: &Txn,
    table: &Arc<TableDef>,
    index: &Arc<IndexDef>,
    key: &[Datum],
) -> Result<bool> {
    Ok(txn.base.has_fixed_snapshot() && get_unique(txn, table, index, key)?.is_some())
}

/// A row's newest version, own changes included.
pub fn newest_row(txn: &mut Txn, table: &TableDef, row: RowId) -> Result<Option<Value>> {
    txn.base.get_newest(table.tree, &row_key(row))
}

/// What a row that was found in the newest state must be when it is locked to be changed: that, or
/// above READ COMMITTED what the snapshot shows.
///
/// # Errors
/// 40001 if it shows nothing.
pub fn changeable(txn: &Txn, table: &TableDef, row: RowId, newest: Value) -> Result<Value> {
    if !txn.base.has_fixed_snapshot() {
        return Ok(newest);
    }
    let seen = txn.base.get(table.tree, &row_key(row))?;
    seen.ok_or_else(|| could_not_serialize("concurrent update"))
}

/// A walk over the newest state, a few rows at a time: of a range of an index, or of a table. Rows
/// that come or change while it is under way may be missed or come twice.
pub struct NewestRows {
    index: Option<Arc<IndexDef>>,
    /// What is left.
    range: KeyRange,
    is_done: bool,
}

impl NewestRows {
    pub fn new(index: Option<(Arc<IndexDef>, KeyRange)>) -> NewestRows {
        let (index, range) = match index {
            Some((index, range)) => (Some(index), range),
            None => (None, KeyRange::all()),
        };
        NewestRows {
            index,
            range,
            is_done: false,
        }
    }

    /// The next rows, `max` at most; none at the end.
    pub fn next(
        &mut self,
        txn: &mut Txn,
        table: &TableDef,
        max: usize,
    ) -> Result<Vec<(RowId, Value)>> {
        let mut rows = Vec::new();
        while rows.is_empty() && !self.is_done {
            let tree = self.index.as_ref().map_or(table.tree, |index| index.tree);
            let (lower, upper) = (
                bound_bytes(&self.range.lower),
                bound_bytes(&self.range.upper),
            );
            let entries = txn.base.newest_entries(tree, lower, upper, max)?;
            match entries.last() {
                Some((last, _)) if entries.len() == max => {
                    self.range.lower = Bound::Excluded(last.clone());
                }
                _ => self.is_done = true,
            }
            for (key, value) in entries {
                let (id, row) = match self.index {
                    Some(_) => (row_id(&value)?, newest_row(txn, table, row_id(&value)?)?),
                    None => (row_id(&key)?, Some(Value::Owned(value))),
                };
                // Of one that was deleted since the index was read, nothing is left.
                rows.extend(row.map(|row| (id, row)));
            }
        }
        Ok(rows)
    }
}
