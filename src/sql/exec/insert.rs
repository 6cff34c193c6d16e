//! INSERT.

use rustc_hash::FxHashSet;

use crate::base::{Error, Result, RowId, SqlState, blocking_polls};
use crate::sql::exec::change::{Work, change_row, decode, passes, row_lock};
use crate::sql::exec::{Run, check_row, nulls, open};
use crate::sql::expr::{assign, eval};
use crate::sql::plan::node::OwnedRow;
use crate::sql::plan::{ConflictPlan, InsertPlan, ReturningPlan};
use crate::table::{self, Inserted, Txn};
use crate::types::Datum;

/// Rows changed between two offers to let other tasks of the thread run.
pub(super) const ROWS_PER_YIELD: u64 = 256;

/// What a statement that changes rows has done.
#[derive(Default)]
pub(crate) struct Changed {
    pub count: u64,
    pub returned: Vec<OwnedRow>,
}

/// Runs an INSERT: each row of the source becomes a row of the table.
pub(crate) async fn insert(plan: &InsertPlan, run: &Run, txn: &mut Txn) -> Result<Changed> {
    blocking_polls(plan.plan.heavy, insert_rows(plan, run, txn)).await
}

async fn insert_rows(plan: &InsertPlan, run: &Run, txn: &mut Txn) -> Result<Changed> {
    let mut source = open(&plan.plan.root);
    let mut source_row = nulls(plan.plan.width);
    let mut row = nulls(plan.table.columns.len());
    let mut work = Work::new(run);
    let mut affected = FxHashSet::default();
    let mut sourced = 0;
    while source.next(&run.context(), &mut source_row)? {
        {
            let cx = run.context();
            for (slot, value) in row.iter_mut().zip(&plan.values) {
                assign(slot, eval(value, &source_row, &cx)?);
            }
            check_row(&plan.table, &plan.checks, &row, &cx)?;
        }
        sourced += 1;
        breathe(sourced, run).await?;
        let inserted = match &plan.conflict {
            Some(conflict) => {
                upsert(conflict, plan, &row, run, txn, &mut affected, &mut work).await?
            }
            None => Some(table::insert(txn, &plan.table, &row, &run.statement.cancel).await?),
        };
        let Some(id) = inserted else {
            continue;
        };
        let (keys, table) = (&plan.foreign_keys, &plan.table);
        work.keys.inserted(keys, table, id, &row, txn).await?;
        if let Some(returning) = &plan.returning {
            work.changed.returned.push(returned(returning, &row, run)?);
        }
        work.changed.count += 1;
    }
    work.keys.finish(txn).await?;
    Ok(work.changed)
}

/// Inserts a row unless one is in its way, which DO UPDATE changes: its id if it was inserted.
/// `affected` are the rows that the statement has inserted or changed.
async fn upsert(
    conflict: &ConflictPlan,
    plan: &InsertPlan,
    row: &[Datum],
    run: &Run,
    txn: &mut Txn,
    affected: &mut FxHashSet<RowId>,
    work: &mut Work,
) -> Result<Option<RowId>> {
    let cancel = &run.statement.cancel;
    let (table, arbiters) = (&plan.table, &conflict.arbiters);
    let Some(update) = &conflict.update else {
        return table::insert_unless_exists(txn, table, row, arbiters, cancel).await;
    };
    let lock = row_lock(update, update.unique_columns.is_empty(), run);
    let (id, locked) = match table::insert_or_lock(txn, table, row, arbiters, lock).await? {
        Inserted::Row(id) => {
            affected.insert(id);
            return Ok(Some(id));
        }
        Inserted::Conflict(id, locked) => (id, locked),
    };
    if affected.contains(&id) {
        return Err(affected_twice());
    }
    let mut both = nulls(row.len());
    decode(update, &locked.bytes, &mut both)?;
    both.extend_from_slice(row);
    if passes(update, &both, run)? {
        affected.insert(id);
        change_row(update, id, &locked.bytes, &mut both, run, txn, work).await?;
    }
    Ok(None)
}

fn affected_twice() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate \
         constrained values.",
    )
}

/// The RETURNING list over a row.
pub(super) fn returned(returning: &ReturningPlan, row: &[Datum], run: &Run) -> Result<OwnedRow> {
    let cx = run.context();
    let values = returning.exprs.iter();
    values
        .map(|expr| Ok(eval(expr, row, &cx)?.into_owned()))
        .collect()
}

/// Lets others run and looks for cancellation now and then.
pub(super) async fn breathe(count: u64, run: &Run) -> Result<()> {
    if count.is_multiple_of(ROWS_PER_YIELD) {
        run.statement.cancel.check()?;
        tokio::task::yield_now().await;
    }
    Ok(())
}
