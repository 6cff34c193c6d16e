//! Walking the newest state.

use std::ops::Bound;
use std::sync::Arc;

use crate::base::{Result, RowId};
use crate::btree::Value;
use crate::table::access::{bytes, row_id};
use crate::table::{IndexDef, KeyRange, TableDef, Txn, newest_row};

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
            let (lower, upper) = (bytes(&self.range.lower), bytes(&self.range.upper));
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
