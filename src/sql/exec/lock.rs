//! SELECT … FOR UPDATE and its kin: rows are locked as they come out of the lock's input, in
//! their newest version if that still meets the conditions.

use std::sync::Arc;

use crate::base::{Error, Result, RowId, SqlState, blocking_polls};
use crate::sql::ast::{LockStrength, LockWait};
use crate::sql::exec::insert::breathe;
use crate::sql::exec::limit::{count, offset};
use crate::sql::exec::run::StandIn;
use crate::sql::exec::{Operator, Run, nulls, open};
use crate::sql::expr::ExprContext;
use crate::sql::plan::node::{self, LockMember, LockMemberKind, OwnedRow};
use crate::table::{self, LockedRow, RowLock, Txn};
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
    for lock in &plan.locks {
        let rows = blocking_polls(plan.heavy, gather(lock, run, txn)).await?;
        run.locked.push(Arc::new(rows));
    }
    Ok(())
}

async fn gather(lock: &Arc<node::Lock>, run: &mut Run, txn: &mut Txn) -> Result<Vec<OwnedRow>> {
    let wanted = wanted(lock, run)?;
    let mut gathered = Vec::new();
    let mut row = nulls(lock.input_width);
    let mut input = open(&lock.input);
    let mut looked_at = 0;
    while gathered.len() < wanted && input.next(&run.context(), &mut row)? {
        looked_at += 1;
        breathe(looked_at, run).await?;
        let Some(newest) = lock_row(lock, run, txn, &row).await? else {
            continue;
        };
        let changed = newest.iter().flatten().any(|locked| locked.changed);
        if changed && !recheck(lock, run, &newest, &mut row)? {
            continue;
        }
        let output = lock.output.iter();
        gathered.push(output.map(|column| row[*column].clone()).collect());
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

/// Locks the stored rows that a row comes from and are to be locked: for each member the newest
/// version. `None`: one is gone or skipped.
async fn lock_row(
    lock: &node::Lock,
    run: &Run,
    txn: &mut Txn,
    row: &[Datum],
) -> Result<Option<Vec<Option<LockedRow>>>> {
    let mut newest = Vec::with_capacity(lock.members.len());
    for member in &lock.members {
        let seen = seen(member, row);
        let (LockMemberKind::Table { table, lock }, Some((id, bytes))) = (&member.kind, seen)
        else {
            newest.push(None);
            continue;
        };
        let Some(how) = lock else {
            newest.push(None);
            continue;
        };
        let how = RowLock {
            mode: lock_mode(how.strength),
            wait: lock_wait(how.wait),
            cancel: &run.statement.cancel,
        };
        let locked = table::lock_row(txn, table, id, bytes, how).await;
        match locked.map_err(changed_since)? {
            table::Locked::Row(locked) => newest.push(Some(locked)),
            table::Locked::Gone | table::Locked::Skipped => return Ok(None),
        }
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

/// The stored row of a table in a row; there is none where an outer join has put nulls.
fn seen<'r>(member: &LockMember, row: &'r [Datum]) -> Option<(RowId, &'r [u8])> {
    match (&row[member.column], &row[member.column + 1]) {
        (Datum::Int8(id), Datum::Bytea(bytes)) => Some((RowId(id.cast_unsigned()), bytes)),
        _ => None,
    }
}

/// Runs the input again for this row alone, with the newest versions in place of what was seen.
fn recheck(
    lock: &node::Lock,
    run: &mut Run,
    newest: &[Option<LockedRow>],
    row: &mut [Datum],
) -> Result<bool> {
    run.stand_ins.resize_with(run.plan.row_sources, || None);
    for (member, newest) in lock.members.iter().zip(newest) {
        run.stand_ins[member.source] = Some(stand_in(member, newest.as_ref(), row));
    }
    let found = open(&lock.input).next(&run.context(), row);
    run.stand_ins.clear();
    found
}

fn stand_in(member: &LockMember, newest: Option<&LockedRow>, row: &[Datum]) -> StandIn {
    match &member.kind {
        LockMemberKind::Table { .. } => match (seen(member, row), newest) {
            (Some((id, _)), Some(locked)) => StandIn::Stored(id, locked.bytes.to_vec()),
            (Some((id, bytes)), None) => StandIn::Stored(id, bytes.to_vec()),
            (None, _) => StandIn::Absent,
        },
        LockMemberKind::Other { width } => match &row[member.column + width] {
            Datum::Null => StandIn::Absent,
            _ => StandIn::Row(row[member.column..member.column + width].to_vec()),
        },
    }
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
