//! Rows of stored tables: decoded as far as they are needed.

use crate::base::{Result, RowId};
use crate::sql::exec::Run;
use crate::sql::exec::run::StandIn;
use crate::sql::expr::{ExprContext, is_true};
use crate::sql::plan::node::Rows;
use crate::table::row;
use crate::types::Datum;

/// Decodes a row and tells whether it passes the filter.
pub(super) fn take(
    rows: &Rows,
    id: RowId,
    bytes: &[u8],
    row: &mut [Datum],
    cx: &ExprContext<'_>,
) -> Result<bool> {
    row::decode(&rows.table, bytes, &rows.first, row)?;
    if let Some(filter) = &rows.filter
        && !is_true(filter, row, cx)?
    {
        return Ok(false);
    }
    row::decode(&rows.table, bytes, &rows.rest, row)?;
    if rows.source.is_some() {
        put_hidden(rows, id, bytes, row);
    }
    Ok(true)
}

fn put_hidden(rows: &Rows, id: RowId, bytes: &[u8], row: &mut [Datum]) {
    let columns = rows.table.columns.len();
    row[columns] = Datum::Int8(id.0.cast_signed());
    row[columns + 1] = Datum::Bytea(bytes.into());
}

/// What stands in for the table's rows while a lock is re-checked.
pub(super) fn stand_in<'r>(rows: &Rows, run: &'r Run) -> Option<&'r StandIn> {
    run.stand_ins.get(rows.source?)?.as_ref()
}

/// Decodes a row that did not come through an index: the whole condition is checked.
pub(super) fn take_stand_in(
    rows: &Rows,
    stand_in: &StandIn,
    row: &mut [Datum],
    cx: &ExprContext<'_>,
) -> Result<bool> {
    let StandIn::Stored(id, bytes) = stand_in else {
        return Ok(false);
    };
    let live = |column: &usize| !rows.table.columns[*column].dropped;
    let all: Vec<usize> = (0..rows.table.columns.len()).filter(live).collect();
    row::decode(&rows.table, bytes, &all, row)?;
    put_hidden(rows, *id, bytes, row);
    match &rows.recheck {
        Some(condition) => is_true(condition, row, cx),
        None => Ok(true),
    }
}
