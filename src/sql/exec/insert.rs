//! INSERT.

use crate::base::{Result, blocking};
use crate::sql::exec::{Run, check_row, nulls, open};
use crate::sql::expr::{assign, eval};
use crate::sql::foreign_key::KeyChecks;
use crate::sql::plan::node::OwnedRow;
use crate::sql::plan::{InsertPlan, ReturningPlan};
use crate::table::{self, Txn};
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
    let mut source = open(&plan.plan.root);
    let mut source_row = nulls(plan.plan.width);
    let mut row = nulls(plan.table.columns.len());
    let mut changed = Changed::default();
    let heavy = plan.plan.heavy;
    let mut keys = KeyChecks::new(&run.statement);
    while blocking(heavy, || source.next(&run.context(), &mut source_row))? {
        {
            let cx = run.context();
            for (slot, value) in row.iter_mut().zip(&plan.values) {
                assign(slot, eval(value, &source_row, &cx)?);
            }
            check_row(&plan.table, &plan.checks, &row, &cx)?;
        }
        let id = table::insert(txn, &plan.table, &row, &run.statement.cancel).await?;
        keys.inserted(&plan.foreign_keys, &plan.table, id, &row, txn)
            .await?;
        if let Some(returning) = &plan.returning {
            changed.returned.push(returned(returning, &row, run)?);
        }
        changed.count += 1;
        breathe(changed.count, run).await?;
    }
    keys.finish(txn).await?;
    Ok(changed)
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
