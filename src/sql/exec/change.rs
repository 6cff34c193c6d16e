//! UPDATE and DELETE: target rows are found first, then each is locked and changed in its newest
//! version, if that still meets the filter (PostgreSQL's documentation, 13.2.1).

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::base::{Result, RowId, blocking_polls};
use crate::sql::exec::insert::{Changed, breathe, returned};
use crate::sql::exec::lookup::unique_key;
use crate::sql::exec::{Run, check_row, nulls, open};
use crate::sql::expr::{eval, is_true};
use crate::sql::foreign_key::KeyChecks;
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::plan::{ChangePlan, RowChange, Target};
use crate::table::{self, IndexDef, Locked, RowLock, Txn, row};
use crate::txn::{LockMode, LockWait};
use crate::types::{self, Datum};

/// A row to change, as the statement's snapshot shows it.
struct Found {
    id: RowId,
    seen: Box<[u8]>,
    from: Vec<Datum>,
}

/// Runs an UPDATE or DELETE.
pub(crate) async fn change(plan: &ChangePlan, run: &Run, txn: &mut Txn) -> Result<Changed> {
    let mut work = Work::new(run);
    match &plan.target {
        Target::Unique { index, key } => {
            change_unique(plan, index, key, run, txn, &mut work).await?;
        }
        Target::Scan => {
            blocking_polls(plan.plan.heavy, change_found(plan, run, txn, &mut work)).await?;
        }
    }
    work.keys.finish(txn).await?;
    Ok(work.changed)
}

/// What comes of the rows changed.
pub(super) struct Work {
    pub(super) changed: Changed,
    pub(super) keys: KeyChecks,
}

impl Work {
    pub(super) fn new(run: &Run) -> Work {
        Work {
            changed: Changed::default(),
            keys: KeyChecks::new(&run.statement),
        }
    }
}

/// How target rows are locked. `keeps_keys`: what an UPDATE gives unique keys they have already.
pub(super) fn row_lock<'r>(plan: &RowChange, keeps_keys: bool, run: &'r Run) -> RowLock<'r> {
    RowLock {
        mode: match keeps_keys && plan.assignments.is_some() {
            true => LockMode::ROW_NO_KEY_UPDATE,
            false => LockMode::ROW_UPDATE,
        },
        wait: LockWait::Wait,
        cancel: &run.statement.cancel,
    }
}

async fn change_unique(
    plan: &ChangePlan,
    index: &Arc<IndexDef>,
    key: &[Expr],
    run: &Run,
    txn: &mut Txn,
    work: &mut Work,
) -> Result<()> {
    let Some(key) = unique_key(index, &plan.change.table, key, &run.context())? else {
        return Ok(());
    };
    let keeps_keys = keeps_keys(&plan.change, index, &key, run)?;
    let lock = row_lock(&plan.change, keeps_keys, run);
    let Some((id, locked)) = table::lock_unique(txn, &plan.change.table, index, &key, lock).await?
    else {
        return Ok(());
    };
    let mut old = nulls(plan.change.table.columns.len());
    decode(&plan.change, &locked.bytes, &mut old)?;
    if passes(&plan.change, &old, run)? {
        change_row(&plan.change, id, &locked.bytes, &mut old, run, txn, work).await?;
    }
    Ok(())
}

/// Whether an UPDATE of the row of a key gives its unique columns the values of that key.
fn keeps_keys(plan: &RowChange, index: &IndexDef, key: &[Datum], run: &Run) -> Result<bool> {
    let assignments = plan.assignments.as_deref().unwrap_or_default();
    for column in &plan.unique_columns {
        let value = assignments.iter().find(|(assigned, _)| assigned == column);
        let place = index.columns.iter().position(|c| c.column == *column);
        let (Some((_, value)), Some(place)) = (value, place) else {
            return Ok(false);
        };
        if !matches!(value.kind, ExprKind::Const(_) | ExprKind::Param(_)) {
            return Ok(false);
        }
        let value = eval(value, &[], &run.context())?;
        let ty = plan.table.columns[*column].ty;
        if value.is_null() || types::compare(ty, &value, &key[place]).is_ne() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn change_found(plan: &ChangePlan, run: &Run, txn: &mut Txn, work: &mut Work) -> Result<()> {
    let found = find(plan, run)?;
    let columns = plan.change.table.columns.len();
    let mut old = nulls(columns);
    for mut target in found {
        let lock = row_lock(&plan.change, plan.change.unique_columns.is_empty(), run);
        let locked =
            table::lock_row(txn, &plan.change.table, target.id, &target.seen, lock).await?;
        let Locked::Row(locked) = locked else {
            continue;
        };
        old.truncate(columns);
        decode(&plan.change, &locked.bytes, &mut old)?;
        old.append(&mut target.from);
        if locked.changed && !passes(&plan.change, &old, run)? {
            continue;
        }
        change_row(
            &plan.change,
            target.id,
            &locked.bytes,
            &mut old,
            run,
            txn,
            work,
        )
        .await?;
        breathe(work.changed.count, run).await?;
    }
    Ok(())
}

/// The target rows at the snapshot, each once.
fn find(plan: &ChangePlan, run: &Run) -> Result<Vec<Found>> {
    let cx = run.context();
    let columns = plan.change.table.columns.len();
    let mut input = open(&plan.plan.root);
    let mut row = nulls(plan.plan.width);
    let mut found = Vec::new();
    // Without FROM no row can come twice.
    let joined = plan.plan.width > columns + 2;
    let mut seen_ids = FxHashSet::default();
    while input.next(&cx, &mut row)? {
        let (Datum::Int8(id), Datum::Bytea(seen)) = (&row[columns], &row[columns + 1]) else {
            continue;
        };
        let id = RowId(id.cast_unsigned());
        if joined && !seen_ids.insert(id) {
            continue;
        }
        found.push(Found {
            id,
            seen: seen.clone(),
            from: row[columns + 2..].to_vec(),
        });
    }
    Ok(found)
}

pub(super) fn decode(plan: &RowChange, bytes: &[u8], out: &mut [Datum]) -> Result<()> {
    let columns = plan.table.columns.iter().enumerate();
    let live: Vec<usize> = columns
        .filter(|(_, c)| !c.dropped)
        .map(|(i, _)| i)
        .collect();
    row::decode(&plan.table, bytes, &live, out)
}

pub(super) fn passes(plan: &RowChange, row: &[Datum], run: &Run) -> Result<bool> {
    match &plan.filter {
        Some(filter) => is_true(filter, row, &run.context()),
        None => Ok(true),
    }
}

/// Changes one locked row. `row` is its newest version, followed by the FROM row.
pub(super) async fn change_row(
    plan: &RowChange,
    id: RowId,
    bytes: &[u8],
    row: &mut [Datum],
    run: &Run,
    txn: &mut Txn,
    work: &mut Work,
) -> Result<()> {
    let columns = plan.table.columns.len();
    let cancel = &run.statement.cancel;
    match &plan.assignments {
        Some(assignments) => {
            let old = match plan.foreign_keys.is_empty() {
                true => Vec::new(),
                false => row[..columns].to_vec(),
            };
            assign_new(plan, assignments, row, run)?;
            let new = &row[..columns];
            table::update(txn, &plan.table, id, bytes, new, cancel).await?;
            if !plan.foreign_keys.is_empty() {
                let (keys, rows) = (&plan.foreign_keys, (&old[..], new));
                work.keys.updated(keys, &plan.table, id, rows, txn).await?;
            }
        }
        None => {
            table::delete(txn, &plan.table, id, bytes, cancel).await?;
            let old = &row[..columns];
            work.keys.deleted(&plan.foreign_keys, old, txn).await?;
        }
    }
    if let Some(returning) = &plan.returning {
        work.changed.returned.push(returned(returning, row, run)?);
    }
    work.changed.count += 1;
    Ok(())
}

/// Turns the old row into the new one: all new values are computed from the old.
fn assign_new(
    plan: &RowChange,
    assignments: &[(usize, Expr)],
    row: &mut [Datum],
    run: &Run,
) -> Result<()> {
    let cx = run.context();
    let mut values: smallvec::SmallVec<[Datum; 4]> = smallvec::SmallVec::new();
    for (_, expr) in assignments {
        values.push(eval(expr, row, &cx)?.into_owned());
    }
    for ((column, _), value) in assignments.iter().zip(values) {
        row[*column] = value;
    }
    check_row(
        &plan.table,
        &plan.checks,
        &row[..plan.table.columns.len()],
        &cx,
    )
}
