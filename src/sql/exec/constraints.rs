//! What a new row must meet besides unique keys: NOT NULL and CHECK.

use crate::base::{Error, Result, SqlState};
use crate::sql::expr::{ExprContext, truth};
use crate::sql::plan::Check;
use crate::table::{TableDef, failing_row};
use crate::types::Datum;

/// Checks a row that is to be stored. NOT NULL comes first, as in PostgreSQL; a CHECK that is
/// NULL holds.
pub(crate) fn check_row(
    table: &TableDef,
    checks: &[Check],
    row: &[Datum],
    cx: &ExprContext<'_>,
) -> Result<()> {
    // The table's own code reports NULLs, but only after this; without CHECKs the order is right.
    if checks.is_empty() {
        return Ok(());
    }
    for (column, value) in table.columns.iter().zip(row) {
        if column.not_null && !column.dropped && value.is_null() {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, table.name
            );
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
                .with_detail(failing_row(table, row))
                .with_table(&table.schema, &table.name)
                .with_column(&column.name));
        }
    }
    for check in checks {
        if truth(&check.condition, row, cx)? == Some(false) {
            let message = format!(
                "new row for relation \"{}\" violates check constraint \"{}\"",
                table.name, check.name
            );
            return Err(Error::new(SqlState::CHECK_VIOLATION, message)
                .with_detail(failing_row(table, row))
                .with_table(&table.schema, &table.name)
                .with_constraint(&check.name));
        }
    }
    Ok(())
}
