//! SELECT … FOR UPDATE and its kin: rows are locked as they come out of the lock's input, in
//! their newest version if that still meets the conditions.

use std::sync::Arc;

use crate::base::{Error, Result, RowId, SqlState, blocking};
use crate::sql::ast::{LockStrength, LockWait};
use crate::sql::exec::limit::{count, offset};
use crate::sql::exec::{Operator, Run, nulls, open};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node::{self, OwnedRow};
use crate::table::{self, RowLock, Txn};
use crate::txn::{self, could_not_serialize};
use crate::types::Datum;

/// Gives the rows that a lock has gathered.
pub(super) struct Locked {
    plan: Arc<node::Lock>,
    next: usize,
}

impl Locked {
    pub(super) fn new(plan: &Arc<node::Lock>) -> Locked {
        Locked {
            plan: Arc::clone(plan),
            next: 0,
        }
    }
}

impl Operator for Locked {
    fn next(&mut self, cx: &ExprContext<'_>, row: &mut [Datum]) -> Result<bool> {
        let gathered = cx.running()?.locked.get(self.plan.number);
        let Some(values) = gathered.and_then(|rows| rows.get(self.next)) else {
            return Ok(false);
        };
        self.next += 1;
        super::copy_row(values, row);
        Ok(true)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

/// Runs the locks of a plan, innermost first.
pub(crate) async fn gather_locked(run: &mut Run, txn: &mut Txn) -> Result<()> {
    let plan = Arc::clone(&run.plan);
    run.overrides.resize_with(plan.row_sources, || None);
    for lock in &plan.locks {
        let rows = gather(lock, run, txn).await?;
        run.locked.push(Arc::new(rows));
    }
    Ok(())
}

async fn gather(lock: &Arc<node::Lock>, run: &mut Run, txn: &mut Txn) -> Result<Vec<OwnedRow>> {
    let wanted = wanted(lock, run)?;
    let mut gathered = Vec::new();
    let mut row = nulls(lock.input_width);
    let mut input = open(&lock.input);
    let heavy = run.plan.heavy;
    while gathered.len() < wanted && blocking(heavy, || input.next(&run.context(), &mut row))? {
        let Some(newest) = lock_row(lock, run, txn, &row).await? else {
            continue;
        };
        if !newest.is_empty() && !recheck(lock, run, newest, &mut row)? {
            continue;
        }
        gathered.push(
            lock.output
                .iter()
                .map(|column| row[*column].clone())
                .collect(),
        );
    }
    Ok(gathered)
}

fn wanted(lock: &node::Lock, run: &Run) -> Result<usize> {
    let Some((limit, skipped)) = &lock.limit else {
        return Ok(usize::MAX);
    };
    let cx = run.context();
    let limit = count(limit.as_ref(), &cx)?.unwrap_or(usize::MAX);
    Ok(limit.saturating_add(offset(skipped.as_ref(), &cx)?))
}

/// A row's newest version, by row source.
type Newest = Vec<(usize, RowId, Vec<u8>)>;

/// Locks the stored rows that a row comes from. `None`: one is gone or skipped. Otherwise the
/// newest version of each if any has changed, else nothing.
async fn lock_row(
    lock: &node::Lock,
    run: &Run,
    txn: &mut Txn,
    row: &[Datum],
) -> Result<Option<Newest>> {
    let mut newest = Newest::new();
    let mut changed = false;
    for target in &lock.targets {
        // The null-extended side of an outer join has no row to lock.
        let (Datum::Int8(id), Datum::Bytea(seen)) = (&row[target.row_id], &row[target.row_id + 1])
        else {
            continue;
        };
        let id = RowId(id.cast_unsigned());
        let how = RowLock {
            mode: lock_mode(lock.strength),
            wait: lock_wait(lock.wait),
            cancel: &run.statement.cancel,
        };
        let locked = table::lock_row(txn, &target.table, id, seen, how).await;
        match locked.map_err(changed_since)? {
            table::Locked::Row(locked) => {
                changed |= locked.changed;
                newest.push((target.source, id, locked.bytes.to_vec()));
            }
            table::Locked::Gone | table::Locked::Skipped => return Ok(None),
        }
    }
    if !changed {
        newest.clear();
    }
    Ok(Some(newest))
}

/// PostgreSQL does not tell here whether a row was changed or deleted.
fn changed_since(error: Error) -> Error {
    match error.sqlstate() == SqlState::SERIALIZATION_FAILURE {
        true => could_not_serialize("concurrent update"),
        false => error,
    }
}

/// Runs the input again with the newest versions in place of the stored rows.
fn recheck(lock: &node::Lock, run: &mut Run, newest: Newest, row: &mut [Datum]) -> Result<bool> {
    for (source, id, bytes) in newest {
        run.overrides[source] = Some((id, bytes));
    }
    run.overriding = true;
    let found = open(&lock.input).next(&run.context(), row);
    run.overriding = false;
    run.overrides.iter_mut().for_each(|stored| *stored = None);
    found
}

pub(super) fn lock_mode(strength: LockStrength) -> txn::LockMode {
    match strength {
        LockStrength::KeyShare => txn::LockMode::ROW_KEY_SHARE,
        LockStrength::Share => txn::LockMode::ROW_SHARE,
        LockStrength::NoKeyUpdate => txn::LockMode::ROW_NO_KEY_UPDATE,
        LockStrength::Update => txn::LockMode::ROW_UPDATE,
    }
}

fn lock_wait(wait: LockWait) -> txn::LockWait {
    match wait {
        LockWait::Wait => txn::LockWait::Wait,
        LockWait::Nowait => txn::LockWait::Nowait,
        LockWait::SkipLocked => txn::LockWait::SkipLocked,
    }
}
